"""Estimators on a Dask cluster: shards, synchronisations, workers, predictions."""

import os
import pickle
import signal
import time

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from nnfit import MLPClassifier, MLPRegressor
from nnfit.batches.rows import batch_of
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
    packages,
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
        (
            *(MLPRegressor, DaskMLPRegressor, TARGETS),
            {"learning_rate": "plateau", "tol": 9.0, "n_iter_no_change": 4},
        ),
        (
            *(MLPRegressor, DaskMLPRegressor, TARGETS),
            {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
        ),
    ],
)
def test_one_shard_is_trained_as_on_one_machine(kind, of_dask, y, parameters):
    parameters = {**SMALL, "scaling": "standard", "max_iter": 5, **parameters}
    expected = kind(**parameters).fit(X, y, WEIGHTS)
    model = of_dask(n_shards=1, **parameters).fit(*cut(X, y, WEIGHTS))
    assert_same(model, expected)
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-12)
    assert (model.n_iter_, model.t_) == (expected.n_iter_, expected.t_)
    rates = model.history_["learning_rate"], expected.history_["learning_rate"]
    np.testing.assert_allclose(*rates, rtol=1e-12)
    local = model.to_local()
    assert type(local) is kind and local.get_params() == expected.get_params()
    np.testing.assert_array_equal(local.predict(X), expected.predict(X))


@pytest.mark.emulated
def test_every_engine(any_engine):
    """With one shard the weights of a fit; with two, those of all, trained."""
    parameters = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
    rows, y = X[:24], TARGETS[:24]
    expected = MLPRegressor(**parameters).fit(rows, y)
    model = DaskMLPRegressor(n_shards=1, **parameters).fit(*cut(rows, y, rows=12))
    assert_same(model, expected)
    model.set_params(n_shards=2).fit(*cut(rows, y, rows=12))
    assert (model.coefs_[0] != expected.coefs_[0]).all()


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


def test_an_epoch_of_several_rounds_trains_on_all_rows_in_turn():
    """With one shard as calls of partial_fit for the slices."""
    model = DaskMLPRegressor(n_shards=1, local_epochs=1 / 3, **SMALL)
    model.fit(*cut(X, TARGETS, WEIGHTS))
    expected = MLPRegressor(**{**SMALL, "max_iter": 9})
    for begin in (0, 80, 160) * 3:
        rows = slice(begin, begin + 80)
        expected.partial_fit(X[rows], TARGETS[rows], WEIGHTS[rows])
    assert_same(model, expected)
    assert (model.n_iter_, model.t_) == (3, expected.t_)


def test_validation_data_stop_the_training():
    X_val, y_val = cut(X[:100], LABELS[:100])
    model = DaskMLPClassifier(
        n_shards=2, early_stopping=True, n_iter_no_change=2, tol=0.5,
        temperature_scaling=True, **{**SMALL, "max_iter": 30},
    )  # fmt: skip
    model.fit(*cut(X, LABELS), X_val=X_val, y_val=y_val)
    assert model.n_iter_ < 30
    best = max(model.validation_scores_)
    assert model.best_validation_score_ == best == model.score(X_val, y_val)
    assert model.temperature_ != 1.0


@pytest.mark.parametrize(
    "parameters",
    [
        {"freeze": 1, "unfreeze_at": 2},
        {"normalization": "batch"},
        {"dropout": 0.5, "initialization": "data_driven"},
    ],
)
def test_parameters_act_as_on_one_machine(parameters):
    parameters = {**SMALL, **parameters}
    expected = MLPClassifier(**parameters).fit(X, LABELS)
    model = DaskMLPClassifier(n_shards=1, **parameters).fit(*cut(X, LABELS))
    assert_same(model, expected)


def test_classes_and_extremes_of_all_partitions_are_seen(monkeypatch):
    monkeypatch.setattr(parts, "LOOKED_AT", 60)
    y = LABELS.astype("<U4")
    y[-1] = "rare"
    model = DaskMLPClassifier(class_weight="balanced", n_shards=2, **SMALL)
    model.fit(*cut(X, y))
    assert model.classes_.tolist() == ["a", "b", "c", "rare"]
    assert model.to_local().class_weight == "balanced"
    batch = batch_of((X[:50], TARGETS[:50]), "partition 0")
    (rows, *_) = parts.rows_to_look_at([parts.find(batch, MLPRegressor())] * 3)
    assert {TARGETS[:50].argmin(), TARGETS[:50].argmax()} <= set(rows)


