"""A draw from a normal distribution: ``mean + exp(log_variance / 2) * noise``.

Training draws by its own random numbers, so that gradients pass by both inputs (Kingma
and Welling 2014, arXiv:1312.6114). Predictions, evaluations and passes for statistics
give the mean. How far the distribution is from a standard normal one is a loss of the
two inputs, `nnfit.functions.reconstruction`.

Inputs: the means, and the logarithms of the variances.
"""

import numpy as np

#: Whether it belongs to the layer that it is, is before or is after.
place = "after"


def width(node, widths):
    """That of the means."""
    if len(widths) != 2 or widths[0] != widths[1]:
        raise ValueError(f"it takes two inputs of equal widths, got {len(widths)}")
    return widths[0]


def tensors(node, widths):
    """None."""
    return ()


def initial(node, widths, draw):
    """None."""
    return []


def forward(node, inputs, arrays, now):
    """Draws (n, n_out), and how far they are from the means."""
    mean, log_variance = inputs
    if now.noise is None:
        return mean.copy(), np.zeros_like(mean)
    noise = now.noise(mean.shape).astype(mean.dtype)
    distance = np.exp(0.5 * log_variance) * noise
    return mean + distance, distance


def backward(node, kept, gradient, arrays, now):
    """Gradients by the means and by the logarithms of the variances."""
    return [gradient, 0.5 * gradient * kept], []
