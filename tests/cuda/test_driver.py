"""Devices, streams and memory, on the emulated driver."""

import gc
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nnfit.cuda import driver, modules
from nnfit.cuda.driver import CudaError, open_device
from tests.cuda import emulator
from tests.cuda.emulator import CUresult

try:  # now, since what is imported beside an emulated GPU may be its driver
    from cuda.bindings import driver as real
except ImportError:
    real = None

DTYPES = ["float32", "float64", "int32", "int64", "uint8"]


@pytest.fixture
def stream(emulated_gpu):
    return open_device(0).stream()


def test_device(emulated_gpu):
    device = open_device(0)
    assert open_device(0) is device
    assert device.number == 0
    assert device.name == "Emulated GPU"
    assert device.compute_capability == (9, 0)
    assert device.n_multiprocessors == 2
    assert device.memory() == (emulator.MEMORY, emulator.MEMORY)
    assert repr(device) == "<CUDA device 0: Emulated GPU>"


@pytest.mark.parametrize("dtype", DTYPES)
def test_upload_and_get(stream, dtype):
    array = np.arange(24).reshape(4, 6).astype(dtype)
    buffer = stream.upload(array)
    assert (buffer.size, buffer.dtype, buffer.nbytes) == (24, dtype, array.nbytes)
    assert buffer.address > 0 and buffer.address % 256 == 0
    copy = buffer.get()
    assert copy.dtype == dtype
    np.testing.assert_array_equal(copy, array.ravel())


@pytest.mark.parametrize(
    "start, stop", [(0, None), (3, None), (3, 5), (5, 3), (-2, None), (8, 99)]
)
def test_get_part(stream, start, stop):
    array = np.arange(10)
    np.testing.assert_array_equal(
        stream.upload(array).get(start, stop), array[start:stop]
    )


