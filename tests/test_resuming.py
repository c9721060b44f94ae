"""Going on with averaged weights, schedules and what else a training carries."""

import pickle

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris

from nnfit import MLPClassifier, MLPRegressor
from nnfit.cpu.training_tables import TrainingTables
from nnfit.network import Weights
from tests.conftest import use_numpy_engine
from tests.test_training import assert_plain

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
GIVEN = {"X_val": X[::3], "y_val": Y[::3]}
COMMON = {
    "hidden_layer_sizes": (6,),
    "batch_size": 40,
    "learning_rate_init": 0.01,
    "random_state": 0,
}
#: Trainings whose state is more than weights and moments.
CARRIED = {
    "plain": {},
    "ema": {"ema_decay": 0.9},
    "sgd with ema": {"solver": "sgd", "ema_decay": 0.8},
    "ema of normalised": {"ema_decay": 0.9, "normalization": "batch"},
    "schedule-free": {"solver": "schedule_free"},
    "schedule-free normalised": {"solver": "schedule_free", "normalization": "batch"},
    "batch normalisation": {"normalization": "batch"},
    "dropout": {"dropout": 0.3, "input_noise": 0.1},
    "mixup": {"mixup": 0.5},
}
AVERAGED = ["ema", "schedule-free"]


def falling(progress):
    """A schedule of the user's, in a module so that it can be pickled."""
    return 1.0 - 0.9 * progress


#: Those in which progress matters.
OF_PROGRESS = {
    "cosine": {"learning_rate": "cosine"},
    "warmup": {"warmup": 0.5},
    "swa": {"swa": 0.5},
    "momentum": {"momentum_schedule": "cosine", "solver": "sgd"},
    "dropout": {"dropout": 0.5, "dropout_schedule": "flat_cosine"},
    "function": {"learning_rate": falling},
}


def weights_of(model):
    return Weights(model.coefs_, model.intercepts_, model.norms_)


def assert_same(model, other):
    for arrays, others in zip(weights_of(model), weights_of(other), strict=True):
        for array, value in zip(arrays, others, strict=True):
            assert_array_equal(array, value)


@pytest.mark.parametrize("name", CARRIED)
def test_fits_in_parts_equal_one(any_engine, name):
    """Directly, then through a pickle."""
    parameters = COMMON | CARRIED[name]
    long = MLPClassifier(max_iter=6, **parameters).fit(X, Y)
    warm = MLPClassifier(max_iter=2, warm_start=True, **parameters)
    called = MLPClassifier(**parameters)
    for number in range(3):
        warm.fit(X, Y)
        called.partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
        if number == 1:
            warm, called = (pickle.loads(pickle.dumps(each)) for each in (warm, called))
    for model in (warm, called):
        assert model.loss_curve_ == long.loss_curve_
        assert_same(model, long)
        assert_plain(model.__getstate__())


@pytest.mark.emulated
@pytest.mark.parametrize("name", OF_PROGRESS)
def test_progress_goes_on_from_call_to_call(any_engine, name):
    """Directly, then through pickles."""
    parameters = {"max_iter": 5, **COMMON, **OF_PROGRESS[name]}
    long = MLPClassifier(**parameters).fit(X, Y)
    called = MLPClassifier(**parameters)
    for number in range(5):
        called.partial_fit(X, Y, classes=[0, 1, 2])
        if number >= 2:
            called = pickle.loads(pickle.dumps(called))
    assert_allclose(called.loss_curve_, long.loss_curve_, rtol=1e-9)
    assert_same(called, long)


@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")
@settings(max_examples=15, deadline=None)
@drawn(
    parts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    name=st.sampled_from(sorted(OF_PROGRESS)),
)
def test_progress_ends_at_one(parts, name):
    """Calls of any size, more of them than max_iter: each is one epoch of it."""
    with pytest.MonkeyPatch.context() as patch:
        use_numpy_engine(patch)
        model = MLPRegressor(max_iter=3, **COMMON | OF_PROGRESS[name] | {"alpha": 0.0})
        begin = 0
        for number, n_rows in enumerate(parts):
            rows = slice(begin, begin + n_rows)
            model.partial_fit(X[rows], Y[rows])
            begin = (begin + n_rows) % 60
            progress = model._training_state["progress"]
            assert progress == pytest.approx(min(1.0, (number + 1) / 3))
            if name == "cosine" and number == 2:
                kept = weights_of(model)
        if name == "cosine" and len(parts) > 3:  # whose rate is 0 at the end
            assert_array_equal(model.coefs_[0], kept.coefs[0])


@pytest.mark.parametrize("name", ["cosine", "warmup", "swa"])
def test_schedules_begin_anew_with_every_fit(any_engine, name):
    parameters = {"max_iter": 3, **COMMON, **OF_PROGRESS[name]}
    model = MLPClassifier(warm_start=True, **parameters).fit(X, Y)
    first = [coef.copy() for coef in model.coefs_]
    model.partial_fit(X, Y)
    model.fit(X, Y)
    assert np.abs(model.coefs_[0] - first[0]).max() > 1e-3
    # Calls after a fit begin anew, too.
    assert model._training_state["progress"] == 0.0


