"""Which bin a number lies in, and how far: the columns that a layer reads."""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import edge_of, make_line, tensor_of
from nnfit.cpu.kernels.pointers import as_int64, offset, pointer_from_address
from nnfit.cpu.kinds import piecewise_linear_encoding as own

#: A column: which of the input's it is, the number of its bins, and of those of the
#: columns before it, its edges, and of each row of the batch the bin that its number
#: lies in and how far.
Column = namedtuple("Column", "input n_bins first edges bins fractions")
#: Helpers for compiled code.
Bins = namedtuple("Bins", "column_of locate width_of")


def make_bin_of(dtype):
    """Make ``bin_of(x, inner, n)``: how many of n edges between bins are not above x.

    All are looked at: a search by halving waits at each step, or guesses wrong. Among
    130 edges it takes four times as long.
    """
    zero, one = scalar_type(dtype)(0.0), scalar_type(dtype)(1.0)

    @sum_helper
    def bin_of(x, inner, n):
        found = zero
        for t in range(n):
            found += one if inner[t] <= x else zero
        return nb.int64(found)

    return bin_of


def make_bins(dtype):
    """Build `Bins`.

    Returns
    -------
    bins : Bins
        ``column_of(table, row, number)`` gives a `Column`, ``locate(row, column, begin,
        count)`` fills in bins and fractions of some rows and returns the highest bin,
        ``width_of(column, number)`` is that of a bin.
    """
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    bin_of = make_bin_of(dtype)

    @helper
    def column_of(table, row, number):
        columns, n = as_int64(row[own.COLUMNS]), row[own.N_COLUMNS]
        tensor, place = tensor_of(table, row, 0), number * row[own.N_ROWS]
        return Column(
            columns[number], columns[n + number], columns[2 * n + number],
            offset(as_floats(tensor[at.ADDRESS]), number * tensor[at.LINE]),
            offset(as_int64(row[own.BIN]), place),
            offset(as_floats(row[own.FRACTION]), place),
        )  # fmt: skip

    @helper
    def locate(row, column, begin, count):
        edge, edges = edge_of(row, 0), column.edges
        bins, fractions = offset(column.bins, begin), offset(column.fractions, begin)
        highest = 0
        inner, n = offset(edges, 1), column.n_bins - 1
        for r in range(count):
            inputs = line(edge[at.INPUT], edge[at.INPUT_STRIDE], begin + r)
            x = inputs[column.input]
            bins[r] = bin_of(x, inner, n)
            start, end = edges[bins[r]], edges[bins[r] + 1]
            fractions[r] = (x - start) / (end - start)
            highest = max(highest, bins[r])
        return highest

    @helper
    def width_of(column, number):
        return column.edges[number + 1] - column.edges[number]

    return Bins(column_of, locate, width_of)
