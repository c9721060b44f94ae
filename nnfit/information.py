"""``python -m nnfit info``: versions, processor, threads, cache and GPUs."""

import ctypes
import os
import platform
import sys

from nnfit import __version__
from nnfit.cache import keys
from nnfit.cache.folder import find_cache
from nnfit.cpu import caches, tile_choice
from nnfit.cpu import target as targets
from nnfit.cuda import toolkit
from nnfit.cuda.driver import open_device
from nnfit.training.threads import LIMITS, usable_processors

PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "scikit-learn")
#: Of some 80 features that LLVM names, those that decide what a loop compiles to.
VECTOR_FEATURES = ("sse", "avx", "fma", "neon", "sve")


def print_info():
    """Print what a report of a problem should contain; imports no numba."""
    for name, lines in {
        "nnfit": _versions(),
        "processor": _processor(),
        "threads": _threads(),
        "cache": _cache(),
        "GPU": _gpu(),
    }.items():
        for line in lines:
            print(f"{name:11}{line}")
            name = ""


def _versions():
    versions = [f"{name} {keys.version(name)}" for name in PACKAGES]
    yield __version__
    yield f"Python {platform.python_version()} on {platform.platform()}"
    yield ", ".join(versions)


def _processor():
    target = targets.host()
    chosen = os.environ.get(targets.CPU_VARIABLE)
    yield target.cpu + (f" ({targets.CPU_VARIABLE}={chosen})" if chosen else "")
    names = sorted(
        name[1:]
        for name in target.features.split(",")
        if name.startswith("+") and name[1:].startswith(VECTOR_FEATURES)
    )
    yield "vector features: " + (" ".join(names) or "those of every such processor")
    yield (
        f"vectors of {target.vector_bytes} bytes, {target.lanes('float32')} float32 or "
        f"{target.lanes('float64')} float64; matrix products in tiles of "
        f"{target.tile_rows} rows and 2 vectors"
    )
    is_tuned = tile_choice.load(targets.untuned(targets.chosen_name())) is not None
    yield (
        "tile chosen by measurement" if is_tuned
        else "tile chosen by features: python -m nnfit tune would measure"
    )  # fmt: skip
    sizes = [f"level {n} {size // 1024} kB" for n, size in caches.sizes().items()]
    yield "data caches: " + (", ".join(sizes) or "the system does not tell")


def _threads():
    variables = [f"{name}={os.environ.get(name, 'unset')}" for name in LIMITS]
    yield f"{usable_processors()} for one fit; {', '.join(variables)}"


def _cache():
    folder, problem = find_cache()
    if folder is None:
        yield problem
        yield "Every process compiles what it needs."
        return
    try:
        sizes = [path.stat().st_size for path in folder.glob("*")]
    except OSError as error:
        yield f"{folder} cannot be read: {error.strerror}"
        return
    yield f"{folder}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"
    if not os.access(folder, os.W_OK):
        yield "It cannot be written: what it lacks is compiled by every process."


def _gpu():
    problem = toolkit.problem()
    if problem:
        yield ", ".join(_gpu_names()) or "none that CUDA's driver can see"
        yield problem
        yield "nnfit trains and predicts on the CPU."
    else:
        for number in range(toolkit.device_count()):
            yield _describe_gpu(number)
        yield f"driver for CUDA {toolkit.driver_version()}"
    versions = [(name, toolkit.version(name)) for name in toolkit.PACKAGES]
    installed = [f"{name} {version}" for name, version in versions if version]
    yield ", ".join(installed) or "No package for CUDA is installed."


def _describe_gpu(number):
    problem = toolkit.problem(number)
    if problem:
        return problem
    device = open_device(number)
    free, total = device.memory()
    return (
        f"cuda:{number} is {device.name}: compute capability "
        f"{toolkit.dotted(device.compute_capability)}, {device.n_multiprocessors} "
        f"multiprocessors, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    )


def _gpu_names():
    """Names of the GPUs that CUDA's driver sees; empty without a driver.

    Asked without the packages of CUDA, which may be what is missing.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return []
    count, device = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    names = []
    for number in range(count.value):
        text = ctypes.create_string_buffer(256)
        driver.cuDeviceGet(ctypes.byref(device), number)
        driver.cuDeviceGetName(text, len(text), device)
        names.append(text.value.decode())
    return names
