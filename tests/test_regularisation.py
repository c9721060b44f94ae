"""Dropout, augmentation and bounds of the compiled engine: what they mean."""

import numpy as np
import pytest
import scipy.sparse
from scipy import stats

from nnfit.cpu import engine as cpu
from nnfit.network import Weights
from tests import numpy_engine
from tests.engines import (
    TIGHT,
    make_data,
    make_engine,
    make_network,
    make_weights,
    tolerance_of,
    train,
)
from tests.numpy_engine.randomness import FIRST_LAYER, INPUT_DROPOUT, Draws


def identity_network(n, dtype="float64"):
    """A network of one hidden layer that returns its input."""
    network = make_network((n, n, n), "identity", dtype=dtype)
    eye, zeros = np.eye(n, dtype=dtype), np.zeros(n, dtype)
    return network, Weights([eye, eye], [zeros, zeros], [])


# ------------------------------------------------------------------- dropout


@pytest.mark.parametrize("rate", [0.0, 1e-6, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_units_dropped_are_those_of_the_formula(rate, dtype):
    network, weights = identity_network(37, dtype)
    ones = np.ones((250, 37), dtype)
    for step in (0, 1, 2**35):
        draws = Draws(2**63 + 5, step, 0)
        for purpose, rates, of_input in (
            (FIRST_LAYER, (rate,), 0.0),
            (INPUT_DROPOUT, (0.0,), rate),
        ):
            found = cpu.predict(
                network, weights, ones, dropout=(rates, of_input, 2**63 + 5, step)
            )
            expected = draws.dropout(purpose, rate, ones.shape, dtype)
            np.testing.assert_array_equal(found > 0, expected > 0)
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_dropout_keeps_the_right_part_and_the_mean():
    network, weights = identity_network(40)
    ones = np.ones((500, 40))
    passes = [
        cpu.predict(network, weights, ones, dropout=((0.3,), 0.2, 1, number))
        for number in range(50)
    ]
    kept = np.mean([out > 0 for out in passes])
    part, size = 0.7 * 0.8, 500 * 40 * 50
    assert abs(kept - part) < 4 * np.sqrt(part * (1 - part) / size)
    assert np.mean(passes) == pytest.approx(kept / part)
    # Every row and unit is dropped as often as any other.
    for counts in np.sum(passes, axis=(0, 1)), np.sum(passes, axis=(0, 2)):
        assert counts.std() < 0.03 * counts.mean()


@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
@pytest.mark.parametrize("n_rows", [1, 5, 250])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_monte_carlo_predictions_are_those_of_the_reference(
    dtype, n_rows, normalization
):
    network = make_network(
        (9, 14, 14, 6, 3), "tanh", "softmax", dtype,
        normalization=normalization, residual=True,
    )  # fmt: skip
    weights = make_weights(network)
    X, _ = make_data(network, n_rows)
    X[:, ::2] = 0.0
    for rates, of_input in (((0.3, 0.0, 0.6), 0.2), ((0.0, 0.0, 0.0), 0.0)):
        dropout = rates, of_input, 11, 3
        expected = numpy_engine.predict(network, weights, X, dropout=dropout)
        for data in (X, scipy.sparse.csr_array(X)):
            found = [
                cpu.predict(network, weights, data, n_threads=n, dropout=dropout)
                for n in (1, 3)
            ]
            np.testing.assert_array_equal(*found)
            np.testing.assert_allclose(found[0], expected, **tolerance_of(dtype))


def test_without_dropout_a_pass_is_a_prediction():
    network = make_network((9, 14, 3))
    weights, (X, _) = make_weights(network), make_data(network, 50)
    found = cpu.predict(network, weights, X, dropout=((0.0,), 0.0, 0, 0))
    np.testing.assert_array_equal(found, cpu.predict(network, weights, X))


# -------------------------------------------------------------- augmentation


def moves_of(network, data, n_batches, **options):
    """How far each batch moves the weights of the first layer from 0."""
    engine = make_engine(
        cpu, network, data, "sgd", alpha=0.0, learning_rate_init=1.0, hyper=(0.0,),
        **options,
    )  # fmt: skip
    engine._batches_in = lambda seconds: 1
    for _ in range(n_batches):
        engine.flat[...] = 0.0
        engine.train(2**40)
        yield engine.get_weights().coefs[0]


def inputs_seen(n_rows=200, n_features=30, **options):
    """What the first layer saw of rows of ones, and of zeros, in one step.

    Of a linear model of a feature f that gets the gradient g, SGD at rate 1 moves the
    weight by f g: with one row in a batch and a target far away, f can be told.
    """
    network = make_network((n_features, 1))
    X = np.repeat(np.arange(n_rows)[:, None] % 2.0, n_features, axis=1)
    y = np.full((n_rows, 1), -1.0)
    moves = moves_of(network, (X, y), n_rows, batch_size=1, **options)
    return np.array([-move[:, 0] for move in moves])


def test_noise_is_normal():
    seen = inputs_seen(input_noise=0.5)
    noise = (seen - np.arange(200)[:, None] % 2) / 0.5
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.05


def test_noise_is_that_of_the_formula():
    """The approximated quantiles of the normal distribution: to nine digits."""
    seen = inputs_seen(n_rows=500, n_features=100, input_noise=1.0)
    expected = [
        row + Draws(7, step, step).noise(1.0, (1, 100))[0]
        for step, row in enumerate(np.arange(500)[:, None] % 2.0)
    ]
    np.testing.assert_allclose(seen, expected, rtol=1e-7, atol=1e-8)


def test_mixup_draws_from_beta():
    """Of two rows, one at 0 and one at 1, a model at 0 sees what they are mixed to."""
    network = make_network((1, 1))
    X, y = np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]])
    # x = (1 - s, s) with targets of the same: the gradient is -(s^2 + (1-s)^2) / 2.
    moves = moves_of(network, (X, y), 3000, batch_size=2, mixup=0.5)
    shares = [0.5 + np.sqrt(max(move[0, 0] - 0.25, 0.0)) for move in moves]
    # The larger of both shares.
    upper = 2.0 * (stats.beta(0.5, 0.5).cdf(np.sort(shares)) - 0.5)
    assert stats.kstest(upper, "uniform").pvalue > 0.01


