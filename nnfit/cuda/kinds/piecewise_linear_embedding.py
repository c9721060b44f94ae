"""A learnt piecewise linear vector of a number, on a GPU.

A thread takes an element of a column's vector: it looks for the bin and adds the
weights of those before it.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.bins import END_OF_BINS, make_bins
from nnfit.cuda.kernels.columns import make_vector_gradient, make_vector_size
from nnfit.cuda.kernels.selection import N_COLUMNS, make_spread
from nnfit.cuda.kinds.piecewise_linear_encoding import add_bins

OPERATIONS = ("forward", "backward")
GRADIENTS = ("slope", "intercept", "weights")
#: Units are dropped where their outputs are finished.
DROPS = True

#: Numbers of the layer's row.
D = END_OF_BINS  # length of a column's vector
BIN = D + 1  # int64 (batch, n_columns): which bin a number lies in
FRACTION = D + 2  # (batch, n_columns): how far
END = D + 3

#: Which of the layer's tensors is which.
BINS, SLOPE, INTERCEPT, WEIGHTS = range(4)

#: What terms of gradients take: the layer's row, its sizes and buffers.
Values = namedtuple(
    "Values", "net row now d n_columns bins fractions gradient gradient_stride"
)


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    add_bins(graph, row, node)
    columns, _, plan.words[row + D] = node.options
    graph.output(number)
    if plan.trains:
        plan.buffer(row + BIN, plan.n_rows * len(columns), np.int64)
        plan.buffer(row + FRACTION, plan.n_rows * len(columns))
    if plan.trains and graph.is_activated(node):
        # The gradient takes the place of slopes: both are read in the same epilogue.
        plan.buffer(row + at.SLOPE, plan.n_rows * plan.words[row + at.STRIDE])
        graph.gradient(number, row + at.SLOPE)
    else:
        graph.gradient(number)
    graph.phase(node, "forward", row)


def add_units(graph, number, node):
    """Elements of the slopes, the intercepts and the weights."""
    graph.add_columns(number, SLOPE, "slope")
    graph.add_columns(number, INTERCEPT, "intercept")
    graph.add_columns(number, WEIGHTS, "weights")


def make(build, traits):
    """Device functions `forward` and `backward`."""
    threads, zero, bins = build.threads, build.scalar(0.0), make_bins(build)
    groups, lanes, trains = threads.groups, threads.lanes, build.kind.trains
    open_finish, finish = build.finishing
    tensor_of = build.tensor_of

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """Vectors (batch, n_columns * d), activated."""
        longs, row = m.longs, net + place
        d, n_columns = longs[row + D], longs[row + N_COLUMNS]
        slope, intercept, weights = (
            tensor_of(m, net, row, SLOPE), tensor_of(m, net, row, INTERCEPT),
            tensor_of(m, net, row, WEIGHTS),
        )  # fmt: skip
        own = open_finish(m, net, row, longs[row + at.SLOPE], now)
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), n_columns * d, lanes):
                number, element = j // d, j % d
                c = bins.column_of(m, net, row, number, now)
                x = m.floats[c.x + r * c.stride]
                found = bins.find(m, c, x)
                fraction = bins.inside(m, c, found, x)
                line, value = weights + c.first * d + element, m.floats[intercept + j]
                for _ in range(found):
                    value += m.floats[line]
                    line += d
                value += m.floats[slope + j] * x
                finish(m, own, r, j, value + fraction * m.floats[line])
                if trains and element == 0:
                    goal = r * n_columns + number
                    longs[longs[row + BIN] + goal] = found
                    m.floats[longs[row + FRACTION] + goal] = fraction

    @build.device
    def term(m, net, row, r, number, now):
        longs, d = m.longs, m.longs[row + D]
        c = bins.column_of(m, net, row, number, now)
        found = longs[longs[row + BIN] + r * longs[row + N_COLUMNS] + number]
        line = tensor_of(m, net, row, WEIGHTS) + (c.first + found) * d
        slope = tensor_of(m, net, row, SLOPE) + number * d
        by_z = longs[row + at.GRADIENT_BY_OUTPUT] + number * d
        by_z += r * longs[row + at.GRADIENT_STRIDE]
        along = rise = zero
        for j in range(d):
            along += m.floats[slope + j] * m.floats[by_z + j]
            rise += m.floats[line + j] * m.floats[by_z + j]
        return along + rise / bins.width_of(m, c, found)

    if not trains:
        return {"forward": forward}
    return {"forward": forward, "backward": make_spread(build, term)}


def make_gradients(build, traits, store):
    """Device functions of the tensors: sums over the batch."""
    zero, bins = build.scalar(0.0), make_bins(build)

    @build.device
    def open_values(m, net, row, tensor, now):
        longs = m.longs
        return Values(
            net, row, now, longs[row + D], longs[row + N_COLUMNS], longs[row + BIN],
            longs[row + FRACTION], longs[row + at.GRADIENT_BY_OUTPUT],
            longs[row + at.GRADIENT_STRIDE],
        )  # fmt: skip

    @build.device
    def intercept(m, c, r, j):
        return m.floats[c.gradient + r * c.gradient_stride + j]

    @build.device
    def slope(m, c, r, j):
        column = bins.column_of(m, c.net, c.row, j // c.d, c.now)
        return m.floats[column.x + r * column.stride] * intercept(m, c, r, j)

    @build.device
    def weights(m, c, r, j):
        """Of an element of a bin: all of the gradient, a fraction of it, or nothing."""
        line, element = j // c.d, j % c.d
        number = bins.owner_of(m, c.net, c.row, line)
        t = line - bins.column_of(m, c.net, c.row, number, c.now).first
        place = r * c.n_columns + number
        found = m.longs[c.bins + place]
        if t > found:
            return zero
        gradient = intercept(m, c, r, number * c.d + element)
        return gradient if t < found else m.floats[c.fractions + place] * gradient

    terms = dict(slope=slope, intercept=intercept, weights=weights)
    return {
        name: make_vector_gradient(build, store, open_values, term)
        for name, term in terms.items()
    }


def make_sizes(build, traits, size):
    """Device function `weights`: penalties of what a number has beyond a line."""
    return {"weights": make_vector_size(build, size)}
