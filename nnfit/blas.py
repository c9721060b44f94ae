"""BLAS and LAPACK with one thread.

Their results differ in the last bit between one thread and two, and nnfit's do not
depend on a number of threads.
"""

import os
import threading
from functools import cache

import scipy.linalg  # noqa: F401  loads SciPy's own BLAS, so that it is found
from threadpoolctl import ThreadpoolController

from nnfit.interruption import held

_lock = threading.Lock()
_users = 0
_limits = None


def _forget_after_fork():
    """Nobody in the child holds the lock, or will lift the parent's limit."""
    global _lock, _users
    _lock = threading.Lock()
    _users = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


@cache
def _libraries():
    """NumPy's and SciPy's; finding them takes as long as three small fits, 4 ms."""
    return ThreadpoolController().select(user_api="blas")


def one_blas_thread():
    """Limit BLAS to one thread while anybody is inside.

    The limit is the process's. Were each of several fits to lift what it has set, the
    first to end would take it from the others, and the last would leave it for good.
    """
    return held(_enter, _leave)


def _enter():
    global _users, _limits
    with _lock:
        if _users == 0:
            _limits = _libraries().limit(limits=1)
        _users += 1


def _leave():
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            _limits.restore_original_limits()
