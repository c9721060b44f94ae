"""Gradients of the weights and what becomes of them.

In the plain case a weight is updated in the epilogue of the product that computes its
gradient. Where a step needs all gradients first (`clip_norm`, matrices as a whole) they
are stored, and `whole_update` goes on.

The work of a phase is numbered in units. A unit is a tile of a layer's weights, or a
chunk of one of its vectors with as many elements as a group has threads.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.normalization import make_columns
from nnfit.cuda.kernels.products import make_product

Updates = namedtuple("Updates", "update find_gradient derive")
#: What the update of a layer's parameters takes.
LayerUpdate = namedtuple(
    "LayerUpdate", "net place bias n_out h l2 l1 limit decay rate alpha l1_size"
)
Vector = namedtuple("Vector", "values others n along")
Parameters = namedtuple("Parameters", "open_update size move_average bounded")


def make_parameters(cuda, threads, kind):
    """Build what every update of parameters does beside the optimizer's own part."""
    scalar = np.dtype(kind.dtype).type
    one, zero = scalar(1.0), scalar(0.0)
    device, averages = cuda.jit(device=True), kind.averages

    @device
    def open_update(m, net, index, weight_sum):
        """Scalars of a layer's update."""
        longs, floats = m.longs, m.longs[net + at.FLOATS]
        layer = net + at.HEADER + index * at.LAYER
        row = index if longs[net + at.N_RATE_ROWS] > 1 else 0
        rates = longs[net + at.RATES] + row * at.N_RATES
        h = (
            m.floats[rates], m.floats[rates + 1], m.floats[rates + 2],
            m.floats[rates + 3], m.floats[rates + 4], m.floats[rates + 5],
            m.floats[rates + 6], m.floats[rates + 7],
        )  # fmt: skip
        alpha, l1 = m.doubles[floats + at.ALPHA], m.doubles[floats + at.L1]
        return LayerUpdate(
            net, longs[layer + at.WEIGHTS], longs[layer + at.BIAS],
            longs[layer + at.N_OUT], h, scalar(alpha / weight_sum),
            scalar(l1 / weight_sum), scalar(m.doubles[floats + at.CLIP_VALUE]),
            m.floats[rates + at.DECAY], m.floats[rates + at.AVERAGE_RATE], alpha, l1,
        )  # fmt: skip

    @device
    def size(c, w):
        """What a weight adds to the penalty."""
        w = np.float64(w)
        return 0.5 * c.alpha * w * w + c.l1_size * abs(w)

    @device
    def move_average(m, c, p, w):
        """Move the running average, if there is one, towards a new parameter."""
        if averages and c.rate > zero:
            place = m.longs[c.net + at.AVERAGE] + p
            if c.rate >= one:
                m.floats[place] = w
            else:
                m.floats[place] += c.rate * (w - m.floats[place])

    @device
    def bounded(value, limit):
        value = limit if value > limit else value
        return -limit if value < -limit else value

    return Parameters(open_update, size, move_average, bounded)


def make_updates(cuda, threads, kind, optimizer, parameters):
    """Build the phases of gradients.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind
    optimizer : nnfit.cuda.kernels.functions.Optimizer
    parameters : Parameters

    Returns
    -------
    updates : Updates
        ``update(m, net, now, block, n_blocks)``, and ``find_gradient`` likewise, which
        stores it; ``derive(m, net, parity, block, n_blocks)`` finds the penalties of
        weights as they are.
    """
    device, dtype, tile = cuda.jit(device=True), kind.dtype, kind.tile
    scalar = np.dtype(dtype).type
    zero, one = scalar(0.0), scalar(1.0)
    tile_rows, tile_columns = tile.rows, tile.columns
    rows_each, columns_each = tile.thread_rows, tile.thread_columns
    n_each, across_tile = rows_each * columns_each, tile_columns // columns_each
    penalises, change = kind.penalises, optimizer.update
    open_update, size, move_average, bounded = parameters

    @device
    def penalised(m, c, p, g):
        """Gradient of a weight with that of the penalties."""
        w = m.floats[m.longs[c.net + at.PARAMETERS] + p]
        sign = c.l1 if w > zero else (-c.l1 if w < zero else zero)
        return g + c.l2 * w + sign

    @device
    def update_vector(m, c, p, g):
        if penalises:
            g = bounded(g, c.limit)
        move_average(m, c, p, change(m, c.net, p, g, c.h, zero, one))

    @device
    def store_update(m, c, r, j, g):
        """Update of a weight, or of a bias as row -1; returns its penalty."""
        if r < 0:
            update_vector(m, c, c.bias + j, g)
            return 0.0
        p, l2 = c.place + r * c.n_out + j, c.l2
        if penalises:
            g, l2 = bounded(penalised(m, c, p, g), c.limit), zero
        w = change(m, c.net, p, g, c.h, l2, c.decay)
        move_average(m, c, p, w)
        return size(c, w)

    @device
    def store_gradient(m, c, r, j, g):
        """Keep the gradient of a weight, or of a bias; returns its square."""
        p = c.bias + j
        if r >= 0:
            p = c.place + r * c.n_out + j
            g = penalised(m, c, p, g)
        m.floats[m.longs[c.net + at.GRADIENT] + p] = g
        return np.float64(g) * np.float64(g)

    @device
    def keep_vector(m, c, p, g):
        m.floats[m.longs[c.net + at.GRADIENT] + p] = g
        return np.float64(g) * np.float64(g)

    @device
    def change_vector(m, c, p, g):
        update_vector(m, c, p, g)
        return 0.0

    walk_updates = _make_walk(
        cuda, threads, kind, open_update, store_update, change_vector
    )
    walk_gradients = _make_walk(
        cuda, threads, kind, open_update, store_gradient, keep_vector
    )

    @device
    def update(m, net, now, block, n_blocks):
        """Gradients over the batch and the update of all parameters, at once."""
        parts = (
            m.longs[net + at.PENALTY] + (now.step + 1) % 2 * m.longs[net + at.N_UNITS]
        )
        walk_updates(m, net, now, parts, block, n_blocks)

    @device
    def find_gradient(m, net, now, block, n_blocks):
        """Gradients over the batch, and the sums of their squares."""
        parts = m.longs[net + at.SQUARES]
        walk_gradients(m, net, now, parts, block, n_blocks)

    @device
    def derive(m, net, parity, block, n_blocks):
        """Penalties of all weights, tile by tile of the same units as an update."""
        longs = m.longs
        parts = longs[net + at.PENALTY] + parity * longs[net + at.N_UNITS]
        for index in range(longs[net + at.N_LAYERS]):
            layer = net + at.HEADER + index * at.LAYER
            c = open_update(m, net, index, 1.0)
            n_in, n_out = longs[layer + at.N_IN], longs[layer + at.N_OUT]
            across = (n_out + tile_columns - 1) // tile_columns
            before = longs[layer + at.FIRST_UNIT]
            weights = longs[net + at.PARAMETERS] + c.place
            for number in range(
                (block - before) % n_blocks, longs[layer + at.TILES], n_blocks
            ):
                row = number // across * tile_rows
                column = number % across * tile_columns
                total = 0.0
                # The order of elements is that of the update's epilogue: the loss must
                # not depend on where a call begins.
                for q in range(n_each):
                    r = row + threads.number() // across_tile * rows_each
                    j = column + threads.number() % across_tile * columns_each
                    r, j = r + q // columns_each, j + q % columns_each
                    if r < n_in and j < n_out:
                        total += size(c, m.floats[weights + r * n_out + j])
                total = threads.sum_of_block(m, total)
                if threads.number() == 0:
                    m.doubles[parts + before + number] = total

    return Updates(update, find_gradient, derive)


