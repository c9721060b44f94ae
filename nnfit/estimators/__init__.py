"""Neural networks as scikit-learn estimators."""

from nnfit.estimators.classifier import MLPClassifier
from nnfit.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
