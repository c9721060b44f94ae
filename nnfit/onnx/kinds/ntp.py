"""The scaling of the neural tangent kernel."""


def convert(graph, node, inputs, arrays):
    """The number of inputs is that of the value's columns."""
    n_in = graph.cast(graph.op("Shape", inputs[0], start=1), graph.dtype)
    return graph.op("Div", inputs[0], graph.op("Sqrt", n_in))
