"""An activation with a learnt share for each unit: ``(1 - a) x + a f(x)``.

As RealMLP has it (Holzmüller et al. 2024, arXiv:2407.04491), which starts with shares
of 1. A share may leave the range from 0 to 1.
"""

import numpy as np

from nnfit.network.kinds import Tensor, activation_of

#: Whether it belongs to the layer that it is, is before or is after.
place = "after"


def width(node, widths):
    """That of the input."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    if node.activation is None:
        raise ValueError("it needs an activation, got None")
    return widths[0]


def sources(node, of_inputs):
    """Those of the input."""
    return of_inputs[0]


def tensors(node, widths):
    """The shares (n_out,)."""
    return (Tensor("share", "others", (widths[0],)),)


def initial(node, widths, draw):
    """Shares of 1: the activation itself."""
    return [np.ones(widths[0])]


def forward(node, inputs, arrays, now):
    """The activation, (n, n_out), of inputs of that shape."""
    x, share = inputs[0], arrays[0]
    value, slope = now.activate(node.activation, x)
    return (1 - share) * x + share * value, (value - x, slope)


def backward(node, kept, gradient, arrays, now):
    """Gradients by the inputs and by the shares."""
    difference, slope = kept
    share = arrays[0]
    of_input = gradient * ((1 - share) + share * slope)
    return [of_input], [(gradient * difference).sum(axis=0)]


def details(node):
    """The activation."""
    return tuple(f"parametric {name}" for name in activation_of(node))