# -------------------------------------------------------------------- bounds


def test_max_norm_bounds_every_column():
    network = make_network((9, 14, 14, 6, 3), "tanh", residual=True)
    engine = make_engine(cpu, network, make_data(network, 70), max_norm=0.5)
    train(engine, 2)
    norms = [np.linalg.norm(coef, axis=0) for coef in engine.get_weights().coefs]
    assert max(norm.max() for norm in norms) == pytest.approx(0.5)
    assert all((norm < 0.5 + 1e-12).all() for norm in norms)


def step_of(**options):
    """How far one step of SGD at rate 1 moves all weights."""
    network = make_network((9, 14, 3), "tanh")
    engine = make_engine(
        cpu, network, make_data(network, 70), "sgd", batch_size=70, alpha=0.0,
        learning_rate_init=1.0, hyper=(0.0,), **options,
    )  # fmt: skip
    before = engine.flat.copy()
    train(engine, 1)
    return engine.flat - before


def test_clip_norm_bounds_the_whole_gradient():
    free = step_of()
    assert np.linalg.norm(free) > 0.2
    bound = step_of(clip_norm=0.1)
    assert np.linalg.norm(bound) == pytest.approx(0.1)
    np.testing.assert_allclose(bound / 0.1, free / np.linalg.norm(free), **TIGHT)
    np.testing.assert_allclose(step_of(clip_norm=100.0), free, **TIGHT)


def test_clip_value_bounds_every_element():
    free = step_of()
    np.testing.assert_allclose(
        step_of(clip_value=0.01), np.clip(free, -0.01, 0.01), **TIGHT
    )
    both = step_of(clip_norm=0.1, clip_value=0.01)
    scaled = free * (0.1 / np.linalg.norm(free))
    np.testing.assert_allclose(both, np.clip(scaled, -0.01, 0.01), **TIGHT)


def test_l1_leaves_weights_at_zero_where_they_are():
    network = make_network((4, 2))
    data = np.zeros((10, 4)), np.zeros((10, 2))
    engine = make_engine(
        cpu, network, data, "sgd", batch_size=10, alpha=0.0, l1=1.0,
        learning_rate_init=1.0, hyper=(0.0,),
    )  # fmt: skip
    before = engine.get_weights().coefs[0]
    before[0] = 0.0
    engine.set_weights(Weights([before], [np.zeros(2)], []))
    train(engine, 1)
    after = engine.get_weights().coefs[0]
    np.testing.assert_allclose(after, before - 0.1 * np.sign(before))
