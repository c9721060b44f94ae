"""Functions of `nnfit.cpu.kinds.piecewise_linear_encoding`."""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.bins import make_bins
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import edge_of, exports, make_deliver, make_line
from nnfit.cpu.kernels.pointers import offset, pointer_from_address
from nnfit.cpu.kinds import piecewise_linear_encoding as own


def build(target, dtype):
    """Kernel of encodings: `forward` and `backward`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    line, deliver, bins = make_line(dtype), make_deliver(dtype), make_bins(dtype)
    as_floats, zero = pointer_from_address(dtype), scalar_type(dtype)(0.0)

    @helper
    def encode(output, n_bins, found, number, scale):
        """output (n_bins,): the number in its bin, 1 before it and 0 behind it."""
        for t in range(n_bins):
            output[t] = scale if t < found else zero
        output[found] = scale * number

    def forward(table, row, now, begin, count):
        """output (count, n_out) = the columns' encodings side by side."""
        edge, keeps = edge_of(row, 0), row[own.KEEPS_INPUT]
        scale = as_floats(row[own.SCALE])[0]
        for number in range(row[own.N_COLUMNS]):
            column = bins.column_of(table, row, number)
            place = column.first + keeps * number
            bins.locate(row, column, begin, count)
            for r in range(begin, begin + count):
                output = offset(line(row[at.OUTPUT], row[at.STRIDE], r), place)
                if keeps != 0:
                    x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
                    output[0] = x[column.input]
                goal, part = offset(output, keeps), column.fractions[r]
                encode(goal, column.n_bins, column.bins[r], part, scale)

    def backward(table, row, now, begin, count):
        """goal (count, n_in) = gradient times slope, and what the edge asks for."""
        edge, keeps = edge_of(row, 0), row[own.KEEPS_INPUT]
        scale = as_floats(row[own.SCALE])[0]
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for number in range(row[own.N_COLUMNS]):
                column = bins.column_of(table, row, number)
                by_own = offset(gradient, column.first + keeps * number)
                found = column.bins[r]
                rise = scale * by_own[keeps + found] / bins.width_of(column, found)
                goal[column.input] += rise + by_own[0] if keeps != 0 else rise
            deliver(edge, r, edge[at.N_IN])

    return exports(dtype, operations=(forward, backward))
