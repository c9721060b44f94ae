"""A learnt vector of a number: a line, and a piecewise linear function."""

import numpy as np

from nnfit.network.kinds.piecewise_linear_embedding import of_columns
from nnfit.onnx.activations import activated
from nnfit.onnx.pieces import Bins


def convert(graph, node, inputs, arrays):
    """A product for each column, whose bins are filled up to the same number."""
    columns, n_bins, d = node.options
    edges, slope, intercept, weights = arrays
    most, bins = max(n_bins), Bins(graph.dtype)
    matrices = np.zeros((len(columns), 1 + most, d), graph.dtype)
    own = zip(columns, n_bins, edges, slope, of_columns(node, weights), strict=True)
    for matrix, (column, n, row, line, of_bins) in zip(matrices, own, strict=True):
        bins.add_number(column)
        bins.add_bins(column, row[: n + 1], most)
        matrix[0], matrix[1 : n + 1] = line, of_bins
    encoded = graph.reshaped(bins.encoded(graph, inputs[0]), -1, len(columns), 1 + most)
    z = graph.batched(encoded, matrices, intercept)
    return activated(graph, node.activation, graph.reshaped(z, -1, len(columns) * d))
