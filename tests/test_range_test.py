"""The learning-rate range test and its display."""

import sys

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import (
    LearningRateDisplay,
    MLPClassifier,
    MLPRegressor,
    find_learning_rate,
)
from nnfit.estimators.learning_rate_finder import _smooth
from nnfit.functions.optimizers import OPTIMIZERS

DIGITS = load_digits(return_X_y=True)
X, Y = DIGITS[0] / 16.0, DIGITS[1]


def classifier(**parameters):
    return MLPClassifier((20,), random_state=0, **parameters)


def test_the_rates_and_losses_of_a_training(any_engine):
    # A batch of all rows is an epoch, whose loss `fit` records.
    whole = classifier(batch_size=300, shuffle=False)
    display = find_learning_rate(whole, X[:300], Y[:300], n_steps=60, max_rate=0.1)
    np.testing.assert_allclose(display.learning_rates, np.geomspace(1e-7, 0.1, 60))
    trained = clone(whole).set_params(
        learning_rate=lambda t: (0.1 / 1e-7) ** (t * 60 / 59),
        learning_rate_init=1e-7,
        max_iter=60,
        n_iter_no_change=60,
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        trained.fit(X[:300], Y[:300])
    np.testing.assert_allclose(display.losses, trained.loss_curve_, rtol=1e-5)
    assert not hasattr(whole, "coefs_")
    assert whole.learning_rate == "constant"


def test_the_suggestion_is_a_rate_to_learn_with(any_engine):
    display = find_learning_rate(classifier(), X, Y)
    assert isinstance(display, LearningRateDisplay)
    n_steps = len(display.losses)
    assert n_steps < 100, "it ended when the loss exploded"
    assert display.losses[-1] > 4 * display.smoothed_losses.min()
    lowest = display.learning_rates[display.smoothed_losses.argmin()]
    assert 1e-3 < display.suggestion < lowest
    assert display.suggestion in display.learning_rates
    for array in (display.learning_rates, display.losses, display.smoothed_losses):
        assert array.shape == (n_steps,)
    model = classifier(learning_rate_init=display.suggestion, max_iter=10)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        assert model.fit(X, Y).score(X, Y) > 0.97


@pytest.mark.parametrize("solver", sorted({*OPTIMIZERS} - {"sgd_nesterov"}))
def test_every_solver(solver):
    display = find_learning_rate(classifier(solver=solver), X, Y)
    assert 1e-4 < display.suggestion < 1.0


@pytest.mark.parametrize(
    "parameters",
    [
        {"early_stopping": True},
        {"learning_rate": "one_cycle", "warmup": 0.5},
        {"solver": "sgd", "learning_rate": "adaptive", "nesterovs_momentum": False},
        {"ema_decay": 0.9, "dropout": 0.2},
        {"temperature_scaling": True, "early_stopping": True},
        {"n_members": 2},
        {"max_iter": 1, "max_time": 1e-9},
    ],
)
def test_what_ends_or_changes_a_fit_does_not_matter(parameters):
    display = find_learning_rate(classifier(**parameters), X, Y, max_rate=1e-3)
    assert len(display.losses) == 100


def test_regression_on_sparse_data():
    sparse = scipy.sparse.random(500, 40, density=0.2, format="csr", random_state=0)
    y = sparse @ np.linspace(-1.0, 1.0, 40)
    model = MLPRegressor(hidden_layer_sizes=(20,), batch_size=50, random_state=0)
    display = find_learning_rate(model, sparse, y, n_steps=200)
    assert 1e-4 < display.suggestion < 1.0


def test_pipeline():
    pipeline = make_pipeline(StandardScaler(), classifier())
    display = find_learning_rate(pipeline, X, Y, n_steps=50)
    by_hand = find_learning_rate(
        classifier(), StandardScaler().fit_transform(X), Y, n_steps=50
    )
    np.testing.assert_array_equal(display.losses, by_hand.losses)
    assert not hasattr(pipeline[0], "mean_")
    alone = find_learning_rate(make_pipeline(classifier()), X, Y, n_steps=50)
    same = find_learning_rate(classifier(), X, Y, n_steps=50)
    np.testing.assert_array_equal(alone.losses, same.losses)


def test_batches_without_weight_are_left_out():
    weight = np.ones(len(X))
    weight[200:400] = 0.0
    display = find_learning_rate(
        classifier(shuffle=False, batch_size=200),
        X, Y, sample_weight=weight, n_steps=20, max_rate=1e-3,
    )  # fmt: skip
    rates = np.geomspace(1e-7, 1e-3, 20)
    left_out = [1, 10, 19]  # of nine batches an epoch, the second
    np.testing.assert_allclose(display.learning_rates, np.delete(rates, left_out))
    assert np.isfinite(display.losses).all()


def test_nothing_to_suggest():
    still = classifier(learning_rate_factors=[0.0, 0.0], batch_size=300, shuffle=False)
    with pytest.warns(UserWarning, match="did not fall at any learning rate"):
        display = find_learning_rate(still, X[:300], Y[:300])
    assert np.isnan(display.suggestion)
    assert len(set(display.losses)) == 1


def test_smoothing():
    losses = np.random.default_rng(0).normal(size=30)
    distance = np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
    weights = 0.7**distance
    expected = weights @ losses / weights.sum(axis=1)
    np.testing.assert_allclose(_smooth(losses, 0.7), expected)
    np.testing.assert_allclose(_smooth(losses, 0.0), losses)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (classifier(solver="lbfgs"), ValueError, "'lbfgs' has no learning rate"),
        (make_pipeline(classifier(solver="lbfgs")), ValueError, "'lbfgs'"),
        (LogisticRegression(), TypeError, "MLPClassifier or MLPRegressor of nnfit"),
        (make_pipeline(LogisticRegression()), TypeError, "ends with one"),
        (MLPClassifier, TypeError, "MLPClassifier or MLPRegressor of nnfit"),
        (classifier(beta_1=2.0), ValueError, "The 'beta_1' parameter"),
    ],
)
def test_estimators_that_are_refused(estimator, error, message):
    with pytest.raises(error, match=message):
        find_learning_rate(estimator, X, Y)


