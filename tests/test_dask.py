"""Estimators on a Dask cluster: shards, synchronisations, workers, predictions."""

import os
import signal

import numpy as np
import pytest
from sklearn.base import clone

from nnfit import MLPClassifier, MLPRegressor
from nnfit.callbacks import Callback
from nnfit.network import Weights
from nnfit.network.kinds import Tensor

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

from nnfit.dask import (  # noqa: E402
    DaskMLPClassifier,
    DaskMLPRegressor,
    DaskRealMLPClassifier,
    DaskTabMRegressor,
    parts,
    workers,
)
from nnfit.dask.outer import OuterStep  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Parameter 'loop' has been deprecated:DeprecationWarning",
)

rng = np.random.default_rng(0)
X = rng.normal(size=(240, 4)).astype(np.float32)
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])]
TARGETS = X[:, 0] - X[:, 1] ** 2
WEIGHTS = rng.uniform(0.5, 2.0, size=240)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def cut(*arrays, rows=40):
    return [da.from_array(a, chunks=(rows, *a.shape[1:])) for a in arrays]


def assert_same(a, b):
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(getattr(a, name), getattr(b, name), strict=True):
            np.testing.assert_array_equal(one, other)


# --------------------------------------------------------------------- training


@pytest.mark.parametrize(
    ("kind", "of_dask", "y", "parameters"),
    [
        (MLPClassifier, DaskMLPClassifier, LABELS, {"class_weight": "balanced"}),
        (MLPRegressor, DaskMLPRegressor, TARGETS, {"target_scaling": "standard"}),
        (MLPRegressor, DaskMLPRegressor, TARGETS, {"learning_rate": "cosine"}),
    ],
)
def test_one_shard_is_trained_as_on_one_machine(kind, of_dask, y, parameters):
    parameters = {**SMALL, "scaling": "standard", **parameters}
    expected = kind(**parameters).fit(X, y, WEIGHTS)
    model = of_dask(n_shards=1, **parameters).fit(*cut(X, y, WEIGHTS))
    assert_same(model, expected)
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-12)
    assert (model.n_iter_, model.t_) == (expected.n_iter_, expected.t_)
    local = model.to_local()
    assert type(local) is kind and local.get_params() == expected.get_params()
    np.testing.assert_array_equal(local.predict(X), expected.predict(X))


def test_shards_learn_as_one_machine_does():
    parameters = {**SMALL, "max_iter": 60}
    expected = MLPClassifier(**parameters).fit(X, LABELS).score(X, LABELS)
    model = DaskMLPClassifier(n_shards=3, **parameters).fit(*cut(X, LABELS))
    assert model.n_shards_ == 3
    assert model.score(*cut(X, LABELS)) > expected - 0.05


def test_the_plain_mean_of_shards_is_that_of_their_networks():
    """With an outer rate of 1 and no momentum a round averages, weighted by rows."""
    parameters = {**SMALL, "max_iter": 1}
    model = DaskMLPRegressor(
        n_shards=2, outer_learning_rate=1.0, outer_momentum=0.0, **parameters
    ).fit(*cut(X[:200], TARGETS[:200], rows=100))
    alone = [
        DaskMLPRegressor(n_shards=1, **parameters).fit(*cut(X[rows], TARGETS[rows]))
        for rows in (slice(100), slice(100, 200))
    ]
    # The second shard has a seed of its own: an order of rows, not another mean.
    mean = (alone[0].coefs_[0] + alone[1].coefs_[0]) / 2
    np.testing.assert_allclose(model.coefs_[0], mean, atol=2e-3)


def test_a_round_of_several_epochs_ends_with_max_iter():
    model = DaskMLPClassifier(
        n_shards=2, local_epochs=2, **{**SMALL, "max_iter": 5}
    ).fit(*cut(X, LABELS))
    assert model.n_iter_ == len(model.loss_curve_) == 5


def test_validation_data_stop_the_training():
    X_val, y_val = cut(X[:100], LABELS[:100])
    model = DaskMLPClassifier(
        n_shards=2, early_stopping=True, n_iter_no_change=2, tol=0.5,
        **{**SMALL, "max_iter": 30},
    )  # fmt: skip
    model.fit(*cut(X, LABELS), X_val=X_val, y_val=y_val)
    assert model.n_iter_ < 30
    best = max(model.validation_scores_)
    assert model.best_validation_score_ == best == model.score(X_val, y_val)


def test_classes_and_extremes_of_all_partitions_are_seen(monkeypatch):
    monkeypatch.setattr(parts, "LOOKED_AT", 60)
    y = LABELS.astype("<U4")
    y[-1] = "rare"
    model = DaskMLPClassifier(class_weight="balanced", n_shards=2, **SMALL)
    model.fit(*cut(X, y))
    assert model.classes_.tolist() == ["a", "b", "c", "rare"]
    assert model.to_local().class_weight == "balanced"
    found = [parts.find(parts.Part(X[:50], TARGETS[:50], None), False)] * 3
    (rows, *_) = parts.rows_to_look_at(found)
    assert {TARGETS[:50].argmin(), TARGETS[:50].argmax()} <= set(rows)


@pytest.mark.parametrize("labels", [LABELS, np.stack([X[:, 0] > 0, X[:, 1] > 1], 1)])
def test_balanced_weights_are_those_of_all_rows(labels):
    given = [parts.Part(X[i::2], labels[i::2], WEIGHTS[i::2]) for i in (0, 1)]
    weights = parts.balanced([parts.find(part, True) for part in given])
    expected = MLPClassifier(**{**SMALL, "max_iter": 1}, class_weight="balanced")
    expected = np.ravel(expected.fit(X, labels, WEIGHTS)._class_weights)
    weights = weights if isinstance(weights, list) else [weights]
    found = [value for each in weights for value in each.values()]
    np.testing.assert_allclose(found, expected)


