"""Which bin a number lies in, and how far: the edges of a layer's columns."""

from collections import namedtuple

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.operations import tensor_of
from nnfit.cpu.kernels.pointers import as_int64, offset, pointer_from_address
from nnfit.cpu.kinds.piecewise_linear_encoding import COLUMNS, N_COLUMNS

#: A column of a layer: which of the input's it is, the number of its bins, of those
#: before it, and its edges.
Column = namedtuple("Column", "input n_bins first edges")
#: Helpers for compiled code.
Bins = namedtuple("Bins", "column_of find inside")


def make_bins(dtype):
    """Build `Bins`.

    Returns
    -------
    bins : Bins
        ``column_of(table, row, number)`` gives a `Column`, ``find(column, x)`` the
        number of its bin that x lies in, ``inside(column, bin, x)`` how far, and
        how wide the bin is.
    """
    as_floats = pointer_from_address(dtype)

    @helper
    def column_of(table, row, number):
        columns, n = as_int64(row[COLUMNS]), row[N_COLUMNS]
        bins = tensor_of(table, row, 0)
        edges = offset(as_floats(bins[at.ADDRESS]), number * bins[at.LINE])
        return Column(columns[number], columns[n + number], columns[2 * n + number],
                      edges)  # fmt: skip

    @helper
    def find(column, x):
        """How many of the edges between bins are not above x, by halving."""
        edges, found, left = column.edges, 0, column.n_bins - 1
        while left > 0:
            half = (left + 1) // 2
            found = found + half if edges[found + half] <= x else found
            left -= half
        return found

    @helper
    def inside(column, found, x):
        begin, end = column.edges[found], column.edges[found + 1]
        width = end - begin
        return (x - begin) / width, width

    return Bins(column_of, find, inside)
