r"""Activation functions: scalar code and registry.

An activation takes the weighted input ``z`` of a unit, one float, and returns
``(value, slope)``: its value and its derivative, so that what both share is
computed once and the backward pass need not know which activation it was.

To add one, write the function and add a row to :data:`ACTIVATIONS`; tests,
compiled kernels, parameter validation and documentation follow from the row.

Rules: constants are floats (``2.0``, never ``2``); branches are conditional
expressions, which compile to vector selects; a NaN comes out as a NaN; an infinite
``z`` gives the limits of value and slope. At a kink the slope is the one from the
left, as in PyTorch (so relu(0) has slope 0).
"""

from collections.abc import Callable
from dataclasses import dataclass

from nnfit.functions.maths import erf, exp, expm1, sigmoid, softplus, tanh


@dataclass(frozen=True)
class Activation:
    """A row of the registry of activations.

    Parameters
    ----------
    name : str
        Value of the estimators' parameter ``activation``.
    function : callable
        ``function(z) -> (value, slope)`` on floats.
    formula : str
        Value in reStructuredText mathematics, for the documentation.
    reference : str
        Where the function comes from.
    """

    name: str
    function: Callable
    formula: str
    reference: str


def identity(z):
    return z, 1.0


def logistic(z):
    s = sigmoid(z)
    return s, s * (1.0 - s)


def tanh_activation(z):
    t = tanh(z)
    return t, 1.0 - t * t


def relu(z):
    # "z <= 0" and not "z > 0": a NaN takes the second branch and stays a NaN.
    return (0.0 if z <= 0.0 else z), (0.0 if z <= 0.0 else 1.0)


def leaky_relu(z):
    return (z if z > 0.0 else 0.01 * z), (1.0 if z > 0.0 else 0.01)


def elu(z):
    below = expm1(0.0 if z > 0.0 else z)
    return (z if z > 0.0 else below), 1.0 + below


SELU_SCALE = 1.0507009873554805
SELU_SCALE_ALPHA = 1.7580993408473766  # scale * alpha, alpha = 1.6732632423543772


def selu(z):
    below = SELU_SCALE_ALPHA * expm1(0.0 if z > 0.0 else z)
    slope = SELU_SCALE if z > 0.0 else below + SELU_SCALE_ALPHA
    return (SELU_SCALE * z if z > 0.0 else below), slope


SQRT_HALF = 0.7071067811865476
INVERSE_SQRT_2PI = 0.3989422804014327


def gelu(z):
    # Beyond 40 the Gaussian factor is zero in every dtype; z itself must not enter
    # there because inf * 0 would be NaN.
    low = -40.0 if z < -40.0 else z
    x = 40.0 if low > 40.0 else low
    probability = 0.5 + 0.5 * erf(SQRT_HALF * x)
    density = INVERSE_SQRT_2PI * exp(-0.5 * x * x)
    return low * probability, probability + x * density


def silu(z):
    # Clipped where sigmoid is 0 or 1 in every dtype: inf * 0 would be NaN.
    low = -1000.0 if z < -1000.0 else z
    x = 1000.0 if low > 1000.0 else low
    s = sigmoid(x)
    return low * s, s + x * s * (1.0 - s)


def mish(z):
    # tanh(softplus(z)) = n / (n + 2) with n = e^z (e^z + 2); value and slope are at
    # their limits to the last bit of a float64 above 30 and below -1000, and n at 30
    # is far from the overflow of a float32.
    low = -1000.0 if z < -1000.0 else z
    x = 30.0 if low > 30.0 else low
    e = exp(x)
    n = e * (e + 2.0)
    t = n / (n + 2.0)
    return low * t, t + x * (e / (e + 1.0)) * (1.0 + t) * (2.0 / (n + 2.0))


def softplus_activation(z):
    return softplus(z), sigmoid(z)


def hard_swish(z):
    middle = z * (z + 3.0) * (1.0 / 6.0)
    slope = z * (1.0 / 3.0) + 0.5
    value = 0.0 if z <= -3.0 else (z if z > 3.0 else middle)
    return value, (0.0 if z <= -3.0 else (1.0 if z > 3.0 else slope))


ACTIVATIONS: dict[str, Activation] = {
    row.name: row
    for row in (
        Activation("identity", identity, r"z", "Linear unit."),
        Activation(
            "logistic",
            logistic,
            r"\sigma(z) = \frac{1}{1 + e^{-z}}",
            'Rumelhart, Hinton and Williams (1986), "Learning representations by '
            'back-propagating errors", Nature 323.',
        ),
        Activation(
            "tanh",
            tanh_activation,
            r"\tanh(z)",
            'LeCun et al. (1998), "Efficient BackProp".',
        ),
        Activation(
            "relu",
            relu,
            r"\max(0, z)",
            'Nair and Hinton (2010), "Rectified linear units improve restricted '
            'Boltzmann machines", ICML.',
        ),
        Activation(
            "leaky_relu",
            leaky_relu,
            r"z \text{ if } z > 0 \text{ else } 0.01\, z",
            'Maas, Hannun and Ng (2013), "Rectifier nonlinearities improve neural '
            'network acoustic models", ICML workshop.',
        ),
        Activation(
            "elu",
            elu,
            r"z \text{ if } z > 0 \text{ else } e^z - 1",
            'Clevert, Unterthiner and Hochreiter (2015), "Fast and accurate deep '
            'network learning by exponential linear units", arXiv:1511.07289.',
        ),
        Activation(
            "selu",
            selu,
            r"\lambda z \text{ if } z > 0 \text{ else } \lambda \alpha (e^z - 1), \;"
            r" \lambda = 1.0507,\; \alpha = 1.6733",
            'Klambauer et al. (2017), "Self-normalizing neural networks", '
            "arXiv:1706.02515.",
        ),
        Activation(
            "gelu",
            gelu,
            r"\frac{z}{2} \left(1 + \operatorname{erf}(z / \sqrt{2})\right)",
            'Hendrycks and Gimpel (2016), "Gaussian error linear units", '
            "arXiv:1606.08415; the exact form, not the tanh approximation.",
        ),
        Activation(
            "silu",
            silu,
            r"z\, \sigma(z)",
            'Elfwing, Uchibe and Doya (2017), "Sigmoid-weighted linear units for '
            'neural network function approximation in reinforcement learning", '
            "arXiv:1702.03118.",
        ),
        Activation(
            "mish",
            mish,
            r"z \tanh(\log(1 + e^z))",
            'Misra (2019), "Mish: a self regularized non-monotonic activation '
            'function", arXiv:1908.08681.',
        ),
        Activation(
            "softplus",
            softplus_activation,
            r"\log(1 + e^z)",
            'Dugas et al. (2001), "Incorporating second-order functional knowledge '
            'for better option pricing", NIPS.',
        ),
        Activation(
            "hard_swish",
            hard_swish,
            r"z \min(\max(z + 3, 0), 6) / 6",
            'Howard et al. (2019), "Searching for MobileNetV3", arXiv:1905.02244.',
        ),
    )
}
