"""Muon's update of a whole matrix, by the orthogonal factor of its momentum.

    M <- mu M + (1 - mu) g,   U = (1 - mu) g + mu M        (Nesterov's look ahead)
    X  = U / (||U|| + 1e-7)                                (Frobenius norm)
    X <- a X + X (b A + c A A),   A = X^T X                (five times)
    w <- decay w - 0.2 sqrt(max(n_in, n_out)) rate X

The iteration is Newton-Schulz with coefficients that bring singular values near 1
soon, and never to it (Jordan et al. 2024, "Muon"). The factor in the last line gives
the update the root mean square of AdamW's (Liu et al. 2025, arXiv:2502.16982), so that
one learning rate serves matrices and vectors.

X has at least as many rows as columns: it is U, or U^T where n_in < n_out. It lies in
blocks of some 48 columns, row by row in each: whole panels and whole tiles, so that a
tile reads rows of X^T as well as panels of X at one distance, and a short one. (In
blocks of 144 columns, 256 x 256 takes 4 % less time and 784 x 512 takes 6 % more.)

With S = (c / b) A and D = (b b / a c) (S + S S) the new X is a (X + X D): a start, a
product and a factor each, which is what a tile computes. Nothing else is done to them
but to copy the upper half of the symmetric ones to the lower.
"""

import math

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu import matrices as own
from nnfit.cpu.kernels.dense import SUM_BLOCK
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import exports, step_of
from nnfit.cpu.kernels.pointers import (
    as_int64,
    atomic_load,
    offset,
    pointer_from_address,
)
from nnfit.cpu.kernels.tile import make_panel_tile
from nnfit.cpu.kernels.updates import make_place, rates_offset


def muon(target, dtype):
    """Kernel of Muon's operations, for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `look_ahead` and `orient`, `gram`, `square` and `multiply`, and
        `update_matrix`: on strips of the matrix, on tiles of a product, on strips.
        Their numbers are those of `nnfit.cpu.matrices`. Padding is zero and stays so.
        An abort leaves the weights finite.
    """
    operations = (
        make_look_ahead(target, dtype),
        make_orient(target, dtype),
        *make_grams(target, dtype),
        make_multiply(target, dtype),
        make_update_matrix(target, dtype),
    )
    return exports(dtype, operations=operations)


# ------------------------------------------------------------- products of X


def make_column_at(target, dtype):
    """Make ``column_at(matrix, rows, width, column)``, of a matrix in blocks."""
    block = target.strip(dtype)  # columns, see above

    @helper
    def column_at(matrix, rows, width, column):
        """Where a column of a matrix in blocks begins, and the distance of rows."""
        first = column // block * block
        place = first * rows + column - first
        return offset(matrix, place), min(block, width - first)

    return column_at


