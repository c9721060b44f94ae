"""Functions of `nnfit.cpu.kinds.periodic_embedding` and `nnfit.cpu.kinds.pbld`.

Columns come one after another and rows within a column, so that its weights stay in the
first-level cache: panels of waves, products and gradients are read there once more.
"""

import math

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import SUM_BLOCK, make_activate
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import (
    edge_of,
    exports,
    make_deliver,
    make_line,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import offset, pointer_from_address
from nnfit.cpu.kernels.tile import make_panel_tile, make_tile
from nnfit.cpu.kernels.transposition import make_transpose_block
from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.cpu.kinds import periodic_embedding as own


def build(target, name, dtype):
    """Kernel of cosines and sines of learnt frequencies.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    name : {"sines", "phases"}
        What there is besides cosines of frequencies. Where there are phases, numbers
        are copied beside their embeddings.
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `pad_parameters`, `find_angle_gradient`, `backward`, and for units
        `frequencies_gradient`, `phases_gradient`, `weights_gradient`,
        `intercept_gradient` and `transpose`.
    """
    has_phases = name == "phases"
    operations = (
        make_forward(target, has_phases, dtype),
        make_pad_parameters(target, dtype),
        make_find_angle_gradient(target, has_phases, dtype),
        make_backward(has_phases, dtype),
    )
    gradients = (
        *make_angle_gradients(target, has_phases, dtype),
        *make_linear_gradients(target, has_phases, dtype),
    )
    return exports(
        dtype,
        operations=operations,
        gradients=gradients,
        after=(make_transpose(target, dtype),),
    )


@helper
def panel_start(row, number, r):
    """Elements before row r of a panel of angles."""
    return (number * row[own.ROWS] + r) * row[own.ANGLE_WIDTH]


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


# ------------------------------------------------------------------------ forward


def make_pad_parameters(target, dtype):
    """Make ``pad_parameters``: copies of tensors with lines of whole vectors."""
    as_floats, lanes = pointer_from_address(dtype), target.lanes(dtype)
    zero = scalar_type(dtype)(0.0)

    @helper
    def pad(tensor, goal):
        n, source = tensor[at.N_COLUMNS], as_floats(tensor[at.ADDRESS])
        width = (n + lanes - 1) // lanes * lanes
        for i in range(tensor[at.N_LINES]):
            for j in range(width):
                goal[i * width + j] = source[i * n + j] if j < n else zero

    def pad_parameters(table, row, now, begin, count):
        number = 0
        while number < own.UNITS - own.PARAMETERS and row[own.PARAMETERS + number] != 0:
            goal = as_floats(row[own.PARAMETERS + number])
            pad(tensor_of(table, row, number), goal)
            number += 1

    return pad_parameters


def make_find_waves(has_phases, dtype):
    """Make ``find_waves(row, column, begin, count)``: cosines and sines of rows."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    sin, cos = (IMPLEMENTATIONS[dtype][name] for name in ("sin", "cos"))
    two_pi = scalar_type(dtype)(2.0 * math.pi)

    @helper
    def find_angles(row, column, begin, count, angles):
        edge, width = edge_of(row, 0), row[own.ANGLE_WIDTH]
        unit = row[own.UNITS + column]
        frequencies = line(row[own.PARAMETERS], width, column)
        phases = line(row[own.PARAMETERS + 1], width, column)
        for r in range(count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], begin + r)[unit]
            for j in range(width):
                angle = two_pi * (frequencies[j] * x)
                if has_phases:
                    angle += phases[j]
                angles[r * width + j] = angle

    @helper
    def find_waves(row, column, begin, count):
        waves = as_floats(row[own.WAVES])
        cosines = offset(waves, panel_start(row, 2 * column, begin))
        sines = offset(waves, panel_start(row, 2 * column + 1, begin))
        find_angles(row, column, begin, count, cosines)
        for i in range(count * row[own.ANGLE_WIDTH]):
            angle = cosines[i]
            sine, cosine = sin(angle), cos(angle)
            sines[i] = sine
            cosines[i] = cosine

    return find_waves


def make_forward(target, has_phases, dtype):
    """Make ``forward``: embeddings of a block of rows, column by column."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    find_waves = make_find_waves(has_phases, dtype)
    product, activate = make_product(target, dtype), make_activate(dtype)
    n_parts, part_of = make_parts(has_phases)
    block_width = make_block_width(has_phases)
    weights_at = own.PARAMETERS + (2 if has_phases else 1)
    zero = scalar_type(dtype)(0.0)

    @helper
    def multiply(row, column, begin, count):
        """Products of a column, (count, size width)."""
        k, width = row[own.N_WAVES], row[own.ANGLE_WIDTH]
        size_width = row[own.SIZE_WIDTH]
        goal = line(row[own.PRODUCT], size_width, begin)
        number = 0 if row[own.IS_SHARED] != 0 else column
        start, start_row = line(row[weights_at + 1], size_width, number), 0
        for part in range(n_parts):
            waves = offset(
                as_floats(row[own.WAVES]), panel_start(row, 2 * column + part, begin)
            )
            weights = line(row[weights_at], k * size_width, part_of(row, column, part))
            product(
                k, count, waves, width, 1, weights, size_width, size_width,
                goal, size_width, start, start_row, True,
            )  # fmt: skip
            start, start_row = goal, size_width

    @helper
    def place(row, column, begin, count):
        """Copy a column's products to where they belong."""
        edge, size, step = edge_of(row, 0), row[own.N_SIZE], block_width(row)
        unit = row[own.UNITS + column]
        for r in range(begin, begin + count):
            source = line(row[own.PRODUCT], row[own.SIZE_WIDTH], r)
            goal = offset(line(row[own.Z], row[at.STRIDE], r), column * step)
            for j in range(size):
                goal[j] = source[j]
            if has_phases:
                goal[size] = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)[unit]

    def forward(table, row, now, begin, count):
        for column in range(row[own.N_COLUMNS]):
            find_waves(row, column, begin, count)
            multiply(row, column, begin, count)
            place(row, column, begin, count)
        for r in range(begin, begin + count):
            z = line(row[own.Z], row[at.STRIDE], r)
            for j in range(row[at.N_OUT], row[at.WIDTH]):
                z[j] = zero
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return forward


