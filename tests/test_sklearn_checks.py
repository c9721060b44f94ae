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
    # scikit-learn's MLP does not pass these either: it takes 10 rows apart into a
    # validation set of one, and partial_fit refuses early stopping.
    {"early_stopping": True, "validation_fraction": 0.3, "scoring": "loss"},
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
NO_PARTIAL_FIT = dict.fromkeys(
    (
        "check_estimators_partial_fit_n_features",
        "check_fit_score_takes_y",
        "check_n_features_in_after_fitting",
    ),
    "partial_fit does not support early_stopping=True",
)


def expected_failures(estimator):
    failures = {}
    # The checks' data are a single batch, where weights are repeats up to rounding.
    if estimator.solver != "lbfgs" and estimator.dtype != "float64":
        failures |= WEIGHTS_AS_REPEATS
    if estimator.early_stopping:
        failures |= NO_PARTIAL_FIT
    return failures


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EstimatorCheckFailedWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learn_check(estimator, check):
    check(estimator)
