"""Compiled kernels: the one place that compiles and keeps them.

A kernel is a set of C functions over pointers and numbers. Its *machine code*
is kept on disk under a name that is a hash of everything it depends on
(`nnfit.cache.keys`): the sources of the engines and below, the versions of numba,
llvmlite and Python, the processor with its features, and the arguments it was built
with. A hit loads the code with llvmlite alone, in a few milliseconds; numba is imported
only when something must be compiled. The file name being the key, there is no index to
race for and nothing to go stale; of several processes that need the same kernel one
compiles it and the others wait for its file (`nnfit.cache.turns`).

A cache that cannot be read or written costs time, never a result: a damaged
file is compiled again and replaced, an unwritable folder is left alone.
"""

import gc
import importlib
import os
import sys
import threading
from contextlib import contextmanager, suppress

from nnfit import fork_lock, helper
from nnfit.cache import keys, turns
from nnfit.cache.folder import SUFFIX, Folder, open_cache
from nnfit.cpu import machine_code
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import COSTS
from nnfit.functions import custom

_loaded = {}
_announced = set()

#: One thread at a time goes through `load_all`. Not under the lock that a fork waits
#: for: a fork may come between two kernels.
_together = threading.RLock()


def _renew_after_fork():
    global _together
    _together = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)

#: Why code without a name is not kept.
_NAMELESS_FUNCTION = (
    "a function of your own refers to something whose contents cannot be hashed. Let "
    "it use numbers, strings, tuples, arrays and functions."
)
_NAMELESS_PACKAGE = (
    "nnfit's own modules can be read neither as source nor as bytecode where they are "
    "installed. Install them as files or in an archive."
)


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
                code = cached(
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
    (`nnfit.helper`), while the others wait. `load` compiles whatever is missing then.

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
            absent = [(builder, *rest) for _, builder, rest, _ in missing(kernels)]
            own, others = helper.divide(
                absent, lambda kernel: COSTS[kernel[0]], is_alone
            )
            with helper.helped_with(others):
                for kernel in own:
                    load(*kernel)


def cached(kernel, make, device="this machine", time="a few seconds"):
    """Return the code of a kernel, from disk or newly made and kept there.

    Parameters
    ----------
    kernel : tuple
        Builder, arguments and fingerprint as `load` takes them, and a target: whatever
        decides what is made besides the code of this package, by its repr.
    make : callable
        Returns the code.
    device, time : str
        What it is made for and how long that takes, for the user.

    Returns
    -------
    code : bytes
    """
    with fork_lock.held():
        key = keys.key(*kernel)
        if key is None:
            is_own = kernel[2] is None
            announce(device, time, _NAMELESS_FUNCTION if is_own else _NAMELESS_PACKAGE)
            return make()
        try:
            folder = open_cache()
        except OSError as error:
            announce(device, time, str(error))
            return make()
        with folder:
            code = folder.read(key + SUFFIX)
            if code is None:
                code = _made(folder, key, make, device, time)
            return code


def _made(folder, key, make, device, time):
    """Code that the folder lacks, made by this process or by another one meanwhile."""
    name = key + SUFFIX
    with turns.turn(folder, key, [name]):
        code = folder.read(name)
        if code is None:
            problem = None
            try:
                folder.check_writable()
            except OSError as error:
                problem = str(error)
            announce(device, time, problem)
            code = make()
            # A full disk, lost permission, a locked file on Windows cost time only.
            with suppress(OSError):
                folder.write(name, code)
    return code


def missing(kernels, fingerprint=b"", target=None):
    """Return what `store` needs for those kernels that the cache lacks.

    Parameters
    ----------
    kernels : iterable of tuple
        Arguments of `load`: the builder and what it needs.
    fingerprint : bytes, default=b""
        Of functions of a user among them.
    target : object, default=None
        That of `cached`; None is this machine's processor.

    Returns
    -------
    work : list of tuple
        Empty if all are there. It can be sent to another process.

    Raises
    ------
    OSError
        If no folder can be used, or nothing can be named; or if a kernel is missing
        and the folder cannot be written.
    """
    target = target or targets.host()
    work = []
    with open_cache() as folder:
        for builder, *arguments in kernels:
            key = keys.key(builder, arguments, fingerprint, target)
            if key is None:
                raise OSError(f"Compiled kernels cannot be kept: {_NAMELESS_PACKAGE}")
            if folder.read(key + SUFFIX) is None:
                work.append((folder.path / (key + SUFFIX), builder, arguments, target))
        if work:
            folder.check_writable()
    return work


def store(path, builder, arguments, target, make=None):
    """Compile a kernel into the cache.

    The first four are what `missing` returns; ``make(builder, arguments, target)``
    gives the code, by default that for a processor.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    name = path.name
    with (
        fork_lock.held(),
        Folder(path.parent) as folder,
        turns.turn(folder, path.stem, [name]),
    ):
        if folder.read(name) is None:
            folder.write(name, (make or _compile)(builder, arguments, target))


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
    return is_of_package and not isinstance(error, machine_code.NeedsPython)


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


def announce(device="this machine", time="a few seconds", problem=None):
    """Say once per process and device, on stderr, why the first fit takes seconds.

    Parameters
    ----------
    device, time : str
    problem : str, default=None
        Why the next process will compile again.
    """
    if device in _announced:
        return
    _announced.add(device)
    if problem is None:
        text = f"nnfit: compiling kernels for {device}, once ({time})"
    else:
        text = (
            f"nnfit: compiling kernels for {device} ({time}), in every process: "
            f"{problem}"
        )
    try:
        print(text, file=sys.stderr, flush=True)
    except (AttributeError, OSError, ValueError):  # nobody reads it, or it is closed
        pass
