"""The CUDA packages: the one place that imports them and knows what is missing.

Two of them are needed. ``numba-cuda`` compiles kernels; ``cuda-bindings``, which it
depends on, calls the driver. Neither is imported before a GPU is asked for, and
``numba-cuda`` only where a kernel must be compiled.
"""

import importlib
import importlib.metadata
import os
import threading
from contextlib import contextmanager

import numpy as np

#: Oldest compute capability that CUDA 13 compiles for (Turing).
MIN_COMPUTE_CAPABILITY = (7, 5)
#: Distributions that decide what a kernel is compiled to, of either version of CUDA.
PACKAGES = (
    "numba-cuda",
    "cuda-bindings",
    "nvidia-nvvm",
    "nvidia-cuda-nvcc-cu12",
    "nvidia-nvjitlink",
    "nvidia-nvjitlink-cu12",
)
_INSTALL = (
    'pip install "nnfit[cuda]", or "nnfit[cuda12]" for a driver of CUDA 12 '
    "(older than 580)"
)
_AFTER_FORK = (
    "This process was forked from one that had used CUDA, and CUDA cannot be used in "
    'both. Start processes with the method "spawn" or "forkserver", or with joblib\'s '
    'backend "loky".'
)

#: A name of NumPy before 2.5 that numba-cuda 0.30 needs while it is imported.
_FORMER_NAME = "row_stack"

_lock = threading.RLock()
_driver = None
_is_forked = False
_problems = {}


class CudaUnavailable(RuntimeError):
    """No GPU can be used; the message says what is missing and what to do."""


def _after_fork():
    global _lock, _is_forked
    _lock = threading.RLock()
    _is_forked = _is_forked or _driver is not None
    _problems.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def version(package):
    """Return the version of an installed package, None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def compiler():
    """Return the module ``numba.cuda``, numba-cuda's.

    Raises
    ------
    CudaUnavailable
        If numba-cuda is not installed. numba itself has an older module of that name,
        which is deprecated.
    """
    _require("numba-cuda")
    return _import("numba.cuda")


def compiler_library():
    """Return ``cuda.bindings.nvrtc``, which says what the toolkit compiles for."""
    return _import("cuda.bindings.nvrtc")


def linker():
    """Return ``cuda.bindings.nvjitlink``, which makes native images."""
    return _import("cuda.bindings.nvjitlink")


@contextmanager
def libraries_needed():
    """If a library of the toolkit is not found, say what to install."""
    pathfinder = _import("cuda.pathfinder")
    try:
        yield
    except pathfinder.DynamicLibNotFoundError as error:
        library = str(error).split(":")[0]
        raise CudaUnavailable(
            f"CUDA needs a library that was not found ({library}): {_INSTALL}."
        ) from error


@contextmanager
def names_of_numpy():
    """Supply a name that numba-cuda looks up in NumPy and that NumPy 2.5 lacks."""
    if hasattr(np, _FORMER_NAME):
        yield
        return
    setattr(np, _FORMER_NAME, lambda arrays: np.vstack(arrays))
    try:
        yield
    finally:
        delattr(np, _FORMER_NAME)


def bindings():
    """Return the module ``cuda.bindings.driver``, with the driver initialized.

    Raises
    ------
    CudaUnavailable
        If it is not installed, there is no driver or no device, or the process was
        forked from one that used CUDA.
    """
    global _driver
    check_process()
    if _driver is None:
        with _lock:
            _require("cuda-bindings")
            driver = _import("cuda.bindings.driver")
            _initialize(driver)
            _driver = driver
    return _driver


def check_process():
    """Raise `CudaUnavailable` in a fork of a process that used CUDA."""
    if _is_forked:
        raise CudaUnavailable(_AFTER_FORK)


def device_count():
    """Return the number of GPUs that the driver shows, 0 where it cannot be asked.

    CUDA_VISIBLE_DEVICES decides which those are.
    """
    try:
        return _count(bindings())
    except CudaUnavailable:
        return 0


def driver_version():
    """Return the newest version of CUDA that the driver can run, as "13.0"."""
    _, version = bindings().cuDriverGetVersion()
    return f"{version // 1000}.{version % 1000 // 10}"


def problem(number=0):
    """Return why a GPU cannot be used, None if it can.

    Parameters
    ----------
    number : int, default=0
        Of the device, among those that are visible.

    Returns
    -------
    problem : str or None
    """
    with _lock:
        if number not in _problems:
            try:
                _check(number)
                _problems[number] = None
            except CudaUnavailable as error:
                _problems[number] = str(error)
        return _problems[number]


def _check(number):
    _require("numba-cuda")
    driver = bindings()
    count = _count(driver)
    if not 0 <= number < count:
        raise CudaUnavailable(
            f"There is no CUDA device {number}: {_visible(count)}, numbered from 0"
            f"{_restriction()}."
        )
    _, device = driver.cuDeviceGet(number)
    found = compute_capability(driver, device)
    if found < MIN_COMPUTE_CAPABILITY:
        _, name = driver.cuDeviceGetName(256, device)
        raise CudaUnavailable(
            f"CUDA device {number}, {text(name)}, has compute capability "
            f"{dotted(found)}; nnfit needs {dotted(MIN_COMPUTE_CAPABILITY)} or newer."
        )


def compute_capability(driver, device):
    """Return that of a CUdevice, as (major, minor)."""
    of = driver.CUdevice_attribute
    return tuple(
        int(driver.cuDeviceGetAttribute(attribute, device)[1])
        for attribute in (
            of.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            of.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )


def dotted(version):
    """(7, 5) as it is written, 7.5."""
    return ".".join(map(str, version))


def text(characters):
    """A string of the driver's, which its bindings return as padded bytes."""
    return characters.rstrip(b"\0").decode(errors="replace")


