"""Codes of categories as numbers."""

import numpy as np

from nnfit.network.kinds.category_embedding import columns_of, lines_of, table_of


def convert(graph, node, inputs, arrays):
    """A table for each column, whose last row is that of codes which there are not."""
    lines, *vectors = arrays
    parts = []
    for column in columns_of(node):
        n_codes = column.n_codes
        rows = lines_of(column, np.arange(n_codes + 1.0), lines)
        table = table_of(column, vectors, lines.dtype)[rows]
        codes = graph.op("Gather", inputs[0], column.unit, axis=1)
        is_code = graph.op(
            "And",
            graph.op("GreaterOrEqual", codes, 0.0),
            graph.op("Less", codes, float(n_codes)),
        )
        is_whole = graph.op("Equal", codes, graph.op("Floor", codes))
        is_code = graph.op("And", is_code, is_whole)
        row = graph.op("Where", is_code, codes, float(n_codes))
        parts.append(graph.op("Gather", table, graph.cast(row, "int64"), axis=0))
    return graph.concatenated(parts)
