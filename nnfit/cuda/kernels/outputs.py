"""What becomes of a number of a layer: activation and dropout, and where gradients go.

Both are called for one number: the epilogues of products call them, so that they need
no pass over memory of their own.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.batches import make_factor_of, make_keep, make_random
from nnfit.cuda.kernels.functions import make_pool
from nnfit.cuda.kernels.pointers import offset
from nnfit.engine_settings import DROPOUT_FACTOR
from nnfit.functions.random import HIDDEN_DROPOUT

#: What finishing a unit's output takes.
Finish = namedtuple("Finish", "output slope stride activation rate stream position")
Goal = namedtuple("Goal", "goal stride added added_stride scale")


def make_finish(cuda, kind, activate):
    """Build the activation and dropout of one unit of one row.

    Parameters
    ----------
    cuda : module
    kind : nnfit.cuda.kernels.Kind
    activate : callable
        See `nnfit.cuda.kernels.functions.make_activate`.

    Returns
    -------
    open_finish, finish : callable
        ``open_finish(m, net, row, slope, now)`` gives what ``finish(m, c, r, j, u)``
        takes, which writes output and slope, the latter if the address `slope` of its
        buffer is not 0.
    """
    one = np.dtype(kind.dtype).type(1.0)
    random_of = make_random(cuda)
    keep = make_keep(cuda, kind.dtype, random_of)
    factor_of = make_factor_of(cuda)
    drops, trains = kind.drops, kind.trains
    stream, stream_of = random_of.stream, random_of.stream_of
    low_word, high_word = random_of.low_word, random_of.high_word

    @cuda.jit(device=True)
    def open_finish(m, net, row, slope, now):
        longs = m.longs
        rate, start = 0.0, np.int64(0)
        number = longs[row + at.DROPOUT]
        if drops and number >= 0:
            rate = m.doubles[longs[net + at.DROPOUT_RATES] + number]
            rate *= factor_of(m, net, now.number, DROPOUT_FACTOR)
            purpose = HIDDEN_DROPOUT + number
            start = np.int64(stream_of(longs[net + at.SEED], now.step, purpose))
        return Finish(
            longs[row + at.OUTPUT], slope, longs[row + at.STRIDE],
            longs[row + at.ACTIVATION], rate, start, now.position,
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
        place = r * c.stride + j
        m.floats[c.output + place] = value
        if trains and c.slope != 0:
            m.floats[c.slope + place] = slope

    return open_finish, finish


def make_drop(build):
    """Build the phase that drops units of a layer which does not do it itself."""
    open_finish, finish = build.finishing
    groups, lanes, threads = build.threads.groups, build.threads.lanes, build.threads

    @build.device
    def drop(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        c = open_finish(m, net, row, longs[row + at.SLOPE], now)
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                finish(m, c, r, j, m.floats[c.output + r * c.stride + j])

    return drop


def make_deliver(cuda, kind):
    """Build what finishes one number of a gradient by an input.

    Parameters
    ----------
    cuda : module
    kind : nnfit.cuda.kernels.Kind

    Returns
    -------
    open_goal, deliver : callable
        ``open_goal(m, edge)`` gives what ``deliver(m, c, r, j, value)`` takes. It adds
        the gradient of later layers by the same input, multiplies by slopes, as the
        edge says, and writes the result to the goal.
    """
    adds = kind.adds

    @cuda.jit(device=True)
    def open_goal(m, edge):
        longs = m.longs
        return Goal(
            longs[edge + at.GOAL], longs[edge + at.GOAL_STRIDE],
            longs[edge + at.ADDED], longs[edge + at.ADDED_STRIDE],
            longs[edge + at.SCALE],
        )  # fmt: skip

    @cuda.jit(device=True)
    def deliver(m, c, r, j, value):
        if adds and c.added != 0:
            value += m.floats[c.added + r * c.added_stride + j]
        if c.scale != 0:
            value *= m.floats[c.scale + r * c.stride + j]
        m.floats[c.goal + r * c.stride + j] = value
        return 0.0

    return open_goal, deliver


def make_add_gradient(build):
    """Build the phase that delivers a gradient which lies elsewhere."""
    open_goal, deliver = build.delivering
    groups, lanes, threads = build.threads.groups, build.threads.lanes, build.threads

    @build.device
    def add_gradient(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        edge = row + at.EDGES
        c, n = open_goal(m, edge), longs[edge + at.N_IN]
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride = longs[row + at.GRADIENT_STRIDE]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), n, lanes):
                deliver(m, c, r, j, m.floats[gradient + r * stride + j])

    return add_gradient


def make_pool_phase(build):
    """Build the phase that makes one raw prediction of those of a row's members."""
    pool = make_pool(build.cuda, build.kind.dtype, build.kind.pool)
    threads, n_threads = build.threads, build.threads.n_threads

    @build.device
    def pool_rows(m, net, place, now, block, n_blocks):
        """output (batch, n_out) of input (batch * n_members, n_out)."""
        longs, row = m.longs, net + place
        edge, stride = row + at.EDGES, longs[row + at.STRIDE]
        source, between = longs[edge + at.INPUT], longs[edge + at.INPUT_STRIDE]
        n_members = longs[row + at.PRIVATE]
        first = now.begin + block * n_threads + threads.number()
        for r in range(first, now.end, n_blocks * n_threads):
            members = offset(m.floats, source + r * n_members * between)
            output = offset(m.floats, longs[row + at.OUTPUT] + r * stride)
            pool(members, between, output, n_members, longs[row + at.N_OUT])

    return pool_rows


def make_input_of(cuda):
    """Build ``input_of(m, edge, now)``: address of the batch at an edge."""

    @cuda.jit(device=True)
    def input_of(m, edge, now):
        return m.longs[edge + at.INPUT] + now.buffer * m.longs[edge + at.TURN]

    return input_of


def make_tensor_of(cuda):
    """Build ``tensor_of(m, net, row, number)``: address of a tensor of a layer."""

    @cuda.jit(device=True)
    def tensor_of(m, net, row, number):
        tensor = net + m.longs[row + at.OWN_TENSORS] + number * at.TENSOR
        return m.longs[net + at.PARAMETERS] + m.longs[tensor + at.ADDRESS]

    return tensor_of
