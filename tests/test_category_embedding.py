"""Layers of category codes: which line a code has, and what a step changes."""

import ctypes
import time

import numpy as np
import pytest

from nnfit.cpu import engine as cpu
from nnfit.cpu import fields as at
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network.kinds import Node
from tests import numpy_engine
from tests.engines import (
    assert_same_training,
    make_data,
    make_engine,
    make_weights,
    results_of,
    tolerance_of,
    train,
)
from tests.features import CLIPPED
from tests.graphs import TANH, dense, graph

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def codes(columns, n_codes, n_lines, is_one_hot, size=3, mask=0.0):
    options = columns, n_codes, n_lines, is_one_hot, size, mask
    return Node("category_embedding", (0,), options=options)


def embedded(n_categories, n_features=1, size=3, dtype="float64", mask=0.0):
    """A network of columns of so many categories, all with vectors."""
    each = (n_categories,) * n_features
    lines = tuple(n + 1 for n in each)
    columns, kinds = tuple(range(n_features)), (False,) * n_features
    node = codes(columns, each, lines, kinds, size, mask)
    return graph(n_features, node, dense((1,), 4, TANH), dense((2,), 1), dtype=dtype)


def data_of(network, n_rows, n_seen, seed=0):
    """Rows whose codes are the same few for any number of categories."""
    rng = np.random.default_rng(seed)
    n_categories = network.nodes[0].options[1][0]
    places = rng.integers(0, n_seen, size=(n_rows, network.n_features))
    X = (places * (n_categories // n_seen)).astype(network.dtype)
    return X, rng.normal(size=(n_rows, 1)).astype(network.dtype)


# ----------------------------------------------------------------- codes and lines

#: Lines of five codes, the fourth one not seen.
LINES = np.array([2.0, 1.0, 2.0, 0.0, 3.0])
VALUES = {
    0.0: 2, 1.0: 1, 2.0: 2, 3.0: 0, 4.0: 3, 5.0: 0, 1e30: 0, -1.0: 0, 0.5: 0,
    4.5: 0, np.nan: 0, np.inf: 0, -np.inf: 0, 3.9999: 0,
}  # fmt: skip
#: What becomes of lines 0 to 3: one-hot, and of a column of two categories.
ONE_HOT = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
SIGNS = np.array([[0], [1], [-1]])


@DTYPES
def test_codes_have_lines(dtype):
    """One-hot, signs and vectors; what is no code has line 0."""
    node = codes((2, 0, 1), (5, 3, 5), (4, 3, 4), (True, True, False), 2)
    n_out = 3 + 1 + 2
    network = graph(3, node, dense((1,), n_out, intercept=False), dtype=dtype)
    vectors = np.arange(8.0).reshape(4, 2) + 1
    lines = np.concatenate([LINES, [1.0, 2.0, 2.0], LINES])
    weights = network.weights_of(
        np.array(array, dtype) for array in (np.eye(n_out), lines, vectors)
    )
    given = np.array(list(VALUES))
    signs = np.where(np.arange(len(given)) % 3 == 0, 0.0, 1.0)
    X = np.stack([signs, given, given], axis=1).astype(dtype)
    found = list(VALUES.values())
    expected = np.hstack(
        [ONE_HOT[found], SIGNS[np.where(signs == 0, 1, 2)], vectors[found]]
    )
    for n in (1, len(X)):  # of few rows the weights are read where they are
        parts = [cpu.predict(network, weights, X[i : i + n]) for i in range(len(X))]
        rows = [part[0] for part in parts]
        np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(numpy_engine.predict(network, weights, X), expected)


def test_lines_that_there_are_not_are_the_first():
    """Weights that somebody has set do not lead out of the vectors."""
    network = embedded(4, size=2)
    weights = make_weights(network)
    weights.others[0][:] = [7.0, -1.0, np.nan, 2.0]
    X = np.array([[np.nan], [0.0], [1.0], [2.0], [3.0]])
    found = cpu.predict(network, weights, X)
    assert (found[1:4] == found[0]).all() and found[4] != found[0]
    np.testing.assert_allclose(found, numpy_engine.predict(network, weights, X))


# ------------------------------------------------------------------ what is random


def test_training_takes_a_share_for_missing_and_predictions_none():
    network = embedded(50, n_features=8, mask=0.25)
    data = data_of(network, 400, 50)
    engine = make_engine(cpu, network, data, "sgd", batch_size=400, hyper=(0.0,))
    before = engine.get_weights().others[1]
    train(engine, 1)
    missing = (
        before.reshape(8, 51, -1)[:, 0]
        != engine.get_weights().others[1].reshape(8, 51, -1)[:, 0]
    )
    assert missing.all()  # no code of the data has line 0
    plain = embedded(50, n_features=8)
    weights = engine.get_weights()
    results = [cpu.predict(each, weights, data[0]) for each in (network, plain)]
    np.testing.assert_array_equal(*results)


def test_the_gradient_of_all_data_masks_nothing():
    """A line search needs a function."""
    networks = embedded(50, mask=0.5), embedded(50)
    found = []
    for network in networks:
        engine = make_engine(cpu, network, data_of(network, 40, 9), None)
        flat = engine.flat.copy()
        found += [engine.loss_and_gradient(flat) for _ in range(2)]
    for loss, gradient in found:
        assert loss == found[0][0]
        np.testing.assert_array_equal(gradient, found[0][1])


# ------------------------------------------------- lines that a batch does not have


@pytest.mark.parametrize("solver", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, CLIPPED], ids=["plain", "clipped"])
def test_lines_without_rows_keep_their_bits(solver, options):
    """Their values and moments, whatever others do; those with rows are changed."""
    network = embedded(40)
    options = {"weight_decay": 0.0, "batch_size": 60, **options}
    engine = make_engine(cpu, network, data_of(network, 60, 40), solver, **options)
    train(engine, 2)
    weights, moments = engine.get_weights().others[1], engine.get_state()["moments"]
    X, y = data_of(network, 60, 5)
    engine.set_data(X, y)
    train(engine, 5)  # an odd number of steps, all of one size in lion
    touched = np.isin(np.arange(41), X + 1)
    assert 0 < touched.sum() < 41
    after = engine.get_weights().others[1]
    assert np.array_equal(weights[~touched], after[~touched])
    assert (weights[touched] != after[touched]).any()
    vectors = slice(-41 * 3, None)  # the last tensor
    others = engine.get_state()["moments"]
    for one, other in zip(moments[:, vectors], others[:, vectors], strict=True):
        one, other = one.reshape(41, 3), other.reshape(41, 3)
        assert np.array_equal(one[~touched], other[~touched])
        assert (one[touched] != other[touched]).any(axis=1).all()
    np.testing.assert_array_equal(engine.get_weights().others[0], np.arange(1, 41))


@pytest.mark.parametrize("solver", ["adamw", "schedule_free"])
def test_averages_follow_all_lines(solver):
    """Also those that the batch does not have; what comes from data stays."""
    network = embedded(20)
    average = {} if solver == "schedule_free" else {"average": True}
    data = data_of(network, 50, 4)
    assert_same_training(
        network, data, **tolerance_of("float64"), solver=solver, batch_size=10,
        batch_factors=lambda first, count: np.full((count, 5), (1, 1, 1, 1, 0.3)),
        **average,
    )  # fmt: skip


# ------------------------------------------------------------------ threads and cost


@pytest.mark.parametrize("options", [{}, CLIPPED], ids=["plain", "clipped"])
@DTYPES
def test_bits_do_not_depend_on_the_number_of_threads(dtype, options):
    """Many rows have a line, and many lines no row."""
    network = embedded(300, n_features=3, dtype=dtype, mask=0.2)
    X, y = data_of(network, 500, 150)
    X[::3, 0] = 7
    weight = np.random.default_rng(3).uniform(size=500)
    results = []
    for n_threads in (1, 2, 3, 4, 7, 16):
        engine = make_engine(
            cpu, network, (X, y, weight), "adam", n_threads, batch_size=180, **options
        )
        results.append([train(engine, 2), *results_of(engine)])
    for others in results[1:]:
        for one, many in zip(results[0], others, strict=True):
            assert np.array_equal(one, many)


def lines_of_a_step(engine):
    """How many lines the last step has changed."""
    table = engine._tables.ints
    units = table[at.UNITS] + at.UNIT * np.arange(table[at.N_UNITS])
    addresses = [table[unit + at.U_TOUCHED] for unit in units]
    counts = [ctypes.c_int64.from_address(int(place)) for place in addresses if place]
    return sum(count.value for count in counts)


def test_a_step_costs_what_the_batch_has():
    """The same lines and nearly the time, of a hundred times as many categories."""
    seconds = {}
    engines = {}
    for n_categories in (10**3, 10**5):
        network = embedded(n_categories, size=8, dtype="float32")
        data = data_of(network, 2560, 900)
        engine = make_engine(cpu, network, data, batch_size=256)
        train(engine, 1)
        last = np.unique(data[0][-256:])
        assert lines_of_a_step(engine) == len(last)
        engines[n_categories], seconds[n_categories] = engine, []
    for turn in range(1, 6):
        for n_categories, engine in engines.items():
            started = time.process_time()
            train(engine, 1 + 10 * turn)
            seconds[n_categories].append(time.process_time() - started)
    few, many = (min(each) for each in seconds.values())
    assert many < 4 * few  # all lines would be sixty times as much


# ------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (codes((0,), (3,), (4,), ()), "of equal lengths"),
        (codes((5,), (3,), (4,), (True,)), "columns must be units 0 to 2, got 5"),
        (codes((0,), (0,), (4,), (True,)), "column 0 must have at least one code"),
        (codes((0,), (3,), (0,), (True,)), "column 0 must have at least one code"),
        (codes((0,), (3,), (1,), (True,)), "needs a column with categories"),
        (codes((0,), (3,), (4,), (False,), 0), "vectors must have at least one"),
        (codes((0,), (3,), (4,), (False,), 2, 1.0), r"mask must be in \[0, 1\), got 1"),
        (Node("category_embedding", (0,)), "its options must be columns"),
        (Node("category_embedding", (0, 0)), "takes one input, got 2"),
    ],
)
def test_options_that_do_not_fit_are_refused(node, message):
    with pytest.raises(ValueError, match=message):
        graph(3, node, dense((1,), 2))


def test_data_have_codes():
    """The data of tests have codes, and some that a layer does not know."""
    network = embedded(5, 2)
    X, _ = make_data(network, 100)
    assert set(np.unique(X)) == {-1, 0, 1, 2, 3, 4, 5}