def make_sides(target, dtype):
    """Make ``height_of(whole, rows, n, column)``, and give the side of squares."""
    side = own.side_of(target, dtype)

    @helper
    def height_of(whole, rows, n, column):
        """Rows of a panel that are computed; of x^T x those above the diagonal.

        Below it, the sums have the same terms in the same order.
        """
        return rows if whole else min(n, column // side * side + side)

    return height_of, side


def make_grams(target, dtype):
    """Make ``gram``, S = (c / b) X^T X, and ``square``, D = (b b / a c) (S + S S)."""
    as_floats = pointer_from_address(dtype)
    rows_of_tile, panel = target.tile_rows, target.panel(dtype)
    tile = make_panel_tile(target, dtype)
    column_at = make_column_at(target, dtype)
    height_of, side = make_sides(target, dtype)

    @helper
    def mirror(goal, n, width, column, first, last):
        """Copy what a panel has above the squares on the diagonal to below them."""
        c, c_row = column_at(goal, n, width, column)
        for row in range(first, min(last, column // side * side), rows_of_tile):
            below, distance = column_at(goal, n, width, row)
            for j in range(min(panel, n - column)):
                line = offset(below, (column + j) * distance)
                values = offset(c, row * c_row + j)
                for i in range(rows_of_tile):
                    line[i] = values[i * c_row]

    @helper
    def gram_panel(with_self, x, k, n, width, goal, factor, column, first, last):
        """Rows first to last of a panel of goal = factor x^T x, or (x + x^T x)."""
        columns = min(panel, width - column)
        b, b_k = column_at(x, k, width, column)
        c, c_row = column_at(goal, n, width, column)
        null = as_floats(0)
        for begin in range(0, k, SUM_BLOCK):
            count = min(SUM_BLOCK, k - begin)
            for row in range(first, last, rows_of_tile):
                a, a_k = column_at(x, k, width, row)
                start = result = offset(c, row * c_row)
                if begin == 0:
                    start = offset(b, row * b_k) if with_self else null
                tile(
                    count, min(rows_of_tile, last - row),
                    offset(a, begin * a_k), 1, a_k,
                    offset(b, begin * b_k), columns, b_k,
                    result, c_row, start, c_row,
                    factor if begin + count == k else null, 0,
                )  # fmt: skip
        mirror(goal, n, width, column, first, last)

    @helper
    def gram_share(with_self, x, k, n, width, goal, factor, begin, end):
        """Tiles begin to end of a product, panel by panel."""
        for column in range(0, width, panel):
            height = height_of(False, n, n, column)
            tiles = (height + rows_of_tile - 1) // rows_of_tile
            first = max(begin, 0) * rows_of_tile
            last = min(end * rows_of_tile, height)
            if first < last:
                gram_panel(with_self, x, k, n, width, goal, factor, column, first, last)
            begin -= tiles
            end -= tiles

    def gram(table, row, now, begin, count):
        x, s = as_floats(row[own.X]), as_floats(row[own.S])
        rows, n, padded = row[own.N_ROWS], row[own.N], row[own.PADDED]
        factor = as_floats(row[own.FACTORS])
        gram_share(False, x, rows, n, padded, s, factor, begin, begin + count)

    def square(table, row, now, begin, count):
        s, d = as_floats(row[own.S]), as_floats(row[own.D])
        n, padded = row[own.N], row[own.PADDED]
        factor = offset(as_floats(row[own.FACTORS]), panel)
        gram_share(True, s, n, n, padded, d, factor, begin, begin + count)

    return gram, square


def make_multiply(target, dtype):
    """Make ``multiply``: Y = a (X + X D)."""
    as_floats = pointer_from_address(dtype)
    rows_of_tile, panel = target.tile_rows, target.panel(dtype)
    block = target.strip(dtype)
    tile = make_panel_tile(target, dtype)
    column_at = make_column_at(target, dtype)

    @helper
    def product_panel(x, rows, n, width, d, goal, factor, column, first, last):
        """Rows first to last of a panel of goal = factor (x + x d)."""
        columns = min(panel, width - column)
        b, b_k = column_at(d, n, width, column)
        c, c_row = column_at(goal, rows, width, column)
        x_here, _ = column_at(x, rows, width, column)
        null = as_floats(0)
        for begin in range(0, n, block):
            count = min(block, n - begin)
            a, a_row = column_at(x, rows, width, begin)
            for row in range(first, last, rows_of_tile):
                start = result = offset(c, row * c_row)
                if begin == 0:
                    start = offset(x_here, row * c_row)
                tile(
                    count, min(rows_of_tile, last - row),
                    offset(a, row * a_row), a_row, 1,
                    offset(b, begin * b_k), columns, b_k,
                    result, c_row, start, c_row,
                    factor if begin + count == n else null, 0,
                )  # fmt: skip

    def multiply(table, row, now, begin, count):
        x, y, d = as_floats(row[own.X]), as_floats(row[own.Y]), as_floats(row[own.D])
        rows, n, padded = row[own.N_ROWS], row[own.N], row[own.PADDED]
        factor = offset(as_floats(row[own.FACTORS]), 2 * panel)
        end, tiles = begin + count, (rows + rows_of_tile - 1) // rows_of_tile
        for column in range(0, padded, panel):
            first = max(begin, 0) * rows_of_tile
            last = min(end * rows_of_tile, rows)
            if first < last:
                product_panel(x, rows, n, padded, d, y, factor, column, first, last)
            begin -= tiles
            end -= tiles

    return multiply


# ------------------------------------------------- from panels to X and back


def make_strip_of(target, dtype):
    """Make ``strip_of(unit, n_in, width)``."""
    panel, rows_of_strip = target.panel(dtype), target.strip(dtype)

    @helper
    def strip_of(unit, n_in, width):
        """First row, first column, rows and columns of a strip, and its offset."""
        n_strips = (n_in + rows_of_strip - 1) // rows_of_strip
        column, first = unit // n_strips * panel, unit % n_strips * rows_of_strip
        columns, rows = min(panel, width - column), min(rows_of_strip, n_in - first)
        return first, column, rows, columns, column * n_in + first * columns

    return strip_of


def make_place_of(target, dtype):
    """Make ``place_of(row, first, column)``."""
    as_floats, column_at = pointer_from_address(dtype), make_column_at(target, dtype)

    @helper
    def place_of(row, first, column):
        """Where w[first, column] is in X, and the distances of inputs and units."""
        x, rows, width = as_floats(row[own.X]), row[own.N_ROWS], row[own.PADDED]
        if row[own.N_IN] >= row[own.N_OUT]:
            begin, distance = column_at(x, rows, width, column)
            return offset(begin, first * distance), distance, nb.int64(1)
        begin, distance = column_at(x, rows, width, first)
        return offset(begin, column * distance), nb.int64(1), distance

    return place_of


def make_look_ahead(target, dtype):
    """Make ``look_ahead``: U, in panels, to the place of Y, and squares of strips."""
    scalar, as_floats = scalar_type(dtype), pointer_from_address(dtype)
    zero = scalar(0.0)
    strip_of, column_at = make_strip_of(target, dtype), make_column_at(target, dtype)
    like, _ = make_place(dtype)
    rates_of_matrix = make_rates_of_matrix(dtype)

    @sum_helper
    def ahead_of(gradient, momentum, goal, n, mu, rest):
        """Momentum and U of a strip; returns the sum of the squares of U."""
        total = zero
        for i in range(n):
            new = rest * gradient[i]
            moving = mu * momentum[i] + new
            momentum[i] = moving
            ahead = mu * moving + new
            goal[i] = ahead
            total += ahead * ahead
        return total

    @helper
    def fill_padding(x, rows, n, width):
        for column in range(n, width):
            values, distance = column_at(x, rows, width, column)
            for i in range(rows):
                values[i * distance] = zero

    def look_ahead(table, row, now, begin, count):
        address = offset(table, row[own.TENSOR])[at.ADDRESS]
        gradient = like(table, address, table[at.GRADIENT])
        momentum = like(table, address, table[at.STATE_0])
        y, squares = as_floats(row[own.Y]), as_floats(row[own.SQUARES])
        mu = rates_of_matrix(table, row, now)[at.MATRIX_MOMENTUM]
        rest = scalar(1.0 - nb.float64(mu))
        for unit in range(begin, begin + count):
            _, _, height, columns, place = strip_of(unit, row[own.N_IN], row[own.WIDTH])
            squares[unit] = ahead_of(
                offset(gradient, place), offset(momentum, place), offset(y, place),
                height * columns, mu, rest,
            )  # fmt: skip
        if begin == 0:
            x, rows, n = as_floats(row[own.X]), row[own.N_ROWS], row[own.N]
            fill_padding(x, rows, n, row[own.PADDED])

    return look_ahead


def make_rates_of_matrix(dtype):
    """Make ``rates_of_matrix(table, row, now)``: the scalars of its step."""
    as_floats = pointer_from_address(dtype)

    @helper
    def rates_of_matrix(table, row, now):
        number = offset(table, row[own.TENSOR])[at.RATE]
        return offset(
            as_floats(table[at.RATES]), rates_offset(table, step_of(now), number)
        )

    return rates_of_matrix


def make_orient(target, dtype):
    """Make ``orient``: X = U / (||U|| + 1e-7), or that transposed."""
    scalar, as_floats = scalar_type(dtype), pointer_from_address(dtype)
    strip_of, place_of = make_strip_of(target, dtype), make_place_of(target, dtype)

    def orient(table, row, now, begin, count):
        y, squares = as_floats(row[own.Y]), as_floats(row[own.SQUARES])
        total = 0.0
        for unit in range(row[own.N_STRIPS]):
            total += nb.float64(squares[unit])
        scale = scalar(1.0 / (math.sqrt(total) + 1e-7))
        for unit in range(begin, begin + count):
            first, column, height, columns, place = strip_of(
                unit, row[own.N_IN], row[own.WIDTH]
            )
            goal, between_inputs, between_units = place_of(row, first, column)
            for i in range(height):
                source = offset(y, place + i * columns)
                line = offset(goal, i * between_inputs)
                for j in range(min(columns, row[own.N_OUT] - column)):
                    line[j * between_units] = scale * source[j]

    return orient


def make_update_matrix(target, dtype):
    """Make ``update_matrix``: the weights' step along X."""
    scalar, as_floats = scalar_type(dtype), pointer_from_address(dtype)
    strip_of, place_of = make_strip_of(target, dtype), make_place_of(target, dtype)
    rates_of_matrix = make_rates_of_matrix(dtype)

    def update_matrix(table, row, now, begin, count):
        if atomic_load(offset(as_int64(table[at.SHARED]), at.ABORTED)) != 0:
            return  # X may be anything
        weights = as_floats(offset(table, row[own.TENSOR])[at.ADDRESS])
        rates = rates_of_matrix(table, row, now)
        keep, rate = rates[at.DECAY], nb.float64(rates[at.MATRIX_RATE])
        step = scalar(-0.2 * math.sqrt(nb.float64(row[own.N_ROWS])) * rate)
        for unit in range(begin, begin + count):
            first, column, height, columns, place = strip_of(
                unit, row[own.N_IN], row[own.WIDTH]
            )
            source, between_inputs, between_units = place_of(row, first, column)
            for i in range(height):
                line = offset(weights, place + i * columns)
                change = offset(source, i * between_inputs)
                for j in range(min(columns, row[own.N_OUT] - column)):
                    line[j] = keep * line[j] + step * change[j * between_units]

    return update_matrix
