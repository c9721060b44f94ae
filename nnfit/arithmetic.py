"""Numbers that are too large or too small for their type: ours, and the user's.

It belongs to no floor. What nnfit computes is looked at for numbers that are not
finite, which are told by sentences; NumPy's warnings, or its errors after
``np.seterr(all="raise")``, do not come first. A function of the user's runs with the
user's settings.
"""

from contextvars import ContextVar
from functools import wraps

import numpy as np

_of_caller = ContextVar("settings of NumPy's errors outside of nnfit", default=None)


def own_arithmetic(function):
    """Decorate what computes, so that NumPy neither warns nor raises in it."""

    @wraps(function)
    def quiet(*args, **kwargs):
        token = _of_caller.set(_of_caller.get() or np.geterr())
        try:
            with np.errstate(all="ignore"):
                return function(*args, **kwargs)
        finally:
            _of_caller.reset(token)

    return quiet


def arithmetic_of_caller():
    """Context in which a function of the user's runs."""
    return np.errstate(**(_of_caller.get() or np.geterr()))
