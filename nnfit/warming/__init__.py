"""Filling the cache of compiled kernels beforehand: `nnfit.warmup`."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import joblib

from nnfit.cache import compiled
from nnfit.cache.folder import cache_folder
from nnfit.cpu import compiling, kernels
from nnfit.cpu.graph import kernels_of_kinds
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.functions.pools import POOLS

if TYPE_CHECKING:
    from nnfit.estimators.annotations import Dtype
    from nnfit.estimators.mlp import BaseMLP

DTYPES = ("float32", "float64")
#: Two engines take as long as all other kernels together, so that four processes have
#: done when the engines are.
MAX_PROCESSES = 4


def warmup(
    dtype: Dtype | None = None,
    device: str = "cpu",
    *,
    estimator: BaseMLP | None = None,
    compute_capability: str | None = None,
) -> None:
    """Compile and cache what fits and predictions need.

    On the CPU that is every part of the engine, solver, activation, loss and inverse
    link that nnfit has, for the processor that this runs on. A later process loads
    them, compiles nothing and does not import numba; only functions of your own are
    compiled when they are first used. What the cache already has is kept.

    Prints one line: how many kernels there are and how many had to be compiled, where
    they are, and how long it took. Several processes share the work.

    On a GPU a kernel is compiled for a combination of functions, solver and
    regularisation, of which there are too many. Pass the `estimator` that you will
    fit: what its parameters lead to on dense data is compiled, for every kind of
    target and for large and small networks, and what it predicts with. Predictions
    for few rows run on the CPU, which is warmed by a call of its own.

    Parameters
    ----------
    dtype : {"float32", "float64"}, default=None
        Precision; None is both on the CPU, and that of the estimator on a GPU.
    device : {"cpu", "cuda", "cuda:N", "auto"}, default="cpu"
        See the estimators' parameter.
    estimator : MLPClassifier or MLPRegressor, default=None
        For a GPU; fitted or not, it is not changed. None stands for both classes with
        their default parameters.
    compute_capability : str, default=None
        Of the GPU, such as ``"9.0"``, to compile on a machine without it; None asks
        the driver.

    Raises
    ------
    CudaUnavailable
        A RuntimeError, if a GPU is asked for that cannot be used, or compiled for.
    OSError
        If there is no folder for the cache that can be written, or that can be
        trusted; the message says which and why.
    ValueError
        If a parameter has none of these values, or belongs to a GPU on the CPU.

    Examples
    --------
    >>> import nnfit
    >>> nnfit.warmup()  # doctest: +SKIP
    108 kernels in /home/me/.cache/nnfit, 108 of them compiled in 22.4 s
    """
    if dtype not in (None, *DTYPES):
        raise ValueError(
            f"The parameter 'dtype' of warmup must be 'float32', 'float64' or None "
            f"(both), got {dtype!r}."
        )
    start = time.perf_counter()
    capability = _capability(device, estimator, compute_capability)
    if capability is None:
        wanted = builtin_kernels(DTYPES if dtype is None else [dtype])
        count, work = len(wanted), compiling.missing(wanted)
    else:
        count, work = _work_for_gpu(estimator, dtype, capability)
    _compile_all(work)
    print(
        f"{count} kernels in {cache_folder()}, {len(work)} of them "
        f"compiled in {time.perf_counter() - start:.1f} s"
    )


def _capability(device, estimator, given):
    """Compute capability of the GPU to compile for, None for the CPU."""
    from nnfit.training.device import CPU, number_of, resolve

    number = number_of(device)
    if number is None:
        if estimator is not None or given is not None:
            raise ValueError(
                "The parameters 'estimator' and 'compute_capability' of warmup are for "
                f"a GPU, got device={device!r}. Pass device='cuda', or leave them out: "
                "on the CPU everything is compiled."
            )
        return None
    if given is None:
        if resolve(device) == CPU:
            return None
        from nnfit.cuda.driver import open_device

        return open_device(number).compute_capability
    match = re.fullmatch(r"(\d+)\.(\d)", str(given))
    if match is None:
        raise ValueError(
            "The parameter 'compute_capability' of warmup must be a string such as "
            f"'9.0', got {given!r}."
        )
    return tuple(map(int, match.groups()))


def _work_for_gpu(estimator, dtype, capability):
    """Number of kernels, and what `compiled.store` needs for those to be compiled."""
    import nnfit
    from nnfit.cuda import modules
    from nnfit.estimators.mlp import BaseMLP
    from nnfit.warming.gpu import kernels_of

    if estimator is None:
        estimators = nnfit.MLPClassifier(), nnfit.MLPRegressor()
    elif isinstance(estimator, BaseMLP):
        estimators = (estimator,)
    else:
        raise TypeError(
            "The parameter 'estimator' of warmup must be an MLPClassifier or an "
            f"MLPRegressor, got {estimator!r}."
        )
    # What the processor does for it: orders, and links of predictions in float64.
    own = [(kernels.ORDERS,)]
    own += [k for k in builtin_kernels(["float64"]) if k[0] == kernels.LINK]
    work, target = compiling.missing(own), modules.target_of(capability)
    found = dict.fromkeys(k for e in estimators for k in kernels_of(e, dtype))
    for fingerprint, kernel in found:
        work += compiled.missing([kernel], target, modules.compile_for, fingerprint)
    return len(own) + len(found), work


def builtin_kernels(dtypes):
    """Arguments of `compiling.load` for every kernel that nnfit has itself.

    The slow ones come first, so that no process is left alone with one.
    """
    by_name = {
        kernels.OPTIMIZER: OPTIMIZERS,
        kernels.LOSS: LOSSES,
        kernels.LINK: [name for name in LINKS if name != "identity"],
        kernels.POOL: POOLS,
        kernels.ACTIVATION: ACTIVATIONS,
    }
    builders = [(builder,) for builder in kernels.OF_DTYPE] + kernels_of_kinds()
    builders += [(builder, name) for builder in by_name for name in by_name[builder]]
    found = [(*builder, dtype) for builder in builders for dtype in dtypes]
    # A network of float32 predicts float64 too, for X of that type.
    wide = [(kernels.LINK, name, "float64") for name in by_name[kernels.LINK]]
    return list(dict.fromkeys(found + wide))


def _compile_all(work):
    n_jobs = min(MAX_PROCESSES, joblib.cpu_count(), max(1, len(work)))
    joblib.Parallel(n_jobs, batch_size=1)(
        joblib.delayed(compiled.store)(*item) for item in work
    )