def test_categories_and_missing_values_of_all_partitions_are_seen(table, monkeypatch):
    monkeypatch.setattr(parts, "LOOKED_AT", 60)
    frame, collection = table
    frame = frame.copy()
    frame.loc[frame.index[-2], "e"] = "rare"
    frame.loc[frame.index[-2], "a"] = np.nan
    collection = dask.dataframe.from_pandas(frame, npartitions=4)
    model = DaskMLPClassifier(n_shards=2, categorical_features=["e"], **SMALL)
    local = model.fit(collection[list("abcde")], collection["y"]).to_local()
    assert "rare" in local._fitted["categories"][4]
    assert np.isnan(frame["a"]).sum() == 1


@pytest.mark.parametrize("labels", [LABELS, np.stack([X[:, 0] > 0, X[:, 1] > 1], 1)])
def test_balanced_weights_are_those_of_all_rows(labels):
    given = [batch_of((X[i::2], labels[i::2], WEIGHTS[i::2]), "") for i in (0, 1)]
    weights = parts.balanced([parts.find(batch, MLPClassifier()) for batch in given])
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


def test_ctrl_c_keeps_the_last_synchronisation(monkeypatch):
    train = workers.InProcess.train

    def interrupted(self, weights, epoch, *arguments):
        if epoch == 2:
            raise KeyboardInterrupt
        return train(self, weights, epoch, *arguments)

    collections = cut(X, LABELS)
    expected = DaskMLPClassifier(n_shards=2, **{**SMALL, "max_iter": 2})
    expected.fit(*collections)
    monkeypatch.setattr(workers.InProcess, "train", interrupted)
    model = DaskMLPClassifier(n_shards=2, **SMALL)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(*collections)
    assert_same(model, expected)


def test_recipes_for_tables():
    X_val, y_val = X[:60], LABELS[:60]
    small = {"hidden_layer_sizes": (8,), "random_state": 0, "n_shards": 2}
    model = DaskRealMLPClassifier("td_s", max_iter=2, scoring="neg_log_loss", **small)
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
    # One of the workers has no rows.
    alone = DaskMLPClassifier(client=client, **{**SMALL, "n_shards": 1})
    assert_same(alone.fit(*cut(X, LABELS)), MLPClassifier(**SMALL).fit(X, LABELS))


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
        with pytest.warns(UserWarning, match=r"train their shards, \[0\]"):
            model.fit(*cut(X, LABELS))
    assert model.n_iter_ == 3


def test_shards_go_to_the_workers_with_their_rows():
    has = {"a": ("x",), "b": ("y",), "c": ("y",)}
    threads = {"x": 1, "y": 1, "z": 2}
    shards = {0: ["b"], 1: ["a"], 2: ["c"]}
    assert workers.assigned(shards, has, threads) == {0: "y", 1: "x", 2: "z"}
    del threads["z"]
    assert workers.assigned({0: ["a"]}, has, threads, ["x"]) == {0: "y"}


def test_a_cluster_without_workers():
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        model = DaskMLPClassifier(client=client, timeout=0.2, **SMALL)
        with pytest.raises(TimeoutError, match=r"no worker for 0\.2 seconds"):
            model.fit(*cut(X, LABELS))


def test_fits_on_the_same_workers_take_turns(client, monkeypatch):
    names = [f"nnfit {address}" for address in client.nthreads()]
    with distributed.MultiLock(names, client=client):
        model = DaskMLPClassifier(client=client, timeout=0.2, **SMALL)
        with pytest.raises(TimeoutError, match=r"Another fit used the workers for tim"):
            model.fit(*cut(X, LABELS))
        monkeypatch.setattr(workers, "WAIT", 0.1)
        with (
            pytest.warns(UserWarning, match=r"another fit, for which this one waits"),
            pytest.raises(TimeoutError),
        ):
            model.fit(*cut(X, LABELS))


def test_a_round_has_a_time_limit(client):
    model = DaskMLPClassifier(client=client, timeout=0.3, n_shards=2, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "train_all", lambda *arguments: time.sleep(1.0))
        patch.setattr(workers, "LOOK", 0.1)
        with pytest.raises(TimeoutError, match="did not finish a round within timeout"):
            model.fit(*cut(X, LABELS))


