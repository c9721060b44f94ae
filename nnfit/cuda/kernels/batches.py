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
Batches = namedtuple(
    "Batches",
    "current following row_of_line weight gather mixing own_share is_swapped",
)
Random = namedtuple("Random", "stream stream_of low_word high_word bits below limit_of")
_HALF = np.uint64(32)


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
    limit_of = random_of.limit_of
    below, stream_of = random_of.below, random_of.stream_of
    factor_of = make_factor_of(cuda)
    own_rows = kind.own_rows
    mixes, cuts, swaps = kind.mixes, kind.cuts, kind.swaps
    augments = kind.adds_noise or kind.drops_inputs
    bits, words_of = random_of.bits, _make_words_of(cuda, random_of)
    own_share = _make_own_share(cuda, kind, random_of, words_of)
    change = _make_change(cuda, threads, kind, random_of, words_of, factor_of)

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
    def row_of_line(m, net, now, r, n_lines):
        """Row of the data of line r of the batch; `EngineSettings.own_rows`."""
        place = r // n_lines
        if own_rows:
            n_rows = m.longs[net + at.N_ROWS]
            place += r % n_lines * n_rows // n_lines
            if now.position + place >= n_rows:
                place -= n_rows
        return row_number(m, net, now, place)

    @device
    def lines_of(m, net):
        """Lines of the features."""
        return m.longs[net + at.RAW_LINES] if own_rows else np.int64(1)

    @device
    def weight(m, net, which, row):
        """Weight of a row of the data, SAMPLE_WEIGHT or LOSS_WEIGHT."""
        weights = m.longs[net + which]
        return 1.0 if weights == 0 else m.doubles[weights + row]

    @device
    def mixing(m, net, now):
        """Share of a row itself, and how far away its partner is."""
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
        number = partner(m, net, now, r, lines_of(m, net), shift)
        add_row(m, net, number, scalar(1.0 - share), goal, lane)

    @device
    def value(m, net, row, column):
        """One entry of the data; of a sparse row it looks through all entries."""
        x = m.longs[net + at.X]
        if not is_sparse:
            return m.floats[x + row * m.longs[net + at.N_FEATURES] + column]
        starts, total = m.longs[net + at.INDPTR], zero
        indices = m.longs[net + at.INDICES]
        for k in range(m.longs[starts + row], m.longs[starts + row + 1]):
            if m.ints[indices + k] == column:
                total += m.floats[x + k]
        return total

    @device
    def partner(m, net, now, r, n_lines, shift):
        """Row of the data that line r is changed with."""
        line = (r + shift * n_lines) % (now.size * n_lines)
        return row_of_line(m, net, now, line, n_lines)

    @device
    def cut(m, net, now, r, goal, lane, share, shift):
        """Take the columns of the partner that are not kept."""
        n_lines, limit = lines_of(m, net), limit_of(share)
        place = now.position * n_lines + r
        low, high = words_of(m, net, now, place, random.CUTMIX)
        number = partner(m, net, now, r, n_lines, shift)
        cuda.syncthreads()
        for k in range(lane, m.longs[net + at.N_FEATURES], lanes):
            if np.uint64(bits(low, high, k)) >= limit:
                m.floats[goal + k] = value(m, net, number, k)

    @device
    def swap_limit(m, net, now):
        """Below it are the bits of entries that are swapped."""
        if m.longs[net + at.SWAP_VALUES] == 0 and now.size < 2:
            return np.uint64(0)
        return limit_of(m.doubles[m.longs[net + at.FLOATS] + at.FEATURE_SWAP])

    @device
    def is_swapped(m, net, now, r, column):
        """Whether an entry of a line of the features is swapped."""
        place = now.position * lines_of(m, net) + r
        low, high = words_of(m, net, now, place, random.FEATURE_SWAP)
        return np.uint64(bits(low, high, column)) < swap_limit(m, net, now)

    @device
    def swap(m, net, now, r, goal, lane):
        """Replace entries by those of other rows, each of its own, or by constants."""
        n, n_lines = m.longs[net + at.N_FEATURES], lines_of(m, net)
        place, others = now.position * n_lines + r, np.uint64(now.size - 1)
        low, high = words_of(m, net, now, place, random.FEATURE_SWAP)
        limit, values = swap_limit(m, net, now), m.longs[net + at.SWAP_VALUES]
        cuda.syncthreads()
        for k in range(lane, n, lanes):
            if np.uint64(bits(low, high, k)) < limit:
                if values != 0:
                    m.floats[goal + k] = m.floats[values + k]
                else:
                    product = np.uint64(bits(low, high, n + k)) * others
                    shift = 1 + np.int64(product >> _HALF)
                    number = partner(m, net, now, r, n_lines, shift)
                    m.floats[goal + k] = value(m, net, number, k)

    @device
    def gather(m, net, now, block, n_blocks):
        """Copy rows of a batch, change them, and copy their weights.

        A group of threads takes a row; all groups of a block make equally many turns,
        since they wait for each other.
        """
        n, n_lines = m.longs[net + at.N_FEATURES], lines_of(m, net)
        size = m.longs[net + at.BUFFER_ROWS]
        inputs = m.longs[net + at.FEATURES] + now.buffer * size * n_lines * n
        weights = m.longs[net + at.BATCH_WEIGHT] + now.buffer * size
        share, shift = 1.0, np.int64(0)
        if mixes:
            share, shift = mixing(m, net, now)
        first, end = now.begin * n_lines + block * groups, now.end * n_lines
        while first < end:
            # Groups beyond the last row take part in the waiting alone.
            is_own = first + threads.group() < end
            lane = threads.lane() if is_own else NOBODY
            r = min(first + threads.group(), end - 1)
            row = row_of_line(m, net, now, r, n_lines)
            goal = inputs + r * n
            if lane == 0 and not own_rows:  # of batch normalisation
                own = weight(m, net, at.SAMPLE_WEIGHT, row)
                m.floats[weights + r] = scalar(own / now.weight_sum)
            copy_row(m, net, row, goal, lane)
            if mixes and shift != 0:
                if cuts:
                    cut(m, net, now, r, goal, lane, share, shift)
                else:
                    mix(m, net, now, r, goal, lane, share, shift)
            if swaps:
                swap(m, net, now, r, goal, lane)
            if augments:
                cuda.syncthreads()
                place = now.position * n_lines + r
                change(m, net, now, place, goal, lane)
            first += n_blocks * groups

    return Batches(
        current, following, row_of_line, weight, gather, mixing, own_share, is_swapped
    )


