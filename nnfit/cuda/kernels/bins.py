"""Which bin a number lies in, and how far: the columns that a layer reads."""

from collections import namedtuple

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.selection import COLUMNS, END_OF_COLUMNS, N_COLUMNS

#: Numbers of such a layer's row, after those of its columns: place of the numbers of
#: bins of each column, of those before it (n_columns,), and of the column of each bin.
N_BINS = END_OF_COLUMNS
N_EDGES = N_BINS + 1  # of a row of the array of edges
END_OF_BINS = N_BINS + 2

#: A column: address of its number in the first row and distance of rows, the number of
#: its bins and of those before it, and the address of its edges.
Column = namedtuple("Column", "x stride n_bins first edges")
#: Device functions.
Bins = namedtuple("Bins", "column_of owner_of find inside width_of")


def make_bins(build):
    """Build `Bins`.

    Returns
    -------
    bins : Bins
        ``column_of(m, net, row, number, now)`` gives a `Column`, ``owner_of(m, net,
        row, line)`` the column of one of all bins, ``find(m, column, x)`` the bin that
        x lies in, ``inside(m, column, number, x)`` how far in a bin, and ``width_of(m,
        column, number)`` its width.
    """
    device, input_of, tensor_of = build.device, build.input_of, build.tensor_of

    @device
    def column_of(m, net, row, number, now):
        longs, edge = m.longs, row + at.EDGES
        n_bins = net + longs[row + N_BINS] + number
        column = longs[net + longs[row + COLUMNS] + number]
        return Column(
            input_of(m, edge, now) + column, longs[edge + at.INPUT_STRIDE],
            longs[n_bins], longs[n_bins + longs[row + N_COLUMNS]],
            tensor_of(m, net, row, 0) + number * longs[row + N_EDGES],
        )  # fmt: skip

    @device
    def owner_of(m, net, row, line):
        owners = net + m.longs[row + N_BINS] + 2 * m.longs[row + N_COLUMNS]
        return m.longs[owners + line]

    @device
    def find(m, column, x):
        """How many of the edges between bins are not above x, by halving."""
        found, left = 0, column.n_bins - 1
        while left > 0:
            half = (left + 1) // 2
            if m.floats[column.edges + found + half] <= x:
                found += half
            left -= half
        return found

    @device
    def width_of(m, column, number):
        edge = column.edges + number
        return m.floats[edge + 1] - m.floats[edge]

    @device
    def inside(m, column, number, x):
        start = m.floats[column.edges + number]
        return (x - start) / width_of(m, column, number)

    return Bins(column_of, owner_of, find, inside, width_of)
