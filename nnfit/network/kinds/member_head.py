"""A dense layer of each member's own: ``x W + b``, the last of members.

Options: the number of members. A unit's coefficients lie together, since there are few
units and many inputs.
"""

import numpy as np

from nnfit.network.kinds import Tensor
from nnfit.network.kinds.member_adapter import lines

__all__ = ["backward", "forward", "initial", "lines", "tensors", "width"]

#: Whether it belongs to the layer that it is, is before or is after.
place = "layer"


def width(node, widths):
    """Units of each member's layer."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    if node.n_out < 1:
        raise ValueError(f"n_out must be at least 1, got {node.n_out}")
    return node.n_out


def tensors(node, widths):
    """Coefficients (n_members * n_out, n_in) and intercepts (n_members, n_out)."""
    n_members = node.options[0]
    coef = Tensor(
        "coef", "coefs", (n_members * node.n_out, widths[0]), is_penalised=True
    )
    return coef, Tensor("intercept", "intercepts", (n_members, node.n_out))


def initial(node, widths, draw):
    """Uniform numbers, other ones for each member."""
    bound = 1.0 / np.sqrt(widths[0])
    shapes = [tensor.shape for tensor in tensors(node, widths)]
    return [draw.random_state.uniform(-bound, bound, shape) for shape in shapes]


def forward(node, inputs, arrays, now):
    """Lines (n * n_members, n_out) from lines (n * n_members, n_in)."""
    n_in = inputs[0].shape[1]
    coef = arrays[0].reshape(-1, node.n_out, n_in)
    x = inputs[0].reshape(-1, node.options[0], n_in)
    z = np.einsum("rmi,mji->rmj", x, coef) + arrays[1]
    return z.reshape(-1, node.n_out), (x, coef)


def backward(node, kept, gradient, arrays, now):
    """Gradients by the inputs, by coefficients and by intercepts."""
    x, coef = kept
    gradient = gradient.reshape(*x.shape[:2], node.n_out)
    of_x = np.einsum("rmj,mji->rmi", gradient, coef).reshape(-1, x.shape[2])
    of_coef = np.einsum("rmj,rmi->mji", gradient, x).reshape(arrays[0].shape)
    return [of_x], [of_coef, gradient.sum(axis=0)]


def matrix(node, arrays):
    """What multiplies the inputs, (n_in, n_members * n_out)."""
    return arrays[0].T


def details(node):
    """How many members there are."""
    return (f"{node.options[0]} members",)
