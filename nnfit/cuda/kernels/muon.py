"""Muon's update of a whole matrix; the formulas are `nnfit.cpu.kernels.muon`'s.

    look ahead   momentum and U, and the squares of U           elementwise
    orient       X = U / ||U||, or its transpose                elementwise
    gram         S = (c / b) X^T X                              five times
    square       D = (b b / a c) (S + S S)
    multiply     Y = a (X + X D), which is the next X
    update       w from X                                       elementwise

X has n columns and at least as many rows.
"""

import math
from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.products import make_product
from nnfit.functions.muon import ITERATIONS, A, B, C

Muon = namedtuple("Muon", "look_ahead orient gram square multiply update")
Goal = namedtuple("Goal", "start goal n factor")


def make_muon(build):
    """Build the phases of a matrix's update.

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build

    Returns
    -------
    muon : Muon
        Phases. The argument is the place of the matrix's tensor; for `gram`, `square`
        and `multiply` it is that place times ITERATIONS, plus the number of the
        iteration.
    """
    device, scalar = build.device, build.scalar
    threads, kind = build.threads, build.kind
    n_threads, tile = threads.n_threads, kind.tile
    tile_rows, tile_columns = tile.rows, tile.columns
    of_gram, of_square, of_all = scalar(C / B), scalar(B * B / (A * C)), scalar(A)
    last = at.MATRIX_Y if ITERATIONS % 2 else at.MATRIX_X

    @device
    def sizes(m, tensor):
        n_in, n_out = m.longs[tensor + at.N_LINES], m.longs[tensor + at.N_COLUMNS]
        return max(n_in, n_out), min(n_in, n_out)

    @device
    def rates_of(m, net, tensor):
        return m.longs[net + at.RATES] + m.longs[tensor + at.RATE] * at.N_RATES

    @device
    def parts_of(m, tensor):
        """Parts of the sum of squares: the matrix's tiles, however many blocks."""
        n_in, n_out = m.longs[tensor + at.N_LINES], m.longs[tensor + at.N_COLUMNS]
        across = (n_out + tile_columns - 1) // tile_columns
        return (n_in + tile_rows - 1) // tile_rows * across

    @device
    def look_ahead(m, net, place, now, block, n_blocks):
        """Momentum of a matrix and what it will be; its squares to those of units."""
        longs = m.longs
        tensor = net + place
        mu = m.floats[rates_of(m, net, tensor) + at.MATRIX_MOMENTUM]
        rest = scalar(1.0) - mu
        begin, u = longs[tensor + at.ADDRESS], longs[net + at.MATRIX_Y]
        gradients, momenta = longs[net + at.GRADIENT], longs[net + at.STATE]
        n = longs[tensor + at.N_LINES] * longs[tensor + at.N_COLUMNS]
        n_parts = parts_of(m, tensor)
        size = (n + n_parts - 1) // n_parts
        for part in range(block, n_parts, n_blocks):
            total = 0.0
            end = min((part + 1) * size, n)
            for e in range(part * size + threads.number(), end, n_threads):
                new = rest * m.floats[gradients + begin + e]
                moving = mu * m.floats[momenta + begin + e] + new
                m.floats[momenta + begin + e] = moving
                ahead = mu * moving + new
                m.floats[u + e] = ahead
                total += np.float64(ahead) * np.float64(ahead)
            total = threads.sum_of_block(m, total)
            if threads.number() == 0:
                m.doubles[longs[net + at.SQUARES] + part] = total

    @device
    def orient(m, net, place, now, block, n_blocks):
        """X from U: its norm 1, and no more columns than rows."""
        longs = m.longs
        tensor = net + place
        part = 0.0
        for i in range(threads.number(), parts_of(m, tensor), n_threads):
            part += m.doubles[longs[net + at.SQUARES] + i]
        scale = scalar(1.0 / (math.sqrt(threads.sum_of_block(m, part)) + 1e-7))
        n_in, n_out = longs[tensor + at.N_LINES], longs[tensor + at.N_COLUMNS]
        u, x = longs[net + at.MATRIX_Y], longs[net + at.MATRIX_X]
        stride = n_blocks * n_threads
        for e in range(block * n_threads + threads.number(), n_in * n_out, stride):
            goal = e if n_in >= n_out else e % n_out * n_in + e // n_out
            m.floats[x + goal] = scale * m.floats[u + e]

    @device
    def store(m, c, r, j, value):
        if c.start != 0:
            value += m.floats[c.start + r * c.n + j]
        m.floats[c.goal + r * c.n + j] = c.factor * value
        return 0.0

    transposed = make_product(build, (False, False), store)
    straight = make_product(build, (True, False), store)

    @device
    def matrices(m, net, argument):
        """X and Y of a turn: they change places."""
        x, y = m.longs[net + at.MATRIX_X], m.longs[net + at.MATRIX_Y]
        return (x, y) if argument % ITERATIONS % 2 == 0 else (y, x)

    @device
    def gram(m, net, argument, now, block, n_blocks):
        tensor = net + argument // ITERATIONS
        rows, n = sizes(m, tensor)
        x, _ = matrices(m, net, argument)
        c = Goal(np.int64(0), m.longs[net + at.MATRIX_S], n, of_gram)
        across = (n + tile_columns - 1) // tile_columns
        n_tiles = (n + tile_rows - 1) // tile_rows * across
        for t in range(block, n_tiles, n_blocks):
            row, column = t // across * tile_rows, t % across * tile_columns
            transposed(m, x, n, x, n, n, n, rows, row, column, c)

    @device
    def multiply_by(m, a, b, rows, n, c, block, n_blocks):
        """goal = factor (start + a b)."""
        across = (n + tile_columns - 1) // tile_columns
        n_tiles = (rows + tile_rows - 1) // tile_rows * across
        for t in range(block, n_tiles, n_blocks):
            row, column = t // across * tile_rows, t % across * tile_columns
            straight(m, a, n, b, n, rows, n, n, row, column, c)

    @device
    def square(m, net, argument, now, block, n_blocks):
        tensor = net + argument // ITERATIONS
        _, n = sizes(m, tensor)
        s = m.longs[net + at.MATRIX_S]
        c = Goal(s, m.longs[net + at.MATRIX_D], n, of_square)
        multiply_by(m, s, s, n, n, c, block, n_blocks)

    @device
    def multiply(m, net, argument, now, block, n_blocks):
        tensor = net + argument // ITERATIONS
        rows, n = sizes(m, tensor)
        x, y = matrices(m, net, argument)
        c = Goal(x, y, n, of_all)
        multiply_by(m, x, m.longs[net + at.MATRIX_D], rows, n, c, block, n_blocks)

    @device
    def update(m, net, place, now, block, n_blocks):
        """The weights, from the last Y."""
        longs = m.longs
        tensor = net + place
        rows, _ = sizes(m, tensor)
        n_in, n_out = longs[tensor + at.N_LINES], longs[tensor + at.N_COLUMNS]
        rates = rates_of(m, net, tensor)
        keep = m.floats[rates + at.DECAY]
        rate = np.float64(m.floats[rates + at.MATRIX_RATE])
        step = scalar(-0.2 * math.sqrt(np.float64(rows)) * rate)
        x = longs[net + last]
        weights = longs[net + at.PARAMETERS] + longs[tensor + at.ADDRESS]
        stride = n_blocks * n_threads
        for e in range(block * n_threads + threads.number(), n_in * n_out, stride):
            source = e if n_in >= n_out else e % n_out * n_in + e // n_out
            m.floats[weights + e] = (
                keep * m.floats[weights + e] + step * m.floats[x + source]
            )

    return Muon(look_ahead, orient, gram, square, multiply, update)