def _make_walk(cuda, threads, kind, open_update, store, store_vector):
    """Build ``walk(m, net, now, parts, block, n_blocks)`` over all units.

    The values that `store` and `store_vector` return are added up by unit, in `parts`.
    """
    device, tile, staged = cuda.jit(device=True), kind.tile, kind.is_staged
    tile_rows, tile_columns, lanes = tile.rows, tile.columns, threads.lanes
    scalar = np.dtype(kind.dtype).type
    product = make_product(cuda, threads, kind, (False, False), store, with_sums=True)
    bare_product = product
    if staged:  # the biases of such layers are added elsewhere

        @device
        def store_weight(m, c, r, j, g):
            return store(m, c, r, j, g) if r >= 0 else 0.0

        bare_product = make_product(cuda, threads, kind, (False, False), store_weight)

    @device
    def term(m, c, r, j):
        value = m.floats[c.values + r * c.n + j]
        if c.along:
            value *= m.floats[c.others + r * c.n + j]
        return value

    sum_column = make_columns(cuda, threads, term)

    @device
    def vectors(m, net, layer, c, now, parts, first, block, n_blocks):
        """Biases and scales of a layer whose z is kept."""
        longs, n = m.longs, m.longs[layer + at.N_OUT]
        chunks = (n + lanes - 1) // lanes
        n_vectors = 2 if longs[layer + at.N_NORMS] > 0 else 1
        for number in range((block - first) % n_blocks, n_vectors * chunks, n_blocks):
            is_scale = number >= chunks
            j = number % chunks * lanes + threads.lane()
            gradient_by_u = longs[layer + at.GRADIENT_BY_U]
            of = Vector(gradient_by_u, longs[layer + at.NORMED], n, is_scale)
            g = sum_column(m, of, j, now.size, n)
            part = 0.0
            if j < n and threads.group() == 0:
                p = longs[layer + at.NORMS] if is_scale else c.bias
                part = store_vector(m, c, p + j, scalar(g))
            part = threads.sum_of_block(m, part)
            if threads.number() == 0:
                m.doubles[parts + first + number] = part

    @device
    def walk(m, net, now, parts, block, n_blocks):
        longs = m.longs
        for index in range(longs[net + at.N_LAYERS]):
            layer = net + at.HEADER + index * at.LAYER
            c = open_update(m, net, index, now.weight_sum)
            n_in, n_out = longs[layer + at.N_IN], longs[layer + at.N_OUT]
            inputs = longs[layer + at.INPUTS]
            if index == 0:
                inputs += now.buffer * longs[net + at.BUFFER_ROWS] * n_in
            stride, by_z = (
                longs[layer + at.INPUT_STRIDE],
                longs[layer + at.GRADIENT_BY_Z],
            )
            across = (n_out + tile_columns - 1) // tile_columns
            before, n_tiles = longs[layer + at.FIRST_UNIT], longs[layer + at.TILES]
            is_kept = staged and longs[layer + at.STAGED] != 0
            number = (block - before) % n_blocks
            while number < n_tiles:
                row = number // across * tile_rows
                column = number % across * tile_columns
                if is_kept:
                    part = bare_product(
                        m, inputs, stride, by_z, n_out, n_in, n_out, now.size, row,
                        column, c,
                    )  # fmt: skip
                else:
                    part = product(
                        m, inputs, stride, by_z, n_out, n_in, n_out, now.size, row,
                        column, c,
                    )  # fmt: skip
                part = threads.sum_of_block(m, part)
                if threads.number() == 0:
                    m.doubles[parts + before + number] = part
                number += n_blocks
            if is_kept:
                vectors(m, net, layer, c, now, parts, before + n_tiles, block, n_blocks)

    return walk