# --------------------------------------------------------------------- the way back


def make_gradient_of(has_phases, dtype):
    """Make ``gradient_of(row, column, r)``: that by a row of a column's embedding."""
    line, block_width = make_line(dtype), make_block_width(has_phases)

    @helper
    def gradient_of(row, column, r):
        whole = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
        return offset(whole, column * block_width(row))

    return gradient_of


def make_find_angle_gradient(target, has_phases, dtype):
    """Make ``find_angle_gradient`` of a block of rows, column by column."""
    as_floats = pointer_from_address(dtype)
    product, gradient_of = (
        make_product(target, dtype),
        make_gradient_of(has_phases, dtype),
    )
    n_parts, part_of = make_parts(has_phases)

    @helper
    def of_waves(row, column, part, begin, count):
        """Gradient by cosines or by sines, (count, angle width)."""
        size, width = row[own.N_SIZE], row[own.ANGLE_WIDTH]
        goal = offset(as_floats(row[own.OF_WAVES]), panel_start(row, part, begin))
        number = part_of(row, column, part)
        weights = offset(as_floats(row[own.TRANSPOSED]), number * size * width)
        product(
            size, count, gradient_of(row, column, begin), row[at.GRADIENT_STRIDE], 1,
            weights, width, width, goal, width, goal, 0, False,
        )  # fmt: skip
        return goal

    def find_angle_gradient(table, row, now, begin, count):
        """-sin * gradient by cos + cos * gradient by sin."""
        width, waves = row[own.ANGLE_WIDTH], as_floats(row[own.WAVES])
        for column in range(row[own.N_COLUMNS]):
            cosines = offset(waves, panel_start(row, 2 * column, begin))
            sines = offset(waves, panel_start(row, 2 * column + 1, begin))
            start = panel_start(row, column, begin)
            goal = offset(as_floats(row[own.OF_ANGLE]), start)
            of_cosines = of_waves(row, column, 0, begin, count)
            if n_parts == 2:
                of_sines = of_waves(row, column, 1, begin, count)
                for i in range(count * width):
                    goal[i] = cosines[i] * of_sines[i] - sines[i] * of_cosines[i]
            else:
                for i in range(count * width):
                    goal[i] = -sines[i] * of_cosines[i]

    return find_angle_gradient


def make_backward(has_phases, dtype):
    """Make ``backward``: gradient by the inputs, of that by the angles."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    deliver, gradient_of = make_deliver(dtype), make_gradient_of(has_phases, dtype)
    zero, two_pi = scalar_type(dtype)(0.0), scalar_type(dtype)(2.0 * math.pi)

    @sum_helper
    def inner(a, b, n):
        total = zero
        for j in range(n):
            total += a[j] * b[j]
        return total

    @helper
    def of_number(row, column, r):
        """Gradient by a column's number in a row."""
        width = row[own.ANGLE_WIDTH]
        of_angle = offset(as_floats(row[own.OF_ANGLE]), panel_start(row, column, r))
        frequencies = line(row[own.PARAMETERS], width, column)
        total = two_pi * inner(frequencies, of_angle, width)
        if has_phases:
            total += gradient_of(row, column, r)[row[own.N_SIZE]]
        return total

    def backward(table, row, now, begin, count):
        edge = edge_of(row, 0)
        for r in range(begin, begin + count):
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for column in range(row[own.N_COLUMNS]):
                unit = row[own.UNITS + column]
                goal[unit] += of_number(row, column, r)
            deliver(edge, r, edge[at.N_IN])

    return backward