def _require(package):
    if version(package) is None:
        raise CudaUnavailable(
            f"CUDA needs the package {package}, which is not installed: {_INSTALL}."
        )


def _import(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CudaUnavailable(
            f"CUDA needs the module {name}, which cannot be imported ({error}): "
            f"{_INSTALL}."
        ) from error


def _initialize(driver):
    """Start the driver, and check that it can run what this toolkit compiles."""
    try:
        error = int(driver.cuInit(0)[0])
    except RuntimeError as reason:  # the bindings found no library of the driver's
        raise CudaUnavailable(
            "No NVIDIA driver was found on this machine: CUDA needs an NVIDIA GPU and "
            "its driver."
        ) from reason
    if error:
        raise CudaUnavailable(_why_not_initialized(driver, error))
    _, found = driver.cuDriverGetVersion()
    needed = int(version("cuda-bindings").split(".")[0])
    if found // 1000 < needed:
        raise CudaUnavailable(_too_old(found // 1000, needed))


def _why_not_initialized(driver, error):
    codes = driver.CUresult
    if error == codes.CUDA_ERROR_NO_DEVICE:
        return f"The NVIDIA driver finds no CUDA device{_restriction()}."
    if error == codes.CUDA_ERROR_NOT_INITIALIZED:  # another library's, see cuInit
        return _AFTER_FORK
    if error == codes.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
        return (
            "The NVIDIA driver was updated while the old one still runs: restart the "
            "machine (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)."
        )
    name = text(driver.cuGetErrorName(codes(error))[1])
    return f"The NVIDIA driver cannot be started: {name}. Does `nvidia-smi` run?"


def _too_old(found, needed):
    advice = "update it"
    if needed > 12:
        advice += ', or install what it can run: pip install "nnfit[cuda12]"'
    return (
        f"The NVIDIA driver is for CUDA {found}, the packages for CUDA {needed}: "
        f"{advice}."
    )


def _count(driver):
    return int(driver.cuDeviceGetCount()[1])


def _visible(count):
    return "one is visible" if count == 1 else f"{count} are visible"


def _restriction():
    """Name the environment variable that hides devices, if it is set."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if chosen is None else f" (CUDA_VISIBLE_DEVICES={chosen!r})"
