"""What hidden layers say of rows, and the transformer that gives it."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    NetworkTransformer,
    RealMLPClassifier,
    TabMClassifier,
    TabularClassifier,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
COMMON = {"hidden_layer_sizes": (6, 5, 5), "max_iter": 2, "random_state": 0}
#: Networks whose last layer is linear in the hidden units, whatever is before them.
NETWORKS = {
    "plain": {},
    "batch normalisation": {"normalization": "batch"},
    "residual": {"residual": True, "normalization": "layer", "dropout": 0.2},
    "embedding": {"numeric_embedding": "piecewise_linear", "scaling": "robust"},
    "float64": {"dtype": "float64"},
}


def relu(z):
    return np.maximum(z, 0.0)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_layer_makes_outputs_of_them(any_engine, name):
    model = MLPClassifier(**COMMON, **NETWORKS[name]).fit(X, Y)
    units = model.hidden_features(X)
    raw = units @ model.coefs_[-1] + model.intercepts_[-1]
    assert_allclose(raw, model.decision_function(X), rtol=1e-5, atol=1e-6)
    assert units.dtype == np.float64
    assert model.hidden_features(X.astype("float32")).dtype == (
        np.float64 if name == "float64" else np.float32
    )


@pytest.mark.parametrize("given", [X, csr_array(X)], ids=["dense", "sparse"])
def test_layers_are_counted_from_either_end(given):
    model = MLPRegressor(**COMMON, dtype="float64").fit(given, Y)
    value = X
    for layer, (coef, intercept) in enumerate(
        zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True), start=1
    ):
        value = relu(value @ coef + intercept)
        units = model.hidden_features(given, layer)
        assert_allclose(units, value, rtol=1e-10, atol=1e-12)
        assert_array_equal(units, model.hidden_features(given, layer - 5))


def test_realmlp_activates_its_last_units():
    model = RealMLPClassifier(hidden_layer_sizes=(8, 6), max_iter=1, random_state=0)
    model.fit(X, Y)
    raw = model.hidden_features(X) @ model.coefs_[-1] + model.intercepts_[-1]
    assert_allclose(raw, model.decision_function(X), rtol=1e-4, atol=1e-5)


def test_ensembles_have_those_of_members_side_by_side():
    model = MLPClassifier(**COMMON, n_members=2).fit(X, Y)
    units = model.hidden_features(X, 1)
    assert_array_equal(units[:, 6:], model.members_[1].hidden_features(X, 1))
    assert units.shape == (150, 12)


def test_members_that_share_weights_are_averaged():
    model = TabMClassifier(hidden_layer_sizes=(6, 5), n_shared_members=2, max_iter=1)
    model.set_params(random_state=0).fit(X, Y)
    assert model.hidden_features(X).shape == (150, 5)
    alike = model.hidden_features(X[:3])  # few rows are computed in another way
    assert_allclose(alike, model.hidden_features(X)[:3], rtol=1e-4, atol=1e-5)


def test_a_mixture_has_those_of_all_its_networks():
    given = {"n_members": 2, "max_iter": 1, "random_state": 0}
    model = TabularClassifier("fast", partner="hist_gradient_boosting", **given)
    model.fit(X, Y)
    model._parts.sort(key=lambda part: len(part.networks))  # trees have none
    networks = model._as_mixture().networks
    units = model.hidden_features(X, 1)
    for part, network in zip(np.split(units, 2, axis=1), networks, strict=True):
        assert_array_equal(part, network.hidden_features(X, 1))
    transformer = NetworkTransformer(FrozenEstimator(model), layer=1).fit(X)
    assert_array_equal(transformer.transform(X), units)
    assert len(transformer.get_feature_names_out()) == units.shape[1]
    new = NetworkTransformer(TabularClassifier("fast", **given), layer=1)
    assert new.fit_transform(X, Y).shape == units.shape
    with pytest.raises(NotFittedError):
        TabularClassifier().hidden_features(X)
    for part in model._parts:
        part.models = [each for each in part.models if not part.networks]
    with pytest.raises(ValueError, match=r"by trees alone.*partner=None"):
        model.hidden_features(X)


@pytest.mark.parametrize("layer", [0, 4, -1, -5])
def test_other_layers_are_refused(layer):
    model = MLPClassifier(**COMMON).fit(X, Y)
    with pytest.raises(ValueError, match=r"1 to 3 or -4 to -2 in this network, got"):
        model.hidden_features(X, layer)


def test_networks_without_hidden_layers_are_refused():
    model = MLPClassifier((), max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match="has no hidden layer"):
        model.hidden_features(X)


# The transformer -------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(*case, id=case[1].func.__name__)
        for case in estimator_checks_generator(
            NetworkTransformer(MLPClassifier((3,), max_iter=2, random_state=0))
        )
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_a_frozen_network_stays_as_it_is():
    model = MLPClassifier(**COMMON).fit(X, Y)
    before = pickle.dumps(model)
    transformer = NetworkTransformer(FrozenEstimator(model), layer=1)
    units = clone(transformer).fit_transform(X)
    assert_array_equal(units, model.hidden_features(X, 1))
    assert pickle.dumps(model) == before
    names = transformer.fit(X).get_feature_names_out()
    assert list(names[:2]) == ["networktransformer0", "networktransformer1"]
    assert len(names) == 6


def test_a_new_network_is_fitted_in_a_pipeline():
    pytest.importorskip("pandas")
    transformer = NetworkTransformer(MLPClassifier(**COMMON))
    pipeline = make_pipeline(
        transformer.set_output(transform="pandas"), LogisticRegression()
    )
    assert cross_val_score(pipeline, X, Y, cv=2).shape == (2,)
    weights = np.r_[np.ones(100), np.zeros(50)]
    pipeline.fit(X, Y, networktransformer__sample_weight=weights)
    expected = MLPClassifier(**COMMON).fit(X, Y, weights).hidden_features(X)
    units = pipeline[0].transform(X)
    assert_array_equal(units, expected)
    assert list(units.columns) == list(pipeline[0].get_feature_names_out())


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (FrozenEstimator(MLPClassifier()), NotFittedError, "not fitted yet"),
        (FrozenEstimator(TabularClassifier()), NotFittedError, "not fitted yet"),
        (LogisticRegression(), ValueError, "must be an estimator of nnfit"),
    ],
)
def test_other_estimators_are_refused(estimator, error, message):
    with pytest.raises(error, match=message):
        NetworkTransformer(estimator).fit(X, Y)
