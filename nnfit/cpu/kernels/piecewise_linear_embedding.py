"""Functions of `nnfit.cpu.kinds.piecewise_linear_embedding`.

For a number x in bin b of a column, of which it lies in a fraction,

    z = intercept + slope x + (weights of the bins before b) + fraction weights[b]

so that a row adds its gradient by z to that of all weights before b, and the fraction
of it to that of b. Differences of neighbours are added up, which are two for a row.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.bins import make_bins
from nnfit.cpu.kernels.dense import make_activate
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import (
    edge_of,
    exports,
    make_deliver,
    make_line,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import (
    as_int64,
    offset,
    pointer_from_address,
)
from nnfit.cpu.kernels.tile import make_multiply_add, make_tile
from nnfit.cpu.kinds import piecewise_linear_embedding as own


def build(target, dtype):
    """Kernel of piecewise linear embeddings.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, and for units `slope_gradient`, `intercept_gradient`
        and `weights_gradient`.
    """
    return exports(
        dtype,
        operations=(make_forward(target, dtype), make_backward(dtype)),
        gradients=(*make_line_gradients(target, dtype), make_weights_gradient(dtype)),
    )


def make_lines(dtype):
    """Make ``line_of(table, row, tensor, number)``: a line of one of its tensors."""
    as_floats = pointer_from_address(dtype)

    @helper
    def line_of(table, row, tensor, number):
        numbers = tensor_of(table, row, tensor)
        return offset(as_floats(numbers[at.ADDRESS]), number * numbers[at.LINE])

    return line_of


def make_numbers(dtype):
    """Make ``numbers_of(row, number)``: bins and fractions of a column's numbers."""
    as_floats = pointer_from_address(dtype)

    @helper
    def numbers_of(row, number):
        place = number * row[own.N_ROWS]
        return (
            offset(as_int64(row[own.BIN]), place),
            offset(as_floats(row[own.FRACTION]), place),
        )

    return numbers_of


def make_forward(target, dtype):
    """Make ``forward``: column by column, so that its weights stay in the cache."""
    line, line_of, bins = make_line(dtype), make_lines(dtype), make_bins(dtype)
    numbers_of, activate = make_numbers(dtype), make_activate(dtype)
    as_floats, zero = pointer_from_address(dtype), scalar_type(dtype)(0.0)
    multiply_add = make_multiply_add(target, dtype)

    @helper
    def locate(row, column, number, begin, count):
        """Bins and fractions of a block's numbers; returns the highest bin."""
        edge, (found, fractions), highest = edge_of(row, 0), numbers_of(row, number), 0
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)[column.input]
            found[r] = bins.find(column, x)
            fractions[r], _ = bins.inside(column, found[r], x)
            highest = max(highest, found[r])
        return highest

    @helper
    def add_up(weights, sums, between, n, d):
        """sums (n + 1, d): of the weights (n, d) of the bins before each."""
        for j in range(d):
            sums[j] = zero
        for t in range(n):
            before, after = offset(sums, t * between), offset(sums, (t + 1) * between)
            own_weights = offset(weights, t * between)
            for j in range(d):
                after[j] = before[j] + own_weights[j]

    @helper
    def embed(z, x, slope, intercept, before, weights, fraction, d):
        for j in range(d):
            start = multiply_add(slope[j], x, intercept[j]) + before[j]
            z[j] = multiply_add(fraction, weights[j], start)

    @helper
    def sums_of(table, row, now):
        if row[own.SUMS] != 0:
            return as_floats(row[own.SUMS])
        place = as_int64(now)[at.NOW_THREAD] * table[at.SCRATCH_STRIDE]
        return offset(as_floats(table[at.SCRATCH]), place)

    def forward(table, row, now, begin, count):
        """z (count, n_columns * d), then output and slope."""
        edge, d, sums = edge_of(row, 0), row[own.D], sums_of(table, row, now)
        between = tensor_of(table, row, own.WEIGHTS)[at.LINE]
        for number in range(row[own.encoding.N_COLUMNS]):
            column = bins.column_of(table, row, number)
            weights = line_of(table, row, own.WEIGHTS, column.first)
            slope = line_of(table, row, own.SLOPE, number)
            intercept = line_of(table, row, own.INTERCEPT, number)
            found, fractions = numbers_of(row, number)
            highest = locate(row, column, number, begin, count)
            add_up(weights, sums, between, highest, d)
            for r in range(begin, begin + count):
                x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)[column.input]
                z = offset(line(row[own.Z], row[at.STRIDE], r), number * d)
                place = found[r] * between
                embed(
                    z, x, slope, intercept, offset(sums, place),
                    offset(weights, place), fractions[r], d,
                )  # fmt: skip
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return forward


