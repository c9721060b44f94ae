"""The one place that chooses a device and its engine."""

import re
from contextlib import nullcontext
from functools import cache, partial
from typing import Any, NamedTuple

from nnfit import fork_lock
from nnfit.foreign_names import of_value
from nnfit.training.threads import ALL_OPERATIONS, reserve_threads

CPU = "cpu"
#: Rows of a prediction from which on it runs on a GPU. Every call sends the weights. A
#: weight of 4 bytes crosses a bus of 16 GB/s in the time in which one processor core of
#: 100 GFLOP/s passes some ten rows through it, and there are several cores.
MIN_ROWS = 256


class DeviceEngine(NamedTuple):
    """The part of a GPU's engine module that the rest of the package uses."""

    Engine: Any
    predict: Any
    activate: Any


def resolve(device):
    """Decide where to train.

    Parameters
    ----------
    device : str
        The estimators' parameter.

    Returns
    -------
    device : str
        ``"cpu"`` or ``"cuda:N"``.

    Raises
    ------
    ValueError
        If there is no such device by name.
    nnfit.cuda.toolkit.CudaUnavailable
        A RuntimeError, if the GPU that is asked for cannot be used.
    """
    number = number_of(device)
    if number is None:
        return CPU
    toolkit = _toolkit()
    problem = toolkit.problem(number)
    if problem is None:
        return f"cuda:{number}"
    if device == "auto":
        return CPU
    raise toolkit.CudaUnavailable(
        f"device={device!r} cannot be used. {problem} device='auto' takes a GPU where "
        "one can be used and the CPU elsewhere."
    )


def resolve_prediction(device, n_rows, operations):
    """Decide where to predict.

    A missing GPU is no error: a model may be fitted where there is one and used where
    there is none. Predictions that are not worth the way to a GPU also run on the CPU:
    those of few rows, and those that are not worth a second thread.

    Parameters
    ----------
    device : str
        The estimators' parameter.
    n_rows : int
    operations : float
        Multiplications and additions of the prediction.

    Returns
    -------
    device : str
        ``"cpu"`` or ``"cuda:N"``.
    """
    number = number_of(device)
    if number is None or n_rows < MIN_ROWS or operations < ALL_OPERATIONS:
        return CPU
    return CPU if _toolkit().problem(number) is not None else f"cuda:{number}"


def _toolkit():
    with fork_lock.held():
        from nnfit.cuda import toolkit

        return toolkit


def number_of(device):
    """Number of the GPU that is asked for, None for the CPU."""
    if device == CPU:
        return None
    if device == "auto":
        return 0
    match = re.fullmatch("cuda(?::([0-9]+))?", str(device))
    if match is None:
        raise ValueError(
            "device must be 'cpu', 'cuda', 'cuda:N' for the GPU of number N, from 0, "
            f"or 'auto', got {device!r}.{of_value('device', device, ('cuda',))}"
        )
    return int(match[1] or 0)


def threads_for(device, n_jobs, step, total):
    """Reserve threads for the time of a fit or a prediction; a GPU needs only one.

    Parameters
    ----------
    device : str
        What `resolve` returns.
    n_jobs, step, total
        See `reserve_threads`, which decides for the CPU.
    """
    return reserve_threads(n_jobs, step, total) if device == CPU else nullcontext(1)


def apply_link(raw, link):
    """See `nnfit.cpu.links.apply_link`, which is imported when first needed."""
    _links().apply_link(raw, link)


# Imported once, and kept: a later prediction that took the lock for its imports would
# wait for whatever another thread compiles, a second and more.


@cache
def _links():
    with fork_lock.held():
        from nnfit.cpu import links

        return links


@cache
def _engine_of_cpu():
    with fork_lock.held():
        from nnfit.cpu import engine

        return engine


def load_engine(device=CPU):
    """Load the engine of a device; it is imported when first needed.

    Parameters
    ----------
    device : str, default="cpu"
        What `resolve` returns.

    Returns
    -------
    engine : module or DeviceEngine
        With ``Engine``, ``predict`` and ``activate``.
    """
    engine = _engine_of_cpu()
    if device == CPU:
        return engine
    with fork_lock.held():
        from nnfit.cpu.orders import shuffled_orders
        from nnfit.cuda import engine as gpu

    number = number_of(device)
    return DeviceEngine(
        partial(gpu.Engine, device_number=number, shuffled_orders=shuffled_orders),
        partial(gpu.predict, device_number=number),
        engine.activate,  # of arrays of the processor's
    )
