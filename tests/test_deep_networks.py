"""Networks so deep that only layers that pass their input on can be trained."""

import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from nnfit import MLPClassifier

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in (None, "layer")]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def score_on_digits(**changes):
    """Accuracy on digits after 20 epochs of a network of 100 hidden layers."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
    model = MLPClassifier((32,) * 100, max_iter=20, random_state=0, **changes)
    return model.fit(X, y).score(X_test, y_test)


@pytest.mark.slow
@pytest.mark.parametrize("initialization", ["glorot", "he"])
def test_a_hundred_plain_layers_learn_nothing(initialization):
    assert score_on_digits(initialization=initialization) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["batch", *SLOW])
def test_a_hundred_residual_layers_learn(normalization):
    assert score_on_digits(residual=True, normalization=normalization) > 0.85
