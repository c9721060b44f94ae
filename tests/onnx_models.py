"""ONNX models run by onnxruntime, and how far they are from the estimators."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(string)": object,
}


def run(model, X):
    """Outputs of a model by their names.

    Parameters
    ----------
    model : ModelProto
    X : ndarray or DataFrame
        Given whole, or column by column where the model has several inputs. Missing
        strings are "".
    """
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = session.get_inputs()
    feed = {inputs[0].name: X}
    if len(inputs) > 1:
        feed = {each.name: X[[each.name]].to_numpy(object) for each in inputs}
    for each in inputs:
        values = np.asarray(feed[each.name])
        if each.type == "tensor(string)":
            values = np.where(np.equal(values, None) | (values != values), "", values)
        feed[each.name] = values.astype(TYPES[each.type])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def assert_same(estimator, model, X):
    """See that a model predicts as an estimator does; returns the largest difference.

    Of probabilities or scores, or of predictions in parts of their spread.
    """
    found, predicted = run(model, X), estimator.predict(X)
    if "variable" in found:
        expected = np.asarray(predicted).reshape(len(X), -1)
        assert found["variable"].shape == expected.shape
        difference = np.abs(found["variable"] - expected).max() / expected.std()
        assert difference < 1e-5
        return difference
    label, values = found["label"], next(v for k, v in found.items() if k != "label")
    if "scores" in found:
        expected = estimator.decision_function(X).reshape(len(X), -1)
    else:
        expected = estimator.predict_proba(X)
    assert values.shape == expected.shape
    difference = np.abs(values - expected).max()
    assert difference < 1e-5
    if label.ndim == 2:
        is_sure = np.abs(expected - 0.5) > difference
    elif values.shape[1] == 1:
        is_sure = np.abs(expected[:, 0]) > difference
    else:
        second, best = np.sort(expected, axis=1)[:, -2:].T
        is_sure = best - second > difference
    assert is_sure.mean() > 0.9
    np.testing.assert_array_equal(label[is_sure], predicted[is_sure])
    return difference
