"""A row as it is, twice: predictions replace nothing."""

import numpy as np


def convert(graph, node, inputs, arrays):
    """Lines (2 n, n_out), those of a row one after the other."""
    shape = graph.op("Shape", inputs[0])
    n_out = graph.op("Slice", shape, np.array([1]), np.array([2]))
    rows = graph.op("Unsqueeze", inputs[0], np.array([1]))
    both = graph.op("Concat", rows, rows, axis=1)
    return graph.op("Reshape", both, graph.op("Concat", np.array([-1]), n_out, axis=0))
