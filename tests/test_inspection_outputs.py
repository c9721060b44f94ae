"""What is explained, and its slopes by raw outputs, against numerical ones."""

import numpy as np
import pytest

from nnfit.estimators.probabilities import pooled, probabilities
from nnfit.functions.pools import POOLS
from nnfit.inspection.outputs import Output, pool

STEP, ROWS = 1e-6, 6
UNITS = {"shift": np.array([2.0, -1.0, 0.5]), "scale": 3.0}
CASES = {
    "score of two classes": ("decision_function", "binary", "logistic", 1),
    "score of classes": ("decision_function", "multiclass", "softmax", 3),
    "score of classes by odds": ("decision_function", "multiclass", "logistic", 3),
    "score without probabilities": ("decision_function", "multiclass", "identity", 3),
    "score of a label": ("decision_function", "multilabel-indicator", "logistic", 3),
    "probability of two classes": ("predict_proba", "binary", "logistic", 1),
    "probability": ("predict_proba", "multiclass", "softmax", 3),
    "probability by odds": ("predict_proba", "multiclass", "logistic", 3),
    "probability of a label": ("predict_proba", "multilabel-indicator", "logistic", 3),
    "prediction": ("predict", None, "identity", 3),
    "positive prediction": ("predict", None, "exp", 3),
    "quantile": ("predict", None, "sorted", 3),
}


@pytest.mark.parametrize("n_lines", [1, 4])
@pytest.mark.parametrize("weights", [None, (0.3, 0.7)], ids=["mean", "mixture"])
@pytest.mark.parametrize("n_networks", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_slopes_are_derivatives(case, n_networks, weights, n_lines):
    method, kind, link, n_outputs = case
    units = UNITS if link in ("identity", "sorted") and kind is None else None
    together = ()
    if weights is not None:
        together = (weights if n_networks == 2 else (1.0,), 1.5)
    output = Output(
        method, kind, link, (1.0, 2.0)[:n_networks], (units,) * n_networks, *together
    )
    rng = np.random.default_rng(0)
    raws = list(rng.normal(size=(n_networks, ROWS, n_lines, n_outputs)))
    index = np.arange(ROWS) % (2 if kind == "binary" else n_outputs)
    _, slopes = output.of(raws, index)
    for raw, slope in zip(raws, slopes, strict=True):
        for place in np.ndindex(raw.shape[1:]):
            ends = []
            for step in (STEP, -STEP):
                raw[(slice(None), *place)] += step
                ends.append(output.of(raws, index)[0])
                raw[(slice(None), *place)] -= step
            expected = (ends[0] - ends[1]) / (2 * STEP)
            found = slope[(slice(None), *place)]
            np.testing.assert_allclose(found, expected, atol=1e-8)
    if output.is_linear(raws):
        other = output.of([raw + rng.normal(size=raw.shape) for raw in raws], index)
        np.testing.assert_array_equal(other[1], slopes)


@pytest.mark.parametrize("link", POOLS)
def test_members_are_pooled_as_the_engines_do(link):
    raw = np.random.default_rng(0).normal(size=(ROWS, 4, 3))
    found, _ = pool(raw, link)
    for row, own in zip(raw, found, strict=True):
        expected = np.empty(3)
        POOLS[link](row.ravel().copy(), 3, expected, 4, 3)
        np.testing.assert_allclose(own, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "kind, link", [("binary", "logistic"), ("multiclass", "softmax")]
)
def test_values_of_an_ensemble_are_those_of_its_predictions(kind, link):
    n_outputs = 1 if kind == "binary" else 3
    raws = np.random.default_rng(0).normal(size=(2, ROWS, 1, n_outputs))
    index = np.full(ROWS, 1)
    plain = [raw[:, 0] for raw in raws]
    score, _ = Output("decision_function", kind, link, (1, 1), (None,) * 2).of(
        raws, index
    )
    np.testing.assert_allclose(
        score, pooled(plain, kind, link)[:, min(1, n_outputs - 1)]
    )
    p, _ = Output("predict_proba", kind, link, (1, 1), (None,) * 2).of(raws, index)
    expected = np.mean([probabilities(raw, kind, link) for raw in plain], axis=0)
    np.testing.assert_allclose(p, expected[:, 1])
    weights = 0.2, 0.8
    p, _ = Output("predict_proba", kind, link, (1, 1), (None,) * 2, weights, 2.0).of(
        raws, index
    )
    together = [probabilities(raw, kind, link) for raw in plain]
    root = np.sqrt(np.tensordot(weights, together, axes=1))
    np.testing.assert_allclose(p, (root / root.sum(axis=1, keepdims=True))[:, 1])
