"""Some of the input's columns, in an order of their own.

Options: the columns, a tuple of int.
"""

import numpy as np

#: What readers call it.
title = "other columns"


def check_columns(node, widths):
    """See that a node's columns are among those of its input.

    Parameters
    ----------
    node : nnfit.network.kinds.Node
        Whose first option is the columns that it reads.
    widths : list of int
        Of its inputs.

    Raises
    ------
    ValueError
        If there is not one input, or no column, or one that the input has not.
    """
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    columns = node.options[0]
    if not columns:
        raise ValueError("it needs at least one column, got none")
    wrong = [column for column in columns if not 0 <= column < widths[0]]
    if wrong:
        raise ValueError(f"its columns must be from 0 to {widths[0] - 1}, got {wrong}")


def width(node, widths):
    """The number of columns."""
    check_columns(node, widths)
    return len(node.options[0])


def sources(node, of_inputs):
    """Those of the columns."""
    return of_inputs[0][list(node.options[0])]


def tensors(node, widths):
    """None."""
    return ()


def initial(node, widths, draw):
    """None."""
    return []


def forward(node, inputs, arrays, now):
    """Columns of the input (n, n_in)."""
    return inputs[0][:, node.options[0]], inputs[0].shape


def backward(node, kept, gradient, arrays, now):
    """Gradient by the input: 0 but in the columns."""
    return [spread(node, kept, gradient)], []


def spread(node, shape, gradient):
    """The gradient (n, n_columns) in the columns of an array of a shape, added up."""
    of_input = np.zeros(shape, gradient.dtype)
    np.add.at(of_input, (slice(None), node.options[0]), gradient)
    return of_input
