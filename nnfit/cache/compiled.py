"""Compiled code: the one place that finds it on disk, or has it made and keeps it.

*Code* is whatever a device loads. It is kept under a name that is a hash of everything
it depends on (`nnfit.cache.keys`): the sources of the engines and below, the versions
of numba, llvmlite and Python, the device, and the arguments it was built with. The file
name being the key, there is no index to race for and nothing to go stale; of several
processes that need the same code one compiles it and the others wait for its file
(`nnfit.cache.turns`).

A cache that cannot be read or written costs time, never a result: a damaged
file is compiled again and replaced, an unwritable folder is left alone.
"""

import sys
from contextlib import suppress

from nnfit import fork_lock
from nnfit.cache import keys, turns
from nnfit.cache.folder import SUFFIX, Folder, open_cache

_announced = set()

#: Why code without a name is not kept.
_NAMELESS_FUNCTION = (
    "a function of your own refers to something whose contents cannot be hashed. Let "
    "it use numbers, strings, tuples, arrays and functions."
)
NAMELESS_PACKAGE = (
    "nnfit's own modules can be read neither as source nor as bytecode where they are "
    "installed. Install them as files or in an archive."
)


def cached(kernel, make, device="this machine", time="a few seconds"):
    """Return the code of a kernel, from disk or newly made and kept there.

    Parameters
    ----------
    kernel : tuple
        Builder, arguments, fingerprint and target. Numbers and strings among the
        arguments count by value, functions of a user by the fingerprint: None, for
        one that cannot be described, keeps nothing. The target is whatever else
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
            announce(device, time, _NAMELESS_FUNCTION if is_own else NAMELESS_PACKAGE)
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


def missing(kernels, target, make, fingerprint=b""):
    """Return what `store` needs for those kernels that the cache lacks.

    Parameters
    ----------
    kernels : iterable of tuple
        The builder of each and what it needs.
    target : object
        That of `cached`.
    make : callable
        ``make(builder, arguments, target)`` compiles one, importable.
    fingerprint : bytes, default=b""
        Of functions of a user among the arguments.

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
    work = []
    with open_cache() as folder:
        for builder, *arguments in kernels:
            key = keys.key(builder, arguments, fingerprint, target)
            if key is None:
                raise OSError(f"Compiled kernels cannot be kept: {NAMELESS_PACKAGE}")
            if folder.read(key + SUFFIX) is None:
                work.append(
                    (folder.path / (key + SUFFIX), builder, arguments, target, make)
                )
        if work:
            folder.check_writable()
    return work


def store(path, builder, arguments, target, make):
    """Compile a kernel into the cache.

    The arguments are what `missing` returns.

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
            folder.write(name, make(builder, arguments, target))


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
