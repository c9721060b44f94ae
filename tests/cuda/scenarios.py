"""What is run with the emulator and with numba's simulator alike.

Each is called with an emulated driver and checks what it computes. The sizes are
small: the simulator takes 0.1 ms for a thread and more for a barrier.
"""

import numpy as np

from nnfit.cuda import modules
from nnfit.cuda.driver import open_device
from tests.cuda.kernels import BLOCK


def axpy_float32(gpu):
    """The small kernels for tests."""
    _axpy("float32", 1e-5)


def axpy_float64(gpu):
    """The small kernels for tests."""
    _axpy("float64", 1e-13)


def _axpy(dtype, tolerance):
    device = open_device(0)
    stream = device.stream()
    module = modules.load(device, "tests.cuda.kernels:axpy", dtype)
    rng = np.random.default_rng(0)
    a, x, y = (rng.normal(size=size).astype(dtype) for size in (1, 23, 23))
    places = [stream.upload(array) for array in (a, x, y)]
    indices = [buffer.address // y.itemsize for buffer in places]
    grid = module.blocks_at_once("sum_all", BLOCK)
    module.launch(stream, "add", 3, 2, (*indices, len(y)))
    np.testing.assert_allclose(places[2].get(), a * x + y, tolerance)
    sums, total = stream.empty(grid, dtype), stream.empty(2, "float64")
    counter = stream.empty(1, "int64")
    counter.zero()
    integers = (indices[2], len(y), sums.address // y.itemsize)
    integers += (counter.address // 8, total.address // 8)
    module.launch(stream, "sum_all", grid, BLOCK, integers, cooperative=True)
    np.testing.assert_allclose(total.get(0, 1), (a * x + y).sum(), tolerance)
    assert counter.get() == total.get().view("int32")[2] == grid


#: All, as `simulate` takes them.
SCENARIOS = tuple(
    f"{__name__}:{scenario.__name__}" for scenario in (axpy_float32, axpy_float64)
)
