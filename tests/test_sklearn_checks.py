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
]
ESTIMATORS = [
    *(
        estimator(**parameters)
        for estimator in (MLPClassifier, MLPRegressor)
        for parameters in CONFIGURATIONS
    ),
    MLPClassifier(class_weight="balanced"),
    MLPClassifier(class_weight="balanced", solver="lbfgs"),
    MLPRegressor(loss="poisson", learning_rate_init=0.01),
    MLPRegressor(loss="huber"),
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