def test_set_part(stream):
    buffer = stream.upload(np.zeros(10))
    buffer.set(np.array([1.0, 2.0]), start=8)
    buffer.set(np.array([3.0]), 2)
    assert buffer.get().tolist() == [0, 0, 3, 0, 0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize("size", [100, driver.KEPT_BYTES // 8 + 1])
def test_array_may_be_changed_after_it_was_set(stream, size):
    array = np.ones(size)
    buffer = stream.empty(size, "float64")
    buffer.set(array)
    array[:] = 2.0
    assert (buffer.get() == 1.0).all()


def test_copies_that_are_kept_have_a_limit(stream, monkeypatch):
    monkeypatch.setattr(driver, "KEPT_BYTES", 100)
    array = np.zeros(5)
    buffer = stream.empty(5, "float64")
    kept = []
    for number in range(7):
        array[:] = number
        buffer.set(array)
        kept.append(stream._kept_bytes)
    assert kept == [40, 80, 0, 40, 80, 0, 40]
    assert (buffer.get() == 6.0).all()
    assert stream._kept == []


def test_zero_and_copy(stream):
    source = stream.upload(np.arange(5.0))
    goal = stream.empty((5,), "float64")
    stream.copy(source, goal)
    source.zero()
    assert goal.get().tolist() == [0, 1, 2, 3, 4]
    assert source.get().tolist() == [0, 0, 0, 0, 0]


def test_empty_arrays(stream):
    buffer = stream.upload(np.zeros((0, 3)))
    buffer.zero()
    buffer.set(np.zeros(0))
    stream.copy(buffer, stream.empty((3, 0), "float64"))
    assert buffer.get().shape == (0,)


@pytest.mark.parametrize(
    "array, start",
    [(np.zeros(3), 0), (np.zeros(2), 1), (np.zeros(1), -1), (np.zeros(2, "f4"), 0)],
    ids=str,
)
def test_what_does_not_fit(stream, array, start):
    with pytest.raises(ValueError, match="do not fit into a buffer of 2 float64"):
        stream.empty(2, "float64").set(array, start)


def test_array_that_is_not_contiguous(stream):
    with pytest.raises(ValueError, match="C-contiguous"):
        stream.upload(np.zeros((4, 4))[:, 1])


def test_copy_of_another_size(stream):
    one, other = stream.empty(2, "float64"), stream.empty(2, "float32")
    with pytest.raises(ValueError, match="2 float64 was to be copied to one of 2 floa"):
        stream.copy(one, other)


# --------------------------------------------------------------------- lifetimes


def test_memory_is_freed(emulated_gpu, stream):
    buffer = stream.empty(1000, "float64")
    assert emulated_gpu.devices[0].allocated == 8000
    del buffer
    assert emulated_gpu.devices[0].allocated == 0


def test_use_after_free(emulated_gpu, stream):
    buffer = stream.empty(10, "float64")
    buffer.free()
    buffer.free()
    assert emulated_gpu.devices[0].allocated == 0
    for use in (
        lambda: buffer.address,
        buffer.get,
        buffer.zero,
        lambda: buffer.set(np.zeros(10)),
        lambda: stream.copy(buffer, buffer),
    ):
        with pytest.raises(ValueError, match="has been freed"):
            use()


def test_closed_stream(emulated_gpu, stream):
    stream.close()
    stream.close()
    assert emulated_gpu.calls.count("cuStreamDestroy") == 1


def test_out_of_memory(emulated_gpu):
    with emulator.gpu(total_memory=10_000_000):
        stream = open_device(0).stream()
        kept = stream.empty(500_000, "float64")
        with pytest.raises(MemoryError) as caught:
            stream.empty(2_000_000, "float64")
        assert str(caught.value) == (
            "Emulated GPU (cuda:0) has no room for 16 MB: 6 MB of 10 MB are free."
        )
        stream.empty(600_000, "float64")
        assert kept.size == 500_000


def test_memory_of_what_refers_to_itself_is_found(emulated_gpu):
    with emulator.gpu(total_memory=1000):
        stream = open_device(0).stream()
        gc.disable()
        try:
            cycle = [stream.empty(1000, "uint8")]
            cycle.append(cycle)
            del cycle
            assert stream.empty(1000, "uint8").size == 1000
        finally:
            gc.enable()


def test_errors_of_finalizers_are_silent(emulated_gpu, stream):
    buffer = stream.empty(10, "float64")
    emulated_gpu.failures["cuMemFree"] = CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    del buffer  # an error here would be pytest's unraisable exception
    gc.collect()


def test_nothing_is_freed_at_exit():
    code = """
from tests.cuda import emulator
from nnfit.cuda.driver import open_device
import atexit
atexit.register(lambda: print(gpu.calls[-2:]))  # after what weakref does
context = emulator.gpu()
gpu = context.__enter__()
stream = open_device(0).stream()
buffer = stream.empty(10, "float32")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['cuMemAlloc', 'cuCtxPopCurrent']\n"


# ------------------------------------------------------------------------ errors


def test_error_of_the_driver(emulated_gpu, stream):
    emulated_gpu.failures["cuStreamSynchronize"] = CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    with pytest.raises(CudaError) as caught:
        stream.synchronize()
    assert str(caught.value) == (
        "cuStreamSynchronize failed with CUDA_ERROR_ILLEGAL_ADDRESS: as the emulator "
        "was told to. CUDA cannot be used any more in this process: restart it (in a "
        "notebook, its kernel), or train with device='cpu'."
    )
    emulated_gpu.failures["cuStreamSynchronize"] = CUresult.CUDA_ERROR_INVALID_VALUE
    with pytest.raises(CudaError, match=r"told to\.$"):
        stream.synchronize()


def test_out_of_memory_of_another_call(emulated_gpu, stream):
    emulated_gpu.failures["cuMemsetD8Async"] = CUresult.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(MemoryError, match="cuMemsetD8Async failed with CUDA_ERROR_OUT"):
        stream.empty(10, "float64").zero()


def test_the_real_bindings_take_the_arguments():
    """Without a driver they fail after they have converted them."""
    if real is None:
        pytest.skip("cuda-bindings is not installed")
    count = real.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
    device, stream, function = real.CUdevice(0), real.CUstream(0), real.CUfunction(0)
    places = np.zeros(3, np.int64).ctypes.data
    shape = (1, 1, 1, 1, 1, 1, 0, stream, places)
    calls = [
        ("cuDeviceGet", 0),
        ("cuDeviceGetName", 256, device),
        ("cuDeviceGetAttribute", count, device),
        ("cuDevicePrimaryCtxRetain", device),
        ("cuCtxPushCurrent", real.CUcontext(0)),
        ("cuCtxPopCurrent",),
        ("cuMemGetInfo",),
        ("cuMemAlloc", 8),
        ("cuMemFree", 256),
        ("cuStreamCreate", real.CUstream_flags.CU_STREAM_NON_BLOCKING),
        ("cuStreamSynchronize", stream),
        ("cuStreamDestroy", stream),
        ("cuMemcpyHtoDAsync", 256, places, 8, stream),
        ("cuMemcpyDtoHAsync", places, 256, 8, stream),
        ("cuMemcpyDtoDAsync", 512, 256, 8, stream),
        ("cuMemsetD8Async", 256, 0, 8, stream),
        ("cuModuleLoadData", b"code"),
        ("cuModuleGetFunction", real.CUmodule(0), b"name"),
        ("cuOccupancyMaxActiveBlocksPerMultiprocessor", function, 32, 0),
        ("cuLaunchKernel", function, *shape, 0),
        ("cuLaunchCooperativeKernel", function, *shape),
        ("cuGetErrorName", real.CUresult.CUDA_ERROR_NO_DEVICE),
        ("cuGetErrorString", real.CUresult.CUDA_ERROR_NO_DEVICE),
        ("cuDriverGetVersion",),
        ("cuDeviceGetCount",),
    ]
    used = {name for name in vars(emulator.EmulatedDriver) if name.startswith("cu")}
    used |= {
        f"cu{name[1:]}"
        for name in vars(emulator.EmulatedDriver)
        if re.match("_[A-Z]", name)
    }
    assert used == {name for name, *_ in calls} | {"cuInit"}
    try:
        real.cuInit(0)
    except RuntimeError:
        for name, *arguments in calls:
            with pytest.raises(RuntimeError, match="cuda"):
                getattr(real, name)(*arguments)
    else:
        pytest.skip("this machine has a driver, which would do as it is told")


# ------------------------------------------------------ several devices and threads


def test_devices_have_memory_of_their_own():
    with emulator.gpu(n_devices=2) as gpu:
        streams = [open_device(number).stream() for number in range(2)]
        buffers = [
            stream.upload(np.full(4, float(number)))
            for number, stream in enumerate(streams)
        ]
        assert [device.allocated for device in gpu.devices] == [32, 32]
        assert buffers[0].get().tolist() == [0.0] * 4
        assert buffers[1].get().tolist() == [1.0] * 4
        buffers.clear()
        assert [device.allocated for device in gpu.devices] == [0, 0]


def test_current_device_of_the_caller_is_put_back():
    with emulator.gpu(n_devices=2) as gpu:
        first, second = open_device(0), open_device(1)
        with first:
            stream = second.stream()
            stream.upload(np.zeros(3)).get()
            second.memory()
            assert gpu._current() is gpu.devices[0]
        assert gpu._stack() == []


def test_any_thread_may_call(emulated_gpu):
    def work(number):
        stream = open_device(0).stream()
        array = np.full(100, number)
        for _ in range(20):
            assert (stream.upload(array).get() == number).all()
        return threading.get_ident()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    gc.collect()
    assert emulated_gpu.devices[0].allocated == 0


# ----------------------------------------------------------------------- launches


@pytest.fixture
def module(stream):
    return modules.load(stream.device, "tests.cuda.kernels:axpy", "float64")


def test_launch_passes_the_integers(emulated_gpu, stream, module):
    buffers = [stream.upload(np.arange(1.0, n + 1)) for n in (1, 5, 5)]
    integers = [buffer.address // 8 for buffer in buffers]
    module.launch(stream, "add", 2, 3, (*integers, np.int64(5)))
    assert buffers[2].get().tolist() == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert emulated_gpu.launches == [("add", 2, 3, [*integers, 5], False)]
    assert emulated_gpu.calls.count("cuLaunchKernel") == 1


def test_launch_keeps_the_order_of_the_stream(stream, module):
    a, x, y = (stream.upload(np.ones(1)) for _ in range(3))
    integers = [buffer.address // 8 for buffer in (a, x, y)] + [1]
    for number in range(5):
        x.set(np.array([10.0**number]))
        module.launch(stream, "add", 1, 1, integers)
    assert y.get() == 11112.0


def test_launch_with_another_number_of_integers(stream, module):
    with pytest.raises(TypeError, match="'add' takes 4 integers, got 2"):
        module.launch(stream, "add", 1, 1, (0, 0))


def test_cooperative_launch(emulated_gpu, stream, module):
    most = module.blocks_at_once("sum_all", 4)
    assert most == 2
    with pytest.raises(CudaError, match="COOPERATIVE_LAUNCH_TOO_LARGE"):
        module.launch(stream, "sum_all", most + 1, 4, [0] * 5, cooperative=True)


def test_memory_is_not_freed_under_a_running_kernel(emulated_gpu, stream, monkeypatch):
    """The real driver waits in cuMemFree until the device is idle."""
    module = modules.load(stream.device, f"{__name__}:freeing", "float64")
    buffers = [stream.upload(np.ones(4))]
    freeing.hook = buffers.clear
    target = stream.empty(4, "float64")
    integers = (buffers[0].address // 8, target.address // 8)
    module.launch(stream, "copy", 1, 1, integers)
    assert target.get().tolist() == [1.0] * 4
    assert emulated_gpu.devices[0].allocated == target.nbytes


def freeing(cuda, dtype):
    """A kernel during which the host drops a buffer."""

    def copy(memory, doubles, longs, ints, source, goal):
        freeing.hook()
        for i in range(4):
            memory[goal + i] = memory[source + i]

    return modules.Kernels(dtype, {"copy": (copy, 2)})