@pytest.mark.parametrize(
    "parameters",
    [
        {"min_rate": 0.0},
        {"max_rate": -1.0},
        {"n_steps": 1},
        {"smoothing": 1.0},
        {"min_rate": 0.1, "max_rate": 0.1},
    ],
)
def test_parameters_that_are_refused(parameters):
    with pytest.raises(ValueError, match=min(parameters)):
        find_learning_rate(classifier(), X, Y, **parameters)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_data_that_explode_at_once():
    with pytest.raises(ValueError, match="not finite at the smallest learning rate"):
        find_learning_rate(
            MLPRegressor(random_state=0), X * 1e30, Y * 1e30, min_rate=1e-3
        )


# --------------------------------------------------------------------- display


@pytest.fixture
def display():
    rates = np.geomspace(1e-4, 1.0, 5)
    losses = np.array([1.0, 0.9, 0.4, 0.3, 1e6])
    return LearningRateDisplay(
        learning_rates=rates, losses=losses, smoothed_losses=losses, suggestion=1e-2
    )


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield pyplot
    pyplot.close("all")


def test_plot(display, pyplot):
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure
    np.testing.assert_array_equal(display.line_.get_xdata(), display.learning_rates)
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_ylim()[1] < 10, "the explosion is left out"
    assert "0.01" in display.ax_.get_legend().get_texts()[0].get_text()


def test_plot_into_given_axes(display, pyplot):
    _, ax = pyplot.subplots()
    display.suggestion = float("nan")
    display.plot(ax, color="red", linewidth=3)
    assert display.ax_ is ax
    assert display.line_.get_linewidth() == 3
    assert {line.get_color() for line in ax.get_lines()} == {"red"}
    assert ax.get_legend() is None


def test_plot_without_matplotlib(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"LearningRateDisplay.plot requires matplot"):
        display.plot()
