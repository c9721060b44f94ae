"""Forward and backward through a network, a whole batch at a time.

The way through the nodes and what a layer computes are the package's
(`nnfit.network.passes`), which tests/test_reference.py and tests/test_kinds.py hold
against formulas and numerical derivatives.
"""

import numpy as np

from nnfit.network import Weights, passes
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


def forward(network, weights, X, share=None, dropout=None, draws=None):
    """A pass through all nodes; `draws` say what layers take for missing."""

    def masked(number, rate, shape, lines):
        return draws.masked(FIRST_MASK + number, rate, shape, lines=lines)

    def noise(number, shape, lines):
        return draws.normal(FIRST_MASK + number, shape, lines)

    of_draws = (masked, noise) if draws else ()
    return passes.forward(network, weights, X, activate, share, dropout, *of_draws)


def backward(network, weights, traces, gradient, share=None):
    """Gradients in all weights from that in the raw predictions; 0 in frozen ones."""
    found = passes.backward(network, weights, traces, gradient, activate, share)[0]
    arrays = [array for arrays in found for array in arrays]
    nodes = zip(network.nodes, network.tensors_of_nodes, strict=True)
    is_frozen = [node.is_frozen for node, own in nodes for _ in own]
    for array, number in zip(arrays, network.tensor_order, strict=True):
        if is_frozen[number]:
            array[...] = 0.0
    return found


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


def drop_inputs(draws, rate, X, lines=1):
    """Features after dropout."""
    if rate == 0:
        return X
    X = X if isinstance(X, np.ndarray) else X.toarray()
    return X * draws.dropout(INPUT_DROPOUT, rate, X.shape, X.dtype, lines)


def hidden_dropout(draws, rates, dtype):
    """The function that `forward` takes."""

    def factors(i, shape, lines):
        rate = rates[i] if i < len(rates) else 0.0
        return draws.dropout(FIRST_LAYER + i, rate, shape, dtype, lines)

    return factors
