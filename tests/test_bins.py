"""Bins of columns, as they are found from data, and layers that they do not fit."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from nnfit.cpu import engine as cpu
from nnfit.network import bins
from nnfit.network.kinds import Node
from tests.engines import (
    assert_same_training,
    make_data,
    make_engine,
    make_weights,
    tolerance_of,
    train,
)
from tests.graphs import between, dense, graph

X = np.random.default_rng(0).gamma(2.0, size=(500, 4))
Y = np.sin(3 * X[:, 0]) + (X[:, 1] > 1.5)


def test_quantiles_are_those_of_numpy_each_once():
    edges = bins.quantile_bins(X[:, 0], 16)
    np.testing.assert_array_equal(edges, np.quantile(X[:, 0], np.linspace(0, 1, 17)))
    x = np.repeat([0.0, 1.0, 5.0], [300, 10, 100])
    assert bins.quantile_bins(x, 2).tolist() == [0.0, 5.0]
    assert bins.quantile_bins(x, 16).tolist() == [0.0, 1.0, 5.0]


def test_quantiles_of_weighted_rows_are_those_of_repeated_ones():
    """Whatever the sum of the weights; equal ones change nothing."""
    x, counts = X[:, 0], np.random.default_rng(1).integers(0, 4, size=500)
    edges = bins.quantile_bins(x, 10, counts.astype(float))
    repeated = np.repeat(x, counts)
    expected = np.quantile(repeated, np.linspace(0, 1, 11), method="inverted_cdf")
    np.testing.assert_array_equal(edges, expected)
    np.testing.assert_array_equal(edges, bins.quantile_bins(x, 10, counts / 100))
    equal = np.full(500, 3.0)
    equal[::2] = 0.0
    found, expected = bins.quantile_bins(x, 10, equal), bins.quantile_bins(x[1::2], 10)
    np.testing.assert_array_equal(found, expected)


def test_edges_of_a_tree_are_its_splits_between_the_ends():
    x = X[:, 0]
    edges = bins.tree_bins(x, Y, 8, "regression")
    tree = DecisionTreeRegressor(
        max_leaf_nodes=8, min_samples_leaf=64, min_impurity_decrease=1e-4
    )
    nodes = tree.fit(x[:, None], Y).tree_
    inner = np.sort(nodes.threshold[nodes.children_left >= 0])
    np.testing.assert_allclose(edges, [x.min(), *inner, x.max()], rtol=1e-12)
    assert 2 < len(edges) <= 9
    step = bins.tree_bins(X[:, 1], X[:, 1] > 1.5, 8, "classification")
    assert len(step) == 3
    assert step[1] == pytest.approx(1.5, abs=0.02)


def test_a_tree_takes_weights_and_several_targets():
    weights = (X[:, 0] < 1.0).astype(float)
    targets = np.stack([Y, -Y], axis=1)
    edges = bins.tree_bins(X[:, 0], targets, 8, "regression", weights)
    inside = X[:, 0] < 1.0
    expected = bins.tree_bins(X[inside, 0], targets[inside], 8, "regression")
    np.testing.assert_array_equal(edges, expected)
    assert edges[-1] < 1.0


#: Columns with few values, and how many bins between quantiles they have of 8.
FEW = {
    "constant": (np.full(200, 3.0), 1),
    "huge constant": (np.full(200, 1e30), 1),
    "two values": (np.arange(200) % 3 == 0, 1),
    "fewer values than bins": (np.arange(200) % 5, 4),
    "one row": (np.array([7.0]), 1),
    "differences that float32 has not": (1.0 + 1e-10 * np.arange(200), 8),
}


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges_increase_in_the_type_of_the_network(name, dtype):
    x, n_bins = FEW[name]
    found = bins.quantile_bins(x, 8, dtype=dtype)
    is_one = dtype == "float32" and "float32" in name
    assert len(found) - 1 == (1 if is_one else n_bins)
    tree = bins.tree_bins(x, x, 8, "regression", dtype=dtype, min_samples_leaf=1)
    for edges in (found, tree):
        assert edges.dtype == np.float64
        assert (np.diff(edges.astype(dtype)) > 0).all()
        np.testing.assert_array_equal(edges.astype(dtype), edges)
    if name == "constant":
        assert found.tolist() == tree.tolist() == [2.5, 3.5]


@pytest.mark.parametrize("targets", [{}, dict(y=Y, task="regression")])
def test_bins_of_columns_lie_side_by_side(targets):
    columns = np.full(len(X), 2.0), np.where(X[:, 0] < 1.0, 0.0, X[:, 0])
    n_bins, found = bins.find_bins(columns, 6, dtype="float32", **targets)
    assert n_bins[0] == 1
    assert found.shape == (2, n_bins[1] + 1)
    assert (found[0, 1:] == found[0, 1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bins_of_values_that_are_not_finite_are_refused(value):
    wrong = X.copy()
    wrong[3, 2] = value
    with pytest.raises(ValueError, match="finite values, got others in column 2"):
        bins.find_bins(wrong.T, 4)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("selection", ((),), "at least one column, got none"),
        ("selection", ((0, 5, -1),), r"columns must be from 0 to 4, got \[5, -1\]"),
        ("piecewise_linear_encoding", ((0, 1), (3,), 1.0, False), "each of its 2 col"),
        ("piecewise_linear_embedding", ((0,), (0,), 4), r"at least 1, .* got \(0,\)"),
        ("piecewise_linear_embedding", ((0,), (3,), 0), "length of its vectors"),
        ("piecewise_linear_embedding", ((7,), (3,), 2), r"from 0 to 4, got \[7\]"),
    ],
)
def test_layers_that_do_not_fit_their_input_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=f"Node 0 .*{kind}.*{message}"):
        graph(5, Node(kind, (0,), options=options), dense((1,), 1))


def test_an_average_of_the_weights_leaves_the_bins_alone():
    """And there is no pass over the data for statistics that there are none of."""
    network = between(("piecewise_linear_embedding", ""))
    assert not network.has_statistics
    for options in (dict(average=True), dict(solver="schedule_free")):
        engine = make_engine(cpu, network, make_data(network, 40), **options)
        before = engine.get_weights().others[0]
        train(engine, 3)
        evaluated = engine.get_weights(engine.evaluated())
        for weights in (engine.get_weights(), evaluated):
            np.testing.assert_array_equal(weights.others[0], before)
        assert (evaluated.others[1] != engine.get_weights().others[1]).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["encoding", "embedding"])
def test_many_bins_train_as_the_reference(kind, dtype):
    """Of values on edges and far outside of them as well."""
    options = (1.0, False) if kind == "encoding" else (18,)
    n_bins = 70, 33
    node = Node(f"piecewise_linear_{kind}", (0,), options=((1, 0), n_bins, *options))
    network = graph(2, node, dense((1,), 2), dtype=dtype)
    edges = make_weights(network).others[0]
    inside = np.random.default_rng(2).normal(size=(60, 2)).astype(dtype)
    # Sums over rows of such different sizes have few digits in single precision.
    far = 1e3 if dtype == "float64" else 30.0
    outside = np.array([[-30.0, 30.0], [far, -far]], dtype)
    on_edges = np.stack([edges[1, :34], edges[0, :34]], axis=1)
    features = np.vstack([inside, outside, on_edges])
    data = features, make_data(network, len(features))[1]
    assert_same_training(network, data, **tolerance_of(dtype), learning_rate_init=1e-3)
