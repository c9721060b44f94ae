"""Where a number lies among bins, as many numbers as there are bins.

Of edges ``b_0 < b_1 < ... < b_T`` it is (Gorishniy et al. 2022, arXiv:2203.05556)

    e_t = (x - b_{t-1}) / (b_t - b_{t-1}),   t = 1, ..., T

cut off below 0 for t > 1 and above 1 for t < T: 1 for bins below x, 0 for those above
it. Options: columns of the input; the number of bins of each; a factor of the encoding;
and whether a column goes before its own encoding.
"""

import numpy as np

from nnfit.network.bins import normal_bins, side_by_side
from nnfit.network.kinds import Tensor
from nnfit.network.kinds.selection import check_columns, spread

#: What readers call it.
title = "piecewise linear encoding"


def check_bins(node, widths):
    """See that a node has columns of its input, and bins of each; or ValueError."""
    check_columns(node, widths)
    columns, n_bins = node.options[:2]
    if len(n_bins) != len(columns) or min(n_bins) < 1:
        raise ValueError(
            f"it needs a number of bins, at least 1, for each of its {len(columns)} "
            f"columns, got {n_bins}"
        )


def bins_of(node):
    """The edges, (n_columns, most bins + 1); beyond its own a row repeats the last."""
    columns, n_bins = node.options[:2]
    return Tensor("bins", "others", (len(columns), max(n_bins) + 1), n_trained=0)


def initial_bins(node):
    """Quantiles of a normal distribution."""
    return side_by_side([normal_bins(n) for n in node.options[1]])[1]


def encode(x, edges):
    """Encoding of numbers.

    Parameters
    ----------
    x : ndarray of shape (n,)
    edges : ndarray of shape (n_bins + 1,)

    Returns
    -------
    encoding, slope : ndarray of shape (n, n_bins)
    """
    n = len(edges) - 1
    bins, own = np.arange(n), np.searchsorted(edges[1:n], x, side="right")[:, None]
    widths = np.diff(edges)
    inside = (x[:, None] - edges[:-1]) / widths
    encoding = np.where(bins == own, inside, (bins < own).astype(x.dtype))
    return encoding, np.where(bins == own, 1 / widths, 0).astype(x.dtype)


def encodings(node, x, bins):
    """`encode` of each of a node's columns of the input (n, n_in), a list."""
    return [
        encode(x[:, column], edges[: n + 1])
        for column, n, edges in zip(*node.options[:2], bins, strict=True)
    ]


def width(node, widths):
    """All bins, and the columns themselves if they are kept."""
    check_bins(node, widths)
    columns, n_bins, _, keeps_input = node.options
    return sum(n_bins) + keeps_input * len(columns)


def sources(node, of_inputs):
    """That of a column for each of its bins, and for itself."""
    columns, n_bins, _, keeps_input = node.options
    n_units = [n + int(keeps_input) for n in n_bins]
    return np.repeat(of_inputs[0][list(columns)], n_units)


def tensors(node, widths):
    """The bins."""
    return (bins_of(node),)


def initial(node, widths, draw):
    """Quantiles of a normal distribution."""
    return [initial_bins(node)]


def forward(node, inputs, arrays, now):
    """Encodings (n, n_out) of columns of the input (n, n_in)."""
    x, (columns, _, scale, keeps_input) = inputs[0], node.options
    parts, slopes = [], []
    for column, (encoding, slope) in zip(
        columns, encodings(node, x, arrays[0]), strict=True
    ):
        own = np.ones((len(x), int(keeps_input)), x.dtype)
        parts.append(np.hstack([x[:, [column]] * own, scale * encoding]))
        slopes.append(np.hstack([own, scale * slope]))
    return np.hstack(parts), (x.shape, slopes, arrays[0])


def backward(node, kept, gradient, arrays, now):
    """Gradient by the input; none by the bins."""
    shape, slopes, bins = kept
    ends = np.cumsum([slope.shape[1] for slope in slopes])[:-1]
    parts = zip(np.split(gradient, ends, axis=1), slopes, strict=True)
    of_columns = np.stack([(part * slope).sum(axis=1) for part, slope in parts], axis=1)
    return [spread(node, shape, of_columns)], [np.zeros_like(bins)]
