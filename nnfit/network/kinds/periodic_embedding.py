"""Numbers as cosines and sines of learnt frequencies: ``activation(v W + b)``, with

    v = [cos(2 pi c x), sin(2 pi c x)]

for each column x, and frequencies c of its own (PLR of Gorishniy et al. 2022,
arXiv:2203.05556). Options: units of the input that are embedded, frequencies of each,
elements of an embedding, whether all columns share W and b ("lite"), and the standard
deviation of the first frequencies: how fast an embedding may change is decided there.
"""

import math

import numpy as np

from nnfit.network.kinds import Tensor

#: Places of the options that this kind and `pbld` have.
COLUMNS, N_FREQUENCIES, SIZE = range(3)
IS_LITE, SIGMA = 3, 4
TWO_PI = 2.0 * math.pi
#: Standard deviations at which the first frequencies end.
END = 3.0

#: What readers call it.
title = "periodic embedding"


def check(node, widths, sigma):
    """See that a node reads columns of its only input, and has sizes that can be."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    columns = node.options[COLUMNS]
    if not columns or not all(0 <= column < widths[0] for column in columns):
        raise ValueError(
            f"columns must be units 0 to {widths[0] - 1} of it, at least one, got "
            f"{columns}"
        )
    for name, value in (
        ("n_frequencies", node.options[N_FREQUENCIES]),
        ("d", node.options[SIZE]),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not 0.0 < sigma < math.inf:
        raise ValueError(f"sigma must be positive and finite, got {sigma}")


def width(node, widths):
    """The elements of all embeddings."""
    if len(node.options) != 5:
        raise ValueError(
            "its options must be columns, n_frequencies, d, is_lite and sigma, got "
            f"{node.options}"
        )
    check(node, widths, node.options[SIGMA])
    return len(node.options[COLUMNS]) * node.options[SIZE]


def sources(node, of_inputs):
    """That of a column for each element of its embedding."""
    return np.repeat(of_inputs[0][list(node.options[COLUMNS])], node.options[SIZE])


def tensors(node, widths):
    """Frequencies, weights and intercepts, the last two perhaps of all columns."""
    columns, k, size, is_lite, _ = node.options
    n = len(columns)
    return (
        Tensor("frequencies", "others", (n, k)),
        Tensor("weights", "others", (2 * k if is_lite else n * 2 * k, size)),
        Tensor("intercept", "others", (size,) if is_lite else (n, size)),
    )


def truncated_normal(random_state, sigma, shape):
    """Normal numbers, drawn again where they are beyond three standard deviations."""
    drawn = random_state.standard_normal(shape)
    while (beyond := np.abs(drawn) > END).any():
        drawn[beyond] = random_state.standard_normal(beyond.sum())
    return sigma * drawn


def initial(node, widths, draw):
    """Normal frequencies, and the linear part as PyTorch draws such layers."""
    frequencies, *linear = tensors(node, widths)
    random_state, bound = draw.random_state, 1.0 / math.sqrt(2 * node.options[1])
    return [
        truncated_normal(random_state, node.options[SIGMA], frequencies.shape),
        *(random_state.uniform(-bound, bound, each.shape) for each in linear),
    ]


def _linear(node, arrays):
    """Weights (1 or columns, 2 k, size) and intercepts (1 or columns, size)."""
    size = node.options[SIZE]
    weights = arrays[1].reshape(-1, 2 * node.options[N_FREQUENCIES], size)
    return weights, arrays[2].reshape(-1, size)


def forward(node, inputs, arrays, now):
    """The activation, (n, columns * size), of inputs (n, n_in)."""
    weights, intercept = _linear(node, arrays)
    x = inputs[0][:, list(node.options[COLUMNS]), None]
    angle = TWO_PI * x * arrays[0]
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=2)
    z = np.sum(waves[..., None] * weights, axis=2) + intercept
    value, slope = now.activate(node.activation, z.reshape(len(x), -1))
    return value, (inputs[0], x, angle, waves, slope)


def backward(node, kept, gradient, arrays, now):
    """Gradients from that by the activation."""
    x_all, x, angle, waves, slope = kept
    weights, _ = _linear(node, arrays)
    of_z = (gradient * slope).reshape(*x.shape[:2], -1)
    of_weights = waves[..., None] * of_z[:, :, None, :]  # of each row and column
    of_cos, of_sin = np.split(np.sum(of_z[:, :, None] * weights, axis=3), 2, axis=2)
    of_angle = np.cos(angle) * of_sin - np.sin(angle) * of_cos
    of_arrays = [
        np.sum(TWO_PI * x * of_angle, axis=0),
        of_weights.sum(axis=(0, 1) if node.options[IS_LITE] else 0),
        of_z.sum(axis=(0, 1) if node.options[IS_LITE] else 0),
    ]
    of_x = np.sum(TWO_PI * arrays[0] * of_angle, axis=2)
    return [by_columns(node, x_all, of_x)], [
        each.reshape(array.shape) for each, array in zip(of_arrays, arrays, strict=True)
    ]


def by_columns(node, inputs, of_x):
    """Gradient by the inputs, of that by the columns; one may be embedded twice."""
    gradient = np.zeros_like(inputs)
    for place, column in enumerate(node.options[COLUMNS]):
        gradient[:, column] += of_x[:, place]
    return gradient
