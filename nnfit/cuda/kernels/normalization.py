"""What lies between a layer's product and its activation, where z is kept.

The formulas are those of `nnfit.cpu.kernels.normalization`. For a sum over the units a
group of threads takes a row. For a sum over the batch a lane takes a column, and the
groups share its rows.
"""

import math
from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.functions.normalization import EPSILON, SMALLEST_SPREAD

Normalization = namedtuple(
    "Normalization", "find_statistics activate find_sums back_to_z"
)


def make_columns(cuda, threads, term):
    """Build ``sum_column(m, c, j, n_rows, n_columns)``, a sum over rows.

    Every lane has a column `j` of its own and adds up ``term(m, c, r, j) -> float``.
    All threads of a block must call it; the result is valid for ``j < n_columns``.
    """
    groups = threads.groups

    @cuda.jit(device=True)
    def sum_column(m, c, j, n_rows, n_columns):
        part = 0.0
        if j < n_columns:
            for r in range(threads.group(), n_rows, groups):
                part += np.float64(term(m, c, r, j))
        return threads.sum_of_groups(m, part)

    return sum_column


def make_normalization(cuda, threads, kind, finishing):
    """Build the phases of normalised and residual layers.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind
    finishing : tuple of callable
        What `nnfit.cuda.kernels.layers.make_finish` returns.

    Returns
    -------
    normalization : Normalization
        Phases ``phase(m, net, index, ..., now, block, n_blocks)``.
    """
    make = {None: _make_none, "layer": _make_layer, "batch": _make_batch}
    normalise_row, back_row = make[kind.normalization](cuda, threads, kind)
    open_finish, finish = finishing
    device, lanes, groups = cuda.jit(device=True), threads.lanes, threads.groups

    @device
    def activate(m, net, index, begin, end, now, block, n_blocks):
        """Output and slope of rows begin to end, whose z is known."""
        longs = m.longs
        layer = net + at.HEADER + index * at.LAYER
        n, z = longs[layer + at.N_OUT], longs[layer + at.Z]
        c = open_finish(m, net, layer, index, now)
        behind = longs[layer + at.OUTPUT_STRIDE] > n  # z follows the output
        for first in range(begin + block * groups, end, n_blocks * groups):
            is_own = first + threads.group() < end
            r = min(first + threads.group(), end - 1)
            place = normalise_row(m, net, layer, r, is_own)
            if is_own:
                for j in range(threads.lane(), n, lanes):
                    finish(m, c, r, j, m.floats[place + j] + m.floats[c.bias + j])
                    if behind:
                        goal = c.output + r * c.output_stride + n + j
                        m.floats[goal] = m.floats[z + r * n + j]

    @device
    def back_to_z(m, net, index, now, block, n_blocks):
        """Gradient by z, from that by the outputs."""
        longs = m.longs
        layer = net + at.HEADER + index * at.LAYER
        n, skipped = longs[layer + at.N_OUT], longs[layer + at.SKIPPED]
        result, slope = longs[layer + at.RESULT], longs[layer + at.SLOPE]
        by_z = longs[layer + at.GRADIENT_BY_Z]
        for first in range(block * groups, now.size, n_blocks * groups):
            is_own = first + threads.group() < now.size
            r = min(first + threads.group(), now.size - 1)
            back_row(
                m, net, layer, r, now, slope + r * n,
                result + r * longs[layer + at.RESULT_STRIDE], by_z + r * n, is_own,
            )  # fmt: skip
            if skipped != 0 and is_own:
                past = skipped + r * longs[layer + at.SKIPPED_STRIDE]
                for j in range(threads.lane(), n, lanes):
                    m.floats[by_z + r * n + j] += m.floats[past + j]

    find_statistics, find_sums = _make_statistics(cuda, threads, kind)
    return Normalization(find_statistics, activate, find_sums, back_to_z)


def _make_none(cuda, threads, kind):
    """A residual layer without normalisation."""
    lanes = threads.lanes

    @cuda.jit(device=True)
    def normalise_row(m, net, layer, r, is_own):
        return m.longs[layer + at.Z] + r * m.longs[layer + at.N_OUT]

    @cuda.jit(device=True)
    def back_row(m, net, layer, r, now, slope, result, by_z, is_own):
        if is_own:
            for j in range(threads.lane(), m.longs[layer + at.N_OUT], lanes):
                m.floats[slope + j] *= m.floats[result + j]
                m.floats[by_z + j] = m.floats[slope + j]

    return normalise_row, back_row


