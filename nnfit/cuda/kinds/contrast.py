"""The loss of rows by those of the other rows of a batch, on a GPU: InfoNCE.

find_units   lines of length 1; a group of threads takes a line
forward      shares of the sum of exponentials, and the loss; a lane takes a column
backward     gradient by both lines; a lane takes a unit
restore      from there to the gradient by the lines as they were
give_nothing   a loss of 0, where there is no batch
"""

import math

import numpy as np

from nnfit.cuda import fields as at
from nnfit.network.kinds.contrast import EPSILON

OPERATIONS = ("find_units", "forward", "backward", "restore", "give_nothing")
GRADIENTS = ()
#: Numbers of the layer's row.
INVERSE_TEMPERATURE = at.PRIVATE  # times 2**32
UNITS = INVERSE_TEMPERATURE + 1  # (2 batch, n_in): lines of length 1
BY_UNITS = INVERSE_TEMPERATURE + 2  # (2 batch, n_in): gradient by them
INVERSE = INVERSE_TEMPERATURE + 3  # (2 batch,): 1 / length
SHARES = INVERSE_TEMPERATURE + 4  # (batch, batch)
N_ROWS = INVERSE_TEMPERATURE + 5  # distance of its rows
END = INVERSE_TEMPERATURE + 6
_UNIT = 2.0**32


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    graph.output(number)
    graph.gradient(number)
    if not plan.trains:
        graph.phase(node, "give_nothing", row)
        return
    n_rows = plan.words[row + N_ROWS] = plan.n_rows
    plan.words[row + INVERSE_TEMPERATURE] = round(_UNIT / node.options[0])
    size = 2 * n_rows * plan.words[row + at.EDGES + at.N_IN]
    plan.buffer(row + UNITS, size)
    plan.buffer(row + BY_UNITS, size)
    plan.buffer(row + INVERSE, 2 * n_rows)
    plan.buffer(row + SHARES, n_rows * n_rows)
    graph.phase(node, "find_units", row)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """Gradient by the lines, if anything learns from it."""
    if graph.deliver(number, 0):
        row = graph.row_of(number)
        graph.phase(node, "backward", row)
        graph.phase(node, "restore", row)


def add_units(graph, number, node):
    """It has no tensors."""


def make(build, traits):
    """Device functions; those of training only where the kernel trains."""
    if not build.kind.trains:
        return {"give_nothing": _make_give_nothing(build)}
    return {
        "find_units": _make_find_units(build),
        "forward": _make_forward(build),
        "backward": _make_backward(build),
        "restore": _make_restore(build),
    }


def _make_give_nothing(build):
    threads, groups, zero = build.threads, build.threads.groups, build.scalar(0.0)

    @build.device
    def give_nothing(m, net, place, now, block, n_blocks):
        """Losses of 0."""
        longs, row = m.longs, net + place
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            if threads.lane() == 0:
                m.floats[longs[row + at.OUTPUT] + r * longs[row + at.STRIDE]] = zero

    return give_nothing


def _make_find_units(build):
    threads, input_of, scalar = build.threads, build.input_of, build.scalar
    groups, lanes, sum_of_lanes = threads.groups, threads.lanes, threads.sum_of_lanes

    @build.device
    def find_units(m, net, place, now, block, n_blocks):
        """Lines over their lengths."""
        longs, row = m.longs, net + place
        edge = row + at.EDGES
        n, end = longs[edge + at.N_IN], 2 * now.size
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        for first in range(block * groups, end, n_blocks * groups):
            is_own = first + threads.group() < end
            r = min(first + threads.group(), end - 1)
            part = 0.0
            for j in range(threads.lane(), n, lanes):
                part += np.float64(m.floats[x + r * x_stride + j]) ** 2
            inverse = scalar(1.0 / math.sqrt(sum_of_lanes(m, part) + EPSILON))
            if is_own:
                if threads.lane() == 0:
                    m.floats[longs[row + INVERSE] + r] = inverse
                for j in range(threads.lane(), n, lanes):
                    unit = m.floats[x + r * x_stride + j] * inverse
                    m.floats[longs[row + UNITS] + r * n + j] = unit

    return find_units


