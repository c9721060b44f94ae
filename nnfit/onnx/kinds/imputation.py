"""Columns with a number in the place of what is missing, and indicators."""


def convert(graph, node, inputs, arrays):
    """Filled columns, then indicators."""
    (x,), (columns, indicated) = inputs, node.options
    numbers = graph.columns(x, columns)
    parts = [graph.op("Where", graph.op("IsNaN", numbers), arrays[0], numbers)]
    if indicated:
        missing = graph.op("IsNaN", graph.columns(x, indicated))
        parts.append(graph.cast(missing, graph.dtype))
    return graph.concatenated(parts)
