"""A learnt factor for each input."""


def convert(graph, node, inputs, arrays):
    """One operator."""
    return graph.op("Mul", inputs[0], arrays[0])
