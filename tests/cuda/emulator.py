"""GPUs without a GPU: a driver whose kernels run in Python.

``with emulator.gpu(): ...`` puts `EmulatedDriver` in the place of
``cuda.bindings.driver``, and the kernels' builders, called with `EmulatedCuda`, in
the place of compiled modules. All else of `nnfit.cuda` runs as it is.

The memory of a device is one array of bytes, and an address is a place in it. What is
allocated or freed is filled with bytes of 0xFF, which are NaN and -1; so are the gaps
between allocations, where each free looks for traces of writes. A copy from the host
is done when its stream goes on, so that a caller who changes the array is seen.
"""

import ctypes
import gc
import importlib
import sys
import threading
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from unittest import mock

import numpy as np

from nnfit.cuda import driver, modules, toolkit
from tests.cuda.emulated_device import CUresult, EmulatedDevice, Failure
from tests.cuda.emulation import Emulation

MEMORY = 64 * 2**20


class CUdevice_attribute(IntEnum):
    """What nnfit asks of a device."""

    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76
    CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH = 95


class CUstream_flags(IntEnum):
    """Of a stream."""

    CU_STREAM_NON_BLOCKING = 1


class EmulatedStream:
    """Copies from the host that have been asked for and are not done."""

    def __init__(self, device):
        self.device = device
        self.pending = []

    def go_on(self):
        """Do them."""
        for goal, source, size in self.pending:
            data = (ctypes.c_ubyte * size).from_address(source)
            self.device.bytes(goal, size)[:] = np.frombuffer(data, np.uint8)
        self.pending.clear()


class EmulatedModule:
    """Kernels of one builder.

    Parameters
    ----------
    builder : str
    arguments : tuple
    backend : object
        With ``cuda``, the builder's argument, and ``launch``.
    """

    def __init__(self, builder, arguments, backend):
        module, function = builder.split(":")
        self.cuda = backend(self)
        build = getattr(importlib.import_module(module), function)
        self.kernels = build(self.cuda.namespace, *arguments)
        self.views = {}

    def view(self, arena):
        """The four arrays that every kernel is given."""
        dtypes = (self.kernels.dtype, "float64", "int64", "int32")
        return [arena.view(dtype) for dtype in dtypes]