def _make_layer(cuda, threads, kind):
    """Layer normalisation; every sum is over the units of one row.

    What is activated, without its bias, is written to the buffer of the slopes and read
    from there; in predictions, which have no slopes, to that of the normalised z.
    """
    scalar = np.dtype(kind.dtype).type
    lanes, sum_of_lanes = threads.lanes, threads.sum_of_lanes
    trains = kind.trains

    @cuda.jit(device=True)
    def normalise_row(m, net, layer, r, is_own):
        n = m.longs[layer + at.N_OUT]
        z, normed = m.longs[layer + at.Z] + r * n, m.longs[layer + at.NORMED] + r * n
        scale = m.longs[net + at.PARAMETERS] + m.longs[layer + at.NORMS]
        u, lane = normed, threads.lane()
        if trains:
            u = m.longs[layer + at.U] + r * n
        part = 0.0
        for j in range(lane, n, lanes):
            part += np.float64(m.floats[z + j])
        mean = sum_of_lanes(m, part) / n
        part = 0.0
        for j in range(lane, n, lanes):
            part += (np.float64(m.floats[z + j]) - mean) ** 2
        inverse = 1.0 / math.sqrt(sum_of_lanes(m, part) / n + EPSILON)
        if is_own:
            if lane == 0:
                m.floats[m.longs[layer + at.SPREAD] + r] = scalar(inverse)
            for j in range(lane, n, lanes):
                value = scalar((np.float64(m.floats[z + j]) - mean) * inverse)
                m.floats[normed + j] = value
                m.floats[u + j] = m.floats[scale + j] * value
        return u

    @cuda.jit(device=True)
    def back_row(m, net, layer, r, now, slope, result, by_z, is_own):
        n = m.longs[layer + at.N_OUT]
        normed, lane = m.longs[layer + at.NORMED] + r * n, threads.lane()
        scale = m.longs[net + at.PARAMETERS] + m.longs[layer + at.NORMS]
        total = along = 0.0
        if is_own:
            for j in range(lane, n, lanes):
                gradient_by_u = m.floats[slope + j] * m.floats[result + j]
                m.floats[slope + j] = gradient_by_u
                by_normed = gradient_by_u * m.floats[scale + j]
                m.floats[by_z + j] = by_normed
                total += np.float64(by_normed)
                along += np.float64(by_normed) * np.float64(m.floats[normed + j])
        mean = scalar(sum_of_lanes(m, total) / n)
        along = scalar(sum_of_lanes(m, along) / n)
        inverse = m.floats[m.longs[layer + at.SPREAD] + r]
        if is_own:
            for j in range(lane, n, lanes):
                rest = m.floats[by_z + j] - mean - m.floats[normed + j] * along
                m.floats[by_z + j] = inverse * rest

    return normalise_row, back_row


def _make_batch(cuda, threads, kind):
    """Batch normalisation, by the statistics in the layer's buffer."""
    scalar = np.dtype(kind.dtype).type
    lanes, trains = threads.lanes, kind.trains
    epsilon, one = scalar(EPSILON), scalar(1.0)

    @cuda.jit(device=True)
    def normalise_row(m, net, layer, r, is_own):
        n = m.longs[layer + at.N_OUT]
        z, normed = m.longs[layer + at.Z] + r * n, m.longs[layer + at.NORMED] + r * n
        norms = m.longs[net + at.PARAMETERS] + m.longs[layer + at.NORMS]
        statistics, u = m.longs[layer + at.SPREAD], normed
        if trains:
            u = m.longs[layer + at.U] + r * n
        if is_own:
            for j in range(threads.lane(), n, lanes):
                if trains:
                    mean = m.floats[statistics + at.MEAN * n + j]
                    inverse = m.floats[statistics + at.INVERSE * n + j]
                else:
                    mean = m.floats[norms + n + j]
                    variance = m.floats[norms + 2 * n + j]
                    inverse = one / scalar(math.sqrt(variance + epsilon))
                value = (m.floats[z + j] - mean) * inverse
                m.floats[normed + j] = value
                m.floats[u + j] = m.floats[norms + j] * value
        return u

    @cuda.jit(device=True)
    def back_row(m, net, layer, r, now, gradient_by_u, result, by_z, is_own):
        # `find_sums` has multiplied the slopes by the gradient by the outputs.
        n = m.longs[layer + at.N_OUT]
        normed = m.longs[layer + at.NORMED] + r * n
        scale = m.longs[net + at.PARAMETERS] + m.longs[layer + at.NORMS]
        statistics = m.longs[layer + at.SPREAD]
        weights = m.longs[net + at.BATCH_WEIGHT]
        weights += now.buffer * m.longs[net + at.BUFFER_ROWS]
        weight = m.floats[weights + r]
        if is_own:
            for j in range(threads.lane(), n, lanes):
                inverse = m.floats[statistics + at.INVERSE * n + j]
                total = m.floats[statistics + at.SUM * n + j]
                along = m.floats[statistics + at.SUM_NORMED * n + j]
                shared = weight * (total + m.floats[normed + j] * along)
                by_normed = m.floats[gradient_by_u + j] - shared
                m.floats[by_z + j] = m.floats[scale + j] * inverse * by_normed

    return normalise_row, back_row


