"""Running numba for any device: settings that keep it from compiling, users' errors."""

import gc
import importlib
from contextlib import contextmanager

from nnfit.functions import custom


class NeedsPython(Exception):
    """A kernel needs what it must not use, or what nothing here has."""


def run_numba(work, arguments):
    """Run what compiles with numba.

    Parameters
    ----------
    work : callable
    arguments : tuple
        Of the kernel; if functions of a user are among them, they are blamed.

    Raises
    ------
    RuntimeError
        If numba is told not to compile.
    ValueError
        If a function of a user cannot be compiled.
    """
    if importlib.import_module("numba").config.DISABLE_JIT:
        raise RuntimeError(
            "nnfit must compile kernels that its cache lacks, and NUMBA_DISABLE_JIT "
            "keeps numba from compiling. Unset it, or run 'python -m nnfit warmup' "
            "once without it."
        )
    own = [argument for argument in arguments if callable(argument)]
    try:
        with without_garbage_collection():
            return work()
    except (MemoryError, OSError):
        raise
    except Exception as error:
        if not own or _is_ours(error):
            raise
        sentence = custom.why_not_compiled(own, error)
    # Outside of the block: the error would hold what numba made, and show its text.
    raise ValueError(sentence)


def _is_ours(error):
    """Whether an error says by itself what is wrong."""
    is_of_package = type(error).__module__.startswith("nnfit.")
    return is_of_package and not isinstance(error, NeedsPython)


@contextmanager
def without_garbage_collection():
    """Keep Python's collector from looking again and again at what lives until the end.

    Of 4.4 s it took 0.3.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
