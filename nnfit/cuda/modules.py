"""From a builder to kernels that are loaded on a device.

A *builder* is ``builder(cuda, *arguments) -> Kernels``, an importable function of
`nnfit.cuda.kernels`. numba-cuda compiles its kernels, nvJitLink makes one native image
of them, and `nnfit.cache.compiled` keeps the image on disk: loading it imports neither.
Compiling needs no GPU and no driver. numba's own launches are not used, since they
import numba and compile in every process. PTX is not kept: a driver runs native images
of any toolkit of its major version, and refuses PTX of a newer one.

Every kernel is ``kernel(memory, doubles, longs, ints, *integers)``. The first four are
arrays over ALL of the device's memory, of the kernels' dtype, float64, int64 and int32:
they begin at address 0, so that an element's index is its address over its size.
"""

import importlib
import json
import re
import threading
from collections import namedtuple

import numpy as np

from nnfit.addresses import address as address_of
from nnfit.cache import keys
from nnfit.cache.compiled import cached
from nnfit.cuda import toolkit
from nnfit.cuda.driver import call
from nnfit.running_numba import run_numba

#: What a builder returns: a dtype's name, and ``{name: (function, n_integers)}``.
Kernels = namedtuple("Kernels", "dtype functions")

#: End of all that an address can reach.
MEMORY_END = 2**62
#: A numba array as a kernel's parameters, 8 bytes each: two references that stay null,
#: number and size of the elements, address, shape and stride.
_ARRAY = 7
_ITEM_SIZES = {"float32": 4, "float64": 8, "int64": 8, "int32": 4}

_loaded = {}


def load(device, builder, *arguments, fingerprint=b""):
    """Return a `Module`, from this process, from disk or newly compiled.

    Parameters
    ----------
    device : nnfit.cuda.driver.Device
    builder : str
        ``"module:function"``.
    *arguments
        What the builder needs besides ``cuda``; see `nnfit.cpu.compiling.load`.
    fingerprint : bytes or None, default=b""
        Describes the functions of a user among `arguments`.

    Returns
    -------
    module : Module
    """
    toolkit.check_process()
    name = (device.number, builder, repr(keys.plain(arguments)), fingerprint)
    module = None if fingerprint is None else _loaded.get(name)
    if module is None:
        image = find_image(builder, arguments, fingerprint, device.compute_capability)
        module = Module(device, image)
        if fingerprint is not None:
            module = _loaded.setdefault(name, module)
    return module


def find_image(builder, arguments, fingerprint, compute_capability):
    """Return what `compile_module` returns, from disk if it is there."""
    kernel = (builder, arguments, fingerprint, target_of(compute_capability))
    return cached(
        kernel,
        lambda: compile_module(builder, arguments, compute_capability),
        device="the GPU",
        time="5 to 20 seconds",
    )


def target_of(compute_capability):
    """What an image depends on beside its builder and the arguments."""
    return "cuda", compute_capability, tuple(map(toolkit.version, toolkit.PACKAGES))


def compile_for(builder, arguments, target):
    """`compile_module` as `nnfit.cache.compiled.store` calls it."""
    return compile_module(builder, arguments, target[1])


class Module:
    """Kernels on a device, by name.

    Parameters
    ----------
    device : nnfit.cuda.driver.Device
    image : bytes
        Of `compile_module`.
    """

    def __init__(self, device, image):
        dtype, kernels, code = split_image(image)
        self.device = device
        self._arrays = np.array(_array_parameters(dtype), np.int64)
        self._of_thread = threading.local()
        with device:
            self._module = call("cuModuleLoadData", code)
            self._functions = {
                name: (call("cuModuleGetFunction", self._module, symbol.encode()), n)
                for name, (symbol, n) in kernels.items()
            }

    def launch(self, stream, name, grid, block, integers, cooperative=False):
        """Put a kernel into a stream.

        Parameters
        ----------
        stream : nnfit.cuda.driver.Stream
        name : str
        grid, block : int
            Blocks, and threads in each.
        integers : sequence of int
            The kernel's own parameters.
        cooperative : bool, default=False
            Whether all blocks must run at once, at most `blocks_at_once`.
        """
        function, n_integers = self._functions[name]
        if len(integers) != n_integers:
            raise TypeError(
                f"The kernel {name!r} takes {n_integers} integers, got {len(integers)}."
            )
        own, address, _ = self._parameters(name, n_integers)
        own[:] = integers
        shape = (grid, 1, 1, block, 1, 1, 0, stream.handle, address)
        with self.device:
            if cooperative:
                call("cuLaunchCooperativeKernel", function, *shape)
            else:
                call("cuLaunchKernel", function, *shape, 0)

    def _parameters(self, name, n_integers):
        """Return room for a kernel's integers, and the address of all pointers.

        The pointers are those to the parameters. Each thread has one such room for all
        its launches: the driver copies the values before a launch returns.
        """
        known = self._of_thread.__dict__
        if name not in known:
            values = np.append(self._arrays, np.zeros(n_integers, np.int64))
            begin = address_of(values, np.int64, len(self._arrays) + n_integers)
            places = begin + 8 * np.arange(len(values))
            address = address_of(places, np.int64)
            known[name] = values[len(self._arrays) :], address, places
        return known[name]

    def blocks_at_once(self, name, block):
        """Return how many blocks of so many threads the whole device runs at once."""
        function, _ = self._functions[name]
        with self.device:
            per_multiprocessor = call(
                "cuOccupancyMaxActiveBlocksPerMultiprocessor", function, block, 0
            )
        return int(per_multiprocessor) * self.device.n_multiprocessors


