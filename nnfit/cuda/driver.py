"""Devices, streams and memory of the CUDA driver.

A device's *primary* context is used, which other libraries in the process share. Every
call makes it current and puts back the context of the caller. So any thread may call,
and other libraries find the device current that they left.
"""

import gc
import threading
import weakref
from math import prod

import numpy as np

from nnfit import addresses
from nnfit.cuda import toolkit

#: Bytes of copies of host arrays that a stream keeps while the caller goes on. If a
#: copy to the device would need more, the caller waits for it.
KEPT_BYTES = 2**22

_lock = threading.RLock()
_devices = {}


class CudaError(RuntimeError):
    """A call of the CUDA driver failed."""


class OutOfMemory(MemoryError):
    """The GPU has no room."""


def call(function, *arguments):
    """Call a function of the driver by name.

    Returns
    -------
    result : object
        What it returns besides its status: None, one thing or a tuple.

    Raises
    ------
    CudaError
        If the status is not success.
    """
    driver = toolkit.bindings()
    status, *results = getattr(driver, function)(*arguments)
    if int(status):
        raise _error(driver, function, status)
    return results[0] if len(results) == 1 else tuple(results) or None


def _error(driver, function, status):
    codes = driver.CUresult
    name = toolkit.text(driver.cuGetErrorName(status)[1] or b"an unknown error")
    meaning = toolkit.text(driver.cuGetErrorString(status)[1] or b"")
    kind = OutOfMemory if status == codes.CUDA_ERROR_OUT_OF_MEMORY else CudaError
    advice = ""
    if name.removeprefix("CUDA_ERROR_") in _LASTING:
        advice = (
            " CUDA cannot be used any more in this process: restart it (in a notebook, "
            "its kernel), or train with device='cpu'."
        )
    return kind(f"{function} failed with {name}: {meaning}.{advice}")


#: Errors of kernels and of the device, after which every call returns the same.
_LASTING = {
    "ASSERT",
    "CONTAINED",
    "ECC_UNCORRECTABLE",
    "EXTERNAL_DEVICE",
    "HARDWARE_STACK_ERROR",
    "ILLEGAL_ADDRESS",
    "ILLEGAL_INSTRUCTION",
    "INVALID_ADDRESS_SPACE",
    "INVALID_PC",
    "LAUNCH_FAILED",
    "LAUNCH_TIMEOUT",
    "MISALIGNED_ADDRESS",
    "MPS_CLIENT_TERMINATED",
    "NVLINK_UNCORRECTABLE",
    "TENSOR_MEMORY_LEAK",
}


def open_device(number):
    """Return the `Device` of that number, one object per process.

    Raises
    ------
    nnfit.cuda.toolkit.CudaUnavailable
        If it cannot be used.
    """
    toolkit.check_process()
    with _lock:
        if number not in _devices:
            problem = toolkit.problem(number)
            if problem:
                raise toolkit.CudaUnavailable(problem)
            _devices[number] = Device(number)
        return _devices[number]


class Device:
    """A GPU; in a ``with`` block the thread's calls go to it.

    Parameters
    ----------
    number : int
        Among the visible ones.

    Attributes
    ----------
    name : str
    compute_capability : tuple of int
        (major, minor).
    n_multiprocessors : int
    is_cooperative : bool
        Whether it can start all blocks of a launch at once, so that they can wait for
        one another. Some virtual devices cannot.
    """

    def __init__(self, number):
        driver = toolkit.bindings()
        of = driver.CUdevice_attribute
        device = call("cuDeviceGet", number)
        self.number = number
        self.name = toolkit.text(call("cuDeviceGetName", 256, device))
        self.compute_capability = toolkit.compute_capability(driver, device)
        self.n_multiprocessors, is_cooperative = (
            int(call("cuDeviceGetAttribute", attribute, device))
            for attribute in (
                of.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
                of.CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH,
            )
        )
        self.is_cooperative = bool(is_cooperative)
        # Never released: the process may end while arrays of it are alive.
        self._context = call("cuDevicePrimaryCtxRetain", device)

    def __enter__(self):
        toolkit.check_process()
        call("cuCtxPushCurrent", self._context)
        return self

    def __exit__(self, *exception):
        call("cuCtxPopCurrent")

    def __repr__(self):
        return f"<CUDA device {self.number}: {self.name}>"

    def memory(self):
        """Return the free and the total memory in bytes."""
        with self:
            free, total = call("cuMemGetInfo")
        return int(free), int(total)

    def stream(self):
        """Return a new `Stream`."""
        return Stream(self)


