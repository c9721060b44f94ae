"""Optimizers against their definitions, in Python and compiled.

A row without a definition, such as a new one, is compared with its own functions in
Python.
"""

import ctypes

import numpy as np
import pytest

from nnfit.cpu import compiling, kernels
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.training.schedules import BatchFactors
from tests.engines import (
    DEFAULTS,
    TIGHT,
    assert_same_training,
    make_data,
    make_network,
)

STEPS, SIZE = 300, 37  # some vectors and a remainder
DECAY = 0.3
#: Of parameters whose defaults tell less.
HYPER = {"beta_2": 0.99, "rho": 0.95}


# ----------------------------------------------------------------- definitions
# From gradients, learning rates and weight decay to the weights to evaluate.


def sgd(w, gradients, rates, decay, momentum, nesterov=False):
    velocity = np.zeros_like(w)
    for g, rate in zip(gradients, rates, strict=True):
        velocity = momentum * velocity - rate * g
        w = w + (momentum * velocity - rate * g if nesterov else velocity)
    return w


def sgd_nesterov(*args, **hyper):
    return sgd(*args, nesterov=True, **hyper)


def moments(gradients, beta_1, beta_2):
    """Adam's moments after every step, and the step's number."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        yield t, g, m, v


def adam(w, gradients, rates, decay, beta_1, beta_2, epsilon):
    for (t, _, m, v), rate in zip(
        moments(gradients, beta_1, beta_2), rates, strict=True
    ):
        rate *= np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w = w - rate * m / (np.sqrt(v) + epsilon)
    return w


def adamw(w, gradients, rates, decay, beta_1, beta_2, epsilon):
    for (t, _, m, v), rate in zip(
        moments(gradients, beta_1, beta_2), rates, strict=True
    ):
        w = w - rate * decay * w
        rate *= np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w = w - rate * m / (np.sqrt(v) + epsilon)
    return w


def nadam(w, gradients, rates, decay, beta_1, beta_2, epsilon):
    for (t, g, m, v), rate in zip(
        moments(gradients, beta_1, beta_2), rates, strict=True
    ):
        m_hat = beta_1 * m / (1 - beta_1 ** (t + 1)) + (1 - beta_1) * g / (
            1 - beta_1**t
        )
        v_hat = v / (1 - beta_2**t)
        w = w - rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return w


def rmsprop(w, gradients, rates, decay, rho, epsilon):
    v = 0.0
    for g, rate in zip(gradients, rates, strict=True):
        v = rho * v + (1 - rho) * g**2
        w = w - rate * g / (np.sqrt(v) + epsilon)
    return w


def lion(w, gradients, rates, decay, beta_1, beta_2):
    m = 0.0
    for g, rate in zip(gradients, rates, strict=True):
        w = w - rate * decay * w
        w = w - rate * np.sign(beta_1 * m + (1 - beta_1) * g)
        m = beta_2 * m + (1 - beta_2) * g
    return w


def schedule_free(w, gradients, rates, decay, beta_1, beta_2, epsilon):
    x = z = w
    v, weights = 0.0, []
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        y = (1 - beta_1) * z + beta_1 * x
        v = beta_2 * v + (1 - beta_2) * g**2
        v_hat = v / (1 - beta_2**t)
        z = z - rate * decay * y - rate * g / (np.sqrt(v_hat) + epsilon)
        weights.append(max(rates[:t]) ** 2)
        share = weights[-1] / sum(weights) if weights[-1] > 0 else 1.0
        x = (1 - share) * x + share * z
    return x


def muon(w, gradients, rates, decay, momentum, **hyper):
    return adamw(w, gradients, rates, decay, **hyper)


EXPECTED = {
    function.__name__: function
    for function in (
        sgd, sgd_nesterov, adam, adamw, nadam, rmsprop, lion, schedule_free, muon,
    )
}  # fmt: skip
#: Rates that rise from 0, fall, and rise again.
RATES = np.concatenate(
    [
        np.linspace(0.0, 0.02, 50),
        np.linspace(0.02, 0.001, 200),
        np.full(50, 0.03),
    ]
)


def gradients_of(dtype):
    # Of sizes from 1e-4 to 1, so that epsilon and the roots count.
    rng = np.random.default_rng(0)
    start = rng.normal(size=SIZE)
    gradients = rng.normal(0.2, size=(STEPS, SIZE)) * np.geomspace(1e-4, 1.0, SIZE)
    return start.astype(dtype), gradients.astype(dtype)


def hyper_of(row, **changes):
    return {name: {**DEFAULTS, **HYPER, **changes}[name] for name in row.parameters}


def evaluated(row, w, slots, hyper):
    return w if row.average is None else row.average(w, *slots, hyper)


# -------------------------------------------------------------------- registry


def test_definitions_are_of_the_registry():
    assert set(EXPECTED) <= set(OPTIMIZERS)


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=lambda row: row.name)
def test_rows_are_consistent(row):
    assert set(row.parameters) <= set(DEFAULTS)
    assert set(row.positive) <= set(row.parameters)
    assert row.momentum is None or row.momentum in row.parameters
    assert len(row.start) == 2
    assert row.decoupled or not row.decays


# ------------------------------------------------------------------- in Python


def train_in_python(row, start, gradients, rates, hyper, decay):
    """All steps with the scalar functions, as the compiled kernels call them."""
    weights = []
    for w, column in zip(start.tolist(), gradients.T.tolist(), strict=True):
        slots = [w if row.start[k] else 0.0 for k in range(row.slots)]
        memory = [0.0] * 4
        for step, (g, rate) in enumerate(zip(column, rates, strict=True), start=1):
            # Preparing a step again, with another rate, does not count.
            row.prepare(float(step), 7.0, hyper, memory)
            h = row.prepare(float(step), rate, hyper, memory)
            assert len(h) == 8
            shrunk = rate * decay if row.decoupled else 0.0
            if row.decays:
                h = (*h[:7], shrunk)
            else:
                w *= 1.0 - shrunk
            found = row.update(w, g, *slots, h)
            w, *slots = found if row.slots else [found]
        weights.append(evaluated(row, w, slots, hyper))
    return weights


@pytest.mark.parametrize(
    "changes", [{}, {"beta_1": 0.5, "rho": 0.5, "epsilon": 1e-3}, {"beta_2": 0.0}]
)
@pytest.mark.parametrize("name", EXPECTED)
def test_optimizer_replays_its_definition(name, changes):
    row = OPTIMIZERS[name]
    start, gradients = gradients_of(np.float64)
    hyper = hyper_of(row, **changes)
    result = train_in_python(
        row, start, gradients, RATES.tolist(), tuple(hyper.values()), DECAY
    )
    expected = EXPECTED[row.name](start, gradients, RATES, DECAY, **hyper)
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=lambda row: row.name)
def test_optimizer_minimises_a_quadratic(row):
    """The sum of ``c * (w - 1) ** 2 / 2`` where c is from 0.05 to 5."""
    hyper = tuple(hyper_of(row).values())
    curvature, memory = np.geomspace(0.05, 5.0, 7), [0.0] * 4
    start = [0.0] * len(curvature)
    state = [
        [w, *(w if at_weights else 0.0 for at_weights in row.start)] for w in start
    ]
    state = [values[: 1 + row.slots] for values in state]
    for step in range(1, 2001):
        rate = 0.05 * (1.0 - step / 2001.0)
        h = row.prepare(float(step), rate, hyper, memory)
        h = (*h[:7], 0.0) if row.decays else h
        for values, c in zip(state, curvature.tolist(), strict=True):
            found = row.update(values[0], c * (values[0] - 1.0), *values[1:], h)
            values[:] = found if row.slots else [found]
    result = [evaluated(row, w, slots, hyper) for w, *slots in state]
    loss = np.sum(curvature * (np.array(result) - 1.0) ** 2)
    assert loss < 0.05 * np.sum(curvature)


@pytest.mark.parametrize("name", ["sgd", "adam", "nadam", "rmsprop", "lion"])
def test_optimizers_without_memory_of_gradients(name):
    row = OPTIMIZERS[name]
    start, gradients = gradients_of(np.float64)
    hyper = hyper_of(row, momentum=0.0, beta_1=0.0, beta_2=0.0, rho=0.0)
    result = train_in_python(
        row, start, gradients, RATES.tolist(), tuple(hyper.values()), 0.0
    )
    expected = EXPECTED[name](start, gradients, RATES, 0.0, **hyper)
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-12)


def test_schedule_free_averages_alike_at_a_constant_rate():
    # The share of step t is 1 / t: x is the mean of all z.
    row = OPTIMIZERS["schedule_free"]
    memory = [0.0] * 4
    for step in range(1, 100):
        _, share, *_ = row.prepare(float(step), 0.01, (0.9, 0.999, 1e-8), memory)
        assert share == pytest.approx(1 / step, rel=1e-12)


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=lambda row: row.name)
def test_no_gradient_hides_a_divergence(row):
    h = row.prepare(1.0, 0.01, tuple(hyper_of(row).values()), [0.0] * 4)
    state = row.update(0.5, float("nan"), *[0.0] * row.slots, h)
    assert np.isnan(state[0] if row.slots else state)


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=lambda row: row.name)
def test_no_gradient_no_step(row):
    # Padding of the flat parameters stays what it is.
    memory = [0.0] * 4
    state = [0.0] * (1 + row.slots)
    for step in range(1, 5):
        h = row.prepare(float(step), 0.01, tuple(hyper_of(row).values()), memory)
        state = row.update(state[0], 0.0, *state[1:], h)
        state = state if row.slots else [state]
        assert set(state) == {0.0}


# -------------------------------------------------------------------- compiled


def pointer(array):
    return array.ctypes.data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=lambda row: row.name)
def test_compiled_optimizer(row, dtype):
    """The kernels, with penalty and decay, many steps."""
    kernel = compiling.load(kernels.OPTIMIZER, row.name, dtype)
    scalar = ctypes.c_float if dtype == "float32" else ctypes.c_double
    address, integer = ctypes.c_void_p, ctypes.c_int64
    prepare = kernel.function(
        "prepare", None, integer, ctypes.c_double, address, address, address
    )
    update = kernel.function(
        "update", None, *[address] * 4, integer, address, scalar, scalar
    )
    start, gradients = gradients_of(dtype)
    named = hyper_of(row)
    hyper, memory = np.array([*named.values(), 0.0]), np.zeros(4)
    rates = np.zeros(16, dtype)
    w = start.copy()
    slots = [
        start.copy() if at_weights else np.zeros_like(w) for at_weights in row.start
    ]
    for step, (g, rate) in enumerate(zip(gradients, RATES, strict=True), start=1):
        prepare(step, rate, *map(pointer, (hyper, memory, rates)))
        decay = 1.0 - rate * DECAY if row.decoupled else 1.0
        update(*map(pointer, (w, g.copy(), *slots)), SIZE, pointer(rates), 0.0, decay)
    start, gradients = start.astype(float), gradients.astype(float)
    if row.name in EXPECTED:
        expected = EXPECTED[row.name](start, gradients, RATES, DECAY, **named)
    else:
        values = tuple(named.values())
        expected = train_in_python(row, start, gradients, RATES.tolist(), values, DECAY)
    result = evaluated(row, w.astype(float), slots[: row.slots], hyper)
    tolerance = 1e-11 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["adam", "schedule_free"])
def test_penalty_is_part_of_the_gradient(name):
    row = OPTIMIZERS[name]
    kernel = compiling.load(kernels.OPTIMIZER, name, "float64")
    address, integer, double = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    update = kernel.function(
        "update", None, *[address] * 4, integer, address, double, double
    )
    start, gradients = gradients_of(np.float64)
    hyper = tuple(hyper_of(row).values())
    rates = np.array(row.prepare(1.0, 0.01, hyper, [0.0] * 4))
    arrays = [start.copy(), gradients[0].copy(), start.copy(), np.zeros(SIZE)]
    update(*map(pointer, arrays), SIZE, pointer(rates), 0.5, 0.9)
    for i in range(SIZE):
        penalised = gradients[0, i] + 0.5 * start[i]
        h = (*rates[:7], 1.0 - 0.9) if row.decays else tuple(rates)
        w = start[i] if row.decays else start[i] * 0.9
        expected = row.update(w, penalised, start[i], 0.0, h)
        np.testing.assert_allclose([a[i] for a in (arrays[0], *arrays[2:])], expected)


# ------------------------------------------------------------------- in engines


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=lambda row: row.name)
def test_optimizer_with_schedules_and_rates_of_layers(row):
    network = make_network((7, 10, 8, 2), "tanh")
    batch_factors = BatchFactors(
        12,
        learning_rate="one_cycle",
        warmup=0.2,
        weight_decay_schedule="flat_cosine",
        momentum_schedule=row.momentum and "coslog4",
    )
    assert_same_training(
        network,
        make_data(network, 100),
        solver=row.name,
        batch_factors=batch_factors,
        learning_rate_factors=(0.5, 2.0, 1.0),
        **TIGHT,
    )
