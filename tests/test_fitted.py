"""Fitted networks predict as they were fitted, whatever the parameters are since."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

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


@pytest.mark.parametrize(
    ("before", "after"), [("relu", ["relu", "relu"]), (bent, also_bent)]
)
def test_the_same_in_other_words_is_trained_on(before, after):
    model = MLPClassifier(activation=before, warm_start=True, **COMMON).fit(X, Y)
    model.set_params(activation=after).fit(X, Y)
    assert len(model.loss_curve_) == 4
