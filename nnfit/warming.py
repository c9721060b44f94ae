"""Filling the cache of compiled kernels beforehand: `nnfit.warmup`."""

import time

import joblib

from nnfit import compiling
from nnfit.cpu import kernels
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LINKS, LOSSES
from nnfit.functions.optimizers import OPTIMIZERS

DTYPES = ("float32", "float64")
#: Two engines take as long as all other kernels together, so that four processes have
#: done when the engines are.
MAX_PROCESSES = 4


def warmup(dtype=None):
    """Compile and cache all that a fit or a prediction can need.

    Every part of the engine, solver, activation, loss and inverse link that nnfit
    has, for the processor that this runs on. A later process loads them, compiles
    nothing and does not import numba; only functions of your own are compiled when
    they are first used. What the cache already has is kept.

    Prints one line: how many kernels there are and how many had to be compiled, where
    they are, and how long it took. Several processes share the work.

    Parameters
    ----------
    dtype : {"float32", "float64"}, default=None
        Precision; None is both. float32 is that of fits with the default solvers on
        float32 data or by ``dtype``; half of the time.

    Raises
    ------
    OSError
        If there is no folder for the cache that can be written, or that can be
        trusted; the message says which and why.
    ValueError
        If `dtype` is neither None nor one of the two.

    Examples
    --------
    >>> import nnfit
    >>> nnfit.warmup()  # doctest: +SKIP
    102 kernels in /home/me/.cache/nnfit, 102 of them compiled in 22.4 s
    """
    if dtype not in (None, *DTYPES):
        raise ValueError(
            f"The parameter 'dtype' of warmup must be 'float32', 'float64' or None "
            f"(both), got {dtype!r}."
        )
    start = time.perf_counter()
    wanted = builtin_kernels(DTYPES if dtype is None else [dtype])
    work = compiling.missing(wanted)
    _compile_all(work)
    print(
        f"{len(wanted)} kernels in {compiling.cache_folder()}, {len(work)} of them "
        f"compiled in {time.perf_counter() - start:.1f} s"
    )


def builtin_kernels(dtypes):
    """Arguments of `compiling.load` for every kernel that nnfit has itself.

    The slow ones come first, so that no process is left alone with one.
    """
    by_name = {
        kernels.OPTIMIZER: OPTIMIZERS,
        kernels.LOSS: LOSSES,
        kernels.LINK: [name for name in LINKS if name != "identity"],
        kernels.ACTIVATION: ACTIVATIONS,
        kernels.NORMALIZATION: kernels.NORMALIZATIONS,
    }
    builders = [(builder,) for builder in kernels.OF_DTYPE]
    builders += [(builder, name) for builder in by_name for name in by_name[builder]]
    return [(*builder, dtype) for builder in builders for dtype in dtypes]


def _compile_all(work):
    n_jobs = min(MAX_PROCESSES, joblib.cpu_count(), max(1, len(work)))
    joblib.Parallel(n_jobs, batch_size=1)(
        joblib.delayed(compiling.store)(*item) for item in work
    )
