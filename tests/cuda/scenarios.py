"""What is run with the emulator and with numba's simulator alike.

Each is called with an emulated driver and checks what it computes. The sizes are
small: the simulator takes 0.1 ms for a thread and more for a barrier.
"""

import numpy as np
import pytest

from nnfit.cuda import engine, modules
from nnfit.cuda.driver import open_device
from tests import numpy_engine
from tests.cuda.kernels import BLOCK
from tests.cuda.tiles import use_tiles
from tests.engines import assert_same_training, make_data
from tests.features import rounding, structured


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


def train_plainly(gpu):
    """Dropout and penalties in the epilogues of products."""
    _train("dropout of everything")
    _train("l1")


def train_normalised(gpu):
    """Layers whose z is kept; all that is random; all that needs whole gradients."""
    _train("everything, layer normalisation")
    _train("everything, batch normalisation")


def train_matrices(gpu):
    """Muon, with residual layers."""
    _train("residual, muon")


def train_in_launches(gpu):
    """A launch for each step of a batch."""
    for name in ("dropout of everything", "everything, batch normalisation", "muon"):
        _train(name, launches=True)


def _train(name, launches=False):
    """An epoch of two batches, predictions and an evaluation."""
    network, options = structured(name, sizes=(3, 5, 5, 3, 2))
    X, y = make_data(network, 7)
    weight = np.array([1.0, 2.0, 0.0, 1.0, 0.5, 1.0, 3.0])
    with pytest.MonkeyPatch.context() as patch:
        use_tiles(patch, 4, launches=launches)
        assert_same_training(
            network, (X, y, weight), modules=(engine, numpy_engine), epochs=1,
            batch_size=5, shuffle=True, **rounding(name), **options,
        )  # fmt: skip


#: All, as `simulate` takes them.
SCENARIOS = tuple(
    f"{__name__}:{scenario.__name__}"
    for scenario in (
        axpy_float32,
        axpy_float64,
        train_plainly,
        train_normalised,
        train_matrices,
        train_in_launches,
    )
)
#: Kernels that they launch.
KERNELS = {"add", "sum_all", "train", "run_operation", "predict", "evaluate"}