def make_backward(dtype):
    """Make ``backward``: slope, and weights of the bin by its width, times gradient."""
    line, line_of, bins = make_line(dtype), make_lines(dtype), make_bins(dtype)
    deliver, numbers_of = make_deliver(dtype), make_numbers(dtype)
    zero = scalar_type(dtype)(0.0)

    @sum_helper
    def product(a, b, n):
        result = zero
        for j in range(n):
            result += a[j] * b[j]
        return result

    def backward(table, row, now, begin, count):
        """goal (count, n_in) = gradient by the input, and what the edge asks for."""
        edge, d = edge_of(row, 0), row[own.D]
        for r in range(begin, begin + count):
            by_z = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for number in range(row[own.encoding.N_COLUMNS]):
                column, (found, _) = (
                    bins.column_of(table, row, number), numbers_of(row, number)
                )  # fmt: skip
                slope, gradient = (
                    line_of(table, row, own.SLOPE, number), offset(by_z, number * d)
                )  # fmt: skip
                weights = line_of(table, row, own.WEIGHTS, column.first + found[r])
                width = column.edges[found[r] + 1] - column.edges[found[r]]
                rise = product(weights, gradient, d) / width
                goal[column.input] += product(slope, gradient, d) + rise
            deliver(edge, r, edge[at.N_IN])

    return backward


def make_line_gradients(target, dtype):
    """Make ``slope_gradient`` and ``intercept_gradient`` of some columns.

    They are products of a row, of the column's numbers or of ones, with the gradient by
    z, a vector of it at a time. The last vector reads what is behind the column.
    """
    as_floats, lanes = pointer_from_address(dtype), target.lanes(dtype)
    sum_lanes = make_tile(target, dtype, 1, 1)
    zero = scalar_type(dtype)(0.0)

    @helper
    def sum_rows(row, number, factors, stride, batch, goal, width):
        d, null = row[own.D], as_floats(0)
        by_z = offset(as_floats(row[at.GRADIENT_BY_OUTPUT]), number * d)
        for j in range(0, d, lanes):
            sum_lanes(
                batch, 1, factors, 0, stride, offset(by_z, j), row[at.GRADIENT_STRIDE],
                offset(goal, j), 0, null, 0, null, 0,
            )  # fmt: skip
        for j in range(d, width):
            goal[j] = zero

    def slope_gradient(table, row, unit, batch, goal):
        """goal (columns, d) = sum over the batch of the number times the gradient."""
        edge, first = edge_of(row, 0), unit[at.U_FIRST]
        columns = as_int64(row[own.encoding.COLUMNS])
        inputs, stride = as_floats(edge[at.INPUT]), edge[at.INPUT_STRIDE]
        width = unit[at.U_SIZE] // unit[at.U_ROWS]
        for i in range(unit[at.U_ROWS]):
            own_goal = offset(goal, i * width)
            x = offset(inputs, columns[first + i])
            sum_rows(row, first + i, x, stride, batch, own_goal, width)

    def intercept_gradient(table, row, unit, batch, goal):
        """goal (columns, d) = sum over the batch of the gradient."""
        one, first = as_floats(table[at.ONE]), unit[at.U_FIRST]
        width = unit[at.U_SIZE] // unit[at.U_ROWS]
        for i in range(unit[at.U_ROWS]):
            own_goal = offset(goal, i * width)
            sum_rows(row, first + i, one, 0, batch, own_goal, width)

    return slope_gradient, intercept_gradient


def make_weights_gradient(dtype):
    """Make ``weights_gradient`` of a column."""
    line, numbers_of = make_line(dtype), make_numbers(dtype)
    scalar = scalar_type(dtype)
    zero, one = scalar(0.0), scalar(1.0)

    @helper
    def add(goal, gradient, factor, d):
        for j in range(d):
            goal[j] += factor * gradient[j]

    def weights_gradient(table, row, unit, batch, goal):
        """goal (n_bins, d): differences of neighbours, then sums of those behind."""
        d, number = row[own.D], unit[at.U_FIRST]
        n_columns, columns = (
            row[own.encoding.N_COLUMNS], as_int64(row[own.encoding.COLUMNS])
        )  # fmt: skip
        n_bins = columns[n_columns + number]
        width, (found, fractions) = unit[at.U_SIZE] // n_bins, numbers_of(row, number)
        for j in range(unit[at.U_SIZE]):
            goal[j] = zero
        for r in range(batch):
            by_z = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            gradient, bin_of_row = offset(by_z, number * d), found[r]
            add(offset(goal, bin_of_row * width), gradient, fractions[r], d)
            if bin_of_row > 0:
                rest = one - fractions[r]
                add(offset(goal, (bin_of_row - 1) * width), gradient, rest, d)
        for t in range(n_bins - 2, -1, -1):
            before, behind = offset(goal, t * width), offset(goal, (t + 1) * width)
            add(before, behind, one, d)

    return weights_gradient
