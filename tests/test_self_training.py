"""Rows without labels: scikit-learn's SelfTrainingClassifier around our classifiers."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.semi_supervised import SelfTrainingClassifier

from nnfit import (
    MLPClassifier,
    RealMLPClassifier,
    TabMClassifier,
    TabularClassifier,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
#: Five labels of each class.
FEW = np.where(np.arange(len(Y)) % 10 == 0, Y, -1)
KINDS = {
    "mlp": MLPClassifier((20,), max_iter=60, learning_rate_init=0.01, random_state=0),
    "stopped": MLPClassifier((20,), max_iter=9, early_stopping=True, random_state=0),
    "members": MLPClassifier((5,), max_iter=9, n_members=2, random_state=0),
    "realmlp": RealMLPClassifier(hidden_layer_sizes=(8,), max_iter=9, random_state=0),
    "tabm": TabMClassifier(hidden_layer_sizes=(8, 6), max_iter=9, n_shared_members=2),
}


@pytest.mark.parametrize("name", KINDS)
def test_it_labels_rows_and_learns_from_them(name):
    parameters = {"max_iter": 2, "criterion": "k_best", "k_best": 30}
    model = SelfTrainingClassifier(clone(KINDS[name]), **parameters).fit(X, FEW)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert_array_equal(model.estimator_.classes_, [0, 1, 2])
    assert np.count_nonzero(model.transduction_ >= 0) == 15 + 2 * 30
    assert_array_equal(model.transduction_[FEW >= 0], Y[FEW >= 0])
    if name == "mlp":
        assert model.score(X[FEW < 0], Y[FEW < 0]) > 0.7


@pytest.mark.slow
def test_it_goes_around_the_estimator_of_choice():
    inner = TabularClassifier(max_time=2, random_state=0)
    model = SelfTrainingClassifier(inner, max_iter=1).fit(X, FEW)
    assert model.score(X, Y) > 0.8


def test_a_search_looks_for_what_is_inside():
    model = SelfTrainingClassifier(clone(KINDS["members"]), max_iter=1)
    search = GridSearchCV(model, {"estimator__hidden_layer_sizes": [(3,), (5,)]}, cv=3)
    search.fit(X, FEW)
    assert search.best_estimator_.estimator_.hidden_layer_sizes in [(3,), (5,)]


@pytest.mark.parametrize("name", ["mlp", "realmlp", "tabm"])
def test_minus_one_is_a_class_as_any_other(name):
    """None of our classifiers takes -1 for a row without a label."""
    model = clone(KINDS[name]).set_params(max_iter=2).fit(X, FEW)
    assert_array_equal(model.classes_, [-1, 0, 1, 2])
    assert model.predict_proba(X[:2]).shape == (2, 4)