# --------------------------------------------------------------- collections


@pytest.fixture(scope="module")
def table():
    """A dataframe with categories, whose partitions have unknown sizes."""
    pandas = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe", exc_type=ImportError)
    frame = pandas.DataFrame(X, columns=list("abcd"))
    frame["e"] = np.where(X[:, 0] > 0, "plus", "minus")
    frame["y"], frame["z"] = LABELS, (X[:, 0] > X[:, 1]).astype(int)
    return frame, dd.from_pandas(frame, npartitions=4)


def test_dataframes(table):
    frame, collection = table
    parameters = {**SMALL, "categorical_features": ["e"]}
    expected = MLPClassifier(**parameters).fit(frame[list("abcde")], frame["y"])
    model = DaskMLPClassifier(n_shards=1, **parameters)
    rows, y = collection[list("abcde")], collection["y"]
    assert_same(model.fit(rows, y), expected)
    assert model.feature_names_in_.tolist() == list("abcde")
    predicted = model.predict(rows)
    assert dask.is_dask_collection(predicted)
    predicted = predicted.compute()
    np.testing.assert_array_equal(predicted, expected.predict(frame[list("abcde")]))
    assert (predicted.index == frame.index).all()
    probabilities = model.predict_proba(rows).compute()
    assert probabilities.columns.tolist() == ["a", "b", "c"]
    assert model.score(rows, y) == expected.score(frame[list("abcde")], frame["y"])


def test_partitions_of_unknown_sizes_some_of_them_empty(table):
    frame, collection = table
    part = collection[collection["a"] > 1.0]  # of which a partition may have none
    empty = collection.partitions[1][collection.partitions[1]["a"] > 99.0]
    part = dask.dataframe.concat([part, empty])
    rows = part[list("abcd")].to_dask_array()
    y = part["z"].to_dask_array()
    assert np.isnan(rows.chunks[0][0])
    model = DaskMLPClassifier(n_shards=2, **SMALL).fit(rows, y)
    assert model.predict(rows).compute().shape == ((frame["a"] > 1.0).sum(),)
    assert 0.0 <= model.score(rows, y) <= 1.0


def test_predictions_of_arrays_are_lazy_and_those_of_the_local_estimator():
    labels = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
    outputs = np.stack([TARGETS, -TARGETS], axis=1)
    for kind, y in (
        (DaskMLPClassifier, LABELS), (DaskMLPClassifier, labels),
        (DaskMLPRegressor, TARGETS), (DaskMLPRegressor, outputs),
    ):  # fmt: skip
        given = da.from_array(X, chunks=(60, 2)), da.from_array(y, chunks=60)
        model = kind(n_shards=2, **SMALL).fit(*given, *cut(WEIGHTS, rows=60))
        local = model.to_local()
        for method in ("predict", "predict_proba"):
            if hasattr(model, method):
                found, expected = (
                    getattr(model, method)(given[0]),
                    getattr(local, method)(X),
                )
                assert found.dtype == expected.dtype
                assert found.shape == expected.shape
                np.testing.assert_array_equal(found.compute(), expected)
        expected = local.score(X, y, WEIGHTS)
        assert model.score(*given, *cut(WEIGHTS)) == pytest.approx(expected, rel=1e-9)
        assert model.score(X, y, WEIGHTS) == expected


def test_sparse_blocks():
    matrix = scipy.sparse.random(240, 30, 0.1, "csr", np.float32, random_state=0)
    rows = da.from_array(matrix.toarray(), chunks=(60, 30)).map_blocks(
        scipy.sparse.csr_matrix
    )
    model = DaskMLPClassifier(n_shards=1, **SMALL).fit(rows, *cut(LABELS, rows=60))
    assert_same(model, MLPClassifier(**SMALL).fit(matrix, LABELS))


