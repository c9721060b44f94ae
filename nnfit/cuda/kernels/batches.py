"""The rows of a batch, their copies, and random changes of the inputs.

`Batch` holds the numbers of a batch, and which of its rows are passed forward: all in
training, those of a block in predictions. Threads read them once, when the batch
begins: the progress is written while the last phase of a batch still runs.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.functions import make_scalar
from nnfit.engine_settings import AVERAGE_FACTOR, DROPOUT_FACTOR
from nnfit.functions import random
from nnfit.functions.mixup import N_QUANTILES

#: Number of a lane that has no element of any row.
NOBODY = 1 << 40

Batch = namedtuple(
    "Batch",
    "position size begin end step epoch number weight_sum spread buffer",
)
Batches = namedtuple("Batches", "current following row_number weight gather mixing")
Random = namedtuple("Random", "stream stream_of low_word high_word bits below")


def make_on_lines(cuda):
    """Build ``on_lines(m, row, now)``: the batch counted in lines of a layer's row."""

    @cuda.jit(device=True)
    def on_lines(m, row, now):
        lines = m.longs[row + at.LINES]
        return Batch(
            now.position * lines, now.size * lines, now.begin * lines, now.end * lines,
            now.step, now.epoch, now.number, now.weight_sum, now.spread, now.buffer,
        )  # fmt: skip

    return on_lines


def make_random(cuda):
    """The random numbers of `nnfit.functions.random` on the device."""
    copies = {}
    return Random(
        *(
            make_scalar(cuda, getattr(random, name), "float64", copies)
            for name in Random._fields
        )
    )


def make_keep(cuda, dtype, random_of):
    """Build ``keep(low, high, unit, rate)``, dropout's factor: 0 or 1 / (1 - rate)."""
    scalar = np.dtype(dtype).type
    zero = scalar(0.0)
    bits = random_of.bits

    @cuda.jit(device=True)
    def keep(low, high, unit, rate):
        limit = np.uint32(np.uint64(rate * 4294967296.0))
        if bits(low, high, unit) < limit:
            return zero
        return scalar(1.0 / (1.0 - rate))

    return keep


def make_factor_of(cuda):
    """Build ``factor_of(m, net, number, column)``, a batch factor of the schedules."""

    @cuda.jit(device=True)
    def factor_of(m, net, number, column):
        rows = m.longs[net + at.BATCH_NUMBERS]
        if rows == 0:
            return 0.0 if column == AVERAGE_FACTOR else 1.0
        return m.doubles[rows + number * at.N_BATCH_NUMBERS + column]

    return factor_of


