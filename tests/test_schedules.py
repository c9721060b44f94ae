"""Schedules and the factors of a fit.

A row without a definition, such as a new one, is tested by what all have in common.
"""

import math
import pickle
import time
from functools import partial

import numpy as np
import pytest

from nnfit.training.schedules import BY_EPOCH, SCHEDULES, BatchFactors

T = np.linspace(0.0, 1.0, 97)
DECAY, CYCLES = 0.3, 4


def cosine(t):
    return (1 + math.cos(math.pi * t)) / 2


def cosine_restarts(t):
    return 0.0 if t == 1 else cosine(CYCLES * t % 1)


def one_cycle(t):
    if t < 0.3:
        return 1 / 25 + (1 - 1 / 25) * (1 - cosine(t / 0.3))
    return 4e-6 + (1 - 4e-6) * cosine((t - 0.3) / 0.7)


EXPECTED = {
    "constant": lambda t: 1.0,
    "cosine": cosine,
    "cosine_restarts": cosine_restarts,
    "one_cycle": one_cycle,
    "step": lambda t: DECAY ** int(CYCLES * t),
    "exponential": lambda t: math.exp(t * math.log(DECAY)),
    "coslog4": lambda t: math.sin(math.pi * math.log2(1 + 15 * t)) ** 2,
    "flat_cosine": lambda t: 1.0 if t < 0.5 else cosine(2 * t - 1),
}
#: Factors at 0, at what the schedule is known for, and at 1.
KNOWN = {
    "constant": {0: 1, 1: 1},
    "cosine": {0: 1, 0.5: 0.5, 1: 0},
    "cosine_restarts": {0: 1, 0.125: 0.5, 0.24999: 0, 0.25: 1, 1: 0},
    "one_cycle": {0: 1 / 25, 0.3: 1, 1: 1 / 25e4},
    "step": {0: 1, 0.25: DECAY, 0.9: DECAY**3},
    "exponential": {0: 1, 0.5: DECAY**0.5, 1: DECAY},
    "coslog4": {0: 0, 1 / 15: 0, 3 / 15: 0, 7 / 15: 0, 1: 0},
    "flat_cosine": {0: 1, 0.5: 1, 0.75: 0.5, 1: 0},
}


def factors_of(n_batches=100, **parameters):
    return BatchFactors(
        n_batches, learning_rate_decay=DECAY, learning_rate_cycles=CYCLES, **parameters
    )


def factors(name, t):
    row = SCHEDULES[name]
    values = {"learning_rate_decay": DECAY, "learning_rate_cycles": CYCLES}
    return row.function(np.asarray(t), *(values[own] for own in row.parameters))


# ------------------------------------------------------------------- schedules


@pytest.mark.parametrize("row", SCHEDULES.values(), ids=lambda row: row.name)
def test_rows_are_documented(row):
    assert row.formula
    assert len(row.reference) > 10
    assert pickle.loads(pickle.dumps(row)) == row
    assert SCHEDULES[row.name] is row


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_is_a_function_of_each_progress(name):
    result = factors(name, T)
    assert result.shape == T.shape and result.dtype == np.float64
    assert ((0.0 <= result) & (result < np.inf)).all()
    assert result.max() > 0.0
    one_by_one = [factors(name, T[k : k + 1])[0] for k in range(len(T))]
    np.testing.assert_allclose(result, one_by_one, rtol=1e-12)


@pytest.mark.parametrize("name", EXPECTED)
def test_schedule_values(name):
    expected = [EXPECTED[name](t) for t in T.tolist()]
    np.testing.assert_allclose(factors(name, T), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", KNOWN)
def test_schedule_at_its_corners(name):
    t = np.array(list(KNOWN[name]))
    np.testing.assert_allclose(
        factors(name, t), list(KNOWN[name].values()), rtol=1e-9, atol=1e-8
    )


# --------------------------------------------------------------------- factors


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_follows_the_progress(name):
    result = factors_of(learning_rate=name)(0, 130)
    assert result.shape == (130, 5)
    assert result.dtype == np.float64
    progress = np.minimum(1.0, np.arange(130) / 100)
    np.testing.assert_allclose(result[:, 0], factors(name, progress), rtol=1e-12)
    assert (result[:, 1:] == 1.0).all()


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (1, "weight_decay_schedule"),
        (2, "momentum_schedule"),
        (3, "dropout_schedule"),
    ],
)
@pytest.mark.parametrize("schedule", ["coslog4", "step", lambda t: 1 - t])
def test_factors_of_the_other_rates(column, name, schedule):
    result = factors_of(**{name: schedule}, warmup=0.5)(0, 100)
    expected = EXPECTED.get(schedule, schedule)
    np.testing.assert_allclose(
        result[:, column], [expected(k / 100) for k in range(100)], atol=1e-12
    )
    others = np.delete(result, [0, column], axis=1)
    assert (others == 1.0).all()


@pytest.mark.parametrize("schedule", [*SCHEDULES, *BY_EPOCH, lambda t: 2.0 - t])
def test_warmup_comes_before_the_schedule(schedule):
    result = factors_of(learning_rate=schedule, warmup=0.2)(0, 110)[:, 0]
    expected = schedule if callable(schedule) else lambda t: 1.0
    if schedule in SCHEDULES:
        expected = EXPECTED.get(schedule, partial(factors, schedule))
    np.testing.assert_allclose(result[:20], np.arange(20) / 20, rtol=1e-12)
    rest = [expected(min(1.0, k / 80)) for k in range(90)]
    np.testing.assert_allclose(result[20:], rest, atol=1e-9)


