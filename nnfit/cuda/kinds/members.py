"""Factors of each member's own, on a GPU: ``r * x``.

Lines of a row lie one after the other; line number i of a batch is of the member that
i leaves over when it is divided by their number.
"""

from collections import namedtuple

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.columns import make_vector_gradient
from nnfit.network.kinds.members import begins

OPERATIONS = ("forward", "backward")
GRADIENTS = ("factors",)
#: Number of the layer's row: how many lines are made of one of the input.
REPEATS = at.PRIVATE

Values = namedtuple(
    "Values", "input input_stride gradient gradient_stride n_members repeats n"
)


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, REPEATS + 1)
    graph.plan.words[row + REPEATS] = node.options[0] if begins(node) else 1
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        graph.phase(node, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The factors."""
    graph.add_columns(number, 0, "factors")


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a line."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    open_goal, deliver = build.delivering
    groups, lanes, zero = threads.groups, threads.lanes, build.scalar(0.0)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = factors of the member * input."""
        longs, row = m.longs, net + place
        edge, factors = row + at.EDGES, tensor_of(m, net, row, 0)
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        output, stride = longs[row + at.OUTPUT], longs[row + at.STRIDE]
        n_members, repeats = longs[row + at.LINES], longs[row + REPEATS]
        n_out = longs[row + at.N_OUT]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            source, own = x + r // repeats * x_stride, factors + r % n_members * n_out
            for j in range(threads.lane(), n_out, lanes):
                value = m.floats[own + j] * m.floats[source + j]
                m.floats[output + r * stride + j] = value

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch / repeats, n_out) = sum of factors * gradient, in order."""
        longs, row = m.longs, net + place
        c, factors = open_goal(m, row + at.EDGES), tensor_of(m, net, row, 0)
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride = longs[row + at.GRADIENT_STRIDE]
        n_members, repeats = longs[row + at.LINES], longs[row + REPEATS]
        n_out = longs[row + at.N_OUT]
        first = block * groups + threads.group()
        for i in range(first, now.size // repeats, n_blocks * groups):
            for j in range(threads.lane(), n_out, lanes):
                total = zero
                for r in range(i * repeats, (i + 1) * repeats):
                    factor = m.floats[factors + r % n_members * n_out + j]
                    total += factor * m.floats[gradient + r * stride + j]
                deliver(m, c, i, j, total)

    return {"forward": forward, "backward": backward}


def make_gradients(build, traits, store):
    """Device function `factors`: sums over the rows of gradient times input."""
    input_of = build.input_of

    @build.device
    def open_values(m, net, row, tensor, now):
        longs, edge = m.longs, row + at.EDGES
        return Values(
            input_of(m, edge, now), longs[edge + at.INPUT_STRIDE],
            longs[row + at.GRADIENT_BY_OUTPUT], longs[row + at.GRADIENT_STRIDE],
            longs[row + at.LINES], longs[row + REPEATS], longs[row + at.N_OUT],
        )  # fmt: skip

    @build.device
    def term(m, c, r, j):
        line, j = r * c.n_members + j // c.n, j % c.n
        gradient = m.floats[c.gradient + line * c.gradient_stride + j]
        return gradient * m.floats[c.input + line // c.repeats * c.input_stride + j]

    return {"factors": make_vector_gradient(build, store, open_values, term, True)}


def make_sizes(build, traits, size):
    """None: nothing of it is penalised."""
    return {}


def make_line_sums(build, store):
    """Make the gradient of intercepts of each member's own, by the layer's gradient."""

    @build.device
    def open_values(m, net, row, tensor, now):
        longs = m.longs
        return Values(
            0, 0, longs[row + at.GRADIENT_BY_OUTPUT], longs[row + at.GRADIENT_STRIDE],
            longs[row + at.LINES], 0, longs[row + at.N_OUT],
        )  # fmt: skip

    @build.device
    def term(m, c, r, j):
        line = r * c.n_members + j // c.n
        return m.floats[c.gradient + line * c.gradient_stride + j % c.n]

    return make_vector_gradient(build, store, open_values, term, True)
