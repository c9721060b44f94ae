"""Columns by a piecewise linear function of each, on a GPU."""

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.selection import (
    COLUMNS,
    END_OF_COLUMNS,
    make_spread,
)
from nnfit.cuda.kinds.selection import add_columns, add_numbers

OPERATIONS = ("forward", "backward")
GRADIENTS = ()

#: Numbers of the layer's row, after those of its columns: place of the numbers of the
#: knots of each, and the length of a line of knots.
N_KNOTS = END_OF_COLUMNS
LINE = N_KNOTS + 1
END = LINE + 1


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, END)
    add_columns(graph, row, node)
    add_numbers(graph, row + N_KNOTS, node.options[1])
    graph.plan.words[row + LINE] = max(node.options[1])
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def add_units(graph, number, node):
    """None: training leaves knots and values alone."""


def make(build, traits):
    """Device functions `forward` and `backward`."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    groups, lanes = threads.groups, threads.lanes
    zero, one = build.scalar(0.0), build.scalar(1.0)

    @build.device
    def number_of(m, net, row, r, number, now):
        """The number of row r that a column holds."""
        longs, edge = m.longs, row + at.EDGES
        x = input_of(m, edge, now) + longs[net + longs[row + COLUMNS] + number]
        return m.floats[x + r * longs[edge + at.INPUT_STRIDE]]

    @build.device
    def n_knots_of(m, net, row, number):
        return m.longs[net + m.longs[row + N_KNOTS] + number]

    @build.device
    def part_of(m, net, row, number, x):
        """Number of the last knot that is not above x, by halving."""
        knots = tensor_of(m, net, row, 0) + number * m.longs[row + LINE]
        found, left = 0, n_knots_of(m, net, row, number) - 1
        while left > 1:
            half = left // 2
            if m.floats[knots + found + half] <= x:
                found += half
            left -= half
        return found

    @build.device
    def step(m, net, row, tensor, number, i):
        """How far it is from a knot to the next one, or from its value."""
        line = tensor_of(m, net, row, tensor) + number * m.longs[row + LINE] + i
        return m.floats[line + 1] - m.floats[line]

    @build.device
    def at_knot(m, net, row, tensor, number, i):
        line = tensor_of(m, net, row, tensor) + number * m.longs[row + LINE]
        return m.floats[line + i]

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = the functions of the columns."""
        longs, row = m.longs, net + place
        output, stride = longs[row + at.OUTPUT], longs[row + at.STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                x = number_of(m, net, row, r, j, now)
                i = part_of(m, net, row, j, x)
                part = x - at_knot(m, net, row, 0, j, i)
                part /= step(m, net, row, 0, j, i)
                part = zero if part < zero else part
                part = one if part > one else part
                value = at_knot(m, net, row, 1, j, i)
                value += part * step(m, net, row, 1, j, i)
                m.floats[output + r * stride + j] = value

    @build.device
    def term(m, net, row, r, number, now):
        longs = m.longs
        x, last = (
            number_of(m, net, row, r, number, now),
            n_knots_of(m, net, row, number),
        )
        low = at_knot(m, net, row, 0, number, 0)
        high = at_knot(m, net, row, 0, number, last - 1)
        if x < low or x >= high:
            return zero
        i = part_of(m, net, row, number, x)
        slope = step(m, net, row, 1, number, i) / step(m, net, row, 0, number, i)
        gradient = longs[row + at.GRADIENT_BY_OUTPUT] + number
        return slope * m.floats[gradient + r * longs[row + at.GRADIENT_STRIDE]]

    if not build.kind.trains:
        return {"forward": forward}
    return {"forward": forward, "backward": make_spread(build, term)}


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
