"""Scalar functions in plain Python; the registries decide what is tested."""

import dis
import math
import pickle

import numpy as np
import pytest
import scipy.special

from nnfit.functions import maths
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LINKS, LOSSES
from nnfit.functions.optimizers import OPTIMIZERS

INF, NAN = math.inf, math.nan
ROWS = [*ACTIVATIONS.values(), *LOSSES.values(), *OPTIMIZERS.values()]


def derivative(function, x, h=1e-4):
    """Fourth-order central difference; error about 1e-12 for smooth functions."""
    near = function(x + h) - function(x - h)
    far = function(x + 2.0 * h) - function(x - 2.0 * h)
    return (8.0 * near - far) / (12.0 * h)


def assert_close(slope, numerical):
    # Relative to 1e-3 at least: below, the differences have no digits left.
    assert abs(slope - numerical) < 1e-6 * max(abs(slope), 1e-3)


# ------------------------------------------------------------------ registries


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_are_documented(row):
    assert row.formula
    assert len(row.reference) > 10
    assert pickle.loads(pickle.dumps(row)) == row


@pytest.mark.parametrize("registry", [ACTIVATIONS, LOSSES, OPTIMIZERS])
def test_keys_are_names(registry):
    assert all(key == row.name for key, row in registry.items())


@pytest.mark.parametrize(
    "function",
    [row.function for row in ACTIVATIONS.values()]
    + [row.function for row in LOSSES.values()]
    + [row.update for row in OPTIMIZERS.values()]
    + list(LINKS.values()),
    ids=lambda function: function.__name__,
)
def test_scalar_code_keeps_its_rules(function):
    code = function.__code__
    assert not code.co_freevars
    assert function.__defaults__ is None
    operators = {
        instruction.argrepr
        for instruction in dis.get_instructions(code)
        if instruction.opname == "BINARY_OP"
    }
    assert not operators & {"**", "//", "%"}
    # Integer constants only as indices, which activations have not.
    if "n" not in code.co_varnames and "h" not in code.co_varnames:
        assert not any(type(constant) is int for constant in code.co_consts)


# ----------------------------------------------------------------- activations

# Kinks are at 0 and at +-3; the grid misses them.
Z = np.linspace(-9.97, 9.95, 333)


@pytest.mark.parametrize("row", ACTIVATIONS.values(), ids=lambda row: row.name)
def test_activation_slope_is_the_derivative(row):
    for z in Z.tolist():
        assert_close(row.function(z)[1], derivative(lambda x: row.function(x)[0], z))


@pytest.mark.parametrize("row", ACTIVATIONS.values(), ids=lambda row: row.name)
def test_activation_far_out(row):
    value, _ = row.function(NAN)
    assert math.isnan(value)
    for infinite, large in ((INF, 1e30), (-INF, -1e30)):
        value, slope = row.function(infinite)
        large_value, large_slope = row.function(large)
        assert not math.isnan(value)
        assert math.isinf(value) or value == large_value
        assert slope == large_slope
        assert math.isfinite(slope)
    for z in (700.0, -700.0, 1e300, -1e300):
        assert all(math.isfinite(number) for number in row.function(z))


NORMAL_CDF = scipy.special.ndtr
EXPECTED_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": scipy.special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0.0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0.0, z, np.expm1(z)),
    "selu": lambda z: (
        1.0507009873554805 * np.where(z > 0.0, z, 1.6732632423543772 * np.expm1(z))
    ),
    "gelu": lambda z: z * NORMAL_CDF(z),
    "silu": lambda z: z * scipy.special.expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0.0, z)),
    "softplus": lambda z: np.logaddexp(0.0, z),
    "hard_swish": lambda z: z * np.clip(z + 3.0, 0.0, 6.0) / 6.0,
}


@pytest.mark.parametrize("row", ACTIVATIONS.values(), ids=lambda row: row.name)
def test_activation_values(row):
    result = [row.function(z)[0] for z in Z.tolist()]
    expected = EXPECTED_ACTIVATIONS[row.name](Z)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "slope"),
    [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0), ("selu", 1.7580993408473766)],
)
def test_slope_at_a_kink_is_the_left_one(name, slope):
    assert ACTIVATIONS[name].function(0.0) == (0.0, slope)


