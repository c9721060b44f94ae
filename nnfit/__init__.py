"""Neural networks as scikit-learn estimators, trained by compiled kernels."""

__version__ = "0.2.0"

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

# Where each exported name lives. They are imported on first use, so that
# `import nnfit` itself loads neither scikit-learn nor SciPy.
_EXPORTS = {
    "CategoryEncoder": "nnfit.preprocessing.category_encoder",
    "ConfidenceDisplay": "nnfit.displays.confidence",
    "ContrastivePretrainer": "nnfit.pretraining.contrastive",
    "DenoisingAutoencoder": "nnfit.pretraining.denoising_autoencoder",
    "Diagnosis": "nnfit.diagnosis.report",
    "Finding": "nnfit.tables.report",
    "GradientFlowDisplay": "nnfit.displays.gradient_flow",
    "LearningRateDisplay": "nnfit.estimators.learning_rate_finder",
    "MLPClassifier": "nnfit.estimators.classifier",
    "MLPRegressor": "nnfit.estimators.regressor",
    "MaskedPretrainer": "nnfit.pretraining.masked_pretrainer",
    "NetworkDisplay": "nnfit.displays.network",
    "NetworkTransformer": "nnfit.preprocessing.network_transformer",
    "PiecewiseLinearEncoder": "nnfit.preprocessing.piecewise_linear_encoder",
    "PopulationSearchCV": "nnfit.model_selection",
    "RealMLPClassifier": "nnfit.estimators.realmlp",
    "RealMLPRegressor": "nnfit.estimators.realmlp",
    "RobustSmoothScaler": "nnfit.preprocessing.robust_smooth_scaler",
    "SKOPS_TRUSTED_TYPES": "nnfit.trusted",
    "Symptom": "nnfit.diagnosis.report",
    "TabMClassifier": "nnfit.estimators.tabm",
    "TabMRegressor": "nnfit.estimators.tabm",
    "TableReport": "nnfit.tables.report",
    "TabularClassifier": "nnfit.tabular.classifier",
    "TabularRegressor": "nnfit.tabular.regressor",
    "TrainingCurveDisplay": "nnfit.displays.training_curve",
    "WeightsDisplay": "nnfit.displays.weights",
    "check_table": "nnfit.tables.checking",
    "diagnose": "nnfit.diagnosis.diagnosing",
    "export_c": "nnfit.exporting_c.exporting",
    "find_learning_rate": "nnfit.estimators.learning_rate_finder",
    "from_sklearn": "nnfit.interchange.scikit_learn",
    "from_torch": "nnfit.interchange.pytorch",
    "synthesize": "nnfit.pretraining.synthesis",
    "to_sklearn": "nnfit.interchange.scikit_learn",
    "to_torch_state_dict": "nnfit.interchange.pytorch",
    "train_validation_test_split": "nnfit.tables.splitting",
    "warmup": "nnfit.warming",
}


def __getattr__(name):
    if name in _EXPORTS:
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_EXPORTS[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(set(globals()) | set(__all__))