def test_factors_of_parts_are_those_of_the_whole():
    whole = factors_of(
        learning_rate="one_cycle",
        warmup=0.1,
        weight_decay_schedule="cosine",
        momentum_schedule="step",
        dropout_schedule=lambda t: t,
        ema_decay=0.9,
    )
    np.testing.assert_array_equal(
        whole(0, 100), np.concatenate([whole(0, 33), whole(33, 1), whole(34, 66)])
    )
    assert whole(7, 0).shape == (0, 5)


@pytest.mark.parametrize("average", [{"ema_decay": 0.9}, {"swa": 0.3}, {}])
def test_factors_of_a_fit_that_goes_on(average):
    first = factors_of(learning_rate="cosine", **average)
    second = factors_of(
        learning_rate="cosine",
        begin=first.progress_after(80),
        averaged=first.averaged_after(80),
        **average,
    )
    np.testing.assert_allclose(second(0, 40), first(80, 40), rtol=1e-12)
    assert second.averaged_after(40) == first.averaged_after(120)
    assert second.progress_after(40) == 1.0


def test_ema_is_the_mean_with_falling_weights():
    rates = factors_of(ema_decay=0.8)(0, 50)[:, 4]
    weights = np.random.default_rng(0).normal(size=50)
    average = 0.0
    for k in range(50):
        average += rates[k] * (weights[k] - average)
        shares = 0.8 ** np.arange(k, -1, -1)
        expected = np.average(weights[: k + 1], weights=shares)
        assert average == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("swa", [0.1, 0.3, 0.75, 0.999, 1e-9])
def test_swa_is_the_mean_of_the_last_part(swa):
    rates = factors_of(swa=swa)(0, 100)[:, 4]
    begin = next((k for k in range(100) if k / 100 >= 1.0 - swa), 100)
    weights = np.random.default_rng(0).normal(size=100)
    average = 0.0
    for k in range(100):
        average += rates[k] * (weights[k] - average)
        expected = weights[begin : k + 1].mean() if k >= begin else weights[k]
        assert average == pytest.approx(expected, rel=1e-10)
    assert factors_of(swa=swa).averaged_after(100) == 100 - begin


def test_swa_begins_anew_where_training_does():
    # Warm start: progress is 0 again, and the average follows the weights until
    # the last part, however many steps it had.
    again = factors_of(swa=0.25, averaged=25)
    np.testing.assert_array_equal(again(0, 100), factors_of(swa=0.25)(0, 100))


@pytest.mark.parametrize("schedule", ["constant", *BY_EPOCH])
def test_nothing_changes(schedule):
    still = factors_of(learning_rate=schedule, momentum_schedule="constant")
    assert still.is_constant
    assert (still(3, 20) == 1.0).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"learning_rate": "step"},
        {"learning_rate": lambda t: 1.0},
        {"warmup": 0.1},
        {"weight_decay_schedule": "cosine"},
        {"momentum_schedule": "cosine"},
        {"dropout_schedule": abs},
        {"ema_decay": 0.9},
        {"swa": 0.9},
    ],
)
def test_something_changes(parameters):
    factors = factors_of(**parameters)
    assert not factors.is_constant
    assert factors.averages == bool({"swa", "ema_decay"} & set(parameters))


@pytest.mark.parametrize(
    "name",
    ["learning_rate", "weight_decay_schedule", "momentum_schedule", "dropout_schedule"],
)
@pytest.mark.parametrize(
    "value",
    [-1e-9, math.nan, math.inf, None, "0.5", [1.0], np.ones(1), 1j],
    ids=repr,
)
def test_functions_must_return_factors(name, value):
    def schedule(t):
        return value if t >= 0.5 else 1.0

    made = factors_of(**{name: schedule})
    made(0, 50)
    with pytest.raises(ValueError, match=f"{name} must return a finite number.* 0.5"):
        made(0, 51)


@pytest.mark.parametrize("value", [1, True, np.float32(0.5), np.array(0.25), 0])
def test_functions_may_return_any_real_number(value):
    assert (factors_of(learning_rate=lambda t: value)(0, 5)[:, 0] == float(value)).all()


def test_only_rates_may_grow():
    grown = factors_of(learning_rate=lambda t: 3.0, weight_decay_schedule=lambda t: 3.0)
    assert (grown(0, 5)[:, :2] == 3.0).all()
    for name in ("momentum_schedule", "dropout_schedule"):
        with pytest.raises(ValueError, match=rf"{name} .* in \[0, 1\] .* returned 1.5"):
            factors_of(**{name: lambda t: 1.5})(0, 5)


@pytest.mark.parametrize("average", [{"ema_decay": 0.999}, {"swa": 0.5}])
def test_factors_are_cheap(average):
    # 20,000 batches of a tiny network take a tenth of a second.
    made = factors_of(10**5, learning_rate="coslog4", warmup=0.05, **average)
    times = []
    for first in range(0, 100_000, 20_000):
        begin = time.perf_counter()
        made(first, 20_000)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.01
