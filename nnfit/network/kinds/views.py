"""A row as it is, and a copy of it with other values in some columns: two lines.

Training replaces entries of the second line at random, each by the value of the same
column in another row of the batch: entry j of row r by that of row ``r + 1 + j``, from
the end of the batch on from its begin. The rows of a batch are in random order, so this
is a draw from the column's own values, different ones for different columns, and works
for numbers, codes of categories and missing values alike (Bahri et al. 2022,
arXiv:2106.15147). Predictions, evaluations and passes for statistics replace nothing.

Options: the share of entries that are replaced.
"""

import numpy as np

#: Whether it belongs to the layer that it is, is before or is after.
place = "before"


def width(node, widths):
    """That of the input."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    if not 0.0 <= node.options[0] <= 1.0:
        raise ValueError(f"the share must be in [0, 1], got {node.options[0]}")
    return widths[0]


def lines(node, lines):
    """Two, of one."""
    if lines[0] != 1:
        raise ValueError(f"its input must have 1 line for each row, got {lines[0]}")
    return 2


def sources(node, of_inputs):
    """Those of the input."""
    return of_inputs[0]


def tensors(node, widths):
    """None."""
    return ()


def initial(node, widths, draw):
    """None."""
    return []


def forward(node, inputs, arrays, now):
    """Lines (2 n, n_out) of rows (n, n_out)."""
    (x,) = inputs
    output, swapped = np.repeat(x, 2, axis=0), None
    if now.masked is not None and len(x) > 1:
        swapped = now.masked(node.options[0], output.shape)[1::2]
        output[1::2] = np.where(swapped, np.take_along_axis(x, _donors(x), 0), x)
    return output, swapped


def backward(node, kept, gradient, arrays, now):
    """The gradient by the rows, with what other rows have of them."""
    first, second = gradient[::2], gradient[1::2]
    if kept is None:
        return [first + second], []
    result = first + np.where(kept, 0, second)
    columns = np.broadcast_to(np.arange(result.shape[1]), result.shape)
    np.add.at(result, (_donors(result), columns), np.where(kept, second, 0))
    return [result], []


def _donors(x):
    """For each entry the row that it may be replaced by."""
    rows, columns = np.indices(x.shape)
    return (rows + 1 + columns % (len(x) - 1)) % len(x)


def details(node):
    """How much is replaced."""
    return (f"{node.options[0]:.0%} replaced in training",)
