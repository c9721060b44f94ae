"""A learnt vector of a number: a line, and a piecewise linear function.

    f(intercept + slope x + e(x) weights)

with the encoding `e` of `piecewise_linear_encoding`. It is what TabM reads (Gorishniy
et al. 2025, arXiv:2410.24210, version "B"). Options: columns of the input, the number
of bins of each, and the length of a column's vector.
"""

import numpy as np

from nnfit.network.kinds import Tensor
from nnfit.network.kinds.piecewise_linear_encoding import (
    bins_of,
    check_bins,
    encodings,
    initial_bins,
)
from nnfit.network.kinds.selection import spread

#: What readers call it.
title = "piecewise linear embedding"


def width(node, widths):
    """That of all vectors."""
    check_bins(node, widths)
    columns, _, d = node.options
    if d < 1:
        raise ValueError(f"the length of its vectors must be at least 1, got {d}")
    return len(columns) * d


def sources(node, of_inputs):
    """That of a column for each element of its vector."""
    columns, _, d = node.options
    return np.repeat(of_inputs[0][list(columns)], d)


def tensors(node, widths):
    """The bins, and of each column slopes and intercepts (d,), of each bin weights."""
    columns, n_bins, d = node.options
    return (
        bins_of(node),
        Tensor("slope", "others", (len(columns), d)),
        Tensor("intercept", "others", (len(columns), d)),
        Tensor("weights", "others", (sum(n_bins), d), is_penalised=True),
    )


def initial(node, widths, draw):
    """Slopes and intercepts from a uniform distribution, weights of 0."""
    columns, n_bins, d = node.options
    bound, shape = 1 / np.sqrt(d), (len(columns), d)
    slope, intercept = (
        draw.random_state.uniform(-bound, bound, shape) for _ in range(2)
    )
    return [initial_bins(node), slope, intercept, np.zeros((sum(n_bins), d))]


def of_columns(node, weights):
    """The weights of each column's bins, a list of (n_bins, d)."""
    return np.split(weights, np.cumsum(node.options[1])[:-1])


def forward(node, inputs, arrays, now):
    """Vectors (n, n_columns * d) of columns of the input (n, n_in)."""
    x, (bins, slope, intercept, weights) = inputs[0], arrays
    found = encodings(node, x, bins)
    parts = [
        intercept[i] + x[:, [column]] * slope[i] + found[i][0] @ own
        for i, (column, own) in enumerate(
            zip(node.options[0], of_columns(node, weights), strict=True)
        )
    ]
    value, f_slope = now.activate(node.activation, np.hstack(parts))
    return value, (x, found, f_slope)


def backward(node, kept, gradient, arrays, now):
    """Gradients by the input, and by all but the bins."""
    x, found, f_slope = kept
    columns, _, d = node.options
    bins, slope, _, weights = arrays
    of_z = (gradient * f_slope).reshape(len(x), len(columns), d)
    of_weights, of_x = [], (of_z * slope).sum(axis=2)
    for i, own in enumerate(of_columns(node, weights)):
        encoding, slopes = found[i]
        of_weights.append(encoding.T @ of_z[:, i])
        of_x[:, i] += (slopes * (of_z[:, i] @ own.T)).sum(axis=1)
    of_slope = (x[:, columns, None] * of_z).sum(axis=0)
    of_arrays = np.zeros_like(bins), of_slope, of_z.sum(axis=0), np.vstack(of_weights)
    return [spread(node, x.shape, of_x)], list(of_arrays)
