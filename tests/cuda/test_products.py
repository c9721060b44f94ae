"""Products of matrices alone: any tile, any shape, every way in which they lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfit.cuda import modules
from nnfit.cuda.driver import open_device
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.building import make_build
from nnfit.cuda.kernels.products import Tile, make_product
from nnfit.cuda.modules import Kernels
from tests.cuda import emulator
from tests.cuda.tiles import TILES


def multiply(cuda, dtype, tile, a_along, b_along, with_sums):
    """Kernel that writes a product, below it the sums of B's columns.

    The sum of what it has written goes to `doubles`, by block.
    """
    tile = Tile(*map(int, tile.split()))
    build = make_build(cuda, Kind(dtype, tile, (), (), False, False, False))
    threads, memory = build.threads, build.memory

    @cuda.jit(device=True)
    def store(m, c, r, j, value):
        goal, _, columns = c
        m.floats[goal + r * columns + j] = value
        return np.float64(value)

    @cuda.jit(device=True)
    def store_sum(m, c, j, value):
        _, rows, _ = c
        return store(m, c, rows, j, value)

    along = (a_along, b_along)
    product = make_product(build, along, store, store_sum if with_sums else None)

    def run(
        floats, doubles, longs, ints, a, b, goal, totals, rows, columns, depth,
        a_stride, b_stride,
    ):  # fmt: skip
        m = memory(floats, doubles, longs, ints)
        across = (columns + tile.columns - 1) // tile.columns
        t = cuda.blockIdx.x
        row, column = t // across * tile.rows, t % across * tile.columns
        c = goal, rows, columns
        total = product(
            m, a, a_stride, b, b_stride, rows, columns, depth, row, column, c
        )
        total = threads.sum_of_block(m, total)
        if threads.number() == 0:
            doubles[totals + t] = total

    return Kernels(dtype, {"run": (run, 9)})


def run(A, B, tile, a_along, b_along, with_sums, padding):
    """A @ B, the sums of B's columns, and the sum of both, from the kernel."""
    dtype = A.dtype.name
    rows, depth, columns = *A.shape, B.shape[1]
    given = A if a_along else A.T, B.T if b_along else B
    stored = [
        np.pad(M, ((0, 0), (0, padding)), constant_values=np.nan).copy() for M in given
    ]
    device = open_device(0)
    stream = device.stream()
    text = " ".join(map(str, tile))
    name = f"{__name__}:multiply"
    module = modules.load(device, name, dtype, text, a_along, b_along, with_sums)
    a, b = (stream.upload(M.ravel()) for M in stored)
    goal = stream.upload(np.zeros((rows + 1) * columns, dtype))
    grid = tile.count(rows, columns)
    totals = stream.empty(grid, np.float64)
    places = [
        buffer.address // buffer.dtype.itemsize for buffer in (a, b, goal, totals)
    ]
    strides = [M.shape[1] for M in stored]
    sizes = rows, columns, depth
    module.launch(stream, "run", grid, tile.n_threads, (*places, *sizes, *strides))
    found = goal.get().reshape(rows + 1, columns)
    return found[:-1], found[-1], totals.get().sum()


TILE = st.sampled_from([tile for pair in TILES.values() for tile in pair])
SIZE = st.integers(1, 20)


@settings(max_examples=12, deadline=None)
@given(
    tile=TILE,
    shape=st.tuples(SIZE, SIZE, SIZE),
    along=st.tuples(st.booleans(), st.booleans()),
    with_sums=st.booleans(),
    padding=st.integers(0, 3),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_product(tile, shape, along, with_sums, padding, dtype):
    rows, depth, columns = shape
    rng = np.random.default_rng(0)
    # Whole numbers, so that every order of adding gives the same.
    A = rng.integers(-9, 10, size=(rows, depth)).astype(dtype)
    B = rng.integers(-9, 10, size=(depth, columns)).astype(dtype)
    with emulator.gpu():
        product, sums, total = run(A, B, tile, *along, with_sums, padding)
    expected = B.sum(axis=0) if with_sums else np.zeros(columns, dtype)
    np.testing.assert_array_equal(product, A @ B)
    np.testing.assert_array_equal(sums, expected)
    assert total == (A @ B).sum() + expected.sum()


@pytest.mark.parametrize("tile", [tile for pair in TILES.values() for tile in pair])
def test_tiles_of_tests_are_such_as_products_take(tile):
    assert tile.rows * tile.depth % tile.n_threads == 0
    assert tile.columns * tile.depth % tile.n_threads == 0
