"""Neural networks as scikit-learn estimators, trained by compiled kernels."""

__version__ = "0.1.0.dev0"
