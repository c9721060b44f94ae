"""Columns by a piecewise linear function of each."""

import numpy as np

from nnfit.onnx.pieces import counts_below


def convert(graph, node, inputs, arrays):
    """The part of its column's function that a number lies in, and where in it."""
    columns, n_knots = node.options
    knots, values = arrays
    x = graph.columns(inputs[0], columns)
    inner = [own[1 : n - 1] for own, n in zip(knots, n_knots, strict=True)]
    first = knots.shape[1] * np.arange(len(columns))[None]
    place = graph.op("Add", counts_below(graph, x, inner), first)
    after = graph.op("Add", place, 1)
    start, end, low, high = (
        graph.op("Gather", array.ravel(), at)
        for array in (knots, values)
        for at in (place, after)
    )
    part = graph.op("Div", graph.op("Sub", x, start), graph.op("Sub", end, start))
    part = graph.op("Clip", part, 0.0, 1.0)
    return graph.op("Add", low, graph.op("Mul", part, graph.op("Sub", high, low)))
