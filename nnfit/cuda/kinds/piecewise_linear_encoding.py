"""Where a number lies among bins, as many numbers as there are bins, on a GPU."""

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.bins import END_OF_BINS, N_BINS, N_EDGES, make_bins
from nnfit.cuda.kernels.selection import N_COLUMNS, make_spread
from nnfit.cuda.kinds.selection import add_columns, add_numbers

OPERATIONS = ("forward", "backward")
GRADIENTS = ()

#: Numbers of the layer's row.
KEEPS_INPUT = END_OF_BINS
SCALE = KEEPS_INPUT + 1  # bits of a float64
END = KEEPS_INPUT + 2


def traits(node):
    """None."""
    return ()


def add_bins(graph, row, node):
    """Write a layer's columns and their bins into the table."""
    add_columns(graph, row, node)
    n_bins = node.options[1]
    owners = np.repeat(np.arange(len(n_bins)), n_bins)
    before = np.cumsum(n_bins) - n_bins
    add_numbers(graph, row + N_BINS, [*n_bins, *before, *owners])
    graph.plan.words[row + N_EDGES] = max(n_bins) + 1


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row, words = graph.new_row(number, END), graph.plan.words
    add_bins(graph, row, node)
    words[row + SCALE] = int(np.float64(node.options[2]).view(np.int64))
    words[row + KEEPS_INPUT] = node.options[3]
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def add_units(graph, number, node):
    """None: training leaves the bins alone."""


def make(build, traits):
    """Device functions `forward` and `backward`."""
    threads, scalar, bins = build.threads, build.scalar, make_bins(build)
    groups, lanes = threads.groups, threads.lanes
    zero, one = scalar(0.0), scalar(1.0)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = encodings; a thread takes a bin."""
        longs, row = m.longs, net + place
        keeps, scale = longs[row + KEEPS_INPUT], scalar(m.doubles[row + SCALE])
        n_lines = longs[row + at.N_OUT] - keeps * longs[row + N_COLUMNS]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for line in range(threads.lane(), n_lines, lanes):
                number = bins.owner_of(m, net, row, line)
                c = bins.column_of(m, net, row, number, now)
                x, t = m.floats[c.x + r * c.stride], line - c.first
                value = bins.inside(m, c, t, x)
                value = zero if t > 0 and value < zero else value
                value = one if t < c.n_bins - 1 and value > one else value
                output = longs[row + at.OUTPUT] + r * longs[row + at.STRIDE]
                output += line + keeps * (number + 1)
                m.floats[output] = scale * value
                if keeps != 0 and t == 0:
                    m.floats[output - 1] = x

    @build.device
    def term(m, net, row, r, number, now):
        longs = m.longs
        keeps, scale = longs[row + KEEPS_INPUT], scalar(m.doubles[row + SCALE])
        c = bins.column_of(m, net, row, number, now)
        found = bins.find(m, c, m.floats[c.x + r * c.stride])
        by_own = longs[row + at.GRADIENT_BY_OUTPUT] + c.first + keeps * number
        by_own += r * longs[row + at.GRADIENT_STRIDE]
        rise = scale * m.floats[by_own + keeps + found] / bins.width_of(m, c, found)
        return rise + m.floats[by_own] if keeps != 0 else rise

    if not build.kind.trains:
        return {"forward": forward}
    return {"forward": forward, "backward": make_spread(build, term)}


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
