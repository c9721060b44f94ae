"""Cosines of learnt frequencies and phases, and beside them the numbers."""

from nnfit.network.kinds.periodic_embedding import COLUMNS, SIZE
from nnfit.onnx.kinds.periodic_embedding import angles


def convert(graph, node, inputs, arrays):
    """A product for each column."""
    frequencies, phases, weights, intercept = arrays
    n, k = frequencies.shape
    size = node.options[SIZE]
    x, angle = angles(graph, node, inputs[0], frequencies)
    waves = graph.op("Cos", graph.op("Add", angle, phases))
    e = graph.batched(waves, weights.reshape(n, k, size), intercept)
    width = len(node.options[COLUMNS]) * (size + 1)
    return graph.reshaped(graph.concatenated([e, x], axis=2), -1, width)
