"""Compiled kernels and their cache: the one place that knows about either.

A kernel is a set of C functions over pointers and numbers. Its *machine code*
is kept on disk under a name that is a hash of everything it depends on: the
sources of the engines and below, the versions of numba, llvmlite and Python, the
processor with its features, and the arguments it was built with. A hit loads
the code with llvmlite alone, in a few milliseconds; numba is imported only
when something must be compiled. The file name being the key, there is no
index to race for and nothing to go stale; of two processes that compile the same
kernel at once, the later one replaces the file by its equal. Neither waits for the
other: where each has a core of its own that would save no time, and a lock needs an
answer to killed holders and network folders. `nnfit.warmup` is for such starts.

A cache that cannot be read or written costs time, never a result: a damaged
file is compiled again and replaced, an unwritable folder is left alone.
"""

import ctypes
import gc
import hashlib
import importlib
import importlib.metadata
import os
import platform
import stat
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from llvmlite import binding as llvm

from nnfit import helper
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import COSTS

_MAGIC = b"nnfit-object-1\n"
_SUFFIX = ".nnfit"
#: Files are pruned, oldest first, beyond this number. `nnfit.warmup` writes 108 of 1 to
#: 40 kB for each processor and version; every edit of the package adds such a set.
_MAX_FILES = 1000

_lock = threading.RLock()
_loaded = {}
_announced = set()


#: Seconds that a fork waits for a compilation on another thread.
_FORK_WAIT = 30.0


def _wait_before_fork():
    """Let another thread end its compilation before the process is copied.

    The child would inherit numba's and llvmlite's own locks, held by a thread
    that it does not have, and hang in its first fit. The wait has an end, so
    that no thread can stop a fork for good.
    """
    _lock.acquire(timeout=_FORK_WAIT)


def _release_after_fork():
    try:
        _lock.release()
    except RuntimeError:  # not ours: the wait came to its end
        pass


def _renew_after_fork():
    """Give a forked child a lock that no vanished thread can hold."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_wait_before_fork,
        after_in_parent=_release_after_fork,
        after_in_child=_renew_after_fork,
    )


class Kernel:
    """Machine code in this process: C functions by name.

    Parameters
    ----------
    code : bytes
        A native object file.
    target : nnfit.cpu.target.Target
        The processor it was compiled for.
    """

    def __init__(self, code, target):
        targets.initialize_llvm()
        machine = _target_machine(target)
        module = llvm.parse_assembly(f'target triple = "{target.triple}"')
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.code = code
        self._functions = {}

    def address(self, name):
        """Return the address of a function, an int."""
        address = self._engine.get_function_address(name)
        if not address:
            raise LookupError(f"The kernel has no function {name!r}.")
        return address

    def function(self, name, restype, *argtypes):
        """Return a function that releases the GIL while it runs."""
        if name not in self._functions:
            prototype = ctypes.CFUNCTYPE(restype, *argtypes)
            self._functions[name] = prototype(self.address(name))
        return self._functions[name]


def _target_machine(target):
    """LLVM's code generator, set up as for any code loaded into a process."""
    is_x86 = target.triple.startswith(("x86", "i386", "i686"))
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=3,
        reloc="static" if is_x86 else "default",
        codemodel="jitdefault",
        jit=True,
    )


def load(builder, *arguments, fingerprint=b"", target=None):
    """Return a `Kernel`, from this process, from disk or newly compiled.

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
    kernel : Kernel
    """
    target = target or targets.host()
    # Not the file's name, which takes 10 microseconds to hash: a prediction for
    # one row needs four kernels.
    name = (builder, repr(plain(arguments)), fingerprint, target)  # 1 is not 1.0
    kernel = _loaded.get(name)
    if kernel is None:
        with _lock:
            kernel = _loaded.get(name)
            if kernel is None:
                code = cached(
                    (builder, arguments, fingerprint, target),
                    lambda: compile_object(builder, arguments, target),
                )
                kernel = Kernel(code, target)
                if fingerprint is not None:
                    _loaded[name] = kernel
    return kernel


def load_all(kernels):
    """Load kernels that will be needed together.

    Those that the cache lacks are compiled by this process and a second one, see
    `nnfit.helper`. Whatever is missing afterwards `load` compiles.

    Parameters
    ----------
    kernels : list of tuple
        As `missing` takes them.
    """
    target = targets.host()
    with _lock:
        kernels = [
            (builder, *arguments)
            for builder, *arguments in kernels
            if (builder, repr(tuple(arguments)), b"", target) not in _loaded
        ]
        if len(kernels) < 2:
            return
        try:
            absent = [(builder, *rest) for _, builder, rest, _ in missing(kernels)]
        except OSError:  # no cache: a second process has nowhere to write to
            return
        own, others = helper.divide(absent, lambda kernel: COSTS[kernel[0]])
        with helper.helped_with(others):
            for kernel in own:
                load(*kernel)


