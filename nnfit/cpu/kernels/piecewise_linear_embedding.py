"""Functions of `nnfit.cpu.kinds.piecewise_linear_embedding`.

For a number x in bin b of a column, of which it lies in a fraction,

    z = intercept + slope x + (weights of the bins before b) + fraction weights[b]

so that a row adds its gradient by z to that of all weights before b, and the fraction
of it to that of b. Differences of neighbours are added up, which are two for a row.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.bins import make_bins
from nnfit.cpu.kernels.dense import make_activate
from nnfit.cpu.kernels.lanes import make_add_product
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import (
    edge_of,
    exports,
    make_begin_sum,
    make_deliver,
    make_line,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import as_int64, offset, pointer_from_address
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
        gradients=(
            *make_line_gradients(target, dtype),
            make_weights_gradient(target, dtype),
        ),
    )


def make_lines(dtype):
    """Make ``line_of(table, row, tensor, number)``: a line of one of its tensors."""
    as_floats = pointer_from_address(dtype)

    @helper
    def line_of(table, row, tensor, number):
        numbers = tensor_of(table, row, tensor)
        return offset(as_floats(numbers[at.ADDRESS]), number * numbers[at.LINE])

    return line_of


def make_forward(target, dtype):
    """Make ``forward``: column by column, so that its weights stay in the cache."""
    line, line_of, bins = make_line(dtype), make_lines(dtype), make_bins(dtype)
    activate = make_activate(dtype)
    as_floats, scalar = pointer_from_address(dtype), scalar_type(dtype)
    zero, one = scalar(0.0), scalar(1.0)
    add, lanes = make_add_product(target, dtype), target.lanes(dtype)
    multiply_add = make_multiply_add(target, dtype)

    @helper
    def add_up(sums, start, weights, between, n, d, is_padded):
        """sums (n + 1, d) = start plus the weights (n, d) of the bins before each."""
        for j in range(d):
            sums[j] = start[j]
        for t in range(n):
            before, after = offset(sums, t * between), offset(sums, (t + 1) * between)
            own_weights = offset(weights, t * between)
            if is_padded:
                add(after, before, one, own_weights, d)
            else:
                for j in range(d):
                    after[j] = before[j] + own_weights[j]

    @helper
    def embed(z, start, x, slope, part, weights, d, in_lanes):
        """z (d,) = start + x slope + part weights, the same bits in lanes or not."""
        if in_lanes:
            add(z, start, x, slope, d)
            add(z, z, part, weights, d)
        else:
            for j in range(d):
                value = multiply_add(x, slope[j], start[j])
                z[j] = multiply_add(part, weights[j], value)

    @helper
    def sums_of(table, row, now):
        if row[own.SUMS] != 0:
            return as_floats(row[own.SUMS])
        place = as_int64(now)[at.NOW_THREAD] * table[at.SCRATCH_STRIDE]
        return offset(as_floats(table[at.SCRATCH]), place)

    @helper
    def clear_padding(row, begin, count):
        """Zeros where an activation left its slopes of the batch before."""
        for r in range(begin, begin + count):
            z = line(row[own.Z], row[at.STRIDE], r)
            for j in range(row[at.N_OUT], row[at.WIDTH]):
                z[j] = zero

    def forward(table, row, now, begin, count):
        """z (count, n_columns * d), then output and slope."""
        edge, d, sums = edge_of(row, 0), row[own.D], sums_of(table, row, now)
        between = tensor_of(table, row, own.WEIGHTS)[at.LINE]
        whole = (d + lanes - 1) // lanes * lanes
        is_padded = between == whole
        for number in range(row[own.encoding.N_COLUMNS]):
            column = bins.column_of(table, row, number)
            slope = line_of(table, row, own.SLOPE, number)
            intercept = line_of(table, row, own.INTERCEPT, number)
            weights = line_of(table, row, own.WEIGHTS, column.first)
            # What follows of the last vector is the next column's, which comes later.
            in_lanes = is_padded and number * d + whole <= row[at.N_OUT]
            highest = bins.locate(row, column, begin, count)
            add_up(sums, intercept, weights, between, highest, d, is_padded)
            for r in range(begin, begin + count):
                x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)[column.input]
                z = offset(line(row[own.Z], row[at.STRIDE], r), number * d)
                place = column.bins[r] * between
                embed(
                    z, offset(sums, place), x, slope, column.fractions[r],
                    offset(weights, place), d, in_lanes,
                )  # fmt: skip
        clear_padding(row, begin, count)
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return forward


def make_backward(dtype):
    """Make ``backward``: slope, and weights of the bin by its width, times gradient."""
    line, line_of, bins = make_line(dtype), make_lines(dtype), make_bins(dtype)
    deliver = make_deliver(dtype)
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
                column = bins.column_of(table, row, number)
                found, gradient = column.bins[r], offset(by_z, number * d)
                slope = line_of(table, row, own.SLOPE, number)
                weights = line_of(table, row, own.WEIGHTS, column.first + found)
                rise = product(weights, gradient, d) / bins.width_of(column, found)
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
    def sum_rows(table, row, number, factors, stride, batch, goal, width):
        d, null = row[own.D], as_floats(0)
        by_z = offset(as_floats(row[at.GRADIENT_BY_OUTPUT]), number * d)
        for j in range(0, d, lanes):
            c = offset(goal, j)
            sum_lanes(
                batch, 1, factors, 0, stride, offset(by_z, j), row[at.GRADIENT_STRIDE],
                c, 0, c if table[at.ADDS] != 0 else null, 0, null, 0,
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
            sum_rows(table, row, first + i, x, stride, batch, own_goal, width)

    def intercept_gradient(table, row, unit, batch, goal):
        """goal (columns, d) = sum over the batch of the gradient."""
        one, first = as_floats(table[at.ONE]), unit[at.U_FIRST]
        width = unit[at.U_SIZE] // unit[at.U_ROWS]
        for i in range(unit[at.U_ROWS]):
            own_goal = offset(goal, i * width)
            sum_rows(table, row, first + i, one, 0, batch, own_goal, width)

    return slope_gradient, intercept_gradient


def make_weights_gradient(target, dtype):
    """Make ``weights_gradient`` of a column."""
    line, begin_sum = make_line(dtype), make_begin_sum(dtype)
    bins = make_bins(dtype)
    add, scalar = make_add_product(target, dtype), scalar_type(dtype)
    zero, one = scalar(0.0), scalar(1.0)

    def weights_gradient(table, row, unit, batch, goal):
        """goal (n_bins, d): differences of neighbours, then sums of those behind."""
        d, number = row[own.D], unit[at.U_FIRST]
        column = bins.column_of(table, row, number)
        width = unit[at.U_SIZE] // column.n_bins
        begin_sum(table, goal, unit[at.U_SIZE])
        for r in range(batch):
            by_z = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            gradient, found = offset(by_z, number * d), column.bins[r]
            at_bin = offset(goal, found * width)
            add(at_bin, at_bin, column.fractions[r], gradient, d)
            if found > 0:
                before, rest = offset(at_bin, -width), one - column.fractions[r]
                add(before, before, rest, gradient, d)
        if table[at.ENDS] == 0:
            return
        for t in range(column.n_bins - 1, -1, -1):
            at_bin = offset(goal, t * width)
            if t < column.n_bins - 1:
                add(at_bin, at_bin, one, offset(at_bin, width), d)
            for j in range(d, width):
                at_bin[j] = zero

    return weights_gradient
