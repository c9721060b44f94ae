"""An activation with a learnt share for each unit, on a GPU.

``(1 - a) x + a f(x)``, whose slope is ``(1 - a) + a f'(x)``.
"""

from collections import namedtuple

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.columns import make_vector_gradient

OPERATIONS = ("forward", "backward")
GRADIENTS = ("share",)

#: Numbers of the layer's row.
DIFFERENCE = at.PRIVATE  # (batch, stride): f(x) - x
F_SLOPE = DIFFERENCE + 1  # (batch, stride): slope of f
END = DIFFERENCE + 2

Values = namedtuple("Values", "difference stride gradient gradient_stride")


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    graph.output(number)
    graph.gradient(number)
    if plan.trains:
        size = plan.n_rows * plan.words[row + at.STRIDE]
        plan.buffer(row + DIFFERENCE, size)
        plan.buffer(row + F_SLOPE, size)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        graph.phase(node, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The shares."""
    graph.add_columns(number, 0, "share")


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a row."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    open_goal, deliver = build.delivering
    activate, trains = build.activate, build.kind.trains
    groups, lanes, one = threads.groups, threads.lanes, build.scalar(1.0)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = (1 - share) x + share f(x)."""
        longs, row = m.longs, net + place
        edge, share = row + at.EDGES, tensor_of(m, net, row, 0)
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                number, a = m.floats[x + r * x_stride + j], m.floats[share + j]
                value, slope = number, one
                if longs[row + at.ACTIVATION] >= 0:
                    value, slope = activate(longs[row + at.ACTIVATION], number)
                goal = r * longs[row + at.STRIDE] + j
                output = (one - a) * number + a * value
                m.floats[longs[row + at.OUTPUT] + goal] = output
                if trains:
                    m.floats[longs[row + DIFFERENCE] + goal] = value - number
                    m.floats[longs[row + F_SLOPE] + goal] = slope

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers ((1 - share) + share * slope of f) * gradient."""
        longs, row = m.longs, net + place
        c, share = open_goal(m, row + at.EDGES), tensor_of(m, net, row, 0)
        gradient, slope = longs[row + at.GRADIENT_BY_OUTPUT], longs[row + F_SLOPE]
        stride = longs[row + at.GRADIENT_STRIDE]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                a = m.floats[share + j]
                own = m.floats[slope + r * longs[row + at.STRIDE] + j]
                value = m.floats[gradient + r * stride + j] * ((one - a) + a * own)
                deliver(m, c, r, j, value)

    return {"forward": forward, "backward": backward}


def make_gradients(build, traits, store):
    """Device function `share`: sums over the batch of gradient times f(x) - x."""

    @build.device
    def open_values(m, net, row, tensor, now):
        longs = m.longs
        return Values(
            longs[row + DIFFERENCE], longs[row + at.STRIDE],
            longs[row + at.GRADIENT_BY_OUTPUT], longs[row + at.GRADIENT_STRIDE],
        )  # fmt: skip

    @build.device
    def term(m, c, r, j):
        gradient = m.floats[c.gradient + r * c.gradient_stride + j]
        return gradient * m.floats[c.difference + r * c.stride + j]

    return {"share": make_vector_gradient(build, store, open_values, term)}


def make_sizes(build, traits, size):
    """None: nothing of it is penalised."""
    return {}
