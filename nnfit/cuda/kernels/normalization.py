"""What lies between a product and its activation: the kind `normalization`.

The formulas are those of `nnfit.cpu.kernels.normalization`. For a sum over the units a
group of threads takes a row. For a sum over the batch a lane takes a column, and the
groups share its rows.
"""

import math
from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.columns import make_columns, make_vector_gradient
from nnfit.functions.normalization import (
    EPSILON,
    SMALLEST_SPREAD,
    STATISTICS_MOMENTUM,
)

#: Numbers of the layer's row.
SLOPES = at.PRIVATE  # (batch, stride): u, its slope, then the gradient by u
NORMED = SLOPES + 1  # (batch, stride): z normalised, before the scale
SPREAD = SLOPES + 2  # (batch,), of layers, or (N_STATISTICS, n_out), of batches
IS_FROZEN = SLOPES + 3  # whether statistics of batches are the running ones
END = SLOPES + 4

#: Rows of SPREAD in batch normalisation: mean, 1 / root of the variance, and sums over
#: the batch of the gradient by u, and of that times NORMED.
MEAN, INVERSE, SUM, SUM_NORMED, N_STATISTICS = range(5)

#: Addresses of columns over the batch, distances of their rows, and what terms take.
Columns = namedtuple("Columns", "values stride others others_stride mean")


