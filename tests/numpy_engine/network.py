"""Forward and backward through a network, a whole batch at a time.

What a layer computes is the NumPy function of its kind (`nnfit.network.kinds`), which
tests/test_reference.py and tests/test_kinds.py hold against formulas and numerical
derivatives.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from nnfit.network import Weights
from nnfit.network.kinds import Batch, kind_of
from tests.numpy_engine.functions import activate, link, pool
from tests.numpy_engine.randomness import (
    FIRST_LAYER,
    FIRST_MASK,
    INPUT_DROPOUT,
    Draws,
)


def size_of(network):
    """Number of elements of `Weights`."""
    return sum(tensor.size for tensor in network.tensors)


def split(network, flat):
    """The arrays of a network as views of one, list by list of `Weights`."""
    parts, start = {place: [] for place in Weights._fields}, 0
    for tensor in network.tensors:
        stop = start + tensor.size
        parts[tensor.place].append(flat[start:stop].reshape(tensor.shape))
        start = stop
    return Weights(**parts)


def in_order(weights):
    """The arrays as one list, as ``network.tensors`` are."""
    return [array for part in weights for array in part]


def by_node(network, weights):
    """For each node a list of its arrays."""
    counted = [None] * len(network.tensors)
    for number, array in zip(network.tensor_order, in_order(weights), strict=True):
        counted[number] = array
    remaining = iter(counted)
    return [[next(remaining) for _ in own] for own in network.tensors_of_nodes]


class Trace(NamedTuple):
    """What the way back needs of a node, and its output.

    Attributes
    ----------
    output : ndarray of shape (n, n_out)
    kept : object
        Of the kind's own.
    factor : ndarray of shape (n, n_out) or float
        Of dropout.
    """

    output: np.ndarray
    kept: object
    factor: np.ndarray | float


def forward(network, weights, X, share=None, dropout=None, draws=None):
    """A pass through all nodes.

    Parameters
    ----------
    network : nnfit.network.Network
    weights : Weights
    X : ndarray or CSR matrix of shape (n, n_features)
    share : ndarray of shape (n,), default=None
        Weights of the rows in batch statistics, of sum 1; None for running ones.
    dropout : callable, default=None
        ``dropout(i, shape, lines)``: factors of outputs, by the i-th rate, of so many
        lines for each row.
    draws : Draws, default=None
        Of what layers take for missing; None for nothing.

    Returns
    -------
    traces : list of Trace
        One for each node. The output of the last is the raw prediction.
    """
    values, traces = [X if isinstance(X, np.ndarray) else X.toarray()], []
    nodes = zip(network.lines[1:], by_node(network, weights), strict=True)
    for number, (lines, arrays) in enumerate(nodes):
        node = network.nodes[number]
        masked = draws and partial(draws.masked, FIRST_MASK + number)
        batch = Batch(share, activate, masked)
        inputs = [values[value] for value in node.inputs]
        output, kept = kind_of(node).forward(node, inputs, arrays, batch)
        factor = 1.0
        if dropout is not None and node.dropout is not None:
            factor = dropout(node.dropout, output.shape, lines)
            output = output * factor
        values.append(output)
        traces.append(Trace(output, kept, factor))
    return traces


def backward(network, weights, traces, gradient, share=None):
    """Gradients in all weights from that in the raw predictions.

    Returns
    -------
    gradients : Weights
        Zeros for running statistics.
    """
    batch = Batch(share, activate)
    of_values = [0.0] * len(network.nodes) + [gradient]
    found = []
    nodes = zip(network.nodes, by_node(network, weights), traces, strict=True)
    for number, (node, arrays, trace) in reversed(list(enumerate(nodes))):
        of_output = of_values[number + 1] * trace.factor
        of_inputs, of_arrays = kind_of(node).backward(
            node, trace.kept, of_output, arrays, batch
        )
        for value, of_input in zip(node.inputs, of_inputs, strict=True):
            if of_input is not None:
                of_values[value] = of_values[value] + of_input
        found = [*of_arrays, *found]
    parts = {place: [] for place in Weights._fields}
    for number, tensor in zip(network.tensor_order, network.tensors, strict=True):
        parts[tensor.place].append(found[number])
    return Weights(**parts)


def predict(network, weights, X, *, raw=False, n_threads=1, dropout=None):
    """Predictions row by row, so that they do not depend on the other rows.

    Parameters
    ----------
    dropout : tuple, default=None
        Rates of the hidden layers and of the input, seed and number of this pass.
    """
    out = np.empty((X.shape[0], network.n_outputs), dtype=network.dtype)
    with np.errstate(all="ignore"):
        for i in range(X.shape[0]):
            row, factors = X[i : i + 1], None
            if dropout is not None:
                rates, input_rate, seed, number = dropout
                draws = Draws(seed, number, i)
                row = drop_inputs(draws, input_rate, row)
                factors = hidden_dropout(draws, rates, network.dtype)
            lines = forward(network, weights, row, dropout=factors)[-1].output
            out[i] = pool(network, lines)[0]
    return out if raw else link(network, out)


def drop_inputs(draws, rate, X):
    """Features after dropout."""
    if rate == 0:
        return X
    X = X if isinstance(X, np.ndarray) else X.toarray()
    return X * draws.dropout(INPUT_DROPOUT, rate, X.shape, X.dtype)


def hidden_dropout(draws, rates, dtype):
    """The function that `forward` takes."""

    def factors(i, shape, lines):
        rate = rates[i] if i < len(rates) else 0.0
        return draws.dropout(FIRST_LAYER + i, rate, shape, dtype, lines)

    return factors
