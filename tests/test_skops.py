"""Estimators in files of skops."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnfit
from nnfit import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

skops = pytest.importorskip("skops.io")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FEW = {"max_iter": 2, "random_state": 0}
X = np.random.default_rng(0).normal(size=(80, 3))
CASES = {
    "classifier": MLPClassifier((4,), n_members=2, warm_start=True, **FEW),
    "regressor": MLPRegressor(
        hidden_layer_sizes=(4,), numeric_embedding="piecewise_linear", **FEW
    ),
    "pipeline": make_pipeline(StandardScaler(), MLPClassifier((4,), **FEW)),
    "mixture": TabularRegressor(preset="fast", **FEW),
    "trees": TabularClassifier(preset="fast", partner="hist_gradient_boosting", **FEW),
}


@pytest.mark.parametrize("case", CASES)
def test_they_load_with_the_trusted_types_alone(case):
    y = (X[:, 0] > 0).astype(int) if case != "mixture" else X[:, 0]
    if case == "trees":
        pandas = pytest.importorskip("pandas")
        rows = pandas.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "u", "v")})
    else:
        rows = X
    estimator = CASES[case].fit(rows, y)
    data = skops.dumps(estimator)
    untrusted = set(skops.get_untrusted_types(data=data))
    assert untrusted <= set(nnfit.SKOPS_TRUSTED_TYPES)
    loaded = skops.loads(data, trusted=nnfit.SKOPS_TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict(rows), estimator.predict(rows))


def test_all_estimators_are_trusted():
    estimators = {
        f"{getattr(nnfit, name).__module__}.{name}"
        for name in nnfit.__all__
        if hasattr(getattr(nnfit, name), "get_params")
    }
    assert estimators <= set(nnfit.SKOPS_TRUSTED_TYPES)
