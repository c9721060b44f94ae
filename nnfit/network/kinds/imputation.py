"""Columns with a number in the place of what is missing, and where it was missing.

NaN in a column becomes the column's fill. Behind the columns comes for each of some of
them an indicator: 1 where it is missing, else 0. Options: columns of the input, and
those that have an indicator.
"""

import numpy as np

from nnfit.network.kinds import Tensor
from nnfit.network.kinds.selection import check_columns, spread

#: Says that behind the layer no number is missing.
fills_missing = True
#: Says that the output moves by jumps: where a number is missing or not.
has_no_slope = True

#: What readers call it.
title = "missing numbers filled in"


def width(node, widths):
    """The columns and the indicators."""
    check_columns(node, widths)
    columns, indicated = node.options
    wrong = [column for column in indicated if not 0 <= column < widths[0]]
    if wrong:
        raise ValueError(
            f"its columns with an indicator must be from 0 to {widths[0] - 1}, got "
            f"{wrong}"
        )
    return len(columns) + len(indicated)


def sources(node, of_inputs):
    """Those of the columns, then of the indicators."""
    columns, indicated = node.options
    return of_inputs[0][[*columns, *indicated]]


def tensors(node, widths):
    """The fills (n_columns,)."""
    return (Tensor("fills", "others", (len(node.options[0]),), n_trained=0),)


def initial(node, widths, draw):
    """Fills of 0."""
    return [np.zeros(len(node.options[0]))]


def forward(node, inputs, arrays, now):
    """Filled columns of the input (n, n_in), then indicators."""
    (x,), (columns, indicated) = inputs, node.options
    numbers, is_missing = x[:, columns], np.isnan(x)
    filled = np.where(is_missing[:, columns], arrays[0], numbers)
    return np.hstack([filled, is_missing[:, indicated]]).astype(x.dtype), x


def backward(node, kept, gradient, arrays, now):
    """Gradient by the input: 0 where it is missing; none by the fills."""
    n = len(node.options[0])
    of_input = spread(node, kept.shape, gradient[:, :n])
    return [np.where(np.isnan(kept), 0, of_input)], [np.zeros_like(arrays[0])]
