"""The inputs beside one another."""

import numpy as np

#: What readers call it.
title = "side by side"
#: Whether it belongs to the layer that it is, is before or is after.
place = "before"


def width(node, widths):
    """The sum of those of the inputs."""
    if len(widths) < 2:
        raise ValueError(f"it takes at least two inputs, got {len(widths)}")
    return sum(widths)


def sources(node, of_inputs):
    """Those of the inputs, side by side."""
    return np.concatenate(of_inputs)


def tensors(node, widths):
    """None."""
    return ()


def initial(node, widths, draw):
    """None."""
    return []


def forward(node, inputs, arrays, now):
    """Inputs (n, n_i) beside one another."""
    return np.hstack(inputs), [each.shape[1] for each in inputs]


def backward(node, kept, gradient, arrays, now):
    """The gradient's parts."""
    return np.split(gradient, np.cumsum(kept)[:-1], axis=1), []
