"""Dense layers: ``activation(x W + b)``, or ``x W + start``.

Inputs are `x` and perhaps `start`, of as many units as the layer has; the intercept is
there where nothing else starts the sum. Options: whether there is an intercept.
"""

import numpy as np

from nnfit.network.kinds import Tensor

#: Whether it belongs to the layer that it is, is before or is after.
place = "layer"


def has_intercept(node):
    """Whether the layer adds an intercept to its product."""
    return bool(node.options[0]) and len(node.inputs) == 1


def width(node, widths):
    """Units of the layer; those of `start` must be as many."""
    if len(widths) not in (1, 2):
        raise ValueError(f"it takes one or two inputs, got {len(widths)}")
    if node.n_out < 1:
        raise ValueError(f"n_out must be at least 1, got {node.n_out}")
    if len(widths) == 2 and widths[1] != node.n_out:
        raise ValueError(
            f"what its sum starts from must have its {node.n_out} units, got "
            f"{widths[1]}"
        )
    return node.n_out


def tensors(node, widths):
    """The matrix (n_in, n_out), and the intercept (n_out,) if there is one."""
    coef = Tensor(
        "coef",
        "coefs",
        (widths[0], node.n_out),
        in_panels=True,
        is_penalised=True,
        is_matrix=node.is_hidden,
    )
    if not has_intercept(node):
        return (coef,)
    return coef, Tensor("intercept", "intercepts", (node.n_out,))


def initial(node, widths, draw):
    """As the chosen distribution has them."""
    coef, intercept = draw(node, widths[0])
    return [coef, intercept] if has_intercept(node) else [coef]


def forward(node, inputs, arrays, now):
    """The activation, (n, n_out), of inputs (n, n_in)."""
    x, *start = inputs
    z = x @ arrays[0] + (start[0] if start else 0.0)
    if has_intercept(node):
        z = z + arrays[1]
    value, slope = now.activate(node.activation, z)
    return value, (x, slope)


def backward(node, kept, gradient, arrays, now):
    """Gradients from that by the activation."""
    x, slope = kept
    of_z = gradient * slope
    of_coef = np.asarray(x.T @ of_z)
    of_inputs = [of_z @ arrays[0].T, of_z][: len(node.inputs)]
    if not has_intercept(node):
        return of_inputs, [of_coef]
    return of_inputs, [of_coef, of_z.sum(axis=0)]


def matrix(node, arrays):
    """What multiplies the inputs, (n_in, n_out)."""
    return arrays[0]
