"""What lies between a product and its activation: ``activation(u)`` with

    u = scale * (z - mean) / sqrt(variance + epsilon) + intercept

or ``u = z + intercept``. Options: over what mean and variance are taken, None for
neither, ``"batch"`` for the rows of a batch (Ioffe and Szegedy 2015, arXiv:1502.03167)
or ``"layer"`` for the units of a row (Ba et al. 2016, arXiv:1607.06450). In a residual
network it makes pre-activation blocks (He et al. 2016, arXiv:1603.05027).
"""

import numpy as np

from nnfit.functions.normalization import EPSILON, SMALLEST_SPREAD
from nnfit.network.kinds import Tensor, activation_of

#: Rows of the array of norms: the scale; of batches also running mean and variance.
N_NORMS = {None: 0, "layer": 1, "batch": 3}

#: Whether it belongs to the layer that it is, is before or is after.
place = "after"


def width(node, widths):
    """That of the input."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    return widths[0]


def lines(node, lines):
    """Those of the input; a batch's statistics are of one line for each row."""
    if node.options[0] == "batch" and lines[0] > 1:
        raise ValueError(
            "statistics of a batch are for values of one line for each row, got "
            f'{lines[0]} lines; normalise before the members, or by "layer"'
        )
    return lines[0]


def tensors(node, widths):
    """The intercept (n_out,), and norms (1, n_out) or (3, n_out)."""
    n_norms = N_NORMS[node.options[0]]
    intercept = Tensor("intercept", "intercepts", (widths[0],))
    if n_norms == 0:
        return (intercept,)
    return intercept, Tensor("norms", "norms", (n_norms, widths[0]), n_trained=1)


def start_of_norms(kind, n_out):
    """Scale 1, running mean 0 and running variance 1, or as many as there are."""
    return np.repeat([[1.0], [0.0], [1.0]][: N_NORMS[kind]], n_out, axis=1)


def initial(node, widths, draw):
    """Intercepts of 0, and norms that leave normalised values as they are."""
    kind, intercept = node.options[0], np.zeros(widths[0])
    return [intercept] if kind is None else [intercept, start_of_norms(kind, *widths)]


def statistics_of(node, z, norms, share):
    """Mean, variance and, of a batch, mean and unbiased variance, (2, n_out).

    A batch whose rows but one have no weight is taken with the running statistics.
    """
    exact = z.astype(np.float64)
    if node.options[0] == "layer":
        return exact.mean(axis=1, keepdims=True), exact.var(axis=1, keepdims=True), None
    if share is None or node.is_frozen or 1 - np.sum(share**2) <= SMALLEST_SPREAD:
        return norms[1:2], norms[2:3], None
    mean = (share @ exact)[None]
    variance = (share @ (exact - mean) ** 2)[None]
    unbiased = variance / (1 - np.sum(share**2))
    return mean, variance, np.vstack([mean, unbiased])


def forward(node, inputs, arrays, now):
    """The activation, (n, n_out), of inputs of that shape."""
    (z,) = inputs
    if node.options[0] is None:
        value, slope = now.activate(node.activation, z + arrays[0])
        return value, (slope, None, None, None)
    intercept, norms = arrays
    mean, variance, of_batch = statistics_of(node, z, norms, now.share)
    deviation = np.sqrt(variance + EPSILON)
    normed = ((z - mean) / deviation).astype(z.dtype)
    value, slope = now.activate(node.activation, norms[0] * normed + intercept)
    return value, (slope, normed, deviation, of_batch)


def backward(node, kept, gradient, arrays, now):
    """Gradients from that by the activation; none by running statistics."""
    slope, normed, deviation, of_batch = kept
    of_u = gradient * slope
    if node.options[0] is None:
        return [of_u], [of_u.sum(axis=0)]
    norms = arrays[1]
    of_norms = np.zeros_like(norms)
    of_norms[0] = (of_u * normed).sum(axis=0)
    of_normed = of_u * norms[0]
    mean = along = 0.0  # running statistics are constants
    if node.options[0] == "layer":
        mean = of_normed.mean(axis=1, keepdims=True)
        along = (of_normed * normed).mean(axis=1, keepdims=True)
    elif of_batch is not None:
        mean = now.share[:, None] * of_normed.sum(axis=0)
        along = now.share[:, None] * (of_normed * normed).sum(axis=0)
    of_z = ((of_normed - mean - normed * along) / deviation).astype(normed.dtype)
    return [of_z], [of_u.sum(axis=0), of_norms]


def statistics(kept):
    """What running statistics go towards: those of a batch, or None."""
    return kept[3]


def details(node):
    """Over what is normalised, and the activation."""
    found = [f"{node.options[0]} normalization"] if node.options[0] else []
    return (*found, *activation_of(node))
