"""One layer after the other: forward, loss, backward.

Every function is a phase: all blocks of a network take part in it, and wait for each
other before the next phase. The epilogue of the product finishes plain layers. It
stores z of normalised and residual layers, which `normalization` finishes.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.batches import make_factor_of, make_keep
from nnfit.cuda.kernels.functions import make_activate, make_loss
from nnfit.cuda.kernels.pointers import offset
from nnfit.cuda.kernels.products import make_product
from nnfit.engine_settings import DROPOUT_FACTOR
from nnfit.functions.random import HIDDEN_DROPOUT

Layers = namedtuple("Layers", "forward backward")
#: What finishing a unit's output takes.
Finish = namedtuple(
    "Finish", "output output_stride slope n_out activation bias rate stream position"
)
Forward = namedtuple("Forward", "finish z start")
Backward = namedtuple("Backward", "goal stride slope")


def make_finish(cuda, threads, kind, random_of):
    """Build the activation and dropout of one unit of one row.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind
    random_of : nnfit.cuda.kernels.batches.Random

    Returns
    -------
    open_finish, finish : callable
        ``open_finish(m, net, layer, index, now)`` gives what ``finish(m, c, r, j, u)``
        takes, which writes output and slope.
    """
    scalar = np.dtype(kind.dtype).type
    one = scalar(1.0)
    activate = make_activate(cuda, kind.dtype, kind.activations)
    keep = make_keep(cuda, kind.dtype, random_of)
    factor_of = make_factor_of(cuda)
    drops, trains = kind.drops, kind.trains
    stream, stream_of = random_of.stream, random_of.stream_of
    low_word, high_word = random_of.low_word, random_of.high_word

    @cuda.jit(device=True)
    def open_finish(m, net, layer, index, now):
        longs = m.longs
        rate, start = 0.0, np.int64(0)
        if drops and index < longs[net + at.N_LAYERS] - 1:
            rate = m.doubles[longs[net + at.DROPOUT_RATES] + index]
            rate *= factor_of(m, net, now.number, DROPOUT_FACTOR)
            purpose = HIDDEN_DROPOUT + index
            start = np.int64(stream_of(longs[net + at.SEED], now.step, purpose))
        return Finish(
            longs[layer + at.OUTPUT], longs[layer + at.OUTPUT_STRIDE],
            longs[layer + at.SLOPE], longs[layer + at.N_OUT],
            longs[layer + at.ACTIVATION],
            longs[net + at.PARAMETERS] + longs[layer + at.BIAS],
            rate, start, now.position,
        )  # fmt: skip

    @cuda.jit(device=True)
    def finish(m, c, r, j, u):
        value, slope = u, one
        if c.activation >= 0:
            value, slope = activate(c.activation, u)
        if drops and c.rate > 0.0:
            key = stream(c.stream, c.position + r)
            factor = keep(low_word(key), high_word(key), j, c.rate)
            value *= factor
            slope *= factor
        m.floats[c.output + r * c.output_stride + j] = value
        if trains:
            m.floats[c.slope + r * c.n_out + j] = slope

    return open_finish, finish


def make_layers(cuda, threads, kind, finishing):
    """Build the phases of layers.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind
    finishing : tuple of callable
        What `make_finish` returns.

    Returns
    -------
    layers : Layers
        Of ``forward(m, net, index, begin, end, now, block, n_blocks)`` for rows begin
        to end of the buffers, and ``backward(m, net, index, now, block, n_blocks)``.
    """
    device, tile = cuda.jit(device=True), kind.tile
    tile_rows, tile_columns = tile.rows, tile.columns
    staged = kind.is_staged
    open_finish, finish = finishing

    @device
    def store_forward(m, c, r, j, value):
        if staged and c.z != 0:
            place = r * c.finish.n_out + j
            if c.start != 0:
                value += m.floats[c.start + place]
            m.floats[c.z + place] = value
        else:
            finish(m, c.finish, r, j, value + m.floats[c.finish.bias + j])
        return 0.0

    @device
    def store_backward(m, c, r, j, value):
        if c.slope != 0:
            value *= m.floats[c.slope + r * c.stride + j]
        m.floats[c.goal + r * c.stride + j] = value
        return 0.0

    forward_product = make_product(cuda, threads, kind, (True, False), store_forward)
    backward_product = make_product(cuda, threads, kind, (True, True), store_backward)

    @device
    def inputs_of(m, net, layer, index, now):
        inputs = m.longs[layer + at.INPUTS]
        if index == 0:
            size = m.longs[net + at.BUFFER_ROWS] * m.longs[layer + at.N_IN]
            inputs += now.buffer * size
        return inputs

    @device
    def forward(m, net, index, begin, end, now, block, n_blocks):
        """z of a layer that keeps it, else its output."""
        longs = m.longs
        layer = net + at.HEADER + index * at.LAYER
        n_in, n_out = longs[layer + at.N_IN], longs[layer + at.N_OUT]
        z, start = np.int64(0), np.int64(0)
        if staged and longs[layer + at.STAGED] != 0:
            z, start = longs[layer + at.Z], longs[layer + at.START]
        c = Forward(open_finish(m, net, layer, index, now), z, start)
        inputs = inputs_of(m, net, layer, index, now)
        across = (n_out + tile_columns - 1) // tile_columns
        n_tiles = (end - begin + tile_rows - 1) // tile_rows * across
        number = block
        while number < n_tiles:  # a range would divide to count its turns
            forward_product(
                m, inputs, longs[layer + at.INPUT_STRIDE],
                longs[net + at.PARAMETERS] + longs[layer + at.WEIGHTS], n_out,
                end, n_out, n_in, begin + number // across * tile_rows,
                number % across * tile_columns, c,
            )  # fmt: skip
            number += n_blocks

    @device
    def backward(m, net, index, now, block, n_blocks):
        """Gradient by the outputs of the layer before, or by its z."""
        longs = m.longs
        layer = net + at.HEADER + index * at.LAYER
        before = layer - at.LAYER
        n_in, n_out = longs[layer + at.N_IN], longs[layer + at.N_OUT]
        c = Backward(
            longs[before + at.GRADIENT_BY_Z], longs[before + at.N_OUT],
            longs[before + at.SLOPE],
        )  # fmt: skip
        if staged and longs[before + at.STAGED] != 0:
            c = Backward(
                longs[before + at.RESULT], longs[before + at.RESULT_STRIDE],
                longs[before + at.SLOPE] * 0,
            )  # fmt: skip
        across = (n_in + tile_columns - 1) // tile_columns
        n_tiles = (now.size + tile_rows - 1) // tile_rows * across
        number = block
        while number < n_tiles:
            backward_product(
                m, longs[layer + at.GRADIENT_BY_Z], n_out,
                longs[net + at.PARAMETERS] + longs[layer + at.WEIGHTS], n_out,
                now.size, n_in, n_out, number // across * tile_rows,
                number % across * tile_columns, c,
            )  # fmt: skip
            number += n_blocks

    return Layers(forward, backward)


def make_find_row_losses(cuda, threads, kind, batches):
    """Build ``find_row_losses(m, net, now, begin, end, block, n_blocks)``.

    For rows begin to end it writes their losses times their weights, and the gradient
    by the last layer's z.
    """
    loss = make_loss(cuda, kind.dtype, kind.loss)
    scalar = np.dtype(kind.dtype).type
    mixes, row_number = kind.mixes, batches.row_number

    @cuda.jit(device=True)
    def loss_of(m, net, last, r, row, gradient):
        """Loss of a row of the batch with the target of a row of the data."""
        n = m.longs[net + at.N_OUTPUTS]
        raw = m.longs[last + at.OUTPUT] + r * n
        y = m.longs[net + at.Y] + row * m.longs[net + at.N_TARGETS]
        parameters = m.longs[net + at.LOSS_PARAMETERS]
        return np.float64(
            loss(
                offset(m.floats, raw),
                offset(m.floats, y),
                offset(m.floats, gradient),
                n,
                offset(m.floats, parameters),
            )
        )

    @cuda.jit(device=True)
    def find_row_losses(m, net, now, begin, end, block, n_blocks):
        """Losses of rows begin to end; a thread takes a row."""
        longs = m.longs
        n = longs[net + at.N_OUTPUTS]
        last = net + at.HEADER + (longs[net + at.N_LAYERS] - 1) * at.LAYER
        share, shift = 1.0, np.int64(0)
        if mixes:
            share, shift = batches.mixing(m, net, now)
        first, stride = block * threads.n_threads, n_blocks * threads.n_threads
        r = begin + first + threads.number()
        while r < end:
            gradient = longs[last + at.GRADIENT_BY_Z] + r * n
            row = row_number(m, net, now, r)
            weight = batches.weight(m, net, at.LOSS_WEIGHT, row)
            own = scalar(share) * scalar(weight / now.weight_sum)
            value = loss_of(m, net, last, r, row, gradient) * np.float64(own)
            for j in range(n):
                m.floats[gradient + j] *= own
            if mixes and shift != 0:
                partner = row_number(m, net, now, (r + shift) % now.size)
                weight = batches.weight(m, net, at.LOSS_WEIGHT, partner)
                other = scalar((1.0 - share) * weight / now.weight_sum)
                mixed = longs[net + at.PARTNER_GRADIENT] + r * n
                value += loss_of(m, net, last, r, partner, mixed) * np.float64(other)
                for j in range(n):
                    m.floats[gradient + j] += other * m.floats[mixed + j]
            m.doubles[longs[net + at.ROW_LOSS] + r] = value
            r += stride

    return find_row_losses