def make_forward(build, normalise_row):
    """Build the phase from z to output and slope.

    ``normalise_row(m, net, row, r, z, is_own)`` returns the address of u without the
    intercept.
    """
    threads, device = build.threads, build.device
    lanes, groups = threads.lanes, threads.groups
    open_finish, finish = build.finishing
    input_of, tensor_of = build.input_of, build.tensor_of

    @device
    def forward(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        edge, bias = row + at.EDGES, tensor_of(m, net, row, 0)
        n, z = longs[row + at.N_OUT], input_of(m, edge, now)
        z_stride = longs[edge + at.INPUT_STRIDE]
        c = open_finish(m, net, row, longs[row + SLOPES], now)
        end = now.end
        for first in range(now.begin + block * groups, end, n_blocks * groups):
            is_own = first + threads.group() < end
            r = min(first + threads.group(), end - 1)
            u = normalise_row(m, net, row, r, z + r * z_stride, is_own)
            if is_own:
                for j in range(threads.lane(), n, lanes):
                    finish(m, c, r, j, m.floats[u + j] + m.floats[bias + j])

    return forward


def make_backward(build, back_row):
    """Build the phase from the gradient by the output to that by z.

    ``back_row(m, net, row, r, now, slope, result, by_z, is_own)`` takes addresses of
    row r: of slopes, which become the gradient by u, of the gradient by the output, and
    of that by z.
    """
    threads, device = build.threads, build.device
    lanes, groups = threads.lanes, threads.groups
    open_goal, deliver = build.delivering

    @device
    def backward(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        n, stride = longs[row + at.N_OUT], longs[row + at.STRIDE]
        result, slope = longs[row + at.GRADIENT_BY_OUTPUT], longs[row + SLOPES]
        result_stride = longs[row + at.GRADIENT_STRIDE]
        c = open_goal(m, row + at.EDGES)
        for first in range(block * groups, now.size, n_blocks * groups):
            is_own = first + threads.group() < now.size
            r = min(first + threads.group(), now.size - 1)
            by_z = c.goal + r * c.stride
            back_row(
                m, net, row, r, now, slope + r * stride, result + r * result_stride,
                by_z, is_own,
            )  # fmt: skip
            if is_own and (c.added != 0 or c.scale != 0):
                for j in range(threads.lane(), n, lanes):
                    deliver(m, c, r, j, m.floats[by_z + j])

    return backward


def make_none(build):
    """u is z."""
    threads, lanes = build.threads, build.threads.lanes

    @build.device
    def normalise_row(m, net, row, r, z, is_own):
        return z

    @build.device
    def back_row(m, net, row, r, now, slope, result, by_z, is_own):
        if is_own:
            for j in range(threads.lane(), m.longs[row + at.N_OUT], lanes):
                m.floats[slope + j] *= m.floats[result + j]
                m.floats[by_z + j] = m.floats[slope + j]

    return normalise_row, back_row


def make_layer(build):
    """Layer normalisation; every sum is over the units of one row.

    u without the intercept is written to the buffer of the slopes and read from there;
    in predictions, which have no slopes, to that of the normalised z.
    """
    scalar, threads = build.scalar, build.threads
    lanes, sum_of_lanes = threads.lanes, threads.sum_of_lanes
    trains, tensor_of = build.kind.trains, build.tensor_of

    @build.device
    def normalise_row(m, net, row, r, z, is_own):
        n, place = m.longs[row + at.N_OUT], r * m.longs[row + at.STRIDE]
        normed, scale = m.longs[row + NORMED] + place, tensor_of(m, net, row, 1)
        u, lane = normed, threads.lane()
        if trains:
            u = m.longs[row + SLOPES] + place
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
                m.floats[m.longs[row + SPREAD] + r] = scalar(inverse)
            for j in range(lane, n, lanes):
                value = scalar((np.float64(m.floats[z + j]) - mean) * inverse)
                m.floats[normed + j] = value
                m.floats[u + j] = m.floats[scale + j] * value
        return u

    @build.device
    def back_row(m, net, row, r, now, slope, result, by_z, is_own):
        n, lane = m.longs[row + at.N_OUT], threads.lane()
        normed = m.longs[row + NORMED] + r * m.longs[row + at.STRIDE]
        scale = tensor_of(m, net, row, 1)
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
        inverse = m.floats[m.longs[row + SPREAD] + r]
        if is_own:
            for j in range(lane, n, lanes):
                rest = m.floats[by_z + j] - mean - m.floats[normed + j] * along
                m.floats[by_z + j] = inverse * rest

    return normalise_row, back_row


def make_batch(build):
    """Batch normalisation, by the statistics in the layer's buffer."""
    scalar, threads = build.scalar, build.threads
    lanes, trains, tensor_of = threads.lanes, build.kind.trains, build.tensor_of
    epsilon, one = scalar(EPSILON), scalar(1.0)

    @build.device
    def normalise_row(m, net, row, r, z, is_own):
        n, place = m.longs[row + at.N_OUT], r * m.longs[row + at.STRIDE]
        normed, norms = m.longs[row + NORMED] + place, tensor_of(m, net, row, 1)
        statistics, u = m.longs[row + SPREAD], normed
        if trains:
            u = m.longs[row + SLOPES] + place
        if is_own:
            for j in range(threads.lane(), n, lanes):
                if trains:
                    mean = m.floats[statistics + MEAN * n + j]
                    inverse = m.floats[statistics + INVERSE * n + j]
                else:
                    mean = m.floats[norms + n + j]
                    variance = m.floats[norms + 2 * n + j]
                    inverse = one / scalar(math.sqrt(variance + epsilon))
                value = (m.floats[z + j] - mean) * inverse
                m.floats[normed + j] = value
                m.floats[u + j] = m.floats[norms + j] * value
        return u

    @build.device
    def back_row(m, net, row, r, now, gradient_by_u, result, by_z, is_own):
        # `find_sums` has multiplied the slopes by the gradient by the output.
        n, scale = m.longs[row + at.N_OUT], tensor_of(m, net, row, 1)
        normed = m.longs[row + NORMED] + r * m.longs[row + at.STRIDE]
        statistics = m.longs[row + SPREAD]
        weights = m.longs[net + at.BATCH_WEIGHT]
        weights += now.buffer * m.longs[net + at.BUFFER_ROWS]
        weight = m.floats[weights + r]
        if is_own:
            for j in range(threads.lane(), n, lanes):
                inverse = m.floats[statistics + INVERSE * n + j]
                total = m.floats[statistics + SUM * n + j]
                along = m.floats[statistics + SUM_NORMED * n + j]
                shared = weight * (total + m.floats[normed + j] * along)
                by_normed = m.floats[gradient_by_u + j] - shared
                m.floats[by_z + j] = m.floats[scale + j] * inverse * by_normed

    return normalise_row, back_row


def _make_move_running(build):
    scalar = build.scalar
    one = scalar(1.0)

    @build.device
    def move_running(m, norms, n, j, mean, variance, spread, part):
        rest = one - part  # of a part of 1 nothing is left, not even to rounding
        running = norms + n + j
        m.floats[running] = rest * m.floats[running] + part * scalar(mean)
        unbiased = scalar(variance / spread)
        m.floats[running + n] = rest * m.floats[running + n] + part * unbiased

    @build.device
    def momentum_of(m, net, now):
        """Part of the way from the running statistics to those of the batch."""
        longs, size = m.longs, np.float64(now.size)
        if longs[net + at.COLLECTING] != 0:
            known = m.doubles[longs[net + at.FLOATS] + at.COLLECTED]
            return size / (known + size)
        return STATISTICS_MOMENTUM * size / np.float64(longs[net + at.BATCH_SIZE])

    return move_running, momentum_of


def make_find_statistics(build):
    """Build the phase of a batch's statistics, and what the running ones move by."""
    scalar, threads = build.scalar, build.threads
    epsilon, one = scalar(EPSILON), scalar(1.0)
    lanes, input_of, tensor_of = threads.lanes, build.input_of, build.tensor_of
    move_running, momentum_of = _make_move_running(build)

    @build.device
    def weighted(m, c, r, j):
        return m.floats[c.others + r] * m.floats[c.values + r * c.stride + j]

    @build.device
    def weighted_square(m, c, r, j):
        distance = np.float64(m.floats[c.values + r * c.stride + j]) - c.mean
        return np.float64(m.floats[c.others + r]) * distance * distance

    mean_of = make_columns(build.cuda, threads, weighted)
    variance_of = make_columns(build.cuda, threads, weighted_square)

    @build.device
    def find_statistics(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        edge = row + at.EDGES
        n, statistics = longs[row + at.N_OUT], longs[row + SPREAD]
        norms, momentum = tensor_of(m, net, row, 1), momentum_of(m, net, now)
        weights = longs[net + at.BATCH_WEIGHT]
        weights += now.buffer * longs[net + at.BUFFER_ROWS]
        z, stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        for first in range(block * lanes, n, n_blocks * lanes):
            j = first + threads.lane()
            c = Columns(z, stride, weights, stride, 0.0)
            mean = mean_of(m, c, j, now.size, n)
            c = Columns(z, stride, weights, stride, mean)
            variance = variance_of(m, c, j, now.size, n)
            if j < n and threads.group() == 0:
                if now.spread > SMALLEST_SPREAD and longs[row + IS_FROZEN] == 0:
                    part = scalar(momentum)
                    move_running(m, norms, n, j, mean, variance, now.spread, part)
                    m.floats[statistics + MEAN * n + j] = scalar(mean)
                    inverse = one / scalar(math.sqrt(scalar(variance) + epsilon))
                else:
                    m.floats[statistics + MEAN * n + j] = m.floats[norms + n + j]
                    running = m.floats[norms + 2 * n + j]
                    inverse = one / scalar(math.sqrt(running + epsilon))
                m.floats[statistics + INVERSE * n + j] = inverse

    return find_statistics


def make_find_sums(build):
    """Build the phase of the gradient by u, and its sums; 0 for constant statistics."""
    scalar, threads, lanes = build.scalar, build.threads, build.threads.lanes
    zero = scalar(0.0)

    @build.device
    def make_gradient_by_u(m, c, r, j):
        """Multiply the slope by the gradient by the output, in place."""
        place = c.values + r * c.stride + j
        m.floats[place] *= m.floats[c.others + r * c.others_stride + j]
        return m.floats[place]

    sum_of = make_columns(build.cuda, threads, make_gradient_by_u)
    sum_along = make_columns(build.cuda, threads, _make_along(build))

    @build.device
    def find_sums(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        n, stride = longs[row + at.N_OUT], longs[row + at.STRIDE]
        statistics, slopes = longs[row + SPREAD], longs[row + SLOPES]
        of_slopes = Columns(
            slopes, stride, longs[row + at.GRADIENT_BY_OUTPUT],
            longs[row + at.GRADIENT_STRIDE], 0.0,
        )  # fmt: skip
        of_normed = Columns(slopes, stride, longs[row + NORMED], stride, 0.0)
        for first in range(block * lanes, n, n_blocks * lanes):
            j = first + threads.lane()
            total = sum_of(m, of_slopes, j, now.size, n)
            along = sum_along(m, of_normed, j, now.size, n)
            if j < n and threads.group() == 0:
                known = now.spread > SMALLEST_SPREAD and longs[row + IS_FROZEN] == 0
                m.floats[statistics + SUM * n + j] = scalar(total) if known else zero
                m.floats[statistics + SUM_NORMED * n + j] = (
                    scalar(along) if known else zero
                )

    return find_sums


def _make_along(build):
    @build.device
    def gradient_by_u_times_normed(m, c, r, j):
        place = c.others + r * c.others_stride + j
        return m.floats[c.values + r * c.stride + j] * m.floats[place]

    return gradient_by_u_times_normed


def make_vectors_gradient(build, store):
    """Build the gradients of the intercepts, and of the scale.

    They are sums of the gradient by u, those of the scale of it times `normed`.
    """

    @build.device
    def open_columns(m, net, row, tensor, now):
        stride, others = m.longs[row + at.STRIDE], np.int64(0)
        if tensor != net + m.longs[row + at.OWN_TENSORS]:
            others = m.longs[row + NORMED]
        return Columns(m.longs[row + SLOPES], stride, others, stride, 0.0)

    @build.device
    def term(m, c, r, j):
        value = m.floats[c.values + r * c.stride + j]
        if c.others != 0:
            value *= m.floats[c.others + r * c.others_stride + j]
        return value

    return make_vector_gradient(build, store, open_columns, term)
