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
from nnfit.cpu.kernels.dense import SUM_BLOCK
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.pointers import (
    INT64_POINTER,
    atomic_load,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.threads import make_barrier
from nnfit.cpu.kernels.tile import make_panel_tile
from nnfit.functions.muon import ITERATIONS, A, B, C

#: What `share` computes.
GRAM, GRAM_AND_SELF, PRODUCT_AND_SELF = range(3)


def muon(target, dtype):
    """Entry point ``muon(...)`` for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of ``muon(weights, gradient, momentum, work, n_in, n_out, width, mu, rate,
        decay, shared, thread, n_threads, passed) -> passed``. All threads call it
        together, for one matrix after another. `weights`, `gradient` and `momentum`
        lie in panels, see `nnfit.cpu.kernels.dense`; padding is zero and stays so.
        `work` has the size of `nnfit.cpu.layout.muon_work`; its contents do not matter.
        `mu`, `rate` and `decay` are float64, `shared` and `passed` those of
        `nnfit.cpu.kernels.threads`. An abort leaves the weights finite.
    """
    scalar, pointer = scalar_type(dtype), pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    lanes, panel = target.lanes(dtype), target.panel(dtype)
    rows_of_tile, rows_of_strip = target.tile_rows, target.strip(dtype)
    block = rows_of_strip  # columns, see above
    side = math.lcm(rows_of_tile, panel)  # of squares on the diagonal of X^T X
    tile = make_panel_tile(target, dtype)
    barrier = make_barrier(target)
    zero = scalar(0.0)

    # --------------------------------------------- products of X, by all threads

    @helper
    def column_at(matrix, rows, width, column):
        """Where a column of a matrix in blocks begins, and the distance of rows."""
        first = column // block * block
        place = first * rows + column - first
        return offset(matrix, place), min(block, width - first)

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
    def gram_panel(kind, x, k, n, width, goal, factor, column, first, last):
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
                    start = offset(b, row * b_k) if kind == GRAM_AND_SELF else null
                tile(
                    count, min(rows_of_tile, last - row),
                    offset(a, begin * a_k), 1, a_k,
                    offset(b, begin * b_k), columns, b_k,
                    result, c_row, start, c_row,
                    factor if begin + count == k else null, 0,
                )  # fmt: skip
        mirror(goal, n, width, column, first, last)

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

    @helper
    def height_of(kind, rows, n, column):
        """Rows of a panel that are computed; of x^T x those above the diagonal.

        Below it, the sums have the same terms in the same order.
        """
        if kind == PRODUCT_AND_SELF:
            return rows
        return min(n, column // side * side + side)

    @helper
    def share(kind, x, rows, n, width, d, goal, factor, thread, n_threads):
        """One thread's part of a product: its tiles, panel by panel."""
        total = 0
        for column in range(0, width, panel):
            height = height_of(kind, rows, n, column)
            total += (height + rows_of_tile - 1) // rows_of_tile
        begin = total * thread // n_threads
        end = total * (thread + 1) // n_threads
        for column in range(0, width, panel):
            height = height_of(kind, rows, n, column)
            tiles = (height + rows_of_tile - 1) // rows_of_tile
            first = max(begin, 0) * rows_of_tile
            last = min(end * rows_of_tile, height)
            if first < last and kind == PRODUCT_AND_SELF:
                product_panel(x, rows, n, width, d, goal, factor, column, first, last)
            elif first < last:
                gram_panel(kind, x, rows, n, width, goal, factor, column, first, last)
            begin -= tiles
            end -= tiles

    # ---------------------------------------------- from panels to X and back

    @helper
    def place_of(x, n_in, n_out, rows, width, first, column):
        """Where w[first, column] is in X, and the distances of inputs and units."""
        if n_in >= n_out:
            begin, distance = column_at(x, rows, width, column)
            return offset(begin, first * distance), distance, nb.int64(1)
        begin, distance = column_at(x, rows, width, first)
        return offset(begin, column * distance), nb.int64(1), distance

    @helper
    def strip_of(unit, n_in, width):
        """First row, first column, rows and columns of a strip, and its offset."""
        n_strips = (n_in + rows_of_strip - 1) // rows_of_strip
        column, first = unit // n_strips * panel, unit % n_strips * rows_of_strip
        columns, rows = min(panel, width - column), min(rows_of_strip, n_in - first)
        return first, column, rows, columns, column * n_in + first * columns

    @sum_helper
    def look_ahead(gradient, momentum, goal, n, mu, rest):
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

    def muon(
        weights, gradient, momentum, work, n_in, n_out, width, mu, rate, decay,
        shared, thread, n_threads, passed,
    ):  # fmt: skip
        rows, n = max(n_in, n_out), min(n_in, n_out)
        padded = (n + lanes - 1) // lanes * lanes
        n_strips = (n_in + rows_of_strip - 1) // rows_of_strip
        n_units = (width + panel - 1) // panel * n_strips
        size = max(rows * padded, n_in * width)
        x, y = work, offset(work, size)
        s = offset(y, size)
        d = offset(s, n * padded)
        factors = offset(d, n * padded)
        squares = offset(factors, 3 * panel)
        begin = n_units * thread // n_threads
        end = n_units * (thread + 1) // n_threads

        # U, in panels, to the place of y, and the squares of each strip.
        for unit in range(begin, end):
            _, _, height, columns, place = strip_of(unit, n_in, width)
            squares[unit] = look_ahead(
                offset(gradient, place), offset(momentum, place), offset(y, place),
                height * columns, scalar(mu), scalar(1.0 - mu),
            )  # fmt: skip
        if thread == 0:
            fill_padding(x, rows, n, padded)
            for j in range(panel):
                factors[j] = scalar(C / B)
                factors[panel + j] = scalar(B * B / (A * C))
                factors[2 * panel + j] = scalar(A)
        passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)

        total = 0.0
        for unit in range(n_units):
            total += nb.float64(squares[unit])
        scale = scalar(1.0 / (math.sqrt(total) + 1e-7))
        for unit in range(begin, end):
            first, column, height, columns, place = strip_of(unit, n_in, width)
            goal, between_inputs, between_units = place_of(
                x, n_in, n_out, rows, padded, first, column
            )
            for i in range(height):
                source = offset(y, place + i * columns)
                line = offset(goal, i * between_inputs)
                for j in range(min(columns, n_out - column)):
                    line[j * between_units] = scale * source[j]
        passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)

        for _ in range(ITERATIONS):
            share(GRAM, x, rows, n, padded, d, s, factors, thread, n_threads)
            passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
            factor = offset(factors, panel)
            share(GRAM_AND_SELF, s, n, n, padded, d, d, factor, thread, n_threads)
            passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
            factor = offset(factors, 2 * panel)
            share(PRODUCT_AND_SELF, x, rows, n, padded, d, y, factor, thread, n_threads)
            passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
            x, y = y, x

        keep, step = scalar(decay), scalar(-0.2 * math.sqrt(nb.float64(rows)) * rate)
        if atomic_load(offset(shared, at.ABORTED)) != 0:  # X may be anything
            return passed
        for unit in range(begin, end):
            first, column, height, columns, place = strip_of(unit, n_in, width)
            source, between_inputs, between_units = place_of(
                x, n_in, n_out, rows, padded, first, column
            )
            for i in range(height):
                line = offset(weights, place + i * columns)
                change = offset(source, i * between_inputs)
                for j in range(min(columns, n_out - column)):
                    line[j] = keep * line[j] + step * change[j * between_units]
        # The next matrix may have the same work area.
        return barrier.wait_for_all(shared, thread, n_threads, passed, True)

    int64, double = nb.int64, nb.float64
    signature = int64(
        pointer, pointer, pointer, pointer, int64, int64, int64, double, double,
        double, INT64_POINTER, int64, int64, int64,
    )  # fmt: skip
    return {"muon": (muon, signature)}
