"""Gradients of the parameters and what becomes of them.

In the plain case a parameter is updated where its gradient is finished, for a weight in
the epilogue of the product. Where a step needs all gradients first (`clip_norm`,
matrices as a whole) they are stored, and `whole_update` goes on.

The work of a phase is numbered in units, parts of a tensor that a block does at a time:
a tile of a matrix, or as many elements of a vector as a group has threads. The kinds of
layers have the functions that find the gradients of a group of units.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.choice import make_choice

Updates = namedtuple("Updates", "update find_gradient derive")
#: What the update of a tensor's parameters takes.
Update = namedtuple("Update", "net place h l2 l1 limit decay rate alpha l1_size")
Parameters = namedtuple("Parameters", "open_update size move_average bounded")
#: What the average of a tensor takes.
Average = namedtuple("Average", "net rate")


def make_parameters(cuda, threads, kind):
    """Build what every update of parameters does beside the optimizer's own part."""
    scalar = np.dtype(kind.dtype).type
    one, zero = scalar(1.0), scalar(0.0)
    device, averages = cuda.jit(device=True), kind.averages

    @device
    def open_update(m, net, tensor, weight_sum):
        """Scalars of the update of a tensor, whose row is at `tensor`."""
        longs, floats = m.longs, m.longs[net + at.FLOATS]
        rates = longs[net + at.RATES] + longs[tensor + at.RATE] * at.N_RATES
        h = (
            m.floats[rates], m.floats[rates + 1], m.floats[rates + 2],
            m.floats[rates + 3], m.floats[rates + 4], m.floats[rates + 5],
            m.floats[rates + 6], m.floats[rates + 7],
        )  # fmt: skip
        alpha, l1, decay = 0.0, 0.0, one
        if longs[tensor + at.PENALISED] != 0:
            factor = longs[net + at.TENSOR_FACTORS] + longs[tensor + at.NUMBER]
            alpha = m.doubles[factor] * m.doubles[floats + at.ALPHA]
            l1 = m.doubles[factor] * m.doubles[floats + at.L1]
            decay = m.floats[rates + at.DECAY]
        rate = m.floats[rates + at.AVERAGE_RATE]
        if averages and longs[tensor + at.BY_LINES] != 0:
            rate = zero  # `average_lines` moves that of all lines
        return Update(
            net, longs[tensor + at.ADDRESS], h, scalar(alpha / weight_sum),
            scalar(l1 / weight_sum), scalar(m.doubles[floats + at.CLIP_VALUE]),
            decay, rate, alpha, l1,
        )  # fmt: skip

    @device
    def size(c, w):
        """What a parameter adds to the penalty."""
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


def make_average_lines(build):
    """Build the phase that moves averages of tensors of which a batch has some lines.

    Averages of the other lines move, too: it takes all of them.
    """
    move_average, n_threads = build.parameters.move_average, build.threads.n_threads
    number = build.threads.number

    @build.device
    def average_lines(m, net, argument, now, block, n_blocks):
        longs = m.longs
        start, stride = block * n_threads + number(), n_blocks * n_threads
        tensor = net + longs[net + at.TENSORS]
        for _ in range(longs[net + at.N_TENSORS]):
            if longs[tensor + at.BY_LINES] != 0:
                rates = longs[net + at.RATES] + longs[tensor + at.RATE] * at.N_RATES
                c = Average(net, m.floats[rates + at.AVERAGE_RATE])
                for e in range(start, longs[tensor + at.N_TRAINED], stride):
                    p = longs[tensor + at.ADDRESS] + e
                    w = m.floats[longs[net + at.PARAMETERS] + p]
                    move_average(m, c, p, w)
            tensor += at.TENSOR

    return average_lines


def make_updates(build, optimizer, make_gradients, make_sizes):
    """Build the phases of gradients.

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build
    optimizer : nnfit.cuda.kernels.functions.Optimizer
    make_gradients, make_sizes : callable
        Those of `nnfit.cuda.kernels.building`: functions of groups of units, made of
        what is done with a gradient and with a parameter.

    Returns
    -------
    updates : Updates
        Phases: gradients over the batch and the update of all parameters at once,
        gradients and the sums of their squares, and penalties of parameters as they
        are, by the same units as an update.
    """
    device, scalar, penalises = build.device, build.scalar, build.kind.penalises
    zero, change = scalar(0.0), optimizer.update
    _, size, move_average, bounded = build.parameters

    @device
    def penalised(m, c, p, g):
        """Gradient of a parameter with that of the penalties."""
        w = m.floats[m.longs[c.net + at.PARAMETERS] + p]
        sign = c.l1 if w > zero else (-c.l1 if w < zero else zero)
        return g + c.l2 * w + sign

    @device
    def store_update(m, c, p, g):
        """Update of a parameter; returns its penalty."""
        l2 = c.l2
        if penalises:
            g, l2 = bounded(penalised(m, c, p, g), c.limit), zero
        w = change(m, c.net, p, g, c.h, l2, c.decay)
        move_average(m, c, p, w)
        return size(c, w)

    @device
    def store_gradient(m, c, p, g):
        """Keep the gradient of a parameter; returns its square."""
        g = penalised(m, c, p, g)
        m.floats[m.longs[c.net + at.GRADIENT] + p] = g
        return np.float64(g) * np.float64(g)

    update = _make_walk(build, make_gradients(build, store_update))
    find_gradient = _make_walk(build, make_gradients(build, store_gradient), True)
    derive = _make_walk(build, make_sizes(build, size))
    return Updates(update, find_gradient, derive)


def _make_walk(build, functions, finds_squares=False):
    """Build a phase that goes through all groups of units.

    What the functions return is added up by unit: penalties of the step whose number is
    that of the batch plus the phase's argument, or squares of gradients.
    """
    call = make_choice(build.cuda, functions)

    @build.device
    def walk(m, net, argument, now, block, n_blocks):
        longs = m.longs
        parts = longs[net + at.SQUARES]
        if not finds_squares:
            parity = (now.step + argument) % 2
            parts = longs[net + at.PENALTY] + parity * longs[net + at.N_UNITS]
        group = net + longs[net + at.GROUPS]
        for _ in range(longs[net + at.N_GROUPS]):
            function = longs[group + at.G_FUNCTION]
            call(function, m, net, group, now, parts, block, n_blocks)
            group += at.GROUP

    return walk
