"""An activation with a learnt share for each unit."""

from nnfit.onnx.activations import activated


def convert(graph, node, inputs, arrays):
    """``(1 - a) x + a f(x)``."""
    (x,), (share,) = inputs, arrays
    value = graph.op("Mul", activated(graph, node.activation, x), share)
    return graph.op("Add", graph.op("Mul", x, 1 - share), value)
