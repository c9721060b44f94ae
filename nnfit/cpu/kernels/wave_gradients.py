"""The way back of `nnfit.cpu.kernels.waves`: gradients by inputs and parameters."""

import math

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lanes import make_add_product
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import (
    batch_of,
    edge_of,
    make_deliver,
    make_line,
)
from nnfit.cpu.kernels.pointers import offset, pointer_from_address
from nnfit.cpu.kernels.tile import make_tile
from nnfit.cpu.kernels.transposition import make_transpose_block
from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.cpu.kernels.wave_parts import (
    TURNS,
    make_block_width,
    make_find_numbers,
    make_parts,
    make_product,
    make_work,
)
from nnfit.cpu.kinds import periodic_embedding as own


def make_gradient_of(has_phases, dtype):
    """Make ``gradient_of(row, column, r)``: that by a row of a column's embedding."""
    line, block_width = make_line(dtype), make_block_width(has_phases)

    @helper
    def gradient_of(row, column, r):
        whole = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
        return offset(whole, column * block_width(row))

    return gradient_of


def make_find_waves(target, has_phases, dtype):
    """Make ``find_waves(row, column, begin, count, work)``: of some rows once more.

    Their bits are those of the forward pass, but vectors are of frequencies, so that
    sums over the rows are in their order.
    """
    line, add_product = make_line(dtype), make_add_product(target, dtype)
    find_numbers, scalar = make_find_numbers(dtype), scalar_type(dtype)
    sin, cos = (IMPLEMENTATIONS[dtype][name] for name in TURNS)
    zero, turn = scalar(0.0), scalar(0.5 / math.pi)

    @helper
    def find_angles(row, column, count, work):
        """Angles in turns in the place of cosines."""
        width, start = row[own.ANGLE_WIDTH], work.of_cosines
        frequencies = line(row[own.PARAMETERS], width, column)
        phases = line(row[own.PARAMETERS + 1], width, column)
        for j in range(width):
            start[j] = turn * phases[j] if has_phases else zero
        for r in range(count):
            goal = offset(work.cosines, r * width)
            add_product(goal, start, work.numbers[r], frequencies, width)

    @helper
    def find_waves(row, column, begin, count, work):
        find_numbers(row, column, begin, count, work.numbers)
        find_angles(row, column, count, work)
        cosines, sines = work.cosines, work.sines
        for i in range(count * row[own.ANGLE_WIDTH]):
            angle = cosines[i]
            sine, cosine = sin(angle), cos(angle)
            sines[i] = sine
            cosines[i] = cosine

    return find_waves


def make_find_angle_gradient(target, has_phases, dtype):
    """Make ``find_angle_gradient(row, column, begin, count, work)`` of some rows.

    It finds their waves once more. The gradient by the angles comes in the place of
    that by the cosines.
    """
    as_floats = pointer_from_address(dtype)
    find_waves = make_find_waves(target, has_phases, dtype)
    product = make_product(target, dtype)
    gradient_of = make_gradient_of(has_phases, dtype)
    n_parts, part_of = make_parts(has_phases)

    @helper
    def of_waves(row, column, part, begin, count, goal):
        """Gradient by cosines or by sines, (count, angle width)."""
        size, width = row[own.N_SIZE], row[own.ANGLE_WIDTH]
        number = part_of(row, column, part)
        weights = offset(as_floats(row[own.TRANSPOSED]), number * size * width)
        product(
            size, count, gradient_of(row, column, begin), row[at.GRADIENT_STRIDE], 1,
            weights, width, width, goal, width, goal, 0, False,
        )  # fmt: skip

    @helper
    def find_angle_gradient(row, column, begin, count, work):
        """-sin * gradient by cos + cos * gradient by sin."""
        find_waves(row, column, begin, count, work)
        cosines, sines, goal = work.cosines, work.sines, work.of_cosines
        of_waves(row, column, 0, begin, count, goal)
        if n_parts == 2:
            of_sines = work.of_sines
            of_waves(row, column, 1, begin, count, of_sines)
            for i in range(count * row[own.ANGLE_WIDTH]):
                goal[i] = cosines[i] * of_sines[i] - sines[i] * goal[i]
        else:
            for i in range(count * row[own.ANGLE_WIDTH]):
                goal[i] = -sines[i] * goal[i]

    return find_angle_gradient


