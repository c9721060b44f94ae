"""The tile takes any number of rows, whole tiles and what is left behind them."""

import ctypes

import numpy as np
import pytest
from numba.core import types as nb

from nnfit.cpu import machine_code
from nnfit.cpu import target as targets
from nnfit.cpu.kernels.lowering import emit_object
from nnfit.cpu.kernels.pointers import pointer_type
from nnfit.cpu.kernels.tile import make_panel_tile

DEPTH = 5


@pytest.fixture(scope="module")
def product():
    """``product(rows, columns, a, b, c)``: c = (c + a b) c, in place."""
    target, pointer = targets.host(), pointer_type("float32")
    tile = make_panel_tile(target, "float32")

    def product(rows, columns, a, b, c):
        tile(
            DEPTH, rows, a, DEPTH, 1, b, columns, columns, c, columns, c, columns, c,
            columns,
        )  # fmt: skip

    signature = nb.void(nb.int64, nb.int64, pointer, pointer, pointer)
    machine = machine_code.target_machine(target)
    code = emit_object({"product": (product, signature)}, target, machine)
    kernel = machine_code.Kernel(code, target)
    arguments = 2 * [ctypes.c_int64] + 3 * [ctypes.c_void_p]

    def run(rows, columns, *matrices):
        function = kernel.function("product", None, *arguments)
        function(rows, columns, *(each.ctypes.data for each in matrices))

    return run


@pytest.mark.parametrize("vectors", [1, 2])
def test_any_number_of_rows(product, vectors):
    """Each row is read and written once: the product takes the place of what is added
    and of what it is multiplied by; and no row behind the last one is touched."""
    columns = vectors * targets.host().lanes("float32")
    rng = np.random.default_rng(0)
    for rows in range(30):
        a = rng.integers(-4, 5, (rows + 1, DEPTH)).astype(np.float32)
        b = rng.integers(-4, 5, (DEPTH, columns)).astype(np.float32)
        c = rng.integers(-4, 5, (rows + 1, columns)).astype(np.float32)
        expected = c.copy()
        expected[:rows] = (c[:rows] + a[:rows] @ b) * c[:rows]
        product(rows, columns, a, b, c)
        np.testing.assert_array_equal(c, expected)
