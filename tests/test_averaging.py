"""Averages of weights, and the statistics of batch normalisation that fit them."""

import numpy as np
import pytest

from nnfit.cpu import engine as cpu
from tests import numpy_engine
from tests.conftest import identify
from tests.engines import (
    TIGHT,
    evaluate,
    flat_weights,
    make_data,
    make_engine,
    make_network,
    train,
)
from tests.features import AVERAGED

MODULES = pytest.mark.parametrize("module", [cpu, numpy_engine])


def rates(*averages):
    """Batch factors with these rates of the average, again and again."""

    def batch_factors(first, count):
        table = np.ones((count, 5))
        table[:, 4] = np.resize(averages, first + count)[first:]
        return table

    return batch_factors


@MODULES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_average_is_that_of_the_steps(module, dtype):
    """Mean of the weights after the second, third and fourth step."""
    network = make_network((5, 7, 2), "tanh", dtype=dtype)
    data = make_data(network, 30)
    engine, steps = (
        make_engine(
            module, network, data, batch_size=30, average=True,
            batch_factors=rates(1.0, 1.0, 1 / 2, 1 / 3),
        )
        for _ in range(2)
    )  # fmt: skip
    train(engine, 4)
    seen = []
    for epoch in range(1, 5):
        train(steps, epoch)
        seen.append(flat_weights(steps))
        if epoch < 3:  # the average is the network itself
            np.testing.assert_array_equal(
                flat_weights(steps, steps.evaluated()), seen[-1]
            )
    averaged = flat_weights(engine, engine.evaluated())
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(averaged, np.mean(seen[1:], axis=0), rtol, rtol)
    np.testing.assert_array_equal(flat_weights(engine), seen[-1])


@MODULES
def test_looking_at_the_average_changes_nothing(module):
    for options in (AVERAGED, {"solver": "schedule_free"}):
        network = make_network((5, 7, 2), "tanh", normalization="batch")
        data = make_data(network, 70)
        looked, alone = (
            make_engine(module, network, data, shuffle=True, **options)
            for _ in range(2)
        )
        for epoch in range(1, 5):
            train(looked, epoch)
            first = looked.evaluated().copy()
            evaluate(looked, *data)
            np.testing.assert_array_equal(looked.evaluated(), first)
        train(alone, 4)
        np.testing.assert_array_equal(looked.flat, alone.flat)
        np.testing.assert_array_equal(looked.evaluated(), alone.evaluated())


@MODULES
@pytest.mark.parametrize(
    "options", [{}, AVERAGED, {"solver": "schedule_free"}], ids=identify
)
@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
def test_validation_looks_at_what_counts(module, options, normalization):
    network = make_network((5, 7, 2), "tanh", normalization=normalization)
    data, other = make_data(network, 70), make_data(network, 40, seed=9)
    engine = make_engine(module, network, data, **options)
    train(engine, 3)
    found = evaluate(engine, *other, score="r2")
    weights = engine.get_weights(engine.evaluated())
    predicted = module.predict(network, weights, other[0])
    assert found[0] == pytest.approx(np.mean((predicted - other[1]) ** 2) / 2)
    same = not options
    assert (engine.evaluated() is engine.flat) == same


@MODULES
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options", [AVERAGED, {"solver": "schedule_free"}], ids=identify
)
def test_statistics_of_an_average_are_those_of_the_data(module, options, weighted):
    network = make_network((5, 7, 2), "tanh", normalization="batch")
    X, y = make_data(network, 65)
    weight = np.random.default_rng(0).uniform(size=65)
    data = (X, y, weight) if weighted else (X, y)
    engine = make_engine(
        module, network, data, shuffle=True, dropout=(0.5,), input_noise=0.3, **options
    )
    train(engine, 3)
    weights = engine.get_weights(engine.evaluated())
    z = X @ weights.coefs[0]
    if not weighted:
        weight = np.ones(65)
    expected = []
    for rows in (slice(0, 32), slice(32, 64)):  # the last row has no variance
        share = weight[rows] / weight[rows].sum()
        mean = share @ z[rows]
        variance = share @ (z[rows] - mean) ** 2 / (1 - share @ share)
        expected.append([mean, variance])
    np.testing.assert_allclose(
        weights.norms[0][1:], np.mean(expected, axis=0), rtol=1e-9
    )


@MODULES
def test_schedule_free_evaluates_the_mean_of_z(module):
    """At a constant rate the average weighs all steps alike."""
    network = make_network((5, 7, 2), "tanh")
    data = make_data(network, 30)
    engine = make_engine(module, network, data, "schedule_free", batch_size=30)
    z = []
    for epoch in range(1, 6):
        train(engine, epoch)
        z.append(engine.get_state()["moments"][0])
    averaged = flat_weights(engine, engine.evaluated())
    np.testing.assert_allclose(averaged, np.mean(z, axis=0), **TIGHT)
    beta_1 = 0.9
    expected = (1 - beta_1) * z[-1] + beta_1 * averaged
    np.testing.assert_allclose(flat_weights(engine), expected, **TIGHT)
