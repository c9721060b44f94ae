"""What lies between a product and its activation."""

import numpy as np

from nnfit.functions.normalization import EPSILON
from nnfit.onnx.activations import activated


def convert(graph, node, inputs, arrays):
    """By statistics of the row, or by running ones."""
    (z,), (intercept, *norms) = inputs, arrays
    kind = node.options[0]
    if kind == "batch":
        scale, mean, variance = norms[0]
        deviation = np.sqrt(variance + EPSILON, dtype=np.float64)
        z = graph.op("Sub", z, mean)
        z = graph.op("Mul", z, (scale / deviation).astype(graph.dtype))
    elif kind == "layer":
        z = graph.op("Sub", z, graph.op("ReduceMean", z, [1], keepdims=1))
        variance = graph.op("ReduceMean", graph.op("Mul", z, z), [1], keepdims=1)
        deviation = graph.op("Sqrt", graph.op("Add", variance, EPSILON))
        z = graph.op("Mul", graph.op("Div", z, deviation), norms[0][0])
    return activated(graph, node.activation, graph.op("Add", z, intercept))
