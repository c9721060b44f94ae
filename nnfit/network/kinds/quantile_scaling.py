"""Columns by a piecewise linear function of each.

Of knots ``k_0 < k_1 < ...`` and values ``v_0, v_1, ...`` of a column the output is

    v_i + (x - k_i) / (k_{i+1} - k_i) (v_{i+1} - v_i)   for x from k_i to k_{i+1}

and that of the nearest knot outside of them. Options: columns of the input, and the
number of knots of each. `nnfit.network.scalings` finds knots at a column's quantiles
and values at those of a normal distribution.
"""

import numpy as np

from nnfit.network.kinds import Tensor
from nnfit.network.kinds.selection import check_columns, spread

#: What readers call it.
title = "scaling by quantiles"


def mapped(x, knots, values):
    """The formula.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Values; NaN stays NaN.
    knots, values : ndarray of shape (n_knots,)

    Returns
    -------
    output, slope : ndarray of shape (n,)
    """
    part = np.searchsorted(knots[1:-1], x, side="right")
    start, end = knots[part], knots[part + 1]
    fraction = np.clip((x - start) / (end - start), 0, 1)
    rise = values[part + 1] - values[part]
    is_inside = (knots[0] <= x) & (x < knots[-1])
    return values[part] + fraction * rise, is_inside * rise / (end - start)


def side_by_side(functions):
    """Numbers of knots, and one array each of the knots and values of some columns.

    Parameters
    ----------
    functions : list of tuple
        Knots and values of each column.

    Returns
    -------
    n_knots : tuple of int
    arrays : dict of ndarray of shape (n_columns, max(n_knots))
        By the name of the tensor; beyond its own a row repeats the last.
    """
    n_knots = tuple(len(knots) for knots, _ in functions)
    most, columns = max(n_knots), zip(*functions, strict=True)
    return n_knots, {
        name: np.stack([np.pad(x, (0, most - len(x)), mode="edge") for x in each])
        for name, each in zip(("knots", "values"), columns, strict=True)
    }


def width(node, widths):
    """The number of columns."""
    check_columns(node, widths)
    columns, n_knots = node.options
    if len(n_knots) != len(columns) or min(n_knots) < 2:
        raise ValueError(
            f"it needs a number of knots, at least 2, for each of its {len(columns)} "
            f"columns, got {n_knots}"
        )
    return len(columns)


def sources(node, of_inputs):
    """Those of the columns."""
    return of_inputs[0][list(node.options[0])]


def tensors(node, widths):
    """Knots and values of the columns; beyond its own a row repeats the last."""
    columns, n_knots = node.options
    shape = len(columns), max(n_knots)
    return tuple(
        Tensor(name, "others", shape, n_trained=0) for name in ("knots", "values")
    )


def initial(node, widths, draw):
    """Knots from -1 to 1, whose values they are."""
    rows = [np.linspace(-1.0, 1.0, n) for n in node.options[1]]
    return list(side_by_side([(row, row) for row in rows])[1].values())


def forward(node, inputs, arrays, now):
    """Mapped columns (n, n_out) of the input (n, n_in)."""
    x, parts = inputs[0], []
    for column, n, knots, values in zip(*node.options, *arrays, strict=True):
        parts.append(mapped(x[:, column], knots[:n], values[:n]))
    output, slope = (np.stack(each, axis=1) for each in zip(*parts, strict=True))
    return output.astype(x.dtype), (x.shape, slope)


def backward(node, kept, gradient, arrays, now):
    """Gradient by the input; none by knots and values."""
    shape, slope = kept
    of_input = spread(node, shape, (gradient * slope).astype(gradient.dtype))
    return [of_input], [np.zeros_like(array) for array in arrays]