def test_averaged_weights_are_the_mean_of_all_steps(any_engine):
    """And are what predicts, is validated and is kept."""
    model = MLPRegressor(
        solver="sgd", momentum=0.0, swa=0.999, max_iter=4, **COMMON | {"batch_size": 50}
    )
    raw = clone(model).set_params(swa=None)
    seen = []
    for _ in range(4):
        raw.partial_fit(X, Y)
        seen.append(raw.coefs_[0].copy())
    model.fit(X, Y, X_val=X, y_val=Y)
    averaged = model.coefs_[0]
    assert np.abs(averaged - seen[-1]).max() > 1e-4
    assert model.history_["val_score"][-1] == pytest.approx(model.score(X, Y), rel=1e-5)
    # 12 steps, of which the last of each epoch are known.
    assert seen[0].min() - 0.1 < averaged.min() < seen[-1].max() + 0.1
    scored = model.set_params(scoring="r2").fit(X, Y, X_val=X, y_val=Y)
    assert scored.history_["val_score"][-1] == pytest.approx(model.score(X, Y))


@pytest.mark.emulated
@pytest.mark.parametrize("name", AVERAGED)
def test_early_stopping_keeps_averaged_weights(any_engine, name):
    scores = iter([0.1, 0.9, 0.5, 0.4, 0.3, 0.2])
    seen = []

    def scorer(estimator, X, y):
        seen.append([coef.copy() for coef in estimator.coefs_])
        return next(scores)

    parameters = COMMON | CARRIED[name]
    model = MLPClassifier(
        early_stopping=True, scoring=scorer, n_iter_no_change=2, **parameters
    ).fit(X, Y, **GIVEN)
    assert_array_equal(model.coefs_[0], seen[1][0])
    # Going on begins with the weights that were kept, and a new average.
    model.set_params(warm_start=True, max_iter=1, learning_rate_init=1e-30)
    scores = iter([0.95])
    model.fit(X, Y, **GIVEN)
    assert_allclose(model.coefs_[0], seen[1][0], atol=1e-6)


@pytest.mark.parametrize("name", AVERAGED)
def test_edited_weights_are_where_averaged_training_goes_on(any_engine, name):
    model = MLPClassifier(warm_start=True, max_iter=3, **COMMON | CARRIED[name])
    model.fit(X, Y)
    model.set_params(learning_rate_init=1e-30, max_iter=1)
    for coef in model.coefs_:
        coef[...] = 0.25
    model.fit(X, Y)
    for coef in model.coefs_:
        assert_array_equal(coef, np.float32(0.25))
    # Unedited, the average goes on towards the weights in training.
    model.set_params(learning_rate_init=0.01, max_iter=3).fit(X, Y)
    before = model.coefs_[0].copy()
    model.set_params(learning_rate_init=1e-30, max_iter=1).fit(X, Y)
    assert np.abs(model.coefs_[0] - before).max() > 1e-5


def test_another_solver_goes_on_from_the_weights_that_count(any_engine):
    model = MLPClassifier(warm_start=True, max_iter=3, **COMMON, ema_decay=0.9)
    model.fit(X, Y)
    kept = model.coefs_[0].copy()
    model.set_params(solver="sgd", learning_rate_init=1e-30, max_iter=1).fit(X, Y)
    assert_allclose(model.coefs_[0], kept, atol=1e-6)
    model.set_params(ema_decay=None).fit(X, Y)
    assert_allclose(model.coefs_[0], kept, atol=1e-6)
    model.set_params(solver="lbfgs", learning_rate_init=0.01).fit(X, Y)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.emulated
@pytest.mark.parametrize(
    "changes",
    [
        {"normalization": "layer"},
        {"normalization": "batch"},
        {"residual": True, "hidden_layer_sizes": (6, 5)},
        {"n_layers": 2, "layer_width": 4},
    ],
    ids=str,
)
def test_another_network_cannot_go_on(any_engine, changes):
    model = MLPClassifier(warm_start=True, max_iter=1, **COMMON)
    model.set_params(hidden_layer_sizes=(6, 5)).fit(X, Y)
    message = "hidden_layer_sizes, normalization, residual or the number of outputs"
    with pytest.raises(ValueError, match=message):
        model.set_params(**changes).fit(X, Y)
    model.set_params(warm_start=False).fit(X, Y)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.emulated
@pytest.mark.parametrize("solver", ["adam", "schedule_free"])
def test_rates_of_layers_may_come_and_go(any_engine, solver):
    model = MLPClassifier(solver=solver, warm_start=True, max_iter=2, **COMMON)
    for factors in (None, [1.0, 0.0], None):
        model.set_params(learning_rate_factors=factors)
        before = getattr(model, "coefs_", [None, None])
        model.fit(X, Y)
        for k in (0, 1):
            if k == 1 and factors is not None:
                # The average of a layer goes on to where its weights have stopped.
                if solver == "adam":
                    assert_array_equal(model.coefs_[k], before[k])
            elif before[k] is not None:
                assert np.abs(model.coefs_[k] - before[k]).max() > 1e-4


def test_statistics_of_an_average_are_found_once_an_epoch(monkeypatch):
    """Although loss, score, a scorer and the best weights want them."""
    calls = []
    original = TrainingTables.collect_statistics

    def collect_statistics(self):
        calls.append(1)
        return original(self)

    monkeypatch.setattr(TrainingTables, "collect_statistics", collect_statistics)
    model = MLPClassifier(
        ema_decay=0.9,
        normalization="batch",
        early_stopping=True,
        scoring="f1_macro",
        max_iter=5,
        **COMMON,
    ).fit(X, Y)
    assert model.n_iter_ == 5
    assert len(calls) <= 6
