"""NumPy's floating-point warnings: silent in nnfit, as the user set them outside.

nnfit looks by itself for numbers that are not finite and says in a sentence what to do.
NumPy's warnings, or its errors after ``np.seterr(all="raise")``, would come first. A
function of the user's runs with the user's settings.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

_of_caller = ContextVar("settings of NumPy's errors outside of nnfit", default=None)


def without_numpy_errors(function: F) -> F:
    """Decorate what computes, so that NumPy neither warns nor raises in it."""

    @wraps(function)
    def quiet(*args, **kwargs):
        token = _of_caller.set(_of_caller.get() or np.geterr())
        try:
            with np.errstate(all="ignore"):
                return function(*args, **kwargs)
        finally:
            _of_caller.reset(token)

    return cast(F, quiet)


def numpy_errors_of_caller():
    """Context in which a function of the user's runs."""
    return np.errstate(**(_of_caller.get() or np.geterr()))
