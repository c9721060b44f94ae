# What type checkers read in the place of __init__.py, which imports on first use.
from nnfit.estimators.classifier import MLPClassifier
from nnfit.estimators.learning_rate_finder import (
    LearningRateDisplay,
    find_learning_rate,
)
from nnfit.estimators.regressor import MLPRegressor
from nnfit.model_selection import PopulationSearchCV
from nnfit.preprocessing.piecewise_linear_encoder import PiecewiseLinearEncoder
from nnfit.preprocessing.robust_smooth_scaler import RobustSmoothScaler
from nnfit.warming import warmup

__all__ = [
    "LearningRateDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "PiecewiseLinearEncoder",
    "PopulationSearchCV",
    "RobustSmoothScaler",
    "__version__",
    "find_learning_rate",
    "warmup",
]

__version__: str