class Stream:
    """A queue of copies and kernels, which run one after the other.

    It waits for no other stream, and none waits for it.

    Parameters
    ----------
    device : Device

    Attributes
    ----------
    device : Device
    """

    def __init__(self, device):
        self.device = device
        flag = toolkit.bindings().CUstream_flags.CU_STREAM_NON_BLOCKING
        with device:
            self.handle = call("cuStreamCreate", flag)
        self._close = _finalize(self, _destroy_stream, device, self.handle)
        self._kept, self._kept_bytes = [], 0  # arrays that the device may still read

    def synchronize(self):
        """Wait until all copies and kernels of the stream are done."""
        with self.device:
            call("cuStreamSynchronize", self.handle)
        self._kept, self._kept_bytes = [], 0

    def close(self):
        """Wait, and end the stream."""
        if self._close.alive:
            self.synchronize()
            self._close()

    def empty(self, size, dtype):
        """Return a `Buffer` with anything in it.

        Parameters
        ----------
        size : int or tuple of int
        dtype : dtype

        Raises
        ------
        MemoryError
            If the device has no room.
        """
        return Buffer(self, prod(np.atleast_1d(size).tolist()), dtype)

    def upload(self, array):
        """Return a new `Buffer` with a copy of a C-contiguous ndarray."""
        buffer = self.empty(array.size, array.dtype)
        buffer.set(array)
        return buffer

    def renewed(self, buffer, size, dtype):
        """Return a buffer that is kept from call to call, or a larger one in its place.

        Buffers are kept because the driver waits for the whole device when it frees
        memory, and so for the networks of all other fits.

        Parameters
        ----------
        buffer : Buffer or None
            A buffer of this stream that nothing else reads.
        size : int
            Elements that are needed.
        dtype : dtype
        """
        if buffer is None or buffer.size < size:
            return self.empty(size, dtype)
        return buffer

    def copy(self, source, goal):
        """Copy a buffer to another of the same size and dtype."""
        if (source.size, source.dtype) != (goal.size, goal.dtype):
            raise ValueError(
                f"A buffer of {source.size} {source.dtype} was to be copied to one of "
                f"{goal.size} {goal.dtype}."
            )
        if source.nbytes:
            self._copy("cuMemcpyDtoDAsync", goal.address, source.address, source.nbytes)

    def write(self, address, array):
        """Copy a C-contiguous ndarray to an address; it may change afterwards."""
        addresses.address(array, array.dtype)  # before a copy hides what it was
        if not array.nbytes:
            return
        # Memory that another library has pinned is read after the call returns.
        is_kept = self._kept_bytes + array.nbytes <= KEPT_BYTES
        if is_kept:
            array = array.copy()
            self._kept.append(array)
            self._kept_bytes += array.nbytes
        source = addresses.address(array, array.dtype)
        self._copy("cuMemcpyHtoDAsync", address, source, array.nbytes)
        if not is_kept:
            self.synchronize()

    def read(self, address, array):
        """Fill a C-contiguous ndarray from an address; waits for it."""
        if array.nbytes:
            goal = addresses.address(array, array.dtype)
            self._copy("cuMemcpyDtoHAsync", goal, address, array.nbytes)
        self.synchronize()

    def fill(self, address, byte, n_bytes):
        """Set bytes on the device."""
        if n_bytes:
            self._copy("cuMemsetD8Async", address, byte, n_bytes)

    def _copy(self, function, goal, source, n_bytes):
        with self.device:
            call(function, goal, source, n_bytes, self.handle)


class Buffer:
    """An array in the memory of a GPU.

    It is freed when nothing refers to it any more. The driver then waits until the
    device is idle, and so for kernels that were launched with its address.

    Parameters
    ----------
    stream : Stream
        Its copies keep the order of this stream.
    size : int
    dtype : dtype

    Attributes
    ----------
    address : int
        On the device, a multiple of 256.
    size : int
    dtype : dtype
    nbytes : int
    """

    def __init__(self, stream, size, dtype):
        self._stream = stream
        self.size = size
        self.dtype = np.dtype(dtype)
        self.nbytes = size * self.dtype.itemsize
        self._address = _allocate(stream.device, max(1, self.nbytes))
        self._free = _finalize(self, _free_memory, stream.device, self._address)

    @property
    def address(self):
        """Of the first element."""
        if not self._free.alive:
            raise ValueError("This buffer on the GPU has been freed.")
        return self._address

    def free(self):
        """Give the memory back now."""
        self._free()

    def set(self, array, start=0):
        """Copy a C-contiguous ndarray to elements from `start` on.

        It keeps the stream's order; the array may be changed after the return.
        """
        if array.dtype != self.dtype or start < 0 or start + array.size > self.size:
            raise ValueError(
                f"{array.size} {array.dtype} do not fit into a buffer of {self.size} "
                f"{self.dtype} from element {start}."
            )
        self._stream.write(self.address + start * self.dtype.itemsize, array)

    def get(self, start=0, stop=None):
        """Return elements as an ndarray of one dimension, after all before it."""
        start, stop, _ = slice(start, stop).indices(self.size)
        array = np.empty(max(0, stop - start), self.dtype)
        self._stream.read(self.address + start * self.dtype.itemsize, array)
        return array

    def zero(self):
        """Set all elements to zero, in the stream's order."""
        self._stream.fill(self.address, 0, self.nbytes)


def _allocate(device, n_bytes):
    # Not from the driver's pools (cuMemAllocAsync): memory of a pool may be reused
    # while a kernel on another stream still reads it.
    with device:
        try:
            return int(call("cuMemAlloc", n_bytes))
        except OutOfMemory:
            gc.collect()  # frees buffers of objects in cycles of references
        try:
            return int(call("cuMemAlloc", n_bytes))
        except OutOfMemory:
            free, total = device.memory()
    raise OutOfMemory(
        f"{device.name} (cuda:{device.number}) has no room for {_size(n_bytes)}: "
        f"{_size(free)} of {_size(total)} are free."
    )


def _size(n_bytes):
    unit, name = next(
        (unit, name)
        for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
        if n_bytes >= unit or unit == 1
    )
    return f"{n_bytes / unit:.3g} {name}"


def _finalize(owner, function, device, handle):
    """Free something with its owner, but not at exit, when the process frees all."""
    finalizer = weakref.finalize(owner, function, device, handle)
    finalizer.atexit = False
    return finalizer


def _free_memory(device, address):
    _quietly(device, "cuMemFree", address)


def _destroy_stream(device, handle):
    _quietly(device, "cuStreamDestroy", handle)


def _quietly(device, function, handle):
    """Call a function from a finalizer, which cannot report an error.

    Errors come in a fork, whose parent has the device, and after a kernel has failed:
    then the context is lost, and the memory with it.
    """
    try:
        with device:
            call(function, handle)
    except (toolkit.CudaUnavailable, CudaError):
        pass