def make_backward(target, has_phases, dtype):
    """Make ``backward``: gradient by the inputs, of that by the angles."""
    line, work_of = make_line(dtype), make_work(dtype)
    deliver, gradient_of = make_deliver(dtype), make_gradient_of(has_phases, dtype)
    find_angle_gradient = make_find_angle_gradient(target, has_phases, dtype)
    zero, two_pi = scalar_type(dtype)(0.0), scalar_type(dtype)(2.0 * math.pi)

    @sum_helper
    def inner(a, b, n):
        total = zero
        for j in range(n):
            total += a[j] * b[j]
        return total

    @helper
    def add_column(row, column, begin, count, work):
        """Add the gradient by a column's numbers in some rows."""
        edge, width = edge_of(row, 0), row[own.ANGLE_WIDTH]
        unit = row[own.UNITS + column]
        frequencies = line(row[own.PARAMETERS], width, column)
        find_angle_gradient(row, column, begin, count, work)
        for r in range(count):
            of_angle = offset(work.of_cosines, r * width)
            total = two_pi * inner(frequencies, of_angle, width)
            if has_phases:
                total += gradient_of(row, column, begin + r)[row[own.N_SIZE]]
            line(edge[at.GOAL], edge[at.GOAL_STRIDE], begin + r)[unit] += total

    def backward(table, row, now, begin, count):
        edge, work, end = edge_of(row, 0), work_of(table, row, now), begin + count
        for r in range(begin, end):
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
        for column in range(row[own.N_COLUMNS]):
            for first in range(begin, end, own.WORK_ROWS):
                add_column(row, column, first, min(own.WORK_ROWS, end - first), work)
        for r in range(begin, end):
            deliver(edge, r, edge[at.N_IN])

    return backward


def make_sums_of(has_phases, dtype):
    """Make ``sums_of(row, column)``: the gradients of a column's parameters.

    Returns
    -------
    sums_of : helper
        Pointers to those of angles, (1 or 2, angle width): of frequencies, without the
        factor, and of phases; of weights, (parts, size, angle width), transposed; of
        intercepts, (size width,).
    """
    as_floats = pointer_from_address(dtype)
    n_lines, (n_parts, _) = 2 if has_phases else 1, make_parts(has_phases)

    @helper
    def sums_of(row, column):
        width, size = row[own.ANGLE_WIDTH], row[own.N_SIZE]
        of_weights = n_parts * size * width
        length = n_lines * width + of_weights + row[own.SIZE_WIDTH]
        of_angles = offset(as_floats(row[own.SUMS]), column * length)
        weights = offset(of_angles, n_lines * width)
        return of_angles, weights, offset(weights, of_weights)

    return sums_of


# ------------------------------------------------------------------------- columns


def make_sum_columns(target, has_phases, dtype):
    """Make ``sum_columns``: gradients of columns' parameters, over the rows in order.

    All of a column at once, while its rows are in the cache; units copy them. Products
    with cosines have vectors of frequencies, not of the fewer elements of an embedding.
    """
    as_floats, sums_of = pointer_from_address(dtype), make_sums_of(has_phases, dtype)
    find_angle_gradient = make_find_angle_gradient(target, has_phases, dtype)
    work_of, product = make_work(dtype), make_product(target, dtype)
    gradient_of, lanes = make_gradient_of(has_phases, dtype), target.lanes(dtype)
    panel = target.panel(dtype)
    n_lines, (n_parts, _) = 2 if has_phases else 1, make_parts(has_phases)
    sum_panel, sum_lanes = (make_tile(target, dtype, n, n_lines) for n in (2, 1))
    sum_line = make_tile(target, dtype, 1, 1)
    one = scalar_type(dtype)(1.0)

    @helper
    def sum_angles(row, count, work, goal, goes_on):
        """goal (1 or 2, width) += gradients by angles, times numbers and ones."""
        width, null = row[own.ANGLE_WIDTH], as_floats(0)
        for r in range(count):
            work.numbers[own.WORK_ROWS + r] = one
        column = 0
        while column < width:
            c, b = offset(goal, column), offset(work.of_cosines, column)
            start = c if goes_on else null
            if width - column >= panel:
                sum_panel(
                    count, n_lines, work.numbers, own.WORK_ROWS, 1, b, width, c, width,
                    start, width, null, 0,
                )  # fmt: skip
                column += panel
            else:
                sum_lanes(
                    count, n_lines, work.numbers, own.WORK_ROWS, 1, b, width, c, width,
                    start, width, null, 0,
                )  # fmt: skip
                column += lanes

    @helper
    def sum_weights(row, column, begin, count, work, goal, goes_on):
        """goal (parts, size, width) += gradient, transposed, times waves."""
        width, size = row[own.ANGLE_WIDTH], row[own.N_SIZE]
        gradient, waves = gradient_of(row, column, begin), work.cosines
        for part in range(n_parts):
            c = offset(goal, part * size * width)
            product(
                count, size, gradient, 1, row[at.GRADIENT_STRIDE],
                waves, width, width, c, width, c, width, goes_on,
            )  # fmt: skip
            waves = work.sines

    @helper
    def sum_gradient(table, row, column, begin, count, goal, goes_on):
        """goal (size width,) += gradient, and what follows it to whole vectors."""
        gradient, null = gradient_of(row, column, begin), as_floats(0)
        for j in range(0, row[own.SIZE_WIDTH], lanes):
            c = offset(goal, j)
            sum_line(
                count, 1, as_floats(table[at.ONE]), 0, 0,
                offset(gradient, j), row[at.GRADIENT_STRIDE], c, 0,
                c if goes_on else null, 0, null, 0,
            )  # fmt: skip

    def sum_columns(table, row, now, begin, count):
        work, batch = work_of(table, row, now), batch_of(now) * row[at.LINES]
        for column in range(begin, begin + count):
            of_angles, of_weights, of_intercepts = sums_of(row, column)
            for first in range(0, batch, own.WORK_ROWS):
                n = min(own.WORK_ROWS, batch - first)
                goes_on = table[at.ADDS] != 0 or first > 0
                find_angle_gradient(row, column, first, n, work)
                sum_angles(row, n, work, of_angles, goes_on)
                sum_weights(row, column, first, n, work, of_weights, goes_on)
                sum_gradient(table, row, column, first, n, of_intercepts, goes_on)

    return sum_columns


