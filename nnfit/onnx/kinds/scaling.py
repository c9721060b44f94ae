"""Columns about a middle, perhaps cut off smoothly."""

from nnfit.network.kinds.scaling import LARGEST


def convert(graph, node, inputs, arrays):
    """``z / sqrt(1 + (c z)^2)``, ``z = s (x - m)``."""
    return scaled(graph, graph.columns(inputs[0], node.options[0]), arrays[0])


def scaled(graph, x, numbers):
    """Columns of a value by shift m, scale s and cut c, (3, n_columns)."""
    shift, scale, cut = numbers
    z = graph.op("Sub", x, shift)
    z = graph.op("Clip", graph.op("Mul", z, scale), -LARGEST, LARGEST)
    if not cut.any():
        return z
    part = graph.op("Mul", z, cut)
    square = graph.op("Add", graph.op("Mul", part, part), 1.0)
    return graph.op("Div", z, graph.op("Sqrt", square))
