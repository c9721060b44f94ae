# What type checkers read in the place of __init__.py, which imports on first use.
from nnfit.diagnosis.diagnosing import diagnose
from nnfit.diagnosis.report import Diagnosis, Symptom
from nnfit.displays.confidence import ConfidenceDisplay
from nnfit.displays.gradient_flow import GradientFlowDisplay
from nnfit.displays.network import NetworkDisplay
from nnfit.displays.training_curve import TrainingCurveDisplay
from nnfit.displays.weights import WeightsDisplay
from nnfit.estimators.classifier import MLPClassifier
from nnfit.estimators.learning_rate_finder import (
    LearningRateDisplay,
    find_learning_rate,
)
from nnfit.estimators.realmlp import RealMLPClassifier, RealMLPRegressor
from nnfit.estimators.regressor import MLPRegressor
from nnfit.estimators.tabm import TabMClassifier, TabMRegressor
from nnfit.exporting_c.exporting import export_c
from nnfit.interchange.pytorch import from_torch, to_torch_state_dict
from nnfit.interchange.scikit_learn import from_sklearn, to_sklearn
from nnfit.model_selection import PopulationSearchCV
from nnfit.preprocessing.category_encoder import CategoryEncoder
from nnfit.preprocessing.network_transformer import NetworkTransformer
from nnfit.preprocessing.piecewise_linear_encoder import PiecewiseLinearEncoder
from nnfit.preprocessing.robust_smooth_scaler import RobustSmoothScaler
from nnfit.pretraining.contrastive import ContrastivePretrainer
from nnfit.pretraining.denoising_autoencoder import DenoisingAutoencoder
from nnfit.pretraining.masked_pretrainer import MaskedPretrainer
from nnfit.pretraining.synthesis import synthesize
from nnfit.tables.checking import check_table
from nnfit.tables.report import Finding, TableReport
from nnfit.tables.splitting import train_validation_test_split
from nnfit.tabular.classifier import TabularClassifier
from nnfit.tabular.regressor import TabularRegressor
from nnfit.trusted import SKOPS_TRUSTED_TYPES
from nnfit.warming import warmup

__all__ = [
    "SKOPS_TRUSTED_TYPES",
    "CategoryEncoder",
    "ConfidenceDisplay",
    "ContrastivePretrainer",
    "DenoisingAutoencoder",
    "Diagnosis",
    "Finding",
    "GradientFlowDisplay",
    "LearningRateDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "MaskedPretrainer",
    "NetworkDisplay",
    "NetworkTransformer",
    "PiecewiseLinearEncoder",
    "PopulationSearchCV",
    "RealMLPClassifier",
    "RealMLPRegressor",
    "RobustSmoothScaler",
    "Symptom",
    "TabMClassifier",
    "TabMRegressor",
    "TableReport",
    "TabularClassifier",
    "TabularRegressor",
    "TrainingCurveDisplay",
    "WeightsDisplay",
    "__version__",
    "check_table",
    "diagnose",
    "export_c",
    "find_learning_rate",
    "from_sklearn",
    "from_torch",
    "synthesize",
    "to_sklearn",
    "to_torch_state_dict",
    "train_validation_test_split",
    "warmup",
]

__version__: str
