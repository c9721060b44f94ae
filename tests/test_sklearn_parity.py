"""Training compared with scikit-learn's MLP, epoch by epoch."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import neural_network as sklearn_mlp
from sklearn.datasets import load_iris

import nnfit

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = {
    "sgd": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {
        "solver": "sgd",
        "learning_rate": "invscaling",
        "learning_rate_init": 0.1,
    },
    "adam": {"solver": "adam"},
}


def iris():
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def targets():
    """Name -> (class name, parameters, y)."""
    X, y = iris()
    labels = np.column_stack([y == 0, y == 1, X[:, 0] > 0]).astype(int)
    return {
        "binary": ("MLPClassifier", {}, y > 0),
        "multiclass": ("MLPClassifier", {}, y),
        "multilabel": ("MLPClassifier", {}, labels),
        "regression": ("MLPRegressor", {}, X[:, 3] + y),
        "two outputs": ("MLPRegressor", {}, np.column_stack([y, X[:, 0]])),
        "poisson": ("MLPRegressor", {"loss": "poisson"}, y),
    }


TARGETS = targets()


def fit_both(name, parameters, X, y, sample_weight=None, **more):
    common = {"hidden_layer_sizes": (7, 5), "random_state": 3, **parameters, **more}
    ours = getattr(nnfit, name)(dtype="float64", **common)
    theirs = getattr(sklearn_mlp, name)(**common)
    return (
        ours.fit(X, y, sample_weight=sample_weight),
        theirs.fit(X, y, sample_weight=sample_weight),
    )


def assert_same_weights(ours, theirs, atol):
    for mine, other in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        assert_allclose(mine, other, atol=atol)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("target", TARGETS)
def test_loss_curves_are_equal(any_engine, target, solver, weighted):
    name, parameters, y = TARGETS[target]
    X = iris()[0]
    weight = np.random.RandomState(0).rand(len(X)) if weighted else None
    ours, theirs = fit_both(
        name,
        {**parameters, **SOLVERS[solver]},
        X,
        y,
        weight,
        shuffle=False,
        batch_size=32,
        max_iter=20,
    )
    assert ours.n_iter_ == theirs.n_iter_ == 20
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    assert_same_weights(ours, theirs, 1e-7)
    assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-5)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_activations_are_equal(any_engine, activation):
    X, y = iris()
    ours, theirs = fit_both(
        "MLPClassifier",
        {"activation": activation, "learning_rate_init": 0.01},
        X,
        y,
        shuffle=False,
        max_iter=20,
    )
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_early_stopping_sees_the_same_validation_set(target, weighted):
    name, parameters, y = TARGETS[target]
    X = iris()[0]
    weight = np.random.RandomState(0).rand(len(X)) if weighted else None
    ours, theirs = fit_both(
        name,
        {**parameters, "solver": "sgd", "learning_rate_init": 0.05},
        X,
        y,
        weight,
        shuffle=False,
        early_stopping=True,
        max_iter=60,
    )
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-5)
    assert_same_weights(ours, theirs, 1e-7)


def test_adaptive_learning_rate_stops_at_the_same_epoch():
    X, y = iris()
    ours, theirs = fit_both(
        "MLPClassifier",
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1},
        X,
        y,
        shuffle=False,
        tol=1e-2,
        n_iter_no_change=3,
        max_iter=400,
    )
    assert ours.n_iter_ == theirs.n_iter_ < 400
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    rates = ours.history_["learning_rate"]
    assert rates[0] == 0.1
    assert rates[-1] == pytest.approx(theirs._optimizer.learning_rate)


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression", "poisson"])
def test_lbfgs_reaches_the_same_minimum(any_engine, target):
    name, parameters, y = TARGETS[target]
    X = iris()[0]
    ours, theirs = fit_both(
        name,
        {**parameters, "solver": "lbfgs", "alpha": 1.0},
        X,
        y,
        activation="tanh",
        max_iter=2000,
        tol=1e-7,
    )
    # SciPy ends where a step gains less than 2.2e-9 of a loss below 1.
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-5, abs=1e-6)
    assert ours.coefs_[0].dtype == np.float64


def test_partial_fit_follows_the_same_path():
    X, y = iris()
    ours = nnfit.MLPClassifier((5,), random_state=0, shuffle=False, dtype="float64")
    theirs = sklearn_mlp.MLPClassifier((5,), random_state=0, shuffle=False)
    for start in (0, 50, 100, 0, 50):
        rows = slice(start, start + 50)
        ours.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        theirs.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_weights_are_equal(dtype):
    X, y = iris()
    common = {"random_state": 5, "max_iter": 1, "learning_rate_init": 1e-30}
    ours = nnfit.MLPClassifier((6, 4), "logistic", dtype=dtype, **common).fit(X, y)
    theirs = sklearn_mlp.MLPClassifier((6, 4), "logistic", **common).fit(X, y)
    for mine, other in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        assert mine.dtype == dtype
        assert np.array_equal(mine, other.astype(dtype))


def test_float32_ends_near_float64():
    X, y = iris()
    common = {"random_state": 0, "shuffle": False, "max_iter": 100}
    ours = nnfit.MLPClassifier(**common).fit(X, y)
    theirs = sklearn_mlp.MLPClassifier(**common).fit(X, y)
    assert ours.coefs_[0].dtype == np.float32
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-3)
