"""What a member has of its own behind a shared product."""

from nnfit.onnx.activations import activated


def convert(graph, node, inputs, arrays):
    """``f(s * z + b)``."""
    scale, intercept = arrays
    z = graph.reshaped(inputs[0], -1, *scale.shape)
    z = graph.op("Add", graph.op("Mul", z, scale), intercept)
    return graph.reshaped(activated(graph, node.activation, z), -1, scale.shape[1])
