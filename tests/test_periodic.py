"""Embeddings of numbers by cosines and sines: first weights, and what is refused."""

import numpy as np
import pytest
import scipy.stats

from nnfit.cpu import engine as cpu
from nnfit.functions.activations import ACTIVATIONS
from nnfit.network.initialisation import initial_weights
from nnfit.network.kinds import Factors, Node
from tests.engines import make_data, make_engine, make_weights, results_of, train
from tests.graphs import dense, graph, pbld, periodic

COLUMNS = tuple(range(6))


def drawn(*nodes, seed=3):
    """Arrays that training starts from, of a network of nodes and a dense layer."""
    network = graph(6, *nodes, dense((len(nodes),), 2))
    return initial_weights(network, np.random.RandomState(seed), "he").others


def is_uniform(array, bound):
    """Whether numbers are spread evenly from -bound to bound."""
    return (
        scipy.stats.kstest(array.ravel(), "uniform", (-bound, 2 * bound)).pvalue > 1e-3
    )


@pytest.mark.parametrize("is_lite", [False, True])
def test_plr_starts_from_truncated_frequencies_and_linear_layers(is_lite):
    options = (COLUMNS, 500, 24, is_lite, 0.02)
    frequencies, weights, intercept = drawn(
        Node("periodic_embedding", (0,), 0, None, options)
    )
    assert np.abs(frequencies).max() <= 0.06
    truncated = scipy.stats.truncnorm(-3, 3, scale=0.02)
    assert scipy.stats.kstest(frequencies.ravel(), truncated.cdf).pvalue > 1e-3
    n = 1 if is_lite else 6
    assert weights.shape == (n * 1000, 24)
    assert intercept.shape == ((24,) if is_lite else (6, 24))
    for array in (weights, intercept):
        assert is_uniform(array, 1 / np.sqrt(1000))


def test_frequencies_beyond_three_deviations_are_drawn_again():
    options = ((0,), 100_000, 1, True, 1.0)
    frequencies, *_ = drawn(Node("periodic_embedding", (0,), 0, None, options))
    assert 2.9 < np.abs(frequencies).max() <= 3.0


def test_pbld_starts_as_realmlp():
    frequencies, phases, weights, intercept = drawn(
        Node("pbld", (0,), options=(COLUMNS, 400, 3, 0.1))
    )
    assert scipy.stats.kstest(frequencies.ravel() / 0.1, "norm").pvalue > 1e-3
    assert is_uniform(phases, np.pi)
    assert weights.shape == (2400, 3)
    assert is_uniform(weights, 1 / np.sqrt(400))
    assert intercept.shape == (6, 3)
    assert np.abs(intercept).max() <= 1 / np.sqrt(400)


@pytest.mark.parametrize("n_threads", [1, 2, 16])
@pytest.mark.parametrize("n_rows", [1, 5, 300])
def test_bits_do_not_depend_on_threads_beyond_the_units(n_threads, n_rows):
    """Where threads outnumber them, and where sums take several blocks of rows."""
    nodes = periodic(0, (0, 1), 35, 20, is_lite=True), pbld(1, (3, 0), 16, 3)
    network = graph(5, *nodes, dense((2,), 2), dtype="float32")
    data = make_data(network, n_rows)
    results = []
    for threads in (1, n_threads):
        engine = make_engine(cpu, network, data, "adam", threads, batch_size=280)
        results.append([train(engine, 2), *results_of(engine)])
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


def test_a_hidden_layer_learns_by_the_columns_that_are_embedded():
    """One of four, which is read twice; the embedding itself does not learn."""
    still = (Factors(learning_rate=0.0),) * 4
    embedding = Node("pbld", (1,), options=((2, 2), 4, 3, 0.1), factors=still)
    network = graph(5, dense((0,), 4), embedding, dense((2,), 1))
    data = make_data(network, 20)
    engine = make_engine(cpu, network, data, "sgd", alpha=0.0, weight_decay=0.0)
    train(engine, 1)
    before, after = make_weights(network), engine.get_weights()
    moved = np.any(after.coefs[0] != before.coefs[0], axis=0)
    np.testing.assert_array_equal(moved, [False, False, True, False])
    for one, other in zip(before.others, after.others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (periodic(0, (), 3, 2), r"columns must be units 0 to 5 of it, .* got \(\)"),
        (periodic(0, (6,), 3, 2), r"columns must be units 0 to 5 of it, .* got \(6,\)"),
        (periodic(0, (-1,), 3, 2), "columns must be units 0 to 5"),
        (periodic(0, (0,), 0, 2), "n_frequencies must be at least 1, got 0"),
        (periodic(0, (0,), 3, 0), "d must be at least 1, got 0"),
        (Node("periodic_embedding", (0, 0)), "options must be columns"),
        (Node("periodic_embedding", (0,), options=((0,), 1, 1, True, 0.0)),
         "sigma must be positive and finite, got 0.0"),
        (Node("periodic_embedding", (0, 0), options=((0,), 1, 1, True, 0.1)),
         "it takes one input, got 2"),
        (pbld(0, (7,), 3, 2), "columns must be units 0 to 5"),
        (Node("pbld", (0,), options=((0,), 3)), "options must be columns"),
        (Node("pbld", (0,), 0, ACTIVATIONS["relu"], ((0,), 3, 2, 0.1)),
         "it takes no activation, got 'relu'"),
        (Node("ntp", (0, 0)), "it takes one input, got 2"),
    ],
)  # fmt: skip
def test_nodes_that_cannot_be_are_refused(node, message):
    with pytest.raises(ValueError, match=message):
        graph(6, node, dense((1,), 1))