# --------------------------------------------------------------------------- units


def make_gradients(has_phases, dtype):
    """Make the gradients of units: what `sum_columns` found of one or all columns."""
    sums_of, (n_parts, _) = make_sums_of(has_phases, dtype), make_parts(has_phases)
    zero, one = scalar_type(dtype)(0.0), scalar_type(dtype)(1.0)
    two_pi = scalar_type(dtype)(2.0 * math.pi)

    @helper
    def columns_of(row, column):
        """First column that a unit sums over, and the one after the last."""
        if row[own.IS_SHARED] != 0:
            return 0, row[own.N_COLUMNS]
        return column, column + 1

    @helper
    def copy_line(row, unit, number, factor, goal):
        width = row[own.ANGLE_WIDTH]
        of_angles, _, _ = sums_of(row, unit[at.U_COLUMN])
        for j in range(width):
            is_padding = j >= row[own.N_WAVES]
            goal[j] = zero if is_padding else factor * of_angles[number * width + j]

    def frequencies_gradient(table, row, unit, batch, goal):
        copy_line(row, unit, 0, two_pi, goal)

    def phases_gradient(table, row, unit, batch, goal):
        copy_line(row, unit, 1, one, goal)

    def weights_gradient(table, row, unit, batch, goal):
        width, size, size_width = (
            row[own.ANGLE_WIDTH],
            row[own.N_SIZE],
            row[own.SIZE_WIDTH],
        )
        first, part = unit[at.U_FIRST], unit[at.U_COLUMN] % n_parts
        begin, end = columns_of(row, unit[at.U_COLUMN] // n_parts)
        for i in range(unit[at.U_SIZE]):
            goal[i] = zero
        for column in range(begin, end):
            _, weights, _ = sums_of(row, column)
            for j in range(size):
                source = offset(weights, (part * size + j) * width + first)
                for i in range(unit[at.U_ROWS]):
                    goal[i * size_width + j] += source[i]

    def intercept_gradient(table, row, unit, batch, goal):
        begin, end = columns_of(row, unit[at.U_COLUMN])
        for j in range(row[own.SIZE_WIDTH]):
            goal[j] = zero
        for column in range(begin, end):
            _, _, intercepts = sums_of(row, column)
            for j in range(row[own.N_SIZE]):
                goal[j] += intercepts[j]

    of_lines = (frequencies_gradient,)
    if has_phases:
        of_lines = frequencies_gradient, phases_gradient
    return *of_lines, weights_gradient, intercept_gradient


def make_transpose(target, dtype):
    """Make ``transpose(table, row, unit)``: a strip of weights to its place in W^T."""
    as_floats, lanes = pointer_from_address(dtype), target.lanes(dtype)
    transpose_block = make_transpose_block(target, dtype)

    def transpose(table, row, unit):
        size, width = row[own.N_SIZE], row[own.ANGLE_WIDTH]
        size_width, rows = row[own.SIZE_WIDTH], unit[at.U_ROWS]
        source = as_floats(unit[at.U_ADDRESS])
        goal = offset(
            as_floats(row[own.TRANSPOSED]),
            unit[at.U_COLUMN] * size * width + unit[at.U_FIRST],
        )
        for begin in range(0, rows, lanes):
            for j in range(0, size, lanes):
                transpose_block(
                    offset(source, begin * size_width + j), size_width, rows - begin,
                    offset(goal, j * width + begin), width, size - j,
                )  # fmt: skip

    return transpose
