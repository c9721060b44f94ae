"""How far each row's first line is from its second, by those of the other rows: InfoNCE

    loss_i = log(sum_j exp((s_ij - s_ii) / temperature)),  s_ij = cos(a_i, b_j)

of a batch's rows j, where a are the first lines and b the second (van den Oord et al.
2018, arXiv:1807.03748; Bahri et al. 2022, arXiv:2106.15147). It is log(n) where all n
rows are alike, and 0 of a row alone. It is never negative, so that its absolute error
against 0 is itself: no loss function is needed for it. Evaluations and predictions,
which know no batch, give 0.

Options: the temperature.
"""

import numpy as np

#: Added to the squared length of a line before its root is taken.
EPSILON = 1e-8
#: Smallest temperature: exponents lie within 200 in double precision.
MIN_TEMPERATURE = 0.01

#: Whether it belongs to the layer that it is, is before or is after.
place = "after"


def width(node, widths):
    """One unit, the loss of the row."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    if not node.options[0] >= MIN_TEMPERATURE:
        raise ValueError(
            f"temperature must be at least {MIN_TEMPERATURE}, got {node.options[0]}"
        )
    return 1


def lines(node, lines):
    """One, of the two of the input."""
    if lines[0] != 2:
        raise ValueError(f"its input must have 2 lines for each row, got {lines[0]}")
    return 1


def tensors(node, widths):
    """None."""
    return ()


def initial(node, widths, draw):
    """None."""
    return []


def forward(node, inputs, arrays, now):
    """Losses of the rows (n, 1) of lines (2 n, n_in)."""
    (z,) = inputs
    if now.share is None:
        return np.zeros((len(z) // 2, 1), z.dtype), (z, None, None)
    length = np.sqrt((z * z).sum(axis=1, keepdims=True) + z.dtype.type(EPSILON))
    units = z / length
    similarities = units[::2] @ units[1::2].T / z.dtype.type(node.options[0])
    exponents = similarities - similarities.diagonal()[:, None]
    weights = np.exp(exponents.astype(np.float64))
    total = weights.sum(axis=1, keepdims=True)
    losses = np.log(total)
    return losses.astype(z.dtype), (units, length, (weights / total).astype(z.dtype))


def backward(node, kept, gradient, arrays, now):
    """The gradient by the lines."""
    units, length, shares = kept
    if shares is None:
        return [np.zeros_like(units)], []
    of_similarities = gradient * (shares - np.eye(len(shares), dtype=shares.dtype))
    of_similarities /= shares.dtype.type(node.options[0])
    of_units = np.empty_like(units)
    of_units[::2] = of_similarities @ units[1::2]
    of_units[1::2] = of_similarities.T @ units[::2]
    along = (of_units * units).sum(axis=1, keepdims=True)
    return [(of_units - along * units) / length], []


def details(node):
    """The temperature."""
    return (f"temperature {node.options[0]:g}",)