def cached(kernel, make):
    """Return the code of a kernel, from disk or newly made and kept there.

    Parameters
    ----------
    kernel : tuple
        Builder, arguments and fingerprint as `load` takes them, and a target: anything
        that is no code of this package and decides what is made, by its repr.
    make : callable
        Returns the code.

    Returns
    -------
    code : bytes
    """
    with _lock:
        if kernel[2] is None:
            return make()
        folder, _ = find_cache()
        path = folder / (_key(*kernel) + _SUFFIX) if folder else None
        code = _read(path)
        if code is None:
            code = make()
            _write(path, code)
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
        If no folder can be used; or if a kernel is missing and the folder cannot be
        written.
    """
    folder, problem = find_cache()
    if folder is None:
        raise OSError(problem)
    target = target or targets.host()
    work = []
    for builder, *arguments in kernels:
        path = folder / (_key(builder, arguments, fingerprint, target) + _SUFFIX)
        if _read(path) is None:
            work.append((path, builder, arguments, target))
    if work:
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise OSError(_not_usable(folder, error.strerror)) from error
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
    with _lock:
        code = (make or _compile)(builder, arguments, target)
    _write_file(path, code)


def compile_object(builder, arguments, target):
    """Compile a kernel, past every cache, to a native object file.

    Parameters are those of `load`.

    Returns
    -------
    code : bytes
    """
    announce()
    with _lock:
        return _compile(builder, arguments, target)


def _compile(builder, arguments, target):
    """`compile_object` without its lock.

    A function of its own, since its locals must die before the lock is free:
    they free LLVM's modules under llvmlite's lock, which a fork must not meet.
    """
    with without_garbage_collection():
        lowering = importlib.import_module("nnfit.cpu.kernels.lowering")
        module, function = builder.split(":")
        exports = getattr(importlib.import_module(module), function)(target, *arguments)
        return lowering.emit_object(exports, target, _target_machine(target))


@contextmanager
def without_garbage_collection():
    """It would look again and again at what lives until the end: 0.3 of 4.4 s."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def announce(device="this machine", time="a few seconds"):
    """Say once per process and device, on stderr, why the first fit takes seconds."""
    if device not in _announced:
        _announced.add(device)
        try:
            print(
                f"nnfit: compiling kernels for {device}, once ({time})",
                file=sys.stderr,
                flush=True,
            )
        except (OSError, ValueError):  # nobody reads it, or it is closed
            pass


# ---------------------------------------------------------------------- keys


def _key(builder, arguments, fingerprint, target):
    text = repr((environment_fingerprint(), builder, plain(arguments), target))
    return hashlib.sha256(text.encode() + fingerprint).hexdigest()[:40]


def plain(arguments):
    """Return those arguments that are part of a key by value."""
    return tuple(a for a in arguments if isinstance(a, (int, float, str)))


#: Folders that no kernel imports from: kernels outlive a change there.
_ABOVE_KERNELS = ("estimators", "training")


@lru_cache(maxsize=1)
def environment_fingerprint():
    """Hash of all that compiled code depends on besides its own arguments."""
    digest = hashlib.sha256()
    versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    versions += [platform.python_version(), sys.platform]
    digest.update(repr(versions).encode())
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in _ABOVE_KERNELS:
            digest.update(name.as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


# ---------------------------------------------------------------------- disk


def cache_folder():
    """Return the folder of compiled kernels, or None where none can be used.

    ``$NUMBA_CACHE_DIR/nnfit`` when that variable is set, else the user's cache
    folder. A folder that belongs to, or can be written by, another user is not
    trusted: machine code is read from it. Root is, who can change any program:
    an image or a cluster has kernels that root compiled for all.

    Returns
    -------
    folder : pathlib.Path or None
    """
    return find_cache()[0]


def find_cache():
    """Return `cache_folder` and, where that is None, a sentence that says why."""
    try:
        folder = _user_cache() / "nnfit"
    except RuntimeError as error:
        return None, _not_usable("The user's cache folder", error)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        problem = _why_untrusted(folder)
    except OSError as error:
        problem = error.strerror
    return (None, _not_usable(folder, problem)) if problem else (folder, None)


def _not_usable(folder, problem):
    return (
        f"{folder} cannot be used for compiled kernels: {problem}. Set the environment "
        "variable NUMBA_CACHE_DIR to a folder of your own, or change this one."
    )


def _user_cache():
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _why_untrusted(path):
    """Return why machine code is not read from a folder or file, None if it is."""
    if not hasattr(os, "getuid"):  # Windows: the user's folder is private
        return None
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "it is a symbolic link"
    if status.st_uid not in (0, os.getuid()):
        return "it belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users may write to it"
    return None


def _checksum(path, code):
    """Of code under its name: a file is valid under no other.

    Nothing else is checked: llvmlite does not refuse what is no object file,
    the process dies (segmentation fault, llvmlite 0.50).
    """
    return hashlib.sha256(path.name.encode() + code).digest()


def _read(path):
    """Return the code in a cached file, None if there is none or it is damaged."""
    try:
        if path is None or _why_untrusted(path):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + 32
    code = data[head:]
    if data[:head] != _MAGIC + _checksum(path, code):
        return None
    return code


def _write(path, code):
    """Write a cached file; failure is no error."""
    try:
        if path is not None:
            _write_file(path, code)
    except OSError:  # full disk, lost permission, a locked file on Windows
        pass


def _write_file(path, code):
    """Write a cached file at once or not at all."""
    _prune(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _checksum(path, code) + code)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _prune(folder):
    """Remove the oldest kernels beyond a limit, and remains of killed writers."""
    hour_ago = time.time() - 3600
    for written, path in _by_age(folder, "*.tmp"):
        if written < hour_ago:
            path.unlink(missing_ok=True)
    files = _by_age(folder, "*" + _SUFFIX)
    for _, path in files[: max(0, len(files) - _MAX_FILES)]:
        path.unlink(missing_ok=True)


def _by_age(folder, pattern):
    """Pairs of modification time and path, oldest first."""
    pairs = []
    for path in folder.glob(pattern):
        try:
            pairs.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # renamed or removed by another process
            pass
    return sorted(pairs)
