"""Elementary functions for scalar kernels.

These are the Python versions, built on :mod:`math`; unlike :mod:`math` they never
raise: overflow gives infinity, ``log(0)`` minus infinity, ``log`` of a negative
number NaN, NaN gives NaN. When a kernel is compiled for the CPU each name is
replaced by an implementation that vectorises
(:mod:`nnfit.cpu.kernels.vector_maths`), so scalar functions import the names::

    from nnfit.functions.maths import exp, tanh
"""

import math

# The largest float64 whose exponential is finite.
LARGEST_EXPONENT = 709.782712893384
# Constants of the module, which compiled copies have in their own precision.
INFINITY, NAN, TWO_PI = math.inf, math.nan, 2.0 * math.pi


def exp(x):
    """Exponential of a float; infinity on overflow."""
    # A NaN fails the comparison and x * inf keeps it.
    return math.exp(x) if x <= LARGEST_EXPONENT else x * INFINITY


def expm1(x):
    """``exp(x) - 1`` without cancellation near zero."""
    return math.expm1(x) if x <= LARGEST_EXPONENT else x * INFINITY


def log(x):
    """Natural logarithm; ``log(0) = -inf``, NaN for negative numbers."""
    return math.log(x) if x > 0.0 else (-INFINITY if x == 0.0 else NAN)


def log1p(x):
    """``log(1 + x)`` without cancellation near zero; NaN below -1."""
    return math.log1p(x) if x > -1.0 else (-INFINITY if x == -1.0 else NAN)


def sqrt(x):
    """Square root; NaN for negative numbers."""
    return math.sqrt(x) if x >= 0.0 else NAN


def tanh(x):
    """Hyperbolic tangent."""
    return math.tanh(x)


def erf(x):
    """Error function ``2 / sqrt(pi) * integral of exp(-t^2) from 0 to x``."""
    return math.erf(x)


def sigmoid(x):
    """``1 / (1 + exp(-x))`` with full relative accuracy for negative x too."""
    e = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


def softplus(x):
    """``log(1 + exp(x))``, which neither overflows nor loses small values."""
    return (0.0 if x <= 0.0 else x) + math.log1p(exp(-abs(x)))


def sin_of_turns(x):
    """``sin(2 pi x)``, of an angle in turns; NaN of infinity."""
    return math.sin(TWO_PI * (x - math.floor(x))) if abs(x) < INFINITY else NAN


def cos_of_turns(x):
    """``cos(2 pi x)``, of an angle in turns; NaN of infinity."""
    return math.cos(TWO_PI * (x - math.floor(x))) if abs(x) < INFINITY else NAN


NAMES = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "tanh",
    "erf",
    "sigmoid",
    "softplus",
    "sin_of_turns",
    "cos_of_turns",
)
