"""Columns about a middle, perhaps cut off smoothly."""

from nnfit.network.kinds.scaling import LARGEST


def convert(graph, node, inputs, arrays):
    """``z / sqrt(1 + (c z)^2)``, ``z = s (x - m)``."""
    shift, scale, cut = arrays[0]
    z = graph.op("Sub", graph.columns(inputs[0], node.options[0]), shift)
    z = graph.op("Clip", graph.op("Mul", z, scale), -LARGEST, LARGEST)
    if not cut.any():
        return z
    part = graph.op("Mul", z, cut)
    square = graph.op("Add", graph.op("Mul", part, part), 1.0)
    return graph.op("Div", z, graph.op("Sqrt", square))