def test_slope_of_hard_swish_at_its_kinks():
    assert ACTIVATIONS["hard_swish"].function(-3.0) == (0.0, 0.0)
    assert ACTIVATIONS["hard_swish"].function(3.0) == pytest.approx((3.0, 1.5))


# ---------------------------------------------------------------------- losses

TARGETS = {
    "log_loss": [[0.0, 1.0, 1.0], [0.0], [1.0], [0.25, 0.5]],
    "softmax": [[0.0], [2.0]],
    "quantile": [[0.4], [-3.0]],
    "poisson": [[0.0, 0.3, 7.0], [2.0]],
    "gamma": [[0.2, 1.0, 9.0], [2.0]],
}
REAL_TARGETS = [[-1.3, 0.2, 4.0], [0.1]]
PARAMETERS = {
    "log_loss": [[0.0], [0.1], [0.7]],
    "softmax": [[0.0], [0.1], [0.7]],
    "huber": [[0.3], [1.0], [2.5]],
    "quantile": [[0.5], [0.05, 0.5, 0.9], [0.1, 0.2, 0.3, 0.99]],
}
CASES = [
    (row, y, params)
    for row in LOSSES.values()
    for y in TARGETS.get(row.name, REAL_TARGETS)
    for params in PARAMETERS.get(row.name, [[]])
]


def n_raw(row, y, params):
    return {"softmax": 4, "quantile": len(params)}.get(row.name, len(y))


def evaluate(row, raw, y, params):
    grad = [NAN] * len(raw)
    return row.function(raw, y, grad, len(raw), params), grad


@pytest.mark.parametrize(("row", "y", "params"), CASES)
def test_loss_gradient_is_the_derivative(row, y, params):
    rng = np.random.default_rng(0)
    for _ in range(20):
        raw = rng.normal(0.0, 2.0, n_raw(row, y, params)).tolist()
        _, grad = evaluate(row, raw, y, params)
        for j in range(len(raw)):

            def along(x, j=j, raw=raw):
                moved = raw[:j] + [x] + raw[j + 1 :]
                return evaluate(row, moved, y, params)[0]

            assert_close(grad[j], derivative(along, raw[j]))


def test_loss_cases_cover_the_registry():
    for row in LOSSES.values():
        assert bool(row.parameters) == (row.name in PARAMETERS)
        assert row.task in ("classification", "regression")
        assert row.link in LINKS


@pytest.mark.parametrize(("row", "y", "params"), CASES)
def test_loss_without_an_answer_is_nan(row, y, params):
    raw = [NAN] * n_raw(row, y, params)
    value, grad = evaluate(row, raw, y, params)
    assert math.isnan(value)
    assert all(math.isnan(number) for number in grad)


def xlogy_loss(p, y):
    return -np.sum(scipy.special.xlogy(y, p) + scipy.special.xlog1py(1.0 - y, -p))


def expected_loss(name, raw, y, params):
    if name == "softmax":
        share = np.full(len(raw), params[0] / len(raw))
        share[int(y[0])] += 1.0 - params[0]
        return -np.sum(share * scipy.special.log_softmax(raw))
    r = y - raw
    if name == "log_loss":
        y = y * (1.0 - params[0]) + params[0] / 2.0
        return xlogy_loss(scipy.special.expit(raw), y)
    if name == "squared_error":
        return 0.5 * np.sum(r**2)
    if name == "absolute_error":
        return np.sum(np.abs(r))
    if name == "huber":
        return np.sum(scipy.special.huber(params[0], r))
    if name == "quantile":
        return np.sum(np.maximum(params * (y - raw), (params - 1.0) * (y - raw)))
    if name == "poisson":
        return np.sum(scipy.special.kl_div(y, np.exp(raw)))
    assert name == "gamma"
    return np.sum(y / np.exp(raw) - np.log(y / np.exp(raw)) - 1.0)


