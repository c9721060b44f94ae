"""Dense layers."""

from nnfit.network.kinds.dense import has_intercept
from nnfit.onnx.activations import activated


def convert(graph, node, inputs, arrays):
    """A product and a sum, then the activation."""
    x, *start = inputs
    if has_intercept(node):
        z = graph.op("Gemm", x, *arrays)
    else:
        z = graph.op("MatMul", x, arrays[0])
    for value in start:
        z = graph.op("Add", z, value)
    return activated(graph, node.activation, z)