def test_callbacks_and_verbose_tell_of_rounds(capsys):
    class Stop(Callback):
        def after_epoch(self, estimator, context):
            return len(estimator.history_["loss"]) == 2

    model = DaskMLPClassifier(n_shards=2, verbose=True, **SMALL)
    model.set_callbacks(Stop()).fit(*cut(X, LABELS))
    assert model.n_iter_ == 2
    assert "\n    2 " in capsys.readouterr().out


def test_recipes_for_tables():
    X_val, y_val = X[:60], LABELS[:60]
    small = {"hidden_layer_sizes": (8,), "random_state": 0, "n_shards": 2}
    model = DaskRealMLPClassifier("td_s", max_iter=2, **small)
    model.fit(*cut(X, LABELS), X_val=X_val, y_val=y_val)
    assert model.to_local().predict(X).shape == (240,)
    model = DaskTabMRegressor(
        max_iter=2, numeric_embedding=None, n_shared_members=2, **small
    )
    model.fit(*cut(X, TARGETS), X_val=X_val, y_val=TARGETS[:60])
    assert model.predict(cut(X)[0]).compute().shape == (240,)


def test_the_outer_step_is_sgd_with_nesterovs_momentum():
    """As torch.optim.SGD(lr, momentum, nesterov=True); statistics are averaged."""
    step = OuterStep(
        [Tensor("w", "coefs", (3, 1)), Tensor("s", "norms", (2, 1), n_trained=1)],
        learning_rate=0.5, momentum=0.8,
    )  # fmt: skip
    before = Weights([np.array([[1.0], [2.0], [3.0]])], [], [np.ones((2, 1))])
    expected, velocity = before.coefs[0].copy(), 0.0
    for number in range(3):
        after = [
            Weights([before.coefs[0] - change], [], [before.norms[0] + change])
            for change in (0.1 * (number + 1), 0.3)
        ]
        gradient = 0.25 * 0.1 * (number + 1) + 0.75 * 0.3
        statistics = before.norms[0][1] + gradient
        before = step(before, after, [0.25, 0.75])
        velocity = 0.8 * velocity + gradient
        expected = expected - 0.5 * (gradient + 0.8 * velocity)
        np.testing.assert_allclose(before.coefs[0], expected)
        np.testing.assert_allclose(before.norms[0][1], statistics)


# ---------------------------------------------------------------------- workers


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


def test_workers_do_not_matter(client, monkeypatch):
    parameters = {**SMALL, "n_shards": 3, "class_weight": "balanced"}
    collections = cut(X, LABELS, WEIGHTS)
    expected = DaskMLPClassifier(**parameters).fit(*collections)
    model = DaskMLPClassifier(client=client, **parameters)
    assert_same(model.fit(*collections), expected)
    monkeypatch.setattr(
        workers, "assigned", lambda shards, has, threads, taken: dict.fromkeys(
            shards, max(threads)
        ),
    )  # fmt: skip
    assert_same(clone(model).fit(*collections), expected)


def test_a_worker_that_leaves_is_replaced(client):
    """Its shards go on elsewhere, from the last synchronisation."""
    leaving = []

    class Leave(workers.OnWorkers):
        def train(self, weights, epoch, *arguments):
            if epoch == 1:
                leaving[:] = list(self._place_of.values())[:1]
            return super().train(weights, epoch, *arguments)

        def _workers(self):
            there = super()._workers()
            return {each: n for each, n in there.items() if each not in leaving}

    model = DaskMLPClassifier(client=client, n_shards=2, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnfit.dask.estimators.OnWorkers", Leave)
        with pytest.warns(UserWarning, match=r"workers of the shards \[0\] were lost"):
            model.fit(*cut(X, LABELS))
    assert model.n_iter_ == 3


def test_shards_go_to_the_workers_with_their_rows():
    class Future:
        def __init__(self, key):
            self.key = key

    a, b, c = map(Future, "abc")
    has = {"a": ("x",), "b": ("y",), "c": ("y",)}
    threads = {"x": 1, "y": 1, "z": 2}
    assert workers.assigned({0: [b], 1: [a], 2: [c]}, has, threads) == {
        0: "y", 1: "x", 2: "z"
    }  # fmt: skip
    assert workers.assigned({0: [a]}, has, threads, ["x"]) == {0: "y"}


@pytest.mark.slow
def test_a_worker_is_killed_in_mid_fit():
    collections = cut(X, LABELS)
    expected = DaskMLPClassifier(n_shards=3, **SMALL).fit(*collections)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    )
    with cluster, distributed.Client(cluster) as client:
        model = DaskMLPClassifier(n_shards=3, **SMALL)
        assert_same(model.fit(*collections), expected)
        pids = list(client.run(os.getpid).values())

        class Kill(Callback):
            def after_epoch(self, estimator, context):
                if pids:
                    os.kill(pids[0], signal.SIGKILL)
                    pids.clear()

        model = clone(model).set_params(max_iter=20).set_callbacks(Kill())
        with pytest.warns(UserWarning, match="were lost"):
            model.fit(*collections)
        assert model.n_iter_ == 20
        assert model.loss_curve_[-1] < model.loss_curve_[0]