@pytest.mark.parametrize(("row", "y", "params"), CASES)
def test_loss_values(row, y, params):
    raw = np.random.default_rng(1).normal(0.0, 2.0, n_raw(row, y, params))
    value, _ = evaluate(row, raw.tolist(), y, params)
    expected = expected_loss(row.name, raw, np.array(y), np.array(params))
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["log_loss", "softmax"])
def test_confident_predictions(name):
    # From clipped probabilities both would be infinite, or at most 36.
    row = LOSSES[name]
    raw = [-800.0, 800.0] if name == "softmax" else [-1600.0]
    value, grad = evaluate(row, raw, [0.0 if name == "softmax" else 1.0], [0.0])
    assert value == 1600.0
    assert grad == ([-1.0, 1.0] if name == "softmax" else [-1.0])
    value, grad = evaluate(row, raw, [1.0 if name == "softmax" else 0.0], [0.0])
    assert value == 0.0
    assert set(grad) == {0.0}
    right = evaluate(LOSSES["log_loss"], [40.0], [1.0], [0.0])[0]
    assert right == pytest.approx(math.exp(-40.0), rel=1e-12)


@pytest.mark.parametrize("name", ["absolute_error", "quantile"])
def test_gradient_at_the_kink_is_zero(name):
    assert evaluate(LOSSES[name], [0.7], [0.7], [0.9]) == (0.0, [0.0])


# ----------------------------------------------------------------------- links


def apply_link(name, raw):
    out = [NAN] * len(raw)
    LINKS[name](raw, out, len(raw))
    in_place = list(raw)
    LINKS[name](in_place, in_place, len(raw))
    assert in_place == out
    return out


@pytest.mark.parametrize("name", LINKS)
def test_links(name):
    raw = [0.3, -1.2, 5.0, 0.3, -40.0, 2.0]
    expected = {
        "identity": lambda raw: raw,
        "logistic": scipy.special.expit,
        "softmax": scipy.special.softmax,
        "exp": np.exp,
        "sorted": np.sort,
    }[name]
    np.testing.assert_allclose(apply_link(name, raw), expected(np.array(raw)), 1e-14)


def test_links_invert():
    raw = [0.3, -1.2, 5.0, 0.3, -30.0, 2.0]
    np.testing.assert_allclose(scipy.special.logit(apply_link("logistic", raw)), raw)
    np.testing.assert_allclose(np.log(apply_link("exp", raw)), raw)
    log_p = np.log(apply_link("softmax", raw))
    np.testing.assert_allclose(log_p - log_p[0], np.array(raw) - raw[0])


def test_links_far_out():
    assert apply_link("softmax", [1e300, -1e300, 1e300]) == [0.5, 0.0, 0.5]
    assert apply_link("logistic", [INF, -INF]) == [1.0, 0.0]
    assert apply_link("exp", [INF, -INF, 800.0]) == [INF, 0.0, INF]
    for name in LINKS:
        assert math.isnan(apply_nan(name))


def apply_nan(name):
    out = [0.0]
    LINKS[name]([NAN], out, 1)
    return out[0]


# ----------------------------------------------------------------------- maths


def test_maths_never_raises():
    for name in maths.NAMES:
        for x in (0.0, -0.0, 1e308, -1e308, 5e-324, -1.0, INF, -INF, NAN):
            assert isinstance(getattr(maths, name)(x), float)


@pytest.mark.parametrize("x", [-800.0, -40.0, -1.0, 0.0, 1e-9, 3.0, 709.0])
def test_maths_values(x):
    assert maths.exp(x) == math.exp(x)
    assert maths.sigmoid(x) == pytest.approx(scipy.special.expit(x), rel=1e-14)
    assert maths.softplus(x) == pytest.approx(np.logaddexp(0.0, x), rel=1e-14)


def test_maths_at_the_edges():
    assert maths.exp(709.79) == INF
    assert maths.expm1(INF) == INF
    assert maths.log(0.0) == -INF
    assert math.isnan(maths.log(-1.0))
    assert maths.log1p(-1.0) == -INF
    assert math.isnan(maths.log1p(-1.5))
    assert math.isnan(maths.sqrt(-1.0))