class EmulatedDriver:
    """What `nnfit.cuda` uses of ``cuda.bindings.driver``.

    Parameters
    ----------
    devices : list of EmulatedDevice
    backend : callable
        Runs kernels: `Emulation`, or one for numba's simulator.
    version : int
        1000 times the major version of CUDA.

    Attributes
    ----------
    calls : list of str
        Functions that were called, in order.
    launches : list of tuple
        Name, grid, block, integers and whether cooperative, of each launch.
    failures : dict
        ``{function: code}``: what those functions answer instead.
    """

    CUresult = CUresult
    CUdevice_attribute = CUdevice_attribute
    CUstream_flags = CUstream_flags

    def __init__(self, devices, backend, version):
        self.devices = devices
        self.calls = []
        self.launches = []
        self.failures = {}
        self.images = {}
        self._backend = backend
        self._version = version
        self._contexts = threading.local()
        self._lock = threading.RLock()
        self._is_initialized = False
        self._running = 0
        self._to_free = []  # memory that a running kernel may use

    def __getattr__(self, name):
        """``cuXxx(...)`` is `_xxx`, with what it returns after a status."""
        if not name.startswith("cu"):
            raise AttributeError(name)
        return partial(self._call, name, getattr(self, "_" + name[2:]))

    def _call(self, name, function, *arguments):
        with self._lock:
            self.calls.append(name)
            try:
                if name in self.failures:
                    raise Failure(self.failures[name])
                if not self._is_initialized and name != "cuInit":
                    raise Failure(CUresult.CUDA_ERROR_NOT_INITIALIZED)
                result = function(*arguments)
            except Failure as failure:
                return failure.args[0], None
        if result is None:
            return (CUresult.CUDA_SUCCESS,)
        if not isinstance(result, tuple):
            result = (result,)
        return CUresult.CUDA_SUCCESS, *result

    # ------------------------------------------------------- driver and devices

    def _Init(self, flags):
        if not self.devices:
            raise Failure(CUresult.CUDA_ERROR_NO_DEVICE)
        self._is_initialized = True

    def _DriverGetVersion(self):
        return self._version

    def cuGetErrorName(self, code):
        """Answers before the driver is initialized, as the real one does."""
        return CUresult.CUDA_SUCCESS, CUresult(code).name.encode()

    def cuGetErrorString(self, code):
        """As `cuGetErrorName`."""
        return CUresult.CUDA_SUCCESS, b"as the emulator was told to"

    def _DeviceGetCount(self):
        return len(self.devices)

    def _DeviceGet(self, number):
        if not 0 <= number < len(self.devices):
            raise Failure(CUresult.CUDA_ERROR_INVALID_DEVICE)
        return self.devices[number]

    def _DeviceGetName(self, length, device):
        return b"Emulated GPU".ljust(length, b"\0")

    def _DeviceGetAttribute(self, attribute, device):
        of = CUdevice_attribute
        major, minor = device.compute_capability
        return {
            of.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: device.multiprocessors,
            of.CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH: device.cooperative,
            of.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: major,
            of.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: minor,
        }[attribute]

    # ----------------------------------------------------------------- contexts

    def _DevicePrimaryCtxRetain(self, device):
        return device

    def _stack(self):
        if not hasattr(self._contexts, "stack"):
            self._contexts.stack = []
        return self._contexts.stack

    def _CtxPushCurrent(self, context):
        self._stack().append(context)

    def _CtxPopCurrent(self):
        return self._stack().pop()

    def _current(self):
        if not self._stack():
            raise Failure(CUresult.CUDA_ERROR_INVALID_CONTEXT)
        return self._stack()[-1]

    # ------------------------------------------------------------------- memory

    def _MemGetInfo(self):
        device = self._current()
        return device.total_memory - device.allocated, device.total_memory

    def _MemAlloc(self, size):
        return self._current().allocate(size)

    def _MemFree(self, address):
        device = self._current()
        if address not in device.allocations:
            raise Failure(CUresult.CUDA_ERROR_INVALID_VALUE)
        for stream in device.streams:  # it waits for all that was asked for
            stream.go_on()
        self._to_free.append((device, address))
        self._free_when_idle()

    def _free_when_idle(self):
        while self._to_free and not self._running:
            device, address = self._to_free.pop()
            device.free(address)

    def _MemcpyHtoDAsync(self, goal, source, size, stream):
        self._goes_on(stream).bytes(goal, size)
        stream.pending.append((goal, source, size))

    def _MemcpyDtoHAsync(self, goal, source, size, stream):
        found = self._goes_on(stream).bytes(source, size)
        ctypes.memmove(goal, found.ctypes.data, size)

    def _MemcpyDtoDAsync(self, goal, source, size, stream):
        device = self._goes_on(stream)
        device.bytes(goal, size)[:] = device.bytes(source, size)

    def _MemsetD8Async(self, goal, byte, size, stream):
        self._goes_on(stream).bytes(goal, size)[:] = byte

    # ------------------------------------------------------------------ streams

    def _StreamCreate(self, flags):
        assert flags == CUstream_flags.CU_STREAM_NON_BLOCKING
        stream = EmulatedStream(self._current())
        stream.device.streams.add(stream)
        return stream

    def _goes_on(self, stream):
        if stream.device is not self._current():
            raise Failure(CUresult.CUDA_ERROR_INVALID_CONTEXT)
        stream.go_on()
        return stream.device

    def _StreamSynchronize(self, stream):
        self._goes_on(stream)

    def _StreamDestroy(self, stream):
        self._goes_on(stream)

    # ------------------------------------------------------------------ kernels

    def image(self, builder, arguments):
        """What stands for a compiled module; see `modules.compile_module`."""
        code = f"emulated {len(self.images)}".encode()
        module = EmulatedModule(builder, arguments, self._backend)
        self.images[code] = module
        kernels = {name: (name, n) for name, (_, n) in module.kernels.functions.items()}
        return modules.join_image(module.kernels.dtype, kernels, code)

    def _ModuleLoadData(self, code):
        if code not in self.images:
            raise Failure(CUresult.CUDA_ERROR_INVALID_IMAGE)
        return self.images[code]

    def _ModuleGetFunction(self, module, name):
        if name.decode() not in module.kernels.functions:
            raise Failure(CUresult.CUDA_ERROR_NOT_FOUND)
        return module, name.decode()

    def _OccupancyMaxActiveBlocksPerMultiprocessor(self, function, block, shared):
        return 1

    def cuLaunchKernel(self, function, *shape_and_parameters):
        """Run a kernel to its end; other threads may call the driver meanwhile."""
        return self._launch("cuLaunchKernel", function, *shape_and_parameters)

    def cuLaunchCooperativeKernel(self, function, *shape_and_parameters):
        """As `cuLaunchKernel`, with all blocks at once."""
        return self._launch(
            "cuLaunchCooperativeKernel", function, *shape_and_parameters
        )

    def _launch(self, name, *arguments):
        status, run = self._call(name, self._prepare, name, *arguments)
        if not status:
            try:
                run()
            finally:
                with self._lock:
                    self._running -= 1
                    self._free_when_idle()
        return (status,)

    def _prepare(self, launch, function, *shape_and_parameters):
        """Look at the parameters of a launch; returns what runs it."""
        grid, _, _, block, _, _, shared, stream, parameters, *_ = shape_and_parameters
        module, name = function
        is_cooperative = launch == "cuLaunchCooperativeKernel"
        device = self._goes_on(stream)
        kernel, n_integers = module.kernels.functions[name]
        integers = _read_parameters(parameters, n_integers, module.kernels.dtype)
        if grid < 1 or not 1 <= block <= 1024:
            raise Failure(CUresult.CUDA_ERROR_INVALID_VALUE)
        limit = self._OccupancyMaxActiveBlocksPerMultiprocessor(function, block, shared)
        if is_cooperative and grid > limit * device.multiprocessors:
            raise Failure(CUresult.CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE)
        self.launches.append((name, grid, block, integers, is_cooperative))
        self._running += 1

        def run():
            arguments = (*module.view(device.arena), *integers)
            module.cuda.launch(kernel, grid, block, arguments, is_cooperative)
            with self._lock:
                device.check()

        return run


