"""Where numbers lie among edges, and piecewise linear functions of them."""

import numpy as np


def counts_below(graph, x, edges):
    """How many edges of its column a number is not less than, found by halving.

    Parameters
    ----------
    graph : Graph
    x : str
        (n, n_columns)
    edges : list of ndarray
        Of each column, increasing.

    Returns
    -------
    str
        (n, n_columns) of int64.
    """
    n_steps = max(map(len, edges)).bit_length()
    size = 2**n_steps
    table = np.full((len(edges), size), np.inf)
    for row, own in zip(table, edges, strict=True):
        row[: len(own)] = own
    table = graph.constant(table.ravel().astype(graph.dtype))
    first = size * np.arange(len(edges))[None]
    found = graph.op("Mul", graph.cast(graph.op("IsNaN", x), "int64"), 0)
    for step in reversed(range(n_steps)):
        further = graph.op("Add", found, 2**step)
        edge = graph.op("Gather", table, graph.op("Add", further, first - 1))
        is_below = graph.op("GreaterOrEqual", x, edge)
        found = graph.op("Where", is_below, further, found)
    return found


class Bins:
    """Encodings of columns by bins, all side by side: ``e = (x - start) / width``.

    Cut off below and above, each with limits of its own. A column may also stand there
    as it is.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    """

    def __init__(self, dtype):
        self._dtype, self._columns, self._bins = dtype, [], []

    def add_number(self, column):
        """Take a column as it is."""
        self._add(column, (0.0, 1.0, -np.inf, np.inf))

    def add_bins(self, column, edges, at_least=0):
        """Take a column's encoding, and zeros up to so many numbers."""
        n_bins = len(edges) - 1
        for number in range(n_bins):
            low = -np.inf if number == 0 else 0.0
            high = np.inf if number == n_bins - 1 else 1.0
            width = edges[number + 1] - edges[number]
            self._add(column, (edges[number], width, low, high))
        for _ in range(n_bins, at_least):
            self._add(column, (0.0, 1.0, 0.0, 0.0))

    def _add(self, column, numbers):
        self._columns.append(column)
        self._bins.append(numbers)

    def encoded(self, graph, x):
        """The encodings (n, n_bins) of columns of a value."""
        starts, widths, lows, highs = np.array(self._bins, self._dtype).T
        inside = graph.op("Sub", graph.columns(x, self._columns), starts)
        inside = graph.op("Div", inside, widths)
        return graph.op("Min", graph.op("Max", inside, lows), highs)
