"""The engine in NumPy: naive, obvious and slow.

Same interface as ``nnfit.cpu.engine``. It is the reference the compiled engine is
tested against, and lets the estimators be tested without compiling anything.
Nothing of the compiled engine is used, not even its random numbers.
"""

from tests.numpy_engine import functions
from tests.numpy_engine.engine import Engine
from tests.numpy_engine.network import predict

__all__ = ["Engine", "activate", "predict"]


def activate(activation, z):
    """See ``nnfit.cpu.engine.activate``."""
    value, z[...] = functions.activate(activation, z)
    return value
