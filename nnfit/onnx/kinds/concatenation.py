"""The inputs beside one another."""


def convert(graph, node, inputs, arrays):
    """One operator."""
    return graph.concatenated(inputs)