def make_batches(cuda, threads, kind):
    """Build the functions of batches.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind

    Returns
    -------
    batches : Batches
    """
    device, lanes, groups = cuda.jit(device=True), threads.lanes, threads.groups
    dtype, is_sparse = kind.dtype, kind.is_sparse
    scalar = np.dtype(dtype).type
    zero = scalar(0.0)
    random_of = make_random(cuda)
    below, stream_of = random_of.below, random_of.stream_of
    factor_of = make_factor_of(cuda)
    mixes, augments = kind.mixes, kind.adds_noise or kind.drops_inputs
    change = _make_change(cuda, threads, kind, random_of, factor_of)

    @device
    def with_weights(m, net, position, size, step, epoch, number):
        """The batch of so many rows."""
        weight_sum = np.float64(size)
        spread = 1.0 - 1.0 / weight_sum
        row = m.longs[net + at.BATCH_NUMBERS]
        if m.longs[net + at.WHOLE] != 0:
            weight_sum = m.doubles[m.longs[net + at.FLOATS] + at.TOTAL_WEIGHT]
        elif row != 0:
            row += number * at.N_BATCH_NUMBERS
            weight_sum = m.doubles[row + at.WEIGHT_SUM]
            spread = m.doubles[row + at.WEIGHT_SPREAD]
        return Batch(
            position, size, np.int64(0), size, step, epoch, number, weight_sum, spread,
            number % 2,
        )  # fmt: skip

    @device
    def current(m, net):
        """The batch that progress has come to."""
        longs = m.longs
        position = longs[net + at.CURSOR]
        size = min(longs[net + at.BATCH_SIZE], longs[net + at.N_ROWS] - position)
        return with_weights(
            m, net, position, size, longs[net + at.STEP], longs[net + at.EPOCH],
            longs[net + at.BATCHES],
        )  # fmt: skip

    @device
    def following(m, net, now):
        """The batch after it, even if the stopping rule ends the training before."""
        position, epoch = now.position + now.size, now.epoch
        if position >= m.longs[net + at.N_ROWS]:
            position, epoch = np.int64(0), epoch + 1
        size = min(m.longs[net + at.BATCH_SIZE], m.longs[net + at.N_ROWS] - position)
        step = now.step
        if now.weight_sum > 0.0:
            step += 1
        return with_weights(m, net, position, size, step, epoch, now.number + 1)

    @device
    def row_number(m, net, now, r):
        """Row of the data that is row r of the batch."""
        order = m.longs[net + at.ORDER]
        if order == 0:
            return now.position + r
        ahead = now.epoch - m.longs[net + at.FIRST_EPOCH]
        place = order + ahead * m.longs[net + at.ORDER_STRIDE] + now.position + r
        return np.int64(m.ints[place])

    @device
    def weight(m, net, which, row):
        """Weight of a row of the data, SAMPLE_WEIGHT or LOSS_WEIGHT."""
        weights = m.longs[net + which]
        return 1.0 if weights == 0 else m.doubles[weights + row]

    @device
    def mixing(m, net, now):
        """Share of a row itself in mixup, and how far away its partner is."""
        quantiles = m.longs[net + at.BETA_QUANTILES]
        if quantiles == 0 or now.size < 2:
            return 1.0, np.int64(0)
        stream = stream_of(m.longs[net + at.SEED], now.step, random.MIXUP)
        shift = 1 + below(stream, 0, now.size - 1)
        place = below(stream, 1, N_QUANTILES)
        return m.doubles[quantiles + place], shift

    @device
    def add_row(m, net, row, factor, goal, lane):
        """goal += factor * row of the data, by the lanes of a group."""
        n = m.longs[net + at.N_FEATURES]
        x = m.longs[net + at.X]
        if is_sparse:
            starts = m.longs[net + at.INDPTR]
            indices = m.longs[net + at.INDICES]
            begin, end = m.longs[starts + row], m.longs[starts + row + 1]
            for k in range(begin + lane, end, lanes):
                m.floats[goal + m.ints[indices + k]] += factor * m.floats[x + k]
        else:
            for k in range(lane, n, lanes):
                m.floats[goal + k] += factor * m.floats[x + row * n + k]

    @device
    def copy_row(m, net, row, goal, lane):
        n = m.longs[net + at.N_FEATURES]
        x = m.longs[net + at.X]
        for k in range(lane, n, lanes):
            value = zero if is_sparse else m.floats[x + row * n + k]
            m.floats[goal + k] = value
        if is_sparse:
            cuda.syncthreads()
            add_row(m, net, row, scalar(1.0), goal, lane)

    @device
    def mix(m, net, now, r, goal, lane, share, shift):
        n = m.longs[net + at.N_FEATURES]
        own = scalar(share)
        cuda.syncthreads()
        for k in range(lane, n, lanes):
            m.floats[goal + k] *= own
        cuda.syncthreads()
        partner = row_number(m, net, now, (r + shift) % now.size)
        add_row(m, net, partner, scalar(1.0 - share), goal, lane)

    @device
    def gather(m, net, now, block, n_blocks):
        """Copy rows of a batch, change them, and copy their weights.

        A group of threads takes a row; all groups of a block make equally many turns,
        since they wait for each other.
        """
        n = m.longs[net + at.N_FEATURES]
        size = m.longs[net + at.BUFFER_ROWS]
        inputs = m.longs[net + at.FEATURES] + now.buffer * size * n
        weights = m.longs[net + at.BATCH_WEIGHT] + now.buffer * size
        share, shift = 1.0, np.int64(0)
        if mixes:
            share, shift = mixing(m, net, now)
        first, end = now.begin + block * groups, now.end
        while first < end:
            # Groups beyond the last row take part in the waiting alone.
            is_own = first + threads.group() < end
            lane = threads.lane() if is_own else NOBODY
            r = min(first + threads.group(), end - 1)
            row = row_number(m, net, now, r)
            goal = inputs + r * n
            if lane == 0:
                own = weight(m, net, at.SAMPLE_WEIGHT, row)
                m.floats[weights + r] = scalar(own / now.weight_sum)
            copy_row(m, net, row, goal, lane)
            if mixes and shift != 0:
                mix(m, net, now, r, goal, lane, share, shift)
            if augments:
                cuda.syncthreads()
                change(m, net, now, r, goal, lane)
            first += n_blocks * groups

    return Batches(current, following, row_number, weight, gather, mixing)


def _make_change(cuda, threads, kind, random_of, factor_of):
    """Build what adds noise to a gathered row and drops features of it."""
    scalar = np.dtype(kind.dtype).type
    quantile = make_scalar(cuda, random.inverse_normal, "float64")
    keep = make_keep(cuda, kind.dtype, random_of)
    adds_noise, drops = kind.adds_noise, kind.drops_inputs
    lanes = threads.lanes
    stream, stream_of = random_of.stream, random_of.stream_of
    low_word, high_word, bits = random_of.low_word, random_of.high_word, random_of.bits

    @cuda.jit(device=True)
    def key_of(m, net, now, r, purpose):
        start = stream_of(m.longs[net + at.SEED], now.step, purpose)
        return stream(np.int64(start), now.position + r)

    @cuda.jit(device=True)
    def add_noise(m, net, now, r, goal, lane):
        deviation = m.doubles[m.longs[net + at.FLOATS] + at.NOISE]
        if deviation > 0.0:
            key = key_of(m, net, now, r, random.INPUT_NOISE)
            low, high = low_word(key), high_word(key)
            for k in range(lane, m.longs[net + at.N_FEATURES], lanes):
                uniform = (np.float64(bits(low, high, k)) + 0.5) / 4294967296.0
                m.floats[goal + k] += scalar(deviation * quantile(uniform))

    @cuda.jit(device=True)
    def drop(m, net, now, r, goal, lane):
        last = m.longs[net + at.DROPOUT_RATES] + m.longs[net + at.N_DROPOUT] - 1
        rate = m.doubles[last] * factor_of(m, net, now.number, DROPOUT_FACTOR)
        if rate > 0.0:
            key = key_of(m, net, now, r, random.INPUT_DROPOUT)
            low, high = low_word(key), high_word(key)
            for k in range(lane, m.longs[net + at.N_FEATURES], lanes):
                m.floats[goal + k] *= keep(low, high, k, rate)

    @cuda.jit(device=True)
    def change(m, net, now, r, goal, lane):
        if adds_noise:
            add_noise(m, net, now, r, goal, lane)
        if drops:
            drop(m, net, now, r, goal, lane)

    return change
