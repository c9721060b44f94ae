"""How many threads a fit may use.

The fits of a process share its processors: a fit that may choose takes those that
no other fit has taken. In a worker of joblib, multiprocessing or Dask it takes one,
since the others have workers of their own.
"""

import multiprocessing
import os
import sys
import threading
from contextlib import contextmanager

import joblib
from joblib.parallel import get_active_backend

#: Multiplications and additions between two barriers for each thread: with fewer,
#: some 20 microseconds, threads exchange weights and activations longer than they
#: compute.
STEP_OPERATIONS = 1e6
#: Of a whole fit or prediction for which starting threads pays, some 10 milliseconds.
ALL_OPERATIONS = 5e8
#: Environment variables that limit the threads of a process: what users and the
#: workers of joblib set already for BLAS and for numba.
LIMITS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")

_lock = threading.Lock()
_taken = 0


def _forget_after_fork():
    """The child runs none of the parent's fits, and nobody there holds the lock."""
    global _lock, _taken
    _lock = threading.Lock()
    _taken = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


@contextmanager
def reserve_threads(n_jobs, step, total):
    """Decide on a number of threads for the time of a fit or a prediction.

    Parameters
    ----------
    n_jobs : int or None
        A number is obeyed; -1 stands for all processors, -2 for all but one and so
        on. None stands for as many as are free and as the work is worth.
    step, total : float
        Operations between two barriers and altogether.

    Yields
    ------
    n_threads : int
    """
    global _taken
    if n_jobs is not None:
        yield n_jobs if n_jobs > 0 else max(1, joblib.cpu_count() + 1 + n_jobs)
        return
    n_threads, processors = 1, 1
    if step >= 2 * STEP_OPERATIONS and total >= ALL_OPERATIONS:
        processors = usable_processors()
    with _lock:
        if processors > 1:
            wanted = min(processors, int(step / STEP_OPERATIONS))
            n_threads = max(1, min(wanted, processors - _taken))
        _taken += n_threads
    try:
        yield n_threads
    finally:
        with _lock:
            _taken -= n_threads


def free_processors():
    """Processors that no fit of this process has taken, at least 1."""
    return max(1, usable_processors() - _taken)


def usable_processors():
    """Processors that this process may use for one fit, at least 1."""
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
