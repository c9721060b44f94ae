"""Forward and backward through a network in NumPy, a whole batch at a time.

What a layer computes is the NumPy function of its kind (`nnfit.network.kinds`). What
looks into a network, value by value, is made of these; engines train and predict.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nnfit.network.description import Weights
from nnfit.network.kinds import Batch, kind_of


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
    slope : ndarray of shape (n, n_out) or None
        Of the activation, where the node has one.
    """

    output: np.ndarray
    kept: Any
    factor: np.ndarray | float
    slope: np.ndarray | None


def forward(
    network, weights, X, activate, share=None, dropout=None, masked=None, noise=None
):
    """A pass through all nodes.

    Parameters
    ----------
    network : nnfit.network.Network
    weights : Weights
    X : ndarray or CSR matrix of shape (n, n_features)
    activate : callable
        ``activate(activation, z)`` gives value and slope.
    share : ndarray of shape (n,), default=None
        Weights of the rows in batch statistics, of sum 1; None for running ones.
    dropout : callable, default=None
        ``dropout(i, shape, lines)``: factors of outputs, by the i-th rate, of so many
        lines for each row.
    masked : callable, default=None
        ``masked(number, rate, shape, lines=lines)``: what node `number` takes for
        missing; None for nothing.
    noise : callable, default=None
        ``noise(number, shape, lines=lines)``: normal numbers of node `number`.

    Returns
    -------
    traces : list of Trace
        One for each node. The output of the last is the raw prediction.
    """
    values, traces = [X if isinstance(X, np.ndarray) else X.toarray()], []
    nodes = zip(network.lines[1:], by_node(network, weights), strict=True)
    for number, (lines, arrays) in enumerate(nodes):
        node, slopes = network.nodes[number], []

        def watched(activation, z, slopes=slopes):
            value, slope = activate(activation, z)
            slopes.append(slope)
            return value, slope

        own = masked and partial(masked, number, lines=lines)
        of_noise = noise and partial(noise, number, lines=lines)
        batch = Batch(share, watched, own, of_noise)
        inputs = [values[value] for value in node.inputs]
        output, kept = kind_of(node).forward(node, inputs, arrays, batch)
        factor = 1.0
        if dropout is not None and node.dropout is not None:
            factor = dropout(node.dropout, output.shape, lines)
            output = output * factor
        values.append(output)
        slope = slopes[0] if slopes and node.activation is not None else None
        traces.append(Trace(output, kept, factor, slope))
    return traces


def backward(network, weights, traces, gradient, activate, share=None):
    """Gradients in all weights and values from that in the raw predictions.

    Returns
    -------
    of_weights : Weights
        Zeros for running statistics.
    of_values : list
        Of the features, then of the nodes; 0.0 where none came back.
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
    return Weights(**parts), of_values
