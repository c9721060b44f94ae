"""What a member has of its own behind a shared product: ``activation(s * z + b)``.

The output adapter of BatchEnsemble (Wen et al. 2020, arXiv:2002.06715) with its
intercepts, as TabM has them (Gorishniy et al. 2025, arXiv:2410.24210). Options: the
number of members, and inputs of the product, which the interval of the intercepts
comes from.
"""

import numpy as np

from nnfit.network.kinds import Tensor

#: Whether it belongs to the layer that it is, is before or is after.
place = "after"


def width(node, widths):
    """That of the input."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    return widths[0]


def lines(node, lines):
    """One for each member, as the input has."""
    if lines[0] != node.options[0]:
        raise ValueError(
            f"its input must have {node.options[0]} lines for each row, one for each "
            f"member, got {lines[0]}"
        )
    return lines[0]


def tensors(node, widths):
    """Factors and intercepts, (n_members, n_out) each."""
    shape = node.options[0], widths[0]
    return Tensor("scale", "others", shape), Tensor("intercept", "intercepts", shape)


def initial(node, widths, draw):
    """Factors of 1; intercepts that are the same for all members."""
    (n_members, n_in), n_out = node.options, widths[0]
    bound = 1.0 / np.sqrt(n_in)
    intercept = draw.random_state.uniform(-bound, bound, n_out)
    return [np.ones((n_members, n_out)), np.tile(intercept, (n_members, 1))]


def forward(node, inputs, arrays, now):
    """The activation of inputs (n * n_members, n_out)."""
    scale, intercept = arrays
    z = inputs[0].reshape(-1, *scale.shape)
    value, slope = now.activate(node.activation, z * scale + intercept)
    return value.reshape(inputs[0].shape), (z, slope)


def backward(node, kept, gradient, arrays, now):
    """Gradients by the inputs, by factors and by intercepts."""
    z, slope = kept
    of_u = gradient.reshape(z.shape) * slope
    of_z = (of_u * arrays[0]).reshape(gradient.shape)
    return [of_z], [(of_u * z).sum(axis=0), of_u.sum(axis=0)]
