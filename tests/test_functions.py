"""Scalar functions in plain Python; the registries decide what is tested.

Values are compared with definitions that are written down here, independently; a row
that has none, such as a new one, is tested by its derivative and its extremes.
"""

import dis
import inspect
import math
import pickle
from itertools import chain, product

import numpy as np
import pytest
import scipy.special
import scipy.stats

from nnfit import MLPClassifier, MLPRegressor
from nnfit.functions import maths
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS, PROBABILITY_LINKS
from nnfit.functions.losses import (
    BINARY,
    LOSSES,
    MULTICLASS,
    MULTILABEL,
    loss_options,
    rows_of,
)
from nnfit.functions.optimizers import OPTIMIZERS
from tests.engines import DEFAULTS

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
    for sign in (1.0, -1.0):
        at_infinity, larger, large = map(
            row.function, (sign * INF, sign * 1e60, sign * 1e30)
        )
        for limit, far, near in zip(at_infinity, larger, large, strict=True):
            toward = math.copysign(1.0, limit)
            grows = toward * far > toward * near > 0.0
            assert limit == far == near or (math.isinf(limit) and grows)
        slope_is_bounded = math.isfinite(at_infinity[1])
        assert all(map(math.isfinite, row.function(sign * 700.0)))
        for number in row.function(sign * 1e300):
            assert math.isfinite(number) or not slope_is_bounded
            assert not math.isnan(number)


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


@pytest.mark.parametrize("name", EXPECTED_ACTIVATIONS)
def test_activation_values(name):
    result = [ACTIVATIONS[name].function(z)[0] for z in Z.tolist()]
    expected = EXPECTED_ACTIVATIONS[name](Z)
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

#: Values of losses' parameters; of others the default.
PARAMETERS = {
    "label_smoothing": [[0.0], [0.1], [0.7]],
    "focal_gamma": [[0.0], [0.5], [2.0]],
    "huber_delta": [[0.3], [1.0], [2.5]],
    "quantile": [[0.5], [0.05, 0.5, 0.9], [0.1, 0.2, 0.3, 0.99]],
}


#: Widths and weights of columns: a number, three categories, a mask.
COLUMNS = [1.0, 0.5, 3.0, 2.0, 0.0, 0.7]


def targets_of(row):
    if row.task == "reconstruction":
        return [[0.4, 2.0, 1.0], [-1.3, 0.0, 0.0]]
    if row.takes_index:
        return [[0.0], [2.0]]
    if row.task == "classification":
        return [[0.0, 1.0, 1.0], [0.0], [1.0]]
    if "quantile" in row.parameters:
        return [[0.4], [-3.0]]
    if math.isfinite(row.y_min):
        smallest = row.y_min + (0.0 if row.y_min_inclusive else 0.2)
        return [[smallest, row.y_min + 0.3, row.y_min + 7.0], [row.y_min + 2.0]]
    return [[-1.3, 0.2, 4.0], [0.1]]


def parameters_of(row):
    if row.task == "reconstruction":
        return [COLUMNS]
    each = [PARAMETERS.get(name, [[DEFAULTS[name]]]) for name in row.parameters]
    return [list(chain(*values)) for values in product(*each)]


CASES = [
    (row, y, params)
    for row in LOSSES.values()
    for y in targets_of(row)
    for params in parameters_of(row)
]


def n_raw(row, y, params):
    if row.takes_index:
        return 4
    if row.task == "reconstruction":
        return 5
    return len(params) if "quantile" in row.parameters else len(y)


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


@pytest.mark.parametrize("row", LOSSES.values(), ids=lambda row: row.name)
def test_losses_are_consistent(row):
    if row.task == "reconstruction":  # of estimators without the parameter
        tasks = "classification", "regression"
        assert all(row.option not in loss_options(task) for task in tasks)
        return
    estimator = {"classification": MLPClassifier, "regression": MLPRegressor}[row.task]
    assert set(row.parameters) <= set(inspect.signature(estimator).parameters)
    assert row.link in LINKS
    assert row.option in loss_options(row.task)
    if row.task == "classification":
        assert row.link in (*PROBABILITY_LINKS, "identity")
        assert set(row.kinds) <= {BINARY, MULTICLASS, MULTILABEL}
        assert not row.takes_index or row.kinds == (MULTICLASS,)


@pytest.mark.parametrize("kind", [BINARY, MULTICLASS, MULTILABEL])
@pytest.mark.parametrize("option", loss_options("classification"))
def test_a_kind_of_target_has_one_row_of_a_loss(option, kind):
    rows = [row for row in rows_of(option, "classification") if kind in row.kinds]
    assert len(rows) <= 1


@pytest.mark.parametrize(("row", "y", "params"), CASES)
def test_loss_without_an_answer_is_nan(row, y, params):
    raw = [NAN] * n_raw(row, y, params)
    value, grad = evaluate(row, raw, y, params)
    assert math.isnan(value)
    assert all(math.isnan(number) for number in grad)