# --------------------------------------------------------------------------- units


def make_sum_lines(target, dtype):
    """Make ``sum_lines(batch, a, a_k, b, b_k, width, goal, goes_on)``.

    goal (width,) = sum over the batch of numbers of A times rows of B, in order, added
    to what is there if it goes on.
    """
    tile, lanes = make_tile(target, dtype, 1, 1), target.lanes(dtype)
    as_floats = pointer_from_address(dtype)

    @helper
    def sum_lines(batch, a, a_k, b, b_k, width, goal, goes_on):
        null = as_floats(0)
        for j in range(0, width, lanes):
            c = offset(goal, j)
            start = c if goes_on else null
            tile(batch, 1, a, 0, a_k, offset(b, j), b_k, c, 0, start, 0, null, 0)

    return sum_lines


def make_angle_gradients(target, has_phases, dtype):
    """Make ``frequencies_gradient`` and ``phases_gradient`` of a column."""
    as_floats, sum_lines = pointer_from_address(dtype), make_sum_lines(target, dtype)
    zero, two_pi = scalar_type(dtype)(0.0), scalar_type(dtype)(2.0 * math.pi)

    @helper
    def sum_angles(row, column, batch, a, a_k, factor, goal):
        width = row[own.ANGLE_WIDTH]
        of_angle = offset(as_floats(row[own.OF_ANGLE]), panel_start(row, column, 0))
        sum_lines(batch, a, a_k, of_angle, width, width, goal, False)
        for j in range(row[own.N_WAVES]):
            goal[j] *= factor
        for j in range(row[own.N_WAVES], width):
            goal[j] = zero

    def frequencies_gradient(table, row, unit, batch, goal):
        edge, column = edge_of(row, 0), unit[at.U_COLUMN]
        x = offset(as_floats(edge[at.INPUT]), row[own.UNITS + column])
        sum_angles(row, column, batch, x, edge[at.INPUT_STRIDE], two_pi, goal)

    def phases_gradient(table, row, unit, batch, goal):
        one = as_floats(table[at.ONE])
        sum_angles(row, unit[at.U_COLUMN], batch, one, 0, one[0], goal)

    if has_phases:
        return frequencies_gradient, phases_gradient
    return (frequencies_gradient,)


def make_linear_gradients(target, has_phases, dtype):
    """Make ``weights_gradient`` of a strip and ``intercept_gradient`` of a line.

    Their products read the gradient of a column in whole vectors; what lies behind its
    elements, the next column's, becomes zero at the end.
    """
    as_floats, sum_lines = pointer_from_address(dtype), make_sum_lines(target, dtype)
    product, gradient_of = (
        make_product(target, dtype),
        make_gradient_of(has_phases, dtype),
    )
    n_parts, _ = make_parts(has_phases)
    zero = scalar_type(dtype)(0.0)

    @helper
    def columns_of(row, column):
        """First column that a unit sums over, and the one after the last."""
        if row[own.IS_SHARED] != 0:
            return 0, row[own.N_COLUMNS]
        return column, column + 1

    @helper
    def clear_padding(row, goal, rows):
        width = row[own.SIZE_WIDTH]
        for i in range(rows):
            for j in range(row[own.N_SIZE], width):
                goal[i * width + j] = zero

    @helper
    def add_column(row, column, part, first, rows, batch, goal, goes_on):
        """goal (rows, size width) += waves, transposed, times gradient."""
        width, size_width = row[own.ANGLE_WIDTH], row[own.SIZE_WIDTH]
        stride = row[at.GRADIENT_STRIDE]
        for begin in range(0, batch, SUM_BLOCK):
            waves = panel_start(row, 2 * column + part, begin) + first
            product(
                min(SUM_BLOCK, batch - begin), rows,
                offset(as_floats(row[own.WAVES]), waves), 1, width,
                gradient_of(row, column, begin), stride, size_width,
                goal, size_width,
                goal, size_width, goes_on or begin > 0,
            )  # fmt: skip

    def weights_gradient(table, row, unit, batch, goal):
        first, rows = unit[at.U_FIRST], unit[at.U_ROWS]
        part = unit[at.U_COLUMN] % n_parts
        begin, end = columns_of(row, unit[at.U_COLUMN] // n_parts)
        for column in range(begin, end):
            add_column(row, column, part, first, rows, batch, goal, column > begin)
        clear_padding(row, goal, rows)

    def intercept_gradient(table, row, unit, batch, goal):
        one, stride = as_floats(table[at.ONE]), row[at.GRADIENT_STRIDE]
        begin, end = columns_of(row, unit[at.U_COLUMN])
        for column in range(begin, end):
            gradient, goes_on = gradient_of(row, column, 0), column > begin
            sum_lines(
                batch, one, 0, gradient, stride, row[own.SIZE_WIDTH], goal, goes_on
            )
        clear_padding(row, goal, 1)

    return weights_gradient, intercept_gradient


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
