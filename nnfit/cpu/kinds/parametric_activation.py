"""An activation with a learnt share for each unit, on the CPU.

``(1 - a) x + a f(x)``, whose slope is ``(1 - a) + a f'(x)``.
"""

from nnfit.cpu import fields as at

#: Numbers of the layer's row.
ACTIVATION = at.PRIVATE  # address of its kernel
VALUE = ACTIVATION + 1  # (batch, stride): f(x)
F_SLOPE = ACTIVATION + 2  # (batch, stride): x, then its slope in f
END = ACTIVATION + 3

#: What a share takes, in rows of the batch; see `nnfit.cpu.kinds.dense`.
COST_PER_ROW, UPDATE_COST = 4, 80
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    graph.output(number)
    graph.gradient(number)
    size = plan.n_rows * plan.words[row + at.STRIDE]
    plan.activation(row + ACTIVATION, node)
    plan.buffer(row + VALUE, size)
    plan.buffer(row + F_SLOPE, size)
    graph.instruct(plan.kernel_of(node), "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        kernel = graph.plan.kernel_of(node)
        graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The shares, as one unit."""
    gradient = graph.plan.kernel_of(node).address("share_gradient")
    graph.add_vector(number, 0, gradient, (COST_PER_ROW, UPDATE_COST))


def build(target, dtype):
    """Kernel of activations with a share for each unit.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, and for the unit `share_gradient`.
    """
    from nnfit.cpu.kernels.dense import make_activate
    from nnfit.cpu.kernels.lowering import scalar_type
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_begin_sum,
        make_deliver,
        make_line,
        make_tensor,
    )

    line, deliver, tensor = make_line(dtype), make_deliver(dtype), make_tensor(dtype)
    activate, begin_sum = make_activate(dtype), make_begin_sum(dtype)
    zero, one = scalar_type(dtype)(0.0), scalar_type(dtype)(1.0)

    def forward(table, row, now, begin, count):
        """output (count, n_out) = (1 - share) x + share f(x)."""
        edge, share = edge_of(row, 0), tensor(table, row, 0)
        stride, n_out = row[at.STRIDE], row[at.N_OUT]
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            copy = line(row[F_SLOPE], stride, r)
            for j in range(n_out):
                copy[j] = x[j]
            for j in range(n_out, row[at.WIDTH]):
                copy[j] = zero
        activate(row, row[ACTIVATION], row[F_SLOPE], row[VALUE], begin, count)
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            value = line(row[VALUE], stride, r)
            output = line(row[at.OUTPUT], stride, r)
            for j in range(n_out):
                output[j] = (one - share[j]) * x[j] + share[j] * value[j]

    def backward(table, row, now, begin, count):
        """goal = ((1 - share) + share * slope of f) * gradient."""
        edge, share = edge_of(row, 0), tensor(table, row, 0)
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            slope = line(row[F_SLOPE], row[at.STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] = gradient[j] * ((one - share[j]) + share[j] * slope[j])
            deliver(edge, r, row[at.N_OUT])

    def share_gradient(table, row, unit, batch, goal):
        """goal (width,) = sum over the batch of gradient times f(x) - x."""
        edge = edge_of(row, 0)
        begin_sum(table, goal, row[at.WIDTH])
        for r in range(batch):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            value = line(row[VALUE], row[at.STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] += gradient[j] * (value[j] - x[j])

    return exports(dtype, operations=(forward, backward), gradients=(share_gradient,))
