"""A dense layer of each member's own, on a GPU: ``x W + b``.

Coefficients of a unit of a member lie together, (n_members * n_out, n_in). Lines are
those of `nnfit.cuda.kinds.members`.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.columns import make_vector_gradient, make_vector_size
from nnfit.cuda.kinds.members import make_line_sums

OPERATIONS = ("forward", "backward")
GRADIENTS = ("coef", "intercept")

Values = namedtuple(
    "Values", "input input_stride gradient gradient_stride n_members n_in n_out"
)


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, at.PRIVATE)
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        graph.phase(node, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The coefficients, and the intercepts."""
    graph.add_columns(number, 0, "coef")
    graph.add_columns(number, 1, "intercept")


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a line."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    open_goal, deliver = build.delivering
    groups, lanes, scalar = threads.groups, threads.lanes, build.scalar
    sum_of_lanes, zero = threads.sum_of_lanes, build.scalar(0.0)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out): products with the member's coefficients.

        All groups of a block make equally many turns, since sums wait for them.
        """
        longs, row = m.longs, net + place
        edge, lane = row + at.EDGES, threads.lane()
        coef, intercept = tensor_of(m, net, row, 0), tensor_of(m, net, row, 1)
        n_in, n_out = longs[edge + at.N_IN], longs[row + at.N_OUT]
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        first = now.begin + block * groups
        while first < now.end:
            r = min(first + threads.group(), now.end - 1)
            own = r % longs[row + at.LINES] * n_out
            goal = longs[row + at.OUTPUT] + r * longs[row + at.STRIDE]
            for j in range(n_out):
                part, of_unit = 0.0, coef + (own + j) * n_in
                for i in range(lane, n_in, lanes):
                    value = m.floats[x + r * x_stride + i]
                    part += np.float64(value) * np.float64(m.floats[of_unit + i])
                total = scalar(sum_of_lanes(m, part))
                if lane == 0 and first + threads.group() < now.end:
                    m.floats[goal + j] = total + m.floats[intercept + own + j]
            first += n_blocks * groups

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch, n_in): sum over units of gradient times coefficients."""
        longs, row = m.longs, net + place
        edge, coef = row + at.EDGES, tensor_of(m, net, row, 0)
        n_in, n_out = longs[edge + at.N_IN], longs[row + at.N_OUT]
        c = open_goal(m, edge)
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride = longs[row + at.GRADIENT_STRIDE]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            own = coef + r % longs[row + at.LINES] * n_out * n_in
            for i in range(threads.lane(), n_in, lanes):
                total = zero
                for j in range(n_out):
                    value = m.floats[own + j * n_in + i]
                    total += m.floats[gradient + r * stride + j] * value
                deliver(m, c, r, i, total)

    return {"forward": forward, "backward": backward}


def make_gradients(build, traits, store):
    """Device functions `coef` and `intercept`: sums over the rows of a batch."""
    input_of = build.input_of

    @build.device
    def open_values(m, net, row, tensor, now):
        longs, edge = m.longs, row + at.EDGES
        return Values(
            input_of(m, edge, now), longs[edge + at.INPUT_STRIDE],
            longs[row + at.GRADIENT_BY_OUTPUT], longs[row + at.GRADIENT_STRIDE],
            longs[row + at.LINES], longs[edge + at.N_IN], longs[row + at.N_OUT],
        )  # fmt: skip

    @build.device
    def term(m, c, r, j):
        unit, i = j // c.n_in, j % c.n_in
        line = r * c.n_members + unit // c.n_out
        gradient = m.floats[c.gradient + line * c.gradient_stride + unit % c.n_out]
        return gradient * m.floats[c.input + line * c.input_stride + i]

    return {
        "coef": make_vector_gradient(build, store, open_values, term, True),
        "intercept": make_line_sums(build, store),
    }


def make_sizes(build, traits, size):
    """Device function `coef`: penalties of the coefficients."""
    return {"coef": make_vector_size(build, size)}