def _make_forward(build):
    threads, scalar = build.threads, build.scalar
    groups, lanes, sum_of_lanes = threads.groups, threads.lanes, threads.sum_of_lanes

    @build.device
    def similarity(m, first, second, n):
        total = scalar(0.0)
        for j in range(n):
            total += m.floats[first + j] * m.floats[second + j]
        return np.float64(total)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """Shares and losses of rows."""
        longs, row = m.longs, net + place
        n, units, size = longs[row + at.EDGES + at.N_IN], longs[row + UNITS], now.size
        scale = np.float64(longs[row + INVERSE_TEMPERATURE]) / _UNIT
        for begin in range(block * groups, size, n_blocks * groups):
            is_own = begin + threads.group() < size
            r = min(begin + threads.group(), size - 1)
            first, part = units + 2 * r * n, 0.0
            own = similarity(m, first, first + n, n)
            shares = longs[row + SHARES] + r * longs[row + N_ROWS]
            for i in range(threads.lane(), size, lanes):
                other = similarity(m, first, units + (2 * i + 1) * n, n)
                part += math.exp(scale * (other - own))
            logarithm = math.log(sum_of_lanes(m, part))
            if is_own:
                for i in range(threads.lane(), size, lanes):
                    other = similarity(m, first, units + (2 * i + 1) * n, n)
                    exponent = scale * (other - own) - logarithm
                    m.floats[shares + i] = scalar(math.exp(exponent))
                if threads.lane() == 0:
                    output = longs[row + at.OUTPUT] + r * longs[row + at.STRIDE]
                    m.floats[output] = scalar(logarithm)

    return forward


def _make_backward(build):
    threads, scalar = build.threads, build.scalar
    groups, lanes = threads.groups, threads.lanes
    zero, one = scalar(0.0), scalar(1.0)

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Gradient by lines of length 1: by rows of shares, and by columns."""
        longs, row = m.longs, net + place
        n, units, size = longs[row + at.EDGES + at.N_IN], longs[row + UNITS], now.size
        scale = scalar(np.float64(longs[row + INVERSE_TEMPERATURE]) / _UNIT)
        shares, distance = longs[row + SHARES], longs[row + N_ROWS]
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride = longs[row + at.GRADIENT_STRIDE]
        start = block * groups + threads.group()
        for r in range(start, 2 * size, n_blocks * groups):
            pair, is_second = r // 2, r % 2
            for j in range(threads.lane(), n, lanes):
                total = zero
                for i in range(size):
                    first, second = pair, i
                    if is_second == 1:
                        first, second = i, pair
                    share = m.floats[shares + first * distance + second]
                    if i == pair:
                        share -= one
                    factor = m.floats[gradient + first * stride] * share
                    other = 2 * i + 1 - is_second
                    total += factor * m.floats[units + other * n + j]
                m.floats[longs[row + BY_UNITS] + r * n + j] = scale * total

    return backward


def _make_restore(build):
    threads, scalar = build.threads, build.scalar
    groups, lanes, sum_of_lanes = threads.groups, threads.lanes, threads.sum_of_lanes
    open_goal, deliver = build.delivering

    @build.device
    def restore(m, net, place, now, block, n_blocks):
        """Delivers (2 batch, n_in), the gradient by the lines as they were."""
        longs, row = m.longs, net + place
        n, end = longs[row + at.EDGES + at.N_IN], 2 * now.size
        c = open_goal(m, row + at.EDGES)
        for first in range(block * groups, end, n_blocks * groups):
            is_own = first + threads.group() < end
            r = min(first + threads.group(), end - 1)
            unit, by_unit = longs[row + UNITS] + r * n, longs[row + BY_UNITS] + r * n
            part = 0.0
            for j in range(threads.lane(), n, lanes):
                part += np.float64(m.floats[by_unit + j]) * m.floats[unit + j]
            along = scalar(sum_of_lanes(m, part))
            inverse = m.floats[longs[row + INVERSE] + r]
            if is_own:
                for j in range(threads.lane(), n, lanes):
                    rest = m.floats[by_unit + j] - along * m.floats[unit + j]
                    deliver(m, c, r, j, inverse * rest)

    return restore


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