def _array_parameters(dtype):
    parameters = []
    for item in (dtype, "float64", "int64", "int32"):
        size = _ITEM_SIZES[item]
        length = MEMORY_END // size
        parameters += [0, 0, length, size, 0, length, size]
    return parameters


# ----------------------------------------------------------------- compilation


def compile_module(builder, arguments, compute_capability):
    """Compile kernels, past every cache, to an image for a device.

    Parameters
    ----------
    builder : str
    arguments : tuple
        Of `load`.
    compute_capability : tuple of int
        Of the device. If the toolkit does not know it, the image is PTX for the newest
        older one that the toolkit knows; the driver of the device compiles the PTX.

    Returns
    -------
    image : bytes
        What `split_image` takes apart.
    """
    return run_numba(
        lambda: _compile_module(builder, arguments, compute_capability), arguments
    )


def _compile_module(builder, arguments, compute_capability):
    with toolkit.names_of_numpy(), toolkit.libraries_needed():
        cuda = toolkit.compiler()
        module, function = builder.split(":")
        kernels = getattr(importlib.import_module(module), function)(cuda, *arguments)
        known = _newest_known(compute_capability)
        parts = [
            _compile_kernel(cuda, kernels.dtype, name, *kernel, known)
            for name, kernel in kernels.functions.items()
        ]
        code = _link(parts, "LTOIR", known, "-lto", "-ptx")
        symbols = _symbols(code.decode().rstrip("\0"), kernels.functions)
        if known == tuple(compute_capability):
            code = _link([code], "PTX", known)
    return join_image(kernels.dtype, symbols, code)


def join_image(dtype, kernels, code):
    """Put together what `split_image` takes apart."""
    head = json.dumps({"dtype": dtype, "kernels": kernels})
    return head.encode() + b"\n" + code


def split_image(image):
    """Return the dtype, ``{name: (symbol, n_integers)}`` and the code, of an image."""
    head, code = image.split(b"\n", 1)
    head = json.loads(head)
    return head["dtype"], head["kernels"], code


def _newest_known(compute_capability):
    """The newest that the toolkit compiles for and the device runs."""
    error, architectures = toolkit.compiler_library().nvrtcGetSupportedArchs()
    known = [divmod(architecture, 10) for architecture in architectures]
    usable = [one for one in known if one <= tuple(compute_capability)]
    if int(error) or not usable:
        raise toolkit.CudaUnavailable(
            "The installed CUDA packages do not compile for compute capability "
            f"{toolkit.dotted(compute_capability)}."
        )
    return max(usable)


def _compile_kernel(cuda, dtype, name, function, n_integers, compute_capability):
    """A kernel in the intermediate language of the linker."""
    from numba.core import types as nb

    from nnfit.cuda.lowering import lower_kernel

    arrays = [
        nb.Array(getattr(nb, item), 1, "C")
        for item in (dtype, "float64", "int64", "int32")
    ]
    signature = nb.void(*arrays, *[nb.int64] * n_integers)
    # The symbol contains this name; without it, kernels of one factory had one name.
    function.__qualname__ = f"nnfit_{name}"
    return lower_kernel(cuda, function, signature, compute_capability)


def _symbols(ptx, functions):
    """Find the kernels in PTX, and check that they take what `Module.launch` passes."""
    entries = re.findall(r"\.entry\s+(\w+)\s*\(([^)]*)\)", ptx)
    symbols = {}
    for name, (_, n_integers) in functions.items():
        own = f"nnfit_{name}"
        ((symbol, parameters),) = (
            entry for entry in entries if f"{len(own)}{own}B" in entry[0]
        )
        sizes = re.findall(r"\.param\s+\.(\w+)", parameters)
        if sizes != ["u64"] * (4 * _ARRAY + n_integers):
            raise RuntimeError(
                f"numba-cuda {toolkit.version('numba-cuda')} passes arrays to kernels "
                f"in a way that nnfit does not know: {name} takes {sizes}."
            )
        symbols[name] = (symbol, n_integers)
    return symbols


def _link(parts, kind, compute_capability, *options):
    """Run nvJitLink; returns PTX if the options ask for it, else a native image."""
    linker = toolkit.linker()
    major, minor = compute_capability
    options = [f"-arch=sm_{major}{minor}", *options]
    kind = int(getattr(linker.InputType, kind))
    handle = linker.create(len(options), options)
    try:
        for part in parts:
            linker.add_data(handle, kind, part, len(part), "nnfit")
        linker.complete(handle)
        return _get(
            linker, handle, "linked_ptx" if "-ptx" in options else "linked_cubin"
        )
    except linker.nvJitLinkError as error:
        log = _get(linker, handle, "error_log").decode(errors="replace").rstrip("\0\n")
        raise RuntimeError(f"Kernels could not be linked: {log}") from error
    finally:
        linker.destroy(handle)


def _get(linker, handle, what):
    content = bytearray(getattr(linker, f"get_{what}_size")(handle))
    getattr(linker, f"get_{what}")(handle, content)
    return bytes(content)