def _make_words_of(cuda, random_of):
    """Build ``words_of(m, net, now, line, purpose)``, the key of random numbers."""
    stream, stream_of = random_of.stream, random_of.stream_of
    low_word, high_word = random_of.low_word, random_of.high_word

    @cuda.jit(device=True)
    def words_of(m, net, now, line, purpose):
        start = stream_of(m.longs[net + at.SEED], now.step, purpose)
        key = stream(np.int64(start), line)
        return low_word(key), high_word(key)

    return words_of


def _make_own_share(cuda, kind, random_of, words_of):
    """Build ``own_share(m, net, now, r, share)``, that of a raw line's own loss."""
    bits, limit_of = random_of.bits, random_of.limit_of
    own_rows, cuts = kind.own_rows, kind.cuts

    @cuda.jit(device=True)
    def own_share(m, net, now, r, share):
        if not cuts:
            return share
        n_lines, n = m.longs[net + at.RAW_LINES], m.longs[net + at.N_FEATURES]
        place = now.position * n_lines + r
        if not own_rows:
            place //= n_lines
        low, high = words_of(m, net, now, place, random.CUTMIX)
        limit, kept = limit_of(share), 0
        for j in range(n):
            if np.uint64(bits(low, high, j)) < limit:
                kept += 1
        return np.float64(kept) / np.float64(n)

    return own_share


def _make_change(cuda, threads, kind, random_of, words_of, factor_of):
    """Build what adds noise to a gathered row and drops features of it."""
    scalar = np.dtype(kind.dtype).type
    quantile = make_scalar(cuda, random.inverse_normal, "float64")
    keep = make_keep(cuda, kind.dtype, random_of)
    adds_noise, drops = kind.adds_noise, kind.drops_inputs
    lanes = threads.lanes
    bits = random_of.bits

    @cuda.jit(device=True)
    def add_noise(m, net, now, place, goal, lane):
        deviations = m.longs[net + at.NOISE]
        if deviations != 0:
            low, high = words_of(m, net, now, place, random.INPUT_NOISE)
            for k in range(lane, m.longs[net + at.N_FEATURES], lanes):
                uniform = (np.float64(bits(low, high, k)) + 0.5) / 4294967296.0
                m.floats[goal + k] += scalar(
                    m.doubles[deviations + k] * quantile(uniform)
                )

    @cuda.jit(device=True)
    def drop(m, net, now, place, goal, lane):
        last = m.longs[net + at.DROPOUT_RATES] + m.longs[net + at.N_DROPOUT] - 1
        rate = m.doubles[last] * factor_of(m, net, now.number, DROPOUT_FACTOR)
        if rate > 0.0:
            low, high = words_of(m, net, now, place, random.INPUT_DROPOUT)
            for k in range(lane, m.longs[net + at.N_FEATURES], lanes):
                m.floats[goal + k] *= keep(low, high, k, rate)

    @cuda.jit(device=True)
    def change(m, net, now, place, goal, lane):
        if adds_noise:
            add_noise(m, net, now, place, goal, lane)
        if drops:
            drop(m, net, now, place, goal, lane)

    return change
