"""Networks as scikit-learn's own, and back."""

import numpy as np
import pytest
from sklearn import neural_network

from nnfit import MLPClassifier, MLPRegressor, from_sklearn, to_sklearn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
FEW = {"max_iter": 3, "random_state": 0, "hidden_layer_sizes": (4,)}
X = np.random.default_rng(0).normal(size=(60, 3))
TARGETS = {
    "two": (X[:, 0] > 0).astype(int),
    "three": np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.4, 0.4])],
    "labels": (X > 0).astype(int),
}


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_classifiers_there_and_back(y):
    theirs = neural_network.MLPClassifier(**FEW).fit(X, y)
    ours = from_sklearn(theirs)
    expected = theirs.predict_proba(X)
    np.testing.assert_allclose(ours.predict_proba(X), expected, atol=1e-12)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    back = to_sklearn(ours)
    np.testing.assert_allclose(back.predict_proba(X), expected, atol=1e-12)
    np.testing.assert_array_equal(back.predict(X), theirs.predict(X))
    ours.partial_fit(X, y)
    back.fit(X, y)


def test_regressors_there_and_back():
    theirs = neural_network.MLPRegressor(**FEW).fit(X, X[:, :2])
    back = to_sklearn(from_sklearn(theirs))
    np.testing.assert_allclose(back.predict(X), theirs.predict(X), atol=1e-12)
    far = X + [1e5, 0.0, 0.0]
    ours = MLPRegressor(**FEW).fit(far, X[:, 0] + 1e5)
    difference = to_sklearn(ours).predict(far) - ours.predict(far)
    assert np.abs(difference).max() < 1e-5 * X[:, 0].std()
    poisson = MLPRegressor(**FEW, loss="poisson").fit(X, X[:, 0] ** 2)
    np.testing.assert_allclose(to_sklearn(poisson).predict(X), poisson.predict(X), 1e-5)


def test_a_temperature_is_part_of_the_weights():
    ours = MLPClassifier(**FEW, temperature_scaling=True, early_stopping=True)
    ours.fit(X, TARGETS["three"])
    found = to_sklearn(ours).predict_proba(X)
    np.testing.assert_allclose(found, ours.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"n_members": 2}, "have no n_members"),
        ({"normalization": "layer"}, "have no normalization"),
        ({"scaling": "robust"}, "have no scaling, embeddings or missing"),
        ({"loss": "squared_hinge"}, "have no 'squared_hinge' as the loss"),
        ({"activation": "gelu"}, "one of the activations"),
    ],
)
def test_what_scikit_learn_does_not_have_is_named(parameters, words):
    ours = MLPClassifier(**FEW, **parameters).fit(X, TARGETS["two"])
    with pytest.raises(ValueError, match=words):
        to_sklearn(ours)


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"network of sklearn.*got MLPClassifier"):
        from_sklearn(MLPClassifier())
    with pytest.raises(TypeError, match="an MLP of nnfit, got MLPClassifier"):
        to_sklearn(neural_network.MLPClassifier())
