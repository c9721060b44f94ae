"""Blocks transposed in vector registers."""

import ctypes

import numpy as np
import pytest
from numba.core import types as nb

from nnfit.cpu import machine_code
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import lowering
from nnfit.cpu.kernels.pointers import pointer_type
from nnfit.cpu.kernels.transposition import make_transpose_block
from tests.engines import PROCESSORS, use_processor


def compiled(target, dtype):
    """The block's function, and how many shuffles it has."""
    block, pointer = make_transpose_block(target, dtype), pointer_type(dtype)

    def transpose(source, source_row, rows, goal, goal_row, goal_rows):
        block(source, source_row, rows, goal, goal_row, goal_rows)

    i64 = nb.int64
    exports = {"transpose": (transpose, nb.void(pointer, i64, i64, pointer, i64, i64))}
    targets.initialize_llvm()
    machine = machine_code.target_machine(target)
    module = lowering.optimised_module(exports, target, machine)
    kernel = machine_code.Kernel(machine.emit_object(module), target)
    numbers = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    function = kernel.function("transpose", None, *numbers, *numbers)
    return kernel, function, str(module).count("= shufflevector")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cpu_name", PROCESSORS)
def test_a_block(monkeypatch, cpu_name, dtype):
    """Whole and in part: zeros for rows that lack, nothing beyond those of the goal."""
    target = use_processor(monkeypatch, cpu_name)
    lanes = target.lanes(dtype)
    kernel, transpose, shuffles = compiled(target, dtype)
    assert shuffles == lanes * (lanes.bit_length() - 1)
    source = np.arange(1, lanes * (lanes + 3) + 1, dtype=dtype).reshape(lanes, -1)
    for rows in range(1, lanes + 2):
        for goal_rows in range(1, lanes + 2):
            goal = np.full((lanes + 2, lanes + 5), -1, dtype)
            expected = goal.copy()
            expected[:goal_rows, :lanes] = 0
            expected[lanes:] = -1
            inside = source[:rows, :lanes].T[:goal_rows]
            expected[: len(inside), : inside.shape[1]] = inside
            given = source.copy()
            given[rows:] = np.nan  # another panel's
            transpose(
                given.ctypes.data, given.shape[1], rows,
                goal.ctypes.data, goal.shape[1], goal_rows,
            )  # fmt: skip
            np.testing.assert_array_equal(goal, expected)
    del kernel
