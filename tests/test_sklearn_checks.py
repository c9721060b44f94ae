"""scikit-learn's own checks of estimators, in several configurations."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnfit import MLPClassifier, MLPRegressor

CONFIGURATIONS = [
    {},
    {"solver": "sgd"},
    {"solver": "adamw"},
    {"solver": "lbfgs"},
    {"dtype": "float64"},
    {"normalization": "layer", "residual": True, "dtype": "float64"},
    {
        "ema_decay": 0.9,
        "learning_rate": "cosine",
        "clip_norm": 1.0,
        "max_norm": 5.0,
        "l1": 1e-4,
    },
]
ESTIMATORS = [
    *(
        estimator(**parameters)
        for estimator in (MLPClassifier, MLPRegressor)
        for parameters in CONFIGURATIONS
    ),
    MLPClassifier(class_weight="balanced"),
    MLPClassifier(class_weight="balanced", solver="lbfgs"),
    MLPClassifier(loss="squared_hinge"),
    MLPRegressor(loss="poisson", learning_rate_init=0.01),
    MLPRegressor(loss="huber"),
    MLPClassifier(
        normalization="batch", dropout=0.1, input_noise=0.01, swa=0.5, solver="muon"
    ),
    MLPClassifier(n_members=2, dtype="float64"),
    MLPClassifier(n_members=2, solver="lbfgs"),
    MLPRegressor(n_members=2, dtype="float64"),
]
WEIGHTS_AS_REPEATS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "mini-batches, float32"
    for kind in ("dense", "sparse")
}


def expected_failures(estimator):
    # The checks' data are a single batch, where weights are repeats up to rounding.
    exact = estimator.solver == "lbfgs" or estimator.dtype == "float64"
    return {} if exact else WEIGHTS_AS_REPEATS


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EstimatorCheckFailedWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learn_check(estimator, check):
    check(estimator)
