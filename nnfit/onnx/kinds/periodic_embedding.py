"""Numbers as cosines and sines of learnt frequencies."""

from nnfit.network.kinds.periodic_embedding import (
    COLUMNS,
    N_FREQUENCIES,
    SIZE,
    TWO_PI,
)
from nnfit.onnx.activations import activated


def angles(graph, node, x, frequencies):
    """Numbers (n, n_columns, 1), and ``2 pi c x`` of each frequency."""
    columns = node.options[COLUMNS]
    x = graph.reshaped(graph.columns(x, columns), -1, len(columns), 1)
    return x, graph.op("Mul", graph.op("Mul", x, TWO_PI), frequencies)


def convert(graph, node, inputs, arrays):
    """A product for each column, with matrices of its own or one for all."""
    k, size = node.options[N_FREQUENCIES], node.options[SIZE]
    _, angle = angles(graph, node, inputs[0], arrays[0])
    waves = [graph.op("Cos", angle), graph.op("Sin", angle)]
    matrices, intercept = (
        arrays[1].reshape(-1, 2 * k, size),
        arrays[2].reshape(-1, size),
    )
    z = graph.batched(graph.concatenated(waves, axis=2), matrices, intercept)
    z = graph.reshaped(z, -1, len(node.options[COLUMNS]) * size)
    return activated(graph, node.activation, z)
