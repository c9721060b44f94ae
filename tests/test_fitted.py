"""Fitted networks predict as they were fitted, whatever the parameters are since."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from nnfit import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
COMMON = {"hidden_layer_sizes": (6, 6), "max_iter": 2, "random_state": 0}


def bent(z):
    return (z if z > 0.0 else 0.3 * z), (1.0 if z > 0.0 else 0.3)


def also_bent(z):
    return (z if z > 0.0 else 0.3 * z), (1.0 if z > 0.0 else 0.3)


#: Parameters of a network, and others that leave the shapes of its weights.
CHANGES = {
    "residual off": ({"residual": True}, {"residual": False}),
    "residual on": ({"residual": False}, {"residual": True}),
    "activation": ({"activation": "relu"}, {"activation": "tanh"}),
    "one activation": ({}, {"activation": ["relu", "tanh"]}),
    "own function": ({"activation": bent}, {"activation": "relu"}),
    "fewer layers": ({}, {"hidden_layer_sizes": 3, "activation": ["tanh"]}),
}


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("name", CHANGES)
def test_changed_parameters_leave_predictions(any_engine, name, n_members):
    before, after = CHANGES[name]
    model = MLPRegressor(**COMMON | before, n_members=n_members).fit(X, Y)
    expected = model.predict(X)
    for network in (model, *getattr(model, "members_", ())):
        network.set_params(**after)
    assert_array_equal(model.predict(X), expected)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), expected)


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("name", [name for name in CHANGES if "layers" not in name])
def test_another_network_is_not_trained_on(name, n_members):
    before, after = CHANGES[name]
    model = MLPRegressor(**COMMON | before, n_members=n_members).fit(X, Y)
    expected = model.predict(X)
    model.set_params(**after)
    for train in (model.partial_fit, model.set_params(warm_start=True).fit):
        with pytest.raises(ValueError, match="Cannot continue to train a network with"):
            train(X, Y)
    assert_array_equal(model.predict(X), expected)
    model.set_params(warm_start=False).fit(X, Y)
    assert np.abs(model.predict(X) - expected).max() > 1e-4


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize(
    ("before", "after"), [("poisson", "squared_error"), ("huber", "gamma")]
)
def test_another_link_is_not_trained_on(before, after, n_members):
    """The same weights would predict exponentials of what they did, or logarithms."""
    model = MLPRegressor(before, **COMMON, n_members=n_members).fit(X, Y + 1)
    expected = model.predict(X)
    model.set_params(loss=after)
    for train in (model.partial_fit, model.set_params(warm_start=True).fit):
        with pytest.raises(ValueError, match=f"with out_activation_=.* loss='{after}'"):
            train(X, Y + 1)
    assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize(
    ("before", "after"), [("relu", ["relu", "relu"]), (bent, also_bent)]
)
def test_the_same_in_other_words_is_trained_on(before, after):
    model = MLPClassifier(activation=before, warm_start=True, **COMMON).fit(X, Y)
    model.set_params(activation=after).fit(X, Y)
    assert len(model.loss_curve_) == 4


def test_changed_rates_and_levels_leave_predictions():
    dropout = MLPRegressor(**COMMON, dropout=0.3, input_dropout=0.1).fit(X, Y)
    expected = dropout.predict(X, n_passes=2)
    dropout.set_params(dropout=[0.5, 0.0], input_dropout=0.0)
    assert_array_equal(dropout.predict(X, n_passes=2), expected)

    levels = MLPRegressor(**COMMON, loss="quantile", quantile=[0.2, 0.8]).fit(X, Y)
    expected, score = levels.predict(X), levels.score(X, Y)
    levels.set_params(loss="poisson", quantile=[0.1, 0.5, 0.9])
    assert_array_equal(levels.predict(X), expected)
    assert levels.score(X, Y) == score


INFINITE_ROWS = np.where(X > 2, np.inf, X)
#: Parameters and data with which a call fails, of a new estimator and of a fitted one.
FAILURES = {
    "rows": ({}, {"X": INFINITE_ROWS, "y": Y}),
    "targets": ({}, {"X": X, "y": Y[1:]}),
    "validation": ({}, {"X": X[:, :2], "y": Y, "X_val": X, "y_val": Y}),
    "divergence": ({"learning_rate_init": 1e30, "solver": "sgd"}, {"X": X, "y": Y}),
}
LATER_FAILURES = FAILURES | {
    "sizes": ({"hidden_layer_sizes": (4,), "warm_start": True}, {"X": X, "y": Y}),
    "features": ({"warm_start": True}, {"X": X[:, :2], "y": Y}),
    "members": ({"n_members": 3, "max_iter": 1}, {"X": X, "y": Y[1:]}),
}


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_failed_call_changes_nothing(n_members):
    model = MLPRegressor(**COMMON, n_members=n_members)
    parameters = model.get_params()
    for failing, data in FAILURES.values():
        model.set_params(**failing)
        with pytest.raises(ValueError):
            model.fit(**data)
        with pytest.raises(NotFittedError):
            model.predict(X)
    model.set_params(**parameters).fit(X, Y)
    expected = model.predict(X)
    for failing, data in LATER_FAILURES.values():
        model.set_params(**failing)
        with pytest.raises(ValueError):
            model.fit(**data)
        assert_array_equal(model.predict(X), expected)
        model.set_params(**parameters)
