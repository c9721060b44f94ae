"""The input times ``1 / sqrt(n_in)``: the scaling of the neural tangent kernel.

Before a dense layer it makes ``x W / sqrt(n_in) + b`` (Jacot et al. 2018,
arXiv:1806.07572), whose weights are of size 1 and have large learning rates, as those
of RealMLP (Holzmüller et al. 2024, arXiv:2407.04491).
"""

import math

#: Whether it belongs to the layer that it is, is before or is after.
place = "after"


def width(node, widths):
    """That of the input."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    return widths[0]


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
    """Inputs (n, n_in) over the root of n_in; nothing is kept."""
    return inputs[0] * (1.0 / math.sqrt(inputs[0].shape[1])), None


def backward(node, kept, gradient, arrays, now):
    """The gradient by the inputs."""
    return [gradient * (1.0 / math.sqrt(gradient.shape[1]))], []
