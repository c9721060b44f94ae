"""A learnt factor for each input: ``scale * x``.

Before the first dense layer it is RealMLP's (Holzmüller et al. 2024, arXiv:2407.04491):
features that help get large factors, others small ones.
"""

import numpy as np

from nnfit.network.kinds import Tensor

#: Whether it belongs to the layer that it is, is before or is after.
place = "before"


def width(node, widths):
    """That of the input."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    return widths[0]


def sources(node, of_inputs):
    """Those of the input."""
    return of_inputs[0]


def tensors(node, widths):
    """The factors (n_out,)."""
    return (Tensor("scale", "others", (widths[0],)),)


def initial(node, widths, draw):
    """Factors of 1."""
    return [np.ones(widths[0])]


def forward(node, inputs, arrays, now):
    """Inputs (n, n_out) times the factors."""
    return inputs[0] * arrays[0], inputs[0]


def backward(node, kept, gradient, arrays, now):
    """Gradients by the inputs and by the factors."""
    return [gradient * arrays[0]], [(gradient * kept).sum(axis=0)]


def multipliers(node, arrays):
    """What each input is multiplied by, (1, n_in)."""
    return arrays[0][None]


def details(node):
    """What is learnt."""
    return ("learnt factors of inputs",)
