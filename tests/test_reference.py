"""The naive engine by itself: numerical derivatives, random numbers, formulas."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaincinv

from tests import numpy_engine
from tests.engines import (
    make_data,
    make_engine,
    make_network,
    numerical_gradient,
    train,
)
from tests.numpy_engine import network as passes
from tests.numpy_engine.optimizers import orthogonalised
from tests.numpy_engine.randomness import Draws
from tests.pairs import in_turn, pairwise

#: Equal widths one after the other and different ones: residual networks have an
#: identity and two projections.
SIZES = (3, 4, 4, 2, 5, 2)


def assert_derivative(network, n_rows=7, weighted=False, **options):
    X, y = make_data(network, n_rows)
    weight = np.random.default_rng(5).uniform(0.5, 2.0, size=n_rows)
    data = (X, y, weight) if weighted else (X, y)
    engine = make_engine(numpy_engine, network, data, **options)
    rows, draws = np.arange(n_rows), Draws(seed=3, step=8, position=11)
    gradient = engine.batch(engine.flat, rows, draws)[1]
    expected = numerical_gradient(
        lambda flat: engine.batch(flat, rows, draws)[0], engine.flat
    )
    for norm in passes.split(network, expected).norms:
        norm[1:] = 0.0  # running statistics are not trained
    assert np.abs(gradient - expected).max() < 1e-7 * np.abs(expected).max()


DROPOUT = dict(dropout=(0.3, 0.0, 0.6, 0.2), input_dropout=0.4)


@pairwise(
    normalization=[None, "layer", "batch"],
    residual=[False, True],
    dropout=[False, True],
    weighted=[False, True],
    l1=[0.0, 0.05],
)
def test_gradients_of_staged_layers(normalization, residual, dropout, weighted, l1):
    network = make_network(
        SIZES, "tanh", normalization=normalization, residual=residual
    )
    skips = [layer.skip for layer in network.layers[:-1]]
    expected = ["none", "identity", "projection", "projection"]
    assert skips == (expected if residual else [None] * 4)
    options = DROPOUT if dropout else {}
    assert_derivative(network, weighted=weighted, l1=l1, **options)


@in_turn(loss=["softmax", "log_loss", "poisson", "quantile"], weighted=[False, True])
def test_gradients_with_mixup_and_noise(loss, weighted):
    network = make_network(SIZES, "gelu", loss, normalization="batch", residual=True)
    assert_derivative(network, weighted=weighted, mixup=0.4, input_noise=0.3, **DROPOUT)


@pytest.mark.parametrize("residual", [False, True])
def test_gradients_of_a_batch_of_one_row(residual):
    """Running statistics are constants."""
    network = make_network(SIZES, "tanh", normalization="batch", residual=residual)
    assert_derivative(network, n_rows=1, mixup=0.4, **DROPOUT)


@pytest.mark.parametrize("sizes", [(3, 2), (3, 1, 1), (3, 1, 4, 1, 2)])
@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_gradients_of_narrow_layers(sizes, normalization):
    network = make_network(sizes, "tanh", normalization=normalization, residual=True)
    assert_derivative(network)


# -------------------------------------------------------------- normalisation


def test_normalised_layers_have_mean_0_and_variance_1():
    for normalization, axis in (("layer", 1), ("batch", 0)):
        network = make_network((4, 9, 8, 2), normalization=normalization)
        engine = make_engine(numpy_engine, network, make_data(network, 300))
        traces = engine.batch(engine.flat, np.arange(300))[2]
        nodes = zip(network.nodes, traces, strict=True)
        kept = [trace.kept for node, trace in nodes if node.kind == "normalization"]
        assert len(kept) == 2
        for _, normed, *_ in kept:
            mean, variance = normed.mean(axis), normed.var(axis)
            np.testing.assert_allclose(mean, 0.0, atol=1e-12)
            np.testing.assert_allclose(variance, 1.0, rtol=0.01)


def test_weights_of_batch_statistics_count_as_copies():
    network = make_network((4, 9, 2), "tanh", normalization="batch")
    X, y = make_data(network, 30)
    copies = np.random.default_rng(0).integers(0, 4, size=30)
    weighted = make_engine(
        numpy_engine, network, (X, y, copies.astype(float)), alpha=0.0
    )
    copied = make_engine(
        numpy_engine, network, (X.repeat(copies, 0), y.repeat(copies, 0)), alpha=0.0
    )
    results = [
        engine.batch(engine.flat, engine._rows)[:2] for engine in (weighted, copied)
    ]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-12)


def test_running_statistics_come_to_those_of_the_data():
    network = make_network((4, 9, 2), "tanh", normalization="batch")
    X, y = make_data(network, 200)
    engine = make_engine(
        numpy_engine, network, (X, y), "sgd", batch_size=100, learning_rate_init=0.0
    )
    train(engine, 60)
    _, mean, variance = engine.get_weights().norms[0]
    z = X @ engine.get_weights().coefs[0]
    np.testing.assert_allclose(mean, z.mean(axis=0), atol=1e-2)
    batches = [z[:100].var(axis=0, ddof=1), z[100:].var(axis=0, ddof=1)]
    assert (variance <= np.max(batches, axis=0) + 1e-3).all()
    assert (variance >= np.min(batches, axis=0) - 1e-3).all()


def test_a_batch_of_one_row_does_not_move_running_statistics():
    network = make_network((4, 9, 2), "tanh", normalization="batch")
    X, y = make_data(network, 3)
    for weight in (None, np.array([1.0, 0.0, 0.0])):
        data = (X[:1], y[:1]) if weight is None else (X, y, weight)
        engine = make_engine(numpy_engine, network, data, batch_size=3)
        before = engine.get_weights()
        train(engine, 2)
        after = engine.get_weights()
        np.testing.assert_array_equal(before.norms[0][1:], after.norms[0][1:])
        assert (before.norms[0][0] != after.norms[0][0]).all()


# ------------------------------------------------------------- random numbers


def test_dropout_keeps_the_right_part_and_the_mean():
    shape = (2000, 50)
    for purpose, rate in product((0, 3, 4), (0.05, 0.5, 0.9)):
        factors = Draws(1, 2, 3).dropout(purpose, rate, shape, "float64")
        deviation = np.sqrt(rate * (1 - rate) / factors.size)
        assert abs((factors > 0).mean() - (1 - rate)) < 4 * deviation
        assert set(np.unique(factors)) == {0.0, 1 / (1 - rate)}
        # Neither rows nor columns nor neighbours agree more often than by chance.
        dropped = (factors == 0) - rate
        for a, b in (
            (dropped[1:], dropped[:-1]),
            (dropped[:, 1:], dropped[:, :-1]),
            (dropped[1:, 1:], dropped[:-1, :-1]),
        ):
            chance = rate * (1 - rate) / np.sqrt(a.size)
            assert abs((a * b).mean()) < 4 * chance
        for axis, n in ((0, shape[0]), (1, shape[1])):
            sums = dropped.sum(axis) / np.sqrt(n * rate * (1 - rate))
            assert np.abs(sums).max() < 5.0
            assert sums.var() == pytest.approx(1.0, abs=0.6 if axis == 0 else 0.15)


def test_masks_differ_between_steps_layers_and_seeds():
    shape = (100, 10)
    masks = [
        Draws(seed, step, 0).dropout(purpose, 0.5, shape, "float64") > 0
        for seed, step, purpose in product((0, 1), (0, 1, 2**40), (0, 3, 4))
    ]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            assert 0.4 < (one == other).mean() < 0.6


def test_rows_have_masks_of_their_own_wherever_a_batch_begins():
    whole = Draws(0, 1, 0).dropout(3, 0.5, (60, 7), "float32")
    part = Draws(0, 1, 41).dropout(3, 0.5, (19, 5), "float32")
    np.testing.assert_array_equal(whole[41:, :5], part)


def test_noise_is_normal():
    noise = Draws(5, 6, 0).noise(2.0, (400, 100))
    assert stats.kstest(noise.ravel() / 2.0, "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("a", [0.2, 1.0, 3.0])
def test_mixup_draws_from_beta_and_from_all_partners(a):
    draws = [Draws(0, step, 0).mixup(a, 10) for step in range(3000)]
    own = [share for share, _ in draws]
    # Of 1024 values: the middles of parts of equal probability.
    assert stats.kstest(own, stats.beta(a, a).cdf).pvalue > 0.01
    assert np.isin(own, betaincinv(a, a, (np.arange(1024) + 0.5) / 1024)).all()
    shifts = np.array([partner[0] for _, partner in draws])
    counts = np.bincount(shifts, minlength=10)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 0.01
    for _, partner in draws[:20]:
        assert np.array_equal(np.sort(partner), np.arange(10))


def test_epochs_are_permutations():
    network = make_network((2, 1))
    engine = make_engine(
        numpy_engine, network, make_data(network, 20), shuffle=True, batch_size=1
    )
    seen = []
    traces = [None] * len(network.nodes)
    engine.batch = lambda flat, rows, *_: seen.extend(rows) or (0.0, 0 * flat, traces)
    train(engine, 3)
    epochs = np.reshape(seen, (3, 20))
    assert np.array_equal(np.sort(epochs, axis=1), [np.arange(20)] * 3)
    assert not np.array_equal(epochs[0], epochs[1])


# ----------------------------------------------------------------- optimizers


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40), (1, 6), (6, 1)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    start = s.copy()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    np.testing.assert_allclose(orthogonalised(matrix), (u * s) @ v, atol=1e-6)
    # Nearly alike, except for those that were almost 0.
    assert (0.6 < s[start > 0.01]).all() and (s < 1.3).all()