def xlogy_loss(p, y):
    return -np.sum(scipy.special.xlogy(y, p) + scipy.special.xlog1py(1.0 - y, -p))


def focal(right, gamma):
    return -np.sum((1.0 - right) ** gamma * np.log(right))


#: Losses that `expected_loss` defines.
EXPECTED_LOSSES = {
    "log_loss", "softmax", "focal", "focal_softmax", "squared_hinge", "squared_error",
    "absolute_error", "huber", "quantile", "poisson", "gamma", "reconstruction",
}  # fmt: skip


def expected_loss(name, raw, y, params):
    if name == "focal_softmax":
        return focal(scipy.special.softmax(raw)[int(y[0])], params[0])
    if name == "focal":
        p = scipy.special.expit(raw)
        return focal(np.where(y == 1.0, p, 1.0 - p), params[0])
    if name == "squared_hinge":
        return np.sum(np.maximum(0.0, 1.0 - (2.0 * y - 1.0) * raw) ** 2)
    if name == "softmax":
        share = np.full(len(raw), params[0] / len(raw))
        share[int(y[0])] += 1.0 - params[0]
        return -np.sum(share * scipy.special.log_softmax(raw))
    if name == "reconstruction":
        log_p = raw[1:4] - scipy.special.logsumexp(raw[1:4])
        of_mask = xlogy_loss(scipy.special.expit(raw[4]), y[2])
        own = 0.5 * (raw[0] - y[0]) ** 2, -log_p[int(y[1])], of_mask
        return np.dot(params[1::2], own)
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


@pytest.mark.parametrize(
    ("row", "y", "params"), [case for case in CASES if case[0].name in EXPECTED_LOSSES]
)
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


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("name", ["focal", "focal_softmax"])
def test_focal_loss_far_out(name, gamma):
    """Where p or 1 - p rounds to 0: steep as the log-loss if wrong, flat if right."""
    for far in (40.0, 120.0, 800.0, 1e30):
        raw = [far, -far, -far] if name == "focal_softmax" else [far]
        margin = 2.0 * far if name == "focal_softmax" else far
        value, grad = evaluate(
            LOSSES[name], raw, [1.0 if len(raw) > 1 else 0.0], [gamma]
        )
        assert value == pytest.approx(margin, rel=1e-12)
        assert grad[0] == pytest.approx(1.0, rel=1e-12)
        value, grad = evaluate(
            LOSSES[name], raw, [0.0 if len(raw) > 1 else 1.0], [gamma]
        )
        assert 0.0 <= value < 1e-16
        assert all(abs(number) < 1e-16 for number in grad)


def test_focal_loss_of_gamma_zero_is_the_log_loss():
    raw = [0.3, -1.2, 5.0]
    for one, other, y in (
        ("focal", "log_loss", [1.0, 0.0, 0.0]),
        ("focal_softmax", "softmax", [1.0]),
    ):
        value, grad = evaluate(LOSSES[one], raw, y, [0.0])
        expected, expected_grad = evaluate(LOSSES[other], raw, y, [0.0])
        assert value == pytest.approx(expected, rel=1e-12)
        assert grad == pytest.approx(expected_grad, rel=1e-12)


@pytest.mark.parametrize(
    ("y", "places"),
    [
        ([NAN, 1.0, 1.0], [0]),
        ([0.2, NAN, 1.0], [1, 2, 3]),
        ([0.2, -1.0, 1.0], [1, 2, 3]),
        ([0.2, 1.0, NAN], [4]),
    ],
)
def test_missing_entries_count_nothing_in_a_reconstruction(y, places):
    raw = [0.3, -1.2, 5.0, 0.1, 0.9]
    value, grad = evaluate(LOSSES["reconstruction"], raw, y, COLUMNS)
    number = 1 if 1 in places else max(places) // 2
    weights = [*COLUMNS]
    weights[2 * number + 1] = 0.0
    known = [2.0 if item != item or item < 0.0 else item for item in y]
    expected = evaluate(LOSSES["reconstruction"], raw, known, weights)
    assert (value, grad) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    assert all(grad[place] == 0.0 for place in places)


def test_a_reconstruction_knows_the_divergence_of_normal_distributions():
    """By the integral of its definition."""
    mean, log_variance = 0.7, -0.9
    row = LOSSES["reconstruction"]
    value, grad = evaluate(row, [mean, log_variance], [0.0, 0.0], [1, 2.0, -1, 2.0])
    own = scipy.stats.norm(mean, np.exp(log_variance / 2))
    at = np.linspace(-8.0, 9.0, 20001)
    of_density = own.pdf(at) * (own.logpdf(at) - scipy.stats.norm.logpdf(at))
    assert value == pytest.approx(2.0 * np.trapezoid(of_density, at), rel=1e-9)
    assert grad == pytest.approx([2.0 * mean, np.exp(log_variance) - 1.0])


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
