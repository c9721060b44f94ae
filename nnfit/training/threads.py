"""How many threads a fit may use.

The fits of a process share its processors: a fit that may choose takes the processors
that no other fit has taken. In a worker of joblib, multiprocessing or Dask it takes one
processor, since other workers use the others.
"""

import multiprocessing
import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar

import joblib
from joblib.parallel import get_active_backend

from nnfit.interruption import held
from nnfit.sparsity import operations_per_row

#: Multiplications and additions of each thread between two barriers, some 20
#: microseconds. With fewer, threads exchange weights and activations longer than they
#: compute.
STEP_OPERATIONS = 1e6
#: Multiplications and additions of a whole fit or prediction from which on it pays to
#: start threads, some 10 milliseconds.
ALL_OPERATIONS = 5e8
#: The share of one thread's time that several may take, by whether their number was
#: given. Chosen ones shall gain; those that were asked for stay unless they hurt. Where
#: processors share no cache, two take twice the time of one on 'small'.
WORTHWHILE = {False: 0.95, True: 1.1}
#: Environment variables that limit the threads of a process. Users and workers of
#: joblib set them already for BLAS and for numba.
LIMITS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")

_lock = threading.Lock()
_taken = 0
_granted = ContextVar("granted", default=None)


def _forget_after_fork():
    """The child runs none of the parent's fits, and nobody there holds the lock."""
    global _lock, _taken
    _lock = threading.Lock()
    _taken = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def training_operations(network, X):
    """Multiplications and additions that each row of X takes in an epoch.

    Each weight multiplies forward, backward and in the gradient.
    """
    return 3 * operations_per_row(network, X)


def prediction_operations(network, X):
    """Multiplications and additions that a prediction of all rows takes."""
    return X.shape[0] * operations_per_row(network, X)


@contextmanager
def reserve_threads(n_jobs, step, total):
    """Decide on a number of threads for the time of a fit or a prediction.

    Parameters
    ----------
    n_jobs : int or None
        The number of threads; -1 stands for all processors, -2 for all but one and so
        on. None stands for the free processors, or fewer if there is little work.
    step, total : float
        Operations between two barriers and altogether.

    Yields
    ------
    n_threads : int
    """
    if n_jobs is not None:
        yield threads_of(n_jobs)
        return
    if total < ALL_OPERATIONS:
        # Noting it and its end takes 0.08 ms, as long as predicting a row.
        yield 1
        return
    wanted = 1
    if step >= 2 * STEP_OPERATIONS:
        wanted = min(usable_processors(), int(step / STEP_OPERATIONS))
    n_threads = 1

    def take():
        global _taken
        nonlocal n_threads
        with _lock:
            if wanted > 1:
                n_threads = max(1, min(wanted, usable_processors() - _taken))
            _taken += n_threads
        return n_threads

    def give():
        global _taken
        with _lock:
            _taken -= n_threads

    with held(take, give):
        yield n_threads


def threads_of(n_jobs):
    """Number of threads for `n_jobs`, as joblib counts, at most `most_threads`."""
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning; 1 stands for a single thread.")
    if n_jobs < 0:
        return max(1, joblib.cpu_count() + 1 + n_jobs)
    return min(n_jobs, most_threads())


def most_threads():
    """The processors that this process may use.

    Threads beyond them wait for one another: on two processors, three take 1.5 times as
    long as the better of one and two, on 'digits' and on 'cover'.
    """
    return joblib.cpu_count()


def free_processors():
    """Processors that no fit of this process has taken, at least 1."""
    return max(1, usable_processors() - _taken)


@contextmanager
def granted(n_processors):
    """Let fits inside share so many processors, although they are in a worker."""
    token = _granted.set(n_processors)
    try:
        yield
    finally:
        _granted.reset(token)


def usable_processors():
    """Processors that this process may use for one fit, at least 1."""
    if _granted.get() is not None:
        return _granted.get()
    if _is_worker():
        return 1
    limits = [joblib.cpu_count()]
    for name in LIMITS:
        # "4,2" is the number for each level of nested loops.
        value = os.environ.get(name, "").split(",")[0].strip()
        if value.isdecimal() and int(value) > 0:
            limits.append(int(value))
    return min(limits)


def _is_worker():
    """Whether others beside this thread or process do the same kind of work."""
    if multiprocessing.parent_process() is not None:
        return True
    if get_active_backend()[0].nesting_level:
        return True
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:  # not inside a task
        return False
    return True
