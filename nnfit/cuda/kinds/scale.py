"""A learnt factor for each input, on a GPU: ``scale * x``."""

from collections import namedtuple

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.columns import make_vector_gradient

OPERATIONS = ("forward", "backward")
GRADIENTS = ("scale",)

Values = namedtuple("Values", "input input_stride gradient gradient_stride")


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
    """The factors."""
    graph.add_columns(number, 0, "scale")


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a row."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    open_goal, deliver = build.delivering
    groups, lanes = threads.groups, threads.lanes

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = scale * input."""
        longs, row = m.longs, net + place
        edge, scale = row + at.EDGES, tensor_of(m, net, row, 0)
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        output, stride = longs[row + at.OUTPUT], longs[row + at.STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                value = m.floats[scale + j] * m.floats[x + r * x_stride + j]
                m.floats[output + r * stride + j] = value

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch, n_out) = scale * gradient."""
        longs, row = m.longs, net + place
        c, scale = open_goal(m, row + at.EDGES), tensor_of(m, net, row, 0)
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride = longs[row + at.GRADIENT_STRIDE]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                value = m.floats[scale + j] * m.floats[gradient + r * stride + j]
                deliver(m, c, r, j, value)

    return {"forward": forward, "backward": backward}


def make_gradients(build, traits, store):
    """Device function `scale`: sums over the batch of gradient times input."""
    input_of = build.input_of

    @build.device
    def open_values(m, net, row, tensor, now):
        longs, edge = m.longs, row + at.EDGES
        return Values(
            input_of(m, edge, now), longs[edge + at.INPUT_STRIDE],
            longs[row + at.GRADIENT_BY_OUTPUT], longs[row + at.GRADIENT_STRIDE],
        )  # fmt: skip

    @build.device
    def term(m, c, r, j):
        gradient = m.floats[c.gradient + r * c.gradient_stride + j]
        return gradient * m.floats[c.input + r * c.input_stride + j]

    return {"scale": make_vector_gradient(build, store, open_values, term)}


def make_sizes(build, traits, size):
    """None: nothing of it is penalised."""
    return {}