Columns = namedtuple("Columns", "values others weights n mean stride")


def _make_statistics(cuda, threads, kind):
    """Build what is summed over the batch for batch normalisation."""
    scalar = np.dtype(kind.dtype).type
    epsilon, one, zero = scalar(EPSILON), scalar(1.0), scalar(0.0)
    device, lanes = cuda.jit(device=True), threads.lanes

    @device
    def weighted(m, c, r, j):
        return m.floats[c.weights + r] * m.floats[c.values + r * c.n + j]

    @device
    def weighted_square(m, c, r, j):
        distance = np.float64(m.floats[c.values + r * c.n + j]) - c.mean
        return np.float64(m.floats[c.weights + r]) * distance * distance

    @device
    def make_gradient_by_u(m, c, r, j):
        """Multiply the slope by the gradient by the outputs, in place."""
        place = c.values + r * c.n + j
        m.floats[place] *= m.floats[c.weights + r * c.stride + j]
        return m.floats[place]

    @device
    def gradient_by_u_times_normed(m, c, r, j):
        return m.floats[c.values + r * c.n + j] * m.floats[c.others + r * c.n + j]

    mean_of = make_columns(cuda, threads, weighted)
    variance_of = make_columns(cuda, threads, weighted_square)
    sum_of = make_columns(cuda, threads, make_gradient_by_u)
    sum_along = make_columns(cuda, threads, gradient_by_u_times_normed)

    @device
    def move_running(m, norms, n, j, mean, variance, spread, part):
        rest = one - part  # of a part of 1 nothing is left, not even to rounding
        running = norms + n + j
        m.floats[running] = rest * m.floats[running] + part * scalar(mean)
        unbiased = scalar(variance / spread)
        m.floats[running + n] = rest * m.floats[running + n] + part * unbiased

    @device
    def find_statistics(m, net, index, momentum, now, block, n_blocks):
        """Statistics of the batch, and what the running ones move by."""
        longs = m.longs
        layer = net + at.HEADER + index * at.LAYER
        n, statistics = longs[layer + at.N_OUT], longs[layer + at.SPREAD]
        norms = longs[net + at.PARAMETERS] + longs[layer + at.NORMS]
        weights = longs[net + at.BATCH_WEIGHT]
        weights += now.buffer * longs[net + at.BUFFER_ROWS]
        z = longs[layer + at.Z]
        for first in range(block * lanes, n, n_blocks * lanes):
            j = first + threads.lane()
            mean = mean_of(m, Columns(z, z, weights, n, 0.0, n), j, now.size, n)
            variance = variance_of(
                m, Columns(z, z, weights, n, mean, n), j, now.size, n
            )
            if j < n and threads.group() == 0:
                if now.spread > SMALLEST_SPREAD:
                    part = scalar(momentum)
                    move_running(m, norms, n, j, mean, variance, now.spread, part)
                    m.floats[statistics + at.MEAN * n + j] = scalar(mean)
                    inverse = one / scalar(math.sqrt(scalar(variance) + epsilon))
                else:
                    m.floats[statistics + at.MEAN * n + j] = m.floats[norms + n + j]
                    running = m.floats[norms + 2 * n + j]
                    inverse = one / scalar(math.sqrt(running + epsilon))
                m.floats[statistics + at.INVERSE * n + j] = inverse

    @device
    def find_sums(m, net, index, now, block, n_blocks):
        """Gradient by what is activated, and its sums; 0 for constant statistics."""
        longs = m.longs
        layer = net + at.HEADER + index * at.LAYER
        n, statistics = longs[layer + at.N_OUT], longs[layer + at.SPREAD]
        c = Columns(
            longs[layer + at.SLOPE], longs[layer + at.NORMED], longs[layer + at.RESULT],
            n, 0.0, longs[layer + at.RESULT_STRIDE],
        )  # fmt: skip
        for first in range(block * lanes, n, n_blocks * lanes):
            j = first + threads.lane()
            total = sum_of(m, c, j, now.size, n)
            along = sum_along(m, c, j, now.size, n)
            if j < n and threads.group() == 0:
                known = now.spread > SMALLEST_SPREAD
                m.floats[statistics + at.SUM * n + j] = scalar(total) if known else zero
                m.floats[statistics + at.SUM_NORMED * n + j] = (
                    scalar(along) if known else zero
                )

    return find_statistics, find_sums