def test_conventions(client):
    model = DaskMLPClassifier((8,), client=client, n_shards=2, max_iter=1)
    assert clone(model).client is client
    assert "client" in model.get_params() and "hidden_layer_sizes" in repr(model)
    with pytest.raises(NotFittedError, match="not fitted"):
        model.predict(X)
    model.fit(*cut(X, LABELS))
    again = pickle.loads(pickle.dumps(model))
    assert again.client is None
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(TypeError, match="max_iter"):
        DaskMLPClassifier(epochs=3)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"solver": "lbfgs"}, "solver='lbfgs'. Choose another solver"),
        ({"ema_decay": 0.9}, "got ema_decay=0.9"),
        ({"swa": 0.5}, "got swa=0.5"),
        ({"n_members": 2}, "got n_members=2. Set it to 1"),
        ({"warm_start": True}, "got warm_start=True. Set it to False"),
        ({"early_stopping": True}, "Pass X_val and y_val to fit"),
        ({"n_shards": 9}, "n_shards=9 is more than X has partitions with rows, 6"),
        ({"n_shards": 0}, "'n_shards' parameter"),
        ({"local_epochs": 0.4}, "local_epochs must be a whole number, or 1 / k"),
        ({"outer_momentum": 1.0}, "'outer_momentum' parameter"),
    ],
)
def test_bad_parameters(parameters, match):
    with pytest.raises(ValueError, match=match):
        DaskMLPClassifier(**{**SMALL, **parameters}).fit(*cut(X, LABELS))


def uneven(*blocks):
    """A collection of blocks as they are."""
    shapes = [(np.nan, *block.shape[1:]) for block in blocks]
    made = [
        da.from_delayed(dask.delayed(block), shape, block.dtype)
        for block, shape in zip(blocks, shapes, strict=True)
    ]
    return da.concatenate(made, allow_unknown_chunksizes=True)


@pytest.mark.parametrize(
    ("collections", "error", "match"),
    [
        ((X, LABELS), TypeError, "X must be a dask array or dataframe, got ndarray"),
        ((cut(X)[0], LABELS), TypeError, "y must be a dask array or dataframe"),
        (cut(X, LABELS[:200]), ValueError, "y must have as many rows as X, 240, got"),
        (
            (uneven(X, X), uneven(LABELS)),
            ValueError,
            "y must have as many partitions as X, 2, got 1",
        ),
        (
            (uneven(X, X), uneven(LABELS, LABELS[:9])),
            ValueError,
            "partition 1 must hold as many entries of y as rows of X, 240, got",
        ),
        ((uneven(X[:0]), uneven(LABELS[:0])), ValueError, "no rows in any of its 1"),
        (
            cut(X, np.array([None, *LABELS[1:]], object)),
            ValueError,
            "got None at position 0",
        ),
    ],
)
def test_bad_collections(collections, error, match):
    with pytest.raises(error, match=match):
        DaskMLPClassifier(**SMALL).fit(*collections)


def test_partitions_of_different_widths(client):
    rows = da.from_delayed(dask.delayed(X[:, :3]), X.shape, X.dtype)
    rows = da.concatenate([cut(X, rows=240)[0], rows])
    for given in (None, client):
        with pytest.raises(ValueError, match="partition 1 has X of 3 columns, and X"):
            DaskMLPClassifier(client=given).fit(
                rows, *cut(np.concatenate([LABELS, LABELS]), rows=240)
            )


def test_an_error_of_a_worker_is_raised(client, monkeypatch):
    bad = X.copy()
    bad[-1, 0] = np.inf
    monkeypatch.setattr(parts, "LOOKED_AT", 60)  # of which that row is none
    for given in (None, client):
        with pytest.raises(ValueError, match="partition 5 holds infinity"):
            DaskMLPClassifier(client=given, **SMALL).fit(*cut(bad, LABELS))
    weights = np.repeat([1.0, 0.0], 40)
    for given in (None, client):
        model = DaskMLPClassifier(client=given, n_shards=2, **SMALL)
        with pytest.raises(
            ValueError, match=r"shard 1: [sS]ample.weights? must contain"
        ):
            model.fit(*cut(X, LABELS, np.tile(weights, 3)))


def test_an_asynchronous_client():
    class Client:
        asynchronous = True

    with pytest.raises(TypeError, match="fit waits for the workers"):
        DaskMLPClassifier(client=Client(), **SMALL).fit(*cut(X, LABELS))


def test_what_to_install(monkeypatch):
    with pytest.raises(ImportError, match=r"pip install 'nnfit\[dask\]'"):
        packages.dask("dask_that_is_missing")


# ----------------------------------------------------------------- processes


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
        with pytest.warns(UserWarning, match="Workers were lost"):
            model.fit(*collections)
        assert model.n_iter_ == 20
        assert model.loss_curve_[-1] < model.loss_curve_[0]
