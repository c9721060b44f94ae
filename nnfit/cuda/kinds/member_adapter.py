"""What a member has of its own behind a shared product: ``f(s * z + b)``, on a GPU.

Lines are those of `nnfit.cuda.kinds.members`.
"""

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.columns import make_vector_gradient
from nnfit.cuda.kinds.members import Values, make_line_sums

OPERATIONS = ("forward", "backward")
GRADIENTS = ("scale", "intercept")
#: Units are dropped where their outputs are finished.
DROPS = True


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, at.PRIVATE)
    graph.output(number)
    if plan.trains and graph.is_activated(node):
        # The gradient takes the place of slopes: both are read in the same epilogue.
        plan.buffer(row + at.SLOPE, plan.n_rows * plan.words[row + at.STRIDE])
        graph.gradient(number, row + at.SLOPE)
    else:
        graph.gradient(number)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        graph.phase(node, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The factors, and the intercepts."""
    graph.add_columns(number, 0, "scale")
    graph.add_columns(number, 1, "intercept")


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a line."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    open_finish, finish = build.finishing
    open_goal, deliver = build.delivering
    groups, lanes = threads.groups, threads.lanes

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = f(scale * z + intercept)."""
        longs, row = m.longs, net + place
        edge, n_out = row + at.EDGES, longs[row + at.N_OUT]
        scale, intercept = tensor_of(m, net, row, 0), tensor_of(m, net, row, 1)
        z, stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        c = open_finish(m, net, row, longs[row + at.SLOPE], now)
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            own = r % longs[row + at.LINES] * n_out
            for j in range(threads.lane(), n_out, lanes):
                u = m.floats[scale + own + j] * m.floats[z + r * stride + j]
                finish(m, c, r, j, u + m.floats[intercept + own + j])

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch, n_out) = scale * gradient by u."""
        longs, row = m.longs, net + place
        c, scale = open_goal(m, row + at.EDGES), tensor_of(m, net, row, 0)
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride, n_out = longs[row + at.GRADIENT_STRIDE], longs[row + at.N_OUT]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            own = scale + r % longs[row + at.LINES] * n_out
            for j in range(threads.lane(), n_out, lanes):
                value = m.floats[own + j] * m.floats[gradient + r * stride + j]
                deliver(m, c, r, j, value)

    return {"forward": forward, "backward": backward}


def make_gradients(build, traits, store):
    """Device functions `scale` and `intercept`: sums over the rows of a batch."""
    input_of = build.input_of

    @build.device
    def open_values(m, net, row, tensor, now):
        longs, edge = m.longs, row + at.EDGES
        return Values(
            input_of(m, edge, now), longs[edge + at.INPUT_STRIDE],
            longs[row + at.GRADIENT_BY_OUTPUT], longs[row + at.GRADIENT_STRIDE],
            longs[row + at.LINES], 1, longs[row + at.N_OUT],
        )  # fmt: skip

    @build.device
    def term(m, c, r, j):
        line, j = r * c.n_members + j // c.n, j % c.n
        gradient = m.floats[c.gradient + line * c.gradient_stride + j]
        return gradient * m.floats[c.input + line * c.input_stride + j]

    return {
        "scale": make_vector_gradient(build, store, open_values, term, True),
        "intercept": make_line_sums(build, store),
    }


def make_sizes(build, traits, size):
    """None: nothing of it is penalised."""
    return {}
