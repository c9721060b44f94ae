"""Estimators within what skl2onnx converts."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nnfit import (
    CategoryEncoder,
    MLPClassifier,
    MLPRegressor,
    PiecewiseLinearEncoder,
    RobustSmoothScaler,
    TabularClassifier,
)
from nnfit.estimators.conventions import Conventions
from nnfit.onnx import register_skl2onnx
from nnfit.onnx.registration import OPTIONS
from tests.onnx_models import run

skl2onnx = pytest.importorskip("skl2onnx")
from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: E402
from skl2onnx.common.shape_calculator import (  # noqa: E402
    calculate_linear_classifier_output_shapes,
)
from skl2onnx.operator_converters.multilayer_perceptron import (  # noqa: E402
    convert_sklearn_mlp_classifier,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FEW = {"max_iter": 3, "random_state": 0, "batch_size": 32, "hidden_layer_sizes": (6,)}
X = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
THREE = np.digitize(X[:, 0], [-0.4, 0.4])
TARGETS = {"three": THREE, "two": np.array(["a", "b"])[(X[:, 0] > 0).astype(int)]}


@pytest.fixture
def registered():
    register_skl2onnx()


def assert_same(estimator, rows=X, **how):
    how = {"X": rows[:1]} | how
    options = {"zipmap": False}
    found = run(skl2onnx.to_onnx(estimator, **how, options=options), rows)
    expected = estimator.predict_proba(rows)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    second, best = np.sort(expected, axis=1)[:, -2:].T
    is_sure = best - second > 1e-5
    np.testing.assert_array_equal(
        found["label"][is_sure], estimator.predict(rows)[is_sure]
    )


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_bare_and_within_other_estimators(registered, y):
    classifier = MLPClassifier(**FEW, normalization="layer").fit(X, y)
    assert_same(classifier)
    assert_same(classifier, X.astype(np.float64))
    assert_same(make_pipeline(StandardScaler(), classifier).fit(X, y))
    assert_same(CalibratedClassifierCV(classifier, cv=2).fit(X, y))
    assert_same(GridSearchCV(classifier, {"alpha": [0.0, 1.0]}, cv=2).fit(X, y))


def test_calibrated_mixtures_have_probabilities_and_no_scores(registered):
    mixture = TabularClassifier(preset="fast", max_iter=1, random_state=0)
    assert_same(CalibratedClassifierCV(mixture, cv=2).fit(X, TARGETS["two"]))


def test_probabilities_by_classes(registered):
    classifier = MLPClassifier(**FEW).fit(X, TARGETS["two"])
    found = run(skl2onnx.to_onnx(classifier, X[:1]), X)
    (name,) = set(found) - {"output_label"}
    assert set(found[name][0]) == {"a", "b"}


def test_tables(registered):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "u", "v")})
    types = [("a", FloatTensorType([None, 1])), ("b", StringTensorType([None, 1]))]
    columns = make_column_transformer(
        (StandardScaler(), ["a"]), (OneHotEncoder(sparse_output=False), ["b"])
    )
    for estimator in (
        make_pipeline(columns, MLPClassifier(**FEW)),
        MLPClassifier(**FEW, categorical_features="from_dtype"),
    ):
        assert_same(estimator.fit(table, THREE), table, X=None, initial_types=types)


@pytest.mark.parametrize(
    "transformer",
    [RobustSmoothScaler(), PiecewiseLinearEncoder(5, keep_input=True)],
    ids=["scaler", "bins"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transformers_of_numbers(registered, transformer, dtype):
    rows = (X * [1.0, 100.0, 1e-3, 0.0]).astype(dtype)
    if isinstance(transformer, RobustSmoothScaler):
        rows[::9, 0] = np.nan
    (found,) = run(skl2onnx.to_onnx(transformer.fit(rows), rows[:1]), rows).values()
    expected = transformer.transform(rows)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, 1e-5, 1e-6)
    assert_same(make_pipeline(transformer, MLPClassifier(**FEW)).fit(rows, THREE), rows)


@pytest.mark.parametrize("max_one_hot", [0, 2, 3])
def test_categories(registered, max_one_hot):
    pandas = pytest.importorskip("pandas")
    kinds = np.array(["u", "v", "w"])[THREE]
    two = np.where(X[:, 1] > 0, "yes", "no").astype(object)
    two[::7] = None
    table = pandas.DataFrame({"a": X[:, 0], "b": kinds, "c": two})
    text = StringTensorType([None, 1])
    types = [("a", FloatTensorType([None, 1])), ("b", text), ("c", text)]
    encoder = CategoryEncoder(max_one_hot=max_one_hot, dtype="float32").fit(table)
    other = table.assign(b=table["b"].where(table["b"] != "w", "new"))
    (found,) = run(skl2onnx.to_onnx(encoder, initial_types=types), other).values()
    np.testing.assert_array_equal(found, encoder.transform(other))
    pipeline = make_pipeline(encoder, MLPClassifier(**FEW)).fit(table, THREE)
    assert_same(pipeline, table, X=None, initial_types=types)


def test_regressors(registered):
    y = 1e6 + X[:, :2]  # predictions of float32 would be 0.06 apart
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(**FEW)).fit(X, y)
    found = run(skl2onnx.to_onnx(pipeline, X[:1]), X)["variable"]
    assert np.abs(found - pipeline.predict(X)).max() < 1e-5 * y.std()


def register_theirs():
    skl2onnx.update_registered_converter(
        MLPClassifier,
        "SklearnMLPClassifier",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_mlp_classifier,
        options=OPTIONS,
    )


def test_the_converter_of_scikit_learns_networks_refuses(monkeypatch):
    """Its probabilities of a normalised network would be wrong by 0.5."""
    monkeypatch.setattr(Conventions, "_convert_to_onnx", None)
    classifier = MLPClassifier(**FEW, normalization="layer").fit(X, THREE)
    register_theirs()
    with pytest.raises(RuntimeError, match=r"call nnfit\.onnx\.register_skl2onnx"):
        skl2onnx.to_onnx(classifier, X[:1])


def test_ours_is_found_first_whatever_is_registered_later(registered):
    classifier = MLPClassifier(**FEW, normalization="layer").fit(X, THREE)
    register_theirs()
    assert_same(classifier)


def test_an_old_opset_is_refused(registered):
    classifier = MLPClassifier(**FEW).fit(X, THREE)
    with pytest.raises(RuntimeError, match="opset 18 or later, got target_opset=15"):
        skl2onnx.to_onnx(classifier, X[:1], target_opset=15)