def _read_parameters(parameters, n_integers, dtype):
    """Integers among the parameters; the arrays must be as numba lays them out."""
    count = 4 * 7 + n_integers
    places = (ctypes.c_void_p * count).from_address(parameters)
    values = [ctypes.c_int64.from_address(place).value for place in places]
    for i, item in enumerate((dtype, "float64", "int64", "int32")):
        size = np.dtype(item).itemsize
        length = 2**62 // size
        assert values[7 * i : 7 * i + 7] == [0, 0, length, size, 0, length, size]
    return values[28:]


@contextmanager
def gpu(
    *,
    n_devices=1,
    multiprocessors=2,
    memory=MEMORY,
    total_memory=None,
    compute_capability=(9, 0),
    version=13000,
    backend=Emulation,
):
    """Emulated GPUs in the place of those of the machine.

    Parameters
    ----------
    n_devices : int, default=1
        With 0 there is a driver and no device.
    multiprocessors : int, default=2
    memory : int, default=64 MiB
        Bytes of each device.
    total_memory : int, default=None
        Bytes that can be allocated; None is all but what the gaps take.
    compute_capability : tuple of int, default=(9, 0)
    version : int, default=13000
        Of the driver.
    backend : callable, default=Emulation

    Yields
    ------
    driver : EmulatedDriver
    """
    devices = [
        EmulatedDevice(
            memory, total_memory or memory, multiprocessors, compute_capability
        )
        for _ in range(n_devices)
    ]
    emulated = EmulatedDriver(devices, backend, version)

    def find_image(builder, arguments, fingerprint, compute_capability):
        return emulated.image(builder, arguments)

    versions = {"numba-cuda": "0.30.4", "cuda-bindings": "13.5.0"}
    with (
        _in_place_of("cuda.bindings.driver", emulated),
        mock.patch.object(toolkit, "version", versions.get),
        mock.patch.object(toolkit, "_driver", None),
        mock.patch.object(toolkit, "_is_forked", False),
        mock.patch.object(toolkit, "_problems", {}),
        mock.patch.object(driver, "_devices", {}),
        mock.patch.object(modules, "_loaded", {}),
        mock.patch.object(modules, "find_image", find_image),
    ):
        try:
            yield emulated
        finally:
            # What is still there must not be freed by the driver that comes after.
            gc.collect()
            for device in driver._devices.values():
                device.__class__ = _GoneDevice


class _GoneDevice(driver.Device):
    """A device that was emulated."""

    def __enter__(self):
        raise toolkit.CudaUnavailable("This GPU was emulated, and is gone.")


@contextmanager
def _in_place_of(name, module):
    """Replace one module; `mock.patch.dict` would also forget all imported since."""
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
