"""Compiled kernels of the processor: the one place that compiles and loads them.

A kernel is a set of C functions over pointers and numbers. Its *machine code* is kept
on disk (`nnfit.cache.compiled`), also by the processor with its features. A hit loads
the code with llvmlite alone, in a few milliseconds; numba is imported only when
something must be compiled.
"""

import importlib
import os
import threading

from nnfit import fork_lock
from nnfit.cache import compiled, keys, turns
from nnfit.cache.folder import open_cache
from nnfit.cpu import helper, machine_code
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import COST_OF_A_KIND, COSTS
from nnfit.running_numba import run_numba

_loaded = {}

#: One thread at a time goes through `load_all`. Not under the lock that a fork waits
#: for: a fork may come between two kernels.
_together = threading.RLock()


def _renew_after_fork():
    global _together
    _together = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)


def load(builder, *arguments, fingerprint=b"", target=None):
    """Return a kernel, from this process, from disk or newly compiled.

    Parameters
    ----------
    builder : str
        ``"module:function"``. Called with the target and `arguments` when
        nothing is cached; returns ``{name: (function, numba signature)}``.
    *arguments
        What the builder needs. Numbers and strings are part of the key by
        value; a function must be described by `fingerprint`.
    fingerprint : bytes or None, default=b""
        Describes the functions of a user among `arguments`. None, for one
        that cannot be described, compiles anew and caches nothing.
    target : nnfit.cpu.target.Target, default=None
        The processor; None is this machine's.

    Returns
    -------
    kernel : nnfit.cpu.machine_code.Kernel
    """
    target = target or targets.host()
    name = _name(builder, arguments, fingerprint, target)
    kernel = _loaded.get(name)
    if kernel is None:
        with fork_lock.held():
            kernel = _loaded.get(name)
            if kernel is None:
                code = compiled.cached(
                    (builder, arguments, fingerprint, target),
                    lambda: compile_object(builder, arguments, target),
                )
                kernel = machine_code.Kernel(code, target)
                if fingerprint is not None:
                    _loaded[name] = kernel
    return kernel


def _name(builder, arguments, fingerprint, target):
    """Name of a kernel in this process.

    Not the file's, which takes 10 microseconds to hash: a prediction for one row needs
    four kernels.
    """
    return builder, repr(keys.plain(arguments)), fingerprint, target  # 1 is not 1.0


def load_all(kernels):
    """Load kernels that will be needed together.

    One of the processes that lack some compiles them, with the help of a second process
    (`nnfit.cpu.helper`), while the others wait. `load` compiles whatever is missing
    then.

    Parameters
    ----------
    kernels : list of tuple
        As `missing` takes them.
    """
    target = targets.host()
    with _together:
        kernels = [
            (builder, *arguments)
            for builder, *arguments in kernels
            if _name(builder, arguments, b"", target) not in _loaded
        ]
        if len(kernels) < 2:
            return
        try:
            names = [path.name for path, *_ in missing(kernels)]
            if not names:
                return
            folder = open_cache()
        except OSError:  # no cache: a second process has nowhere to write to
            return
        with folder, turns.turn(folder, "engine", names) as is_alone:
            absent = [(builder, *rest) for _, builder, rest, *_ in missing(kernels)]
            own, others = helper.divide(
                absent, lambda kernel: COSTS.get(kernel[0], COST_OF_A_KIND), is_alone
            )
            with helper.helped_with(others):
                for kernel in own:
                    load(*kernel)


def compile_object(builder, arguments, target):
    """Compile a kernel, past every cache, to a native object file.

    Parameters are those of `load`.

    Returns
    -------
    code : bytes
    """
    with fork_lock.held():
        return _compile(builder, arguments, target)


def _compile(builder, arguments, target):
    """`compile_object` without its lock.

    A function of its own, since its locals must die before the lock is free:
    they free LLVM's modules under llvmlite's lock, which a fork must not meet.
    """

    def compile_exports():
        lowering = importlib.import_module("nnfit.cpu.kernels.lowering")
        module, function = builder.split(":")
        exports = getattr(importlib.import_module(module), function)(target, *arguments)
        machine = machine_code.target_machine(target)
        code = lowering.emit_object(exports, target, machine)
        machine_code.check(code)
        return code

    return run_numba(compile_exports, arguments)


def missing(kernels):
    """Those kernels that the cache lacks: `nnfit.cache.compiled.missing`.

    Parameters
    ----------
    kernels : iterable of tuple
        Arguments of `load`: the builder and what it needs.
    """
    return compiled.missing(kernels, targets.host(), _compile)


def serve(work):
    """Compile kernels into the cache; the whole life of the second process."""
    helper.end_with_parent()
    for item in missing(work):
        compiled.store(*item)
