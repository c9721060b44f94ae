"""Some of the input's columns."""


def convert(graph, node, inputs, arrays):
    """One operator."""
    return graph.columns(inputs[0], node.options[0])
