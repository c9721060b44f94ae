"""Columns about a middle and in units of a spread, and perhaps cut off smoothly.

With the shift m, the scale s and the cut c of a column

    z = s (x - m),   output = z / sqrt(1 + (c z)^2)

stays within 1 / c, and is z for c = 0. Options: columns of the input. What is found of
the columns is in `nnfit.network.scalings`.
"""

import numpy as np

from nnfit.network.kinds import Tensor
from nnfit.network.kinds.selection import check_columns, spread

#: z ends here: float32 holds its square.
LARGEST = 1e18

#: What readers call it.
title = "scaling"


def scaled(x, found):
    """The formula.

    Parameters
    ----------
    x : ndarray of shape (n, n_columns) or (n,)
        Values; NaN stays NaN.
    found : ndarray of shape (3, n_columns) or (3,)
        Shifts, scales and cuts.

    Returns
    -------
    ndarray, as `x`
    """
    z, inverse = _parts(x, found)
    return z * inverse


def _parts(x, found):
    """The number without a cut, and what it is multiplied by for that."""
    shift, scale, cut = found
    z = np.clip((x - shift) * scale, -LARGEST, LARGEST)
    return z, 1 / np.sqrt(1 + (cut * z) ** 2)


def unscaled(y, found):
    """The inverse of `scaled`, as far as there is one.

    Parameters
    ----------
    y : ndarray of shape (n, n_columns) or (n,)
        Values; NaN stays NaN.
    found : ndarray of shape (3, n_columns) or (3,)

    Returns
    -------
    ndarray, as `y`
        The shift where the scale is 0; finite also where rounding has lost a number.
    """
    shift, scale, cut = found
    largest = 1 - np.finfo(y.dtype).eps
    z = y / np.sqrt(1 - np.clip(cut * y, -largest, largest) ** 2)
    return np.where(scale > 0, z / np.where(scale > 0, scale, 1), 0) + shift


def width(node, widths):
    """The number of columns."""
    check_columns(node, widths)
    return len(node.options[0])


def sources(node, of_inputs):
    """Those of the columns."""
    return of_inputs[0][list(node.options[0])]


def tensors(node, widths):
    """Shifts, scales and cuts of the columns."""
    return (Tensor("scaling", "others", (3, len(node.options[0])), n_trained=0),)


def initial(node, widths, draw):
    """None of the columns changes."""
    ones = np.ones(len(node.options[0]))
    return [np.stack([0 * ones, ones, 0 * ones])]


def forward(node, inputs, arrays, now):
    """Scaled columns (n, n_out) of the input (n, n_in)."""
    z, inverse = _parts(inputs[0][:, node.options[0]], arrays[0])
    return z * inverse, (inputs[0].shape, arrays[0][1] * inverse**3)


def backward(node, kept, gradient, arrays, now):
    """Gradient by the input; none by what was found before training."""
    shape, slope = kept
    return [spread(node, shape, gradient * slope)], [np.zeros_like(arrays[0])]
