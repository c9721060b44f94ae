"""What the functions of `nnfit.cpu.kernels.waves` on both ways have in common."""

from collections import namedtuple

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.operations import (
    edge_of,
    make_line,
)
from nnfit.cpu.kernels.pointers import as_int64, offset, pointer_from_address
from nnfit.cpu.kernels.tile import make_panel_tile
from nnfit.cpu.kinds import periodic_embedding as own

#: Names of what takes angles in turns.
TURNS = ("sin_of_turns", "cos_of_turns")
Work = namedtuple("Work", "numbers cosines sines of_cosines of_sines products")


def make_parts(has_phases):
    """Make ``part_of(row, column, part)``: which part of the weights it is.

    Returns
    -------
    n_parts : int
        Of a column: its cosines, and perhaps its sines.
    part_of : helper
    """
    n_parts = 1 if has_phases else 2

    @helper
    def part_of(row, column, part):
        return part if row[own.IS_SHARED] != 0 else column * n_parts + part

    return n_parts, part_of


def make_block_width(has_phases):
    """Make ``block_width(row)``: units of the output from column to column."""

    @helper
    def block_width(row):
        return row[own.N_SIZE] + 1 if has_phases else row[own.N_SIZE]

    return block_width


def make_product(target, dtype):
    """Make ``product(k, rows, a, a_row, a_k, b, b_k, width, c, c_row, start, ...)``.

    C (rows, width) = start + A B with the tile. What it starts from has a distance of
    rows, too, and counts where it is given, by the last argument.
    """
    rows_of_tile, panel = target.tile_rows, target.panel(dtype)
    tile = make_panel_tile(target, dtype)
    null_of = pointer_from_address(dtype)

    @helper
    def product(
        k, rows, a, a_row, a_k, b, b_k, width, c, c_row, start, start_row, is_given
    ):
        null = null_of(0)
        for column in range(0, width, panel):
            for r in range(0, rows, rows_of_tile):
                tile(
                    k, min(rows_of_tile, rows - r),
                    offset(a, r * a_row), a_row, a_k,
                    offset(b, column), min(panel, width - column), b_k,
                    offset(c, r * c_row + column), c_row,
                    offset(start, r * start_row + column) if is_given else null,
                    start_row, null, 0,
                )  # fmt: skip

    return product


def make_work(dtype):
    """Make ``work_of(table, row, now)``: where a thread has its rows of a column.

    Returns
    -------
    work_of : helper
        A `Work` of pointers: numbers and ones, (2, rows); cosines, sines and the
        gradients by them, (rows, angle width), in the forward pass (frequencies, rows);
        products, (size width + 1, rows).
    """
    as_floats = pointer_from_address(dtype)

    @helper
    def work_of(table, row, now):
        work = as_floats(row[own.WORK])
        if row[own.WORK] == 0:
            place = as_int64(now)[at.NOW_THREAD] * table[at.SCRATCH_STRIDE]
            work = offset(as_floats(table[at.SCRATCH]), place)
        rows = own.WORK_ROWS
        size, products = rows * row[own.ANGLE_WIDTH], offset(work, 2 * rows)
        waves = offset(products, rows * (row[own.SIZE_WIDTH] + 1))
        return Work(
            work, waves, offset(waves, size), offset(waves, 2 * size),
            offset(waves, 3 * size), products,
        )  # fmt: skip

    return work_of


def make_find_numbers(dtype):
    """Make ``find_numbers(row, column, begin, count, x)``: copy a column's numbers."""
    line = make_line(dtype)

    @helper
    def find_numbers(row, column, begin, count, x):
        edge, unit = edge_of(row, 0), row[own.UNITS + column]
        for r in range(count):
            x[r] = line(edge[at.INPUT], edge[at.INPUT_STRIDE], begin + r)[unit]

    return find_numbers
