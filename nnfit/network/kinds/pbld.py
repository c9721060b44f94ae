"""Numbers as cosines of learnt frequencies and phases, and beside them themselves:

    [e, x], with e = h W + b, h = cos(2 pi w x + p)

for each column x, all of its own (PBLD of RealMLP, Holzmüller et al. 2024,
arXiv:2407.04491). Options: units of the input that are embedded, frequencies of each,
elements of e, and the standard deviation of the first frequencies.
"""

import math

import numpy as np

from nnfit.network.kinds import Tensor
from nnfit.network.kinds.periodic_embedding import (
    COLUMNS,
    N_FREQUENCIES,
    SIZE,
    TWO_PI,
    by_columns,
    check,
)

SIGMA = 3

#: What readers call it.
title = "periodic embedding (PBLD)"


def width(node, widths):
    """The elements of all embeddings, and the numbers themselves."""
    if len(node.options) != 4:
        raise ValueError(
            "its options must be columns, n_frequencies, d and sigma, got "
            f"{node.options}"
        )
    check(node, widths, node.options[SIGMA])
    if node.activation is not None:
        raise ValueError(f"it takes no activation, got {node.activation.name!r}")
    return len(node.options[COLUMNS]) * (node.options[SIZE] + 1)


def sources(node, of_inputs):
    """That of a column for each element of its embedding, and for itself."""
    return np.repeat(of_inputs[0][list(node.options[COLUMNS])], node.options[SIZE] + 1)


def tensors(node, widths):
    """Frequencies, phases, weights and intercepts of each column."""
    columns, k, size, _ = node.options
    n = len(columns)
    return (
        Tensor("frequencies", "others", (n, k)),
        Tensor("phases", "others", (n, k)),
        Tensor("weights", "others", (n * k, size)),
        Tensor("intercept", "others", (n, size)),
    )


def initial(node, widths, draw):
    """As RealMLP begins."""
    frequencies, phases, *linear = (each.shape for each in tensors(node, widths))
    random_state = draw.random_state
    bound = 1.0 / math.sqrt(node.options[N_FREQUENCIES])
    return [
        random_state.normal(0.0, node.options[SIGMA], frequencies),
        random_state.uniform(-math.pi, math.pi, phases),
        *(random_state.uniform(-bound, bound, shape) for shape in linear),
    ]


def _weights(node, arrays):
    """Weights (columns, k, size)."""
    n, k = arrays[0].shape
    return arrays[2].reshape(n, k, node.options[SIZE])


def forward(node, inputs, arrays, now):
    """Embeddings and numbers, (n, columns * (size + 1)), of inputs (n, n_in)."""
    frequencies, phases, _, intercept = arrays
    x = inputs[0][:, list(node.options[COLUMNS]), None]
    angle = TWO_PI * x * frequencies + phases
    waves = np.cos(angle)
    e = np.sum(waves[..., None] * _weights(node, arrays), axis=2) + intercept
    output = np.concatenate([e, x], axis=2).reshape(len(x), -1)
    return output, (inputs[0], x, angle, waves)


def backward(node, kept, gradient, arrays, now):
    """Gradients by the inputs and by the arrays."""
    x_all, x, angle, waves = kept
    gradient = gradient.reshape(*x.shape[:2], -1)
    of_e, of_copy = gradient[:, :, :-1], gradient[:, :, -1]
    of_weights = np.sum(waves[..., None] * of_e[:, :, None, :], axis=0)
    of_waves = np.sum(of_e[:, :, None] * _weights(node, arrays), axis=3)
    of_angle = -np.sin(angle) * of_waves
    of_x = np.sum(TWO_PI * arrays[0] * of_angle, axis=2) + of_copy
    return [by_columns(node, x_all, of_x)], [
        np.sum(TWO_PI * x * of_angle, axis=0),
        of_angle.sum(axis=0),
        of_weights.reshape(arrays[2].shape),
        of_e.sum(axis=0),
    ]
