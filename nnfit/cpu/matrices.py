"""Matrices that an optimizer updates as a whole: their rows, and the steps of Muon."""

import math

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import MUON
from nnfit.functions.muon import ITERATIONS, A, B, C

#: Numbers of a matrix's row; `nnfit.cpu.kernels.muon` has what X, Y, S and D are.
TENSOR, N_IN, N_OUT, WIDTH = range(4)  # where its tensor's row is; sizes
N_ROWS, N, PADDED, N_STRIPS = range(4, 8)  # the larger and the smaller size, padded
X, Y, S, D, FACTORS, SQUARES, END = range(8, 15)  # addresses


def side_of(target, dtype):
    """Side of the squares on the diagonal of X^T X, whole tiles and panels."""
    return math.lcm(target.tile_rows, target.panel(dtype))


def add_steps(plan, tensor):
    """Write down the steps of one matrix, which threads take together.

    Parameters
    ----------
    plan : nnfit.cpu.plans.Plan
    tensor : int
        Where the row of its tensor is.
    """
    target, dtype, words = plan.target, plan.dtype, plan.words
    n_in, n_out = words[tensor + at.N_LINES], words[tensor + at.N_COLUMNS]
    width, panel = words[tensor + at.LINE], target.panel(dtype)
    rows, n = max(n_in, n_out), min(n_in, n_out)
    padded = plan.padded(n)
    n_strips = -(-width // panel) * -(-n_in // target.strip(dtype))
    row, turned = plan.reserve(END), plan.reserve(END)
    sizes = (tensor, n_in, n_out, width, rows, n, padded, n_strips)
    words[row : row + X] = words[turned : turned + X] = sizes
    size = max(rows * padded, n_in * width)
    for index, count in ((X, size), (Y, size), (S, n * padded), (D, n * padded)):
        plan.buffer(row + index, count)
    plan.buffer(row + SQUARES, n_strips)
    factors = [C / B] * panel + [B * B / (A * C)] * panel + [A] * panel
    plan.constants(row + FACTORS, factors)
    for index in range(X, END):
        plan.same(turned + index, row + index)
    plan.same(turned + X, row + Y)
    plan.same(turned + Y, row + X)

    kernel = plan.kernel(MUON)

    def share(name, row, extent):
        plan.program.share(kernel.address(name), row, extent)

    triangle = _tiles(target, n, padded, panel, dtype)
    whole = -(-padded // panel) * -(-rows // target.tile_rows)
    share("look_ahead", row, n_strips)
    share("orient", row, n_strips)
    for turn in range(ITERATIONS):
        here = turned if turn % 2 else row
        share("gram", here, triangle)
        share("square", here, triangle)
        share("multiply", here, whole)
    here = turned if ITERATIONS % 2 else row
    share("update_matrix", here, n_strips)


def _tiles(target, n, padded, panel, dtype):
    """Tiles of a symmetric product that are computed."""
    side = side_of(target, dtype)
    heights = [
        min(n, column // side * side + side) for column in range(0, padded, panel)
    ]
    return sum(-(-height // target.tile_rows) for height in heights)
