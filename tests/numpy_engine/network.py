"""Forward and backward through a network, a whole batch at a time."""

from types import SimpleNamespace

import numpy as np

from nnfit.network import Weights
from tests.numpy_engine.functions import activate, link
from tests.numpy_engine.randomness import FIRST_LAYER, INPUT_DROPOUT, Draws

#: Added to a variance before its root is taken.
EPSILON = 1e-5
#: Batches of fewer rows have no variance: 1 - the sum of the squared shares.
ONE_ROW = 1e-7


def size_of(network):
    """Number of elements of `Weights`."""
    return sum(
        (layer.n_in + 1 + layer.n_norms) * layer.n_out for layer in network.layers
    )


def split(network, flat):
    """The arrays of a network as views of one: coefs, then intercepts, then norms."""
    shapes = [
        [(layer.n_in, layer.n_out) for layer in network.layers],
        [(layer.n_out,) for layer in network.layers],
        [(layer.n_norms, layer.n_out) for layer in network.layers if layer.n_norms],
    ]
    parts, start = [], 0
    for group in shapes:
        parts.append([])
        for shape in group:
            stop = start + int(np.prod(shape))
            parts[-1].append(flat[start:stop].reshape(shape))
            start = stop
    return Weights(*parts)


# normalisation: z -> ((z - mean) / deviation, statistics) ---------------------


def layer_statistics(z):
    """Mean and biased variance of every row, (n, 1)."""
    z = z.astype(np.float64)
    return z.mean(axis=1, keepdims=True), z.var(axis=1, keepdims=True)


def batch_statistics(z, share):
    """Weighted mean and biased variance of every unit, (1, n_out).

    Parameters
    ----------
    z : ndarray of shape (n, n_out)
    share : ndarray of shape (n,)
        Weights of the rows, whose sum is 1.
    """
    z = z.astype(np.float64)
    mean = share @ z
    return mean[None], (share @ (z - mean) ** 2)[None]


def has_variance(share):
    """Whether more than one row has a weight."""
    return 1 - np.sum(share**2) > ONE_ROW


def normalise(layer, z, norm, share):
    """Normalised `z`, and what its backward pass and the running statistics need.

    Parameters
    ----------
    layer : nnfit.network.Layer
    z : ndarray of shape (n, n_out)
    norm : ndarray of shape (n_norms, n_out)
    share : ndarray of shape (n,) or None
        None to take the running statistics.
    """
    statistics = None
    if layer.normalization == "layer":
        mean, variance = layer_statistics(z)
    elif share is not None and has_variance(share):
        mean, variance = batch_statistics(z, share)
        statistics = np.vstack([mean, variance / (1 - np.sum(share**2))])
    else:
        mean, variance = norm[1:2], norm[2:3]
    deviation = np.sqrt(variance + EPSILON)
    value = ((z - mean) / deviation).astype(z.dtype)
    return value, deviation, statistics


def normalise_backward(layer, gradient, trace, share):
    """Gradient in `z` from that in the normalised `z`."""
    value = trace.normalised
    if layer.normalization == "layer":
        mean = gradient.mean(axis=1, keepdims=True)
        along = (gradient * value).mean(axis=1, keepdims=True)
    elif trace.statistics is not None:
        mean = share[:, None] * gradient.sum(axis=0)
        along = share[:, None] * (gradient * value).sum(axis=0)
    else:  # running statistics are constants
        mean = along = 0.0
    return ((gradient - mean - value * along) / trace.deviation).astype(value.dtype)


# the network -----------------------------------------------------------------


def forward(network, weights, X, share=None, dropout=None):
    """A pass through all layers.

    Parameters
    ----------
    network : nnfit.network.Network
    weights : Weights
    X : ndarray or CSR matrix of shape (n, n_features)
    share : ndarray of shape (n,), default=None
        Weights of the rows in batch statistics, of sum 1; None for running ones.
    dropout : callable, default=None
        ``dropout(i, shape)``: factors of the outputs of hidden layer i.

    Returns
    -------
    traces : list of SimpleNamespace
        For each layer its `inputs`; `z`; `normalised`, `deviation` and `statistics`
        (mean and unbiased variance of the batch, or None) where it is normalised;
        the `slope` of its outputs in the activation's input, and its `outputs`,
        which for the last one are the raw predictions.
    """
    traces, norms = [], iter(weights.norms)
    outputs, z = X, None
    for i, layer in enumerate(network.layers):
        inputs = np.hstack([outputs, z]) if layer.skip == "projection" else outputs
        product = inputs @ weights.coefs[i]
        z = product + z if layer.skip == "identity" else product
        trace = SimpleNamespace(inputs=inputs, z=z, statistics=None)
        u = z
        if layer.normalization is not None:
            norm = next(norms)
            trace.normalised, trace.deviation, trace.statistics = normalise(
                layer, z, norm, share
            )
            u = norm[0] * trace.normalised
        outputs, trace.slope = activate(layer.activation, u + weights.intercepts[i])
        if dropout is not None and i < len(network.layers) - 1:
            factor = dropout(i, outputs.shape)
            outputs, trace.slope = outputs * factor, trace.slope * factor
        trace.outputs = outputs
        traces.append(trace)
    return traces


def backward(network, weights, traces, gradient, share=None):
    """Gradients in all weights from that in the raw predictions.

    Returns
    -------
    gradients : Weights
        Zeros for running statistics.
    """
    coefs, intercepts, norms = [], [], []
    remaining = list(weights.norms)
    of_skip = 0.0  # gradient that reaches this layer's z around the next layer
    for i in reversed(range(len(network.layers))):
        layer, trace = network.layers[i], traces[i]
        of_u = gradient * trace.slope
        intercepts.insert(0, of_u.sum(axis=0))
        of_z = of_u
        if layer.normalization is not None:
            norm = remaining.pop()
            of_norm = np.zeros_like(norm)
            of_norm[0] = (of_u * trace.normalised).sum(axis=0)
            norms.insert(0, of_norm)
            of_z = normalise_backward(layer, of_u * norm[0], trace, share)
        of_z = of_z + of_skip
        coefs.insert(0, np.asarray(trace.inputs.T @ of_z))
        gradient, of_skip = of_z @ weights.coefs[i].T, 0.0
        if layer.skip == "identity":
            of_skip = of_z
        elif layer.skip == "projection":
            gradient, of_skip = np.hsplit(gradient, 2)
    return Weights(coefs, intercepts, norms)


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
            out[i] = forward(network, weights, row, dropout=factors)[-1].outputs[0]
    return out if raw else link(network, out)


def drop_inputs(draws, rate, X):
    """Features after dropout."""
    if rate == 0:
        return X
    X = X if isinstance(X, np.ndarray) else X.toarray()
    return X * draws.dropout(INPUT_DROPOUT, rate, X.shape, X.dtype)


def hidden_dropout(draws, rates, dtype):
    """The function that `forward` takes."""

    def factors(i, shape):
        rate = rates[i] if i < len(rates) else 0.0
        return draws.dropout(FIRST_LAYER + i, rate, shape, dtype)

    return factors
