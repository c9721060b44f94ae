"""An activation with a learnt share for each unit, on the CPU.

``(1 - a) x + a f(x)``, whose slope is ``(1 - a) + a f'(x)``.
"""

from nnfit.cpu import fields as at

#: Numbers of the layer's row.
ACTIVATION = at.PRIVATE  # address of its kernel
DIFFERENCE = ACTIVATION + 1  # (batch, stride): f(x) - x
OWN_SLOPE = ACTIVATION + 2  # (batch, stride): slope of the whole
END = ACTIVATION + 3

#: Rows that are finished together: four times 8 kB of 256 units in single precision.
AT_ONCE = 8
#: What a share takes, in rows of the batch; see `nnfit.cpu.kinds.dense`.
COST_PER_ROW, UPDATE_COST = 4, 80
works_in_parts = True
#: Whether its way back is done with the input before it writes the gradient there.
frees_input = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    graph.output(number)
    graph.gradient(number)
    size = plan.n_rows * plan.words[row + at.STRIDE]
    plan.activation(row + ACTIVATION, node)
    plan.buffer(row + DIFFERENCE, size)
    plan.buffer(row + OWN_SLOPE, size)
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
    from nnfit.cpu.kernels.lowering import helper, scalar_type
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

    @helper
    def begin_slopes(row, edge, begin, count):
        """Copy inputs to where the activation leaves its slopes."""
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            copy = line(row[OWN_SLOPE], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                copy[j] = x[j]
            for j in range(row[at.N_OUT], row[at.WIDTH]):
                copy[j] = zero

    def forward(table, row, now, begin, count):
        """output (count, n_out) = (1 - share) x + share f(x), some rows at a time."""
        edge, share, end = edge_of(row, 0), tensor(table, row, 0), begin + count
        stride = row[at.STRIDE]
        for first in range(begin, end, AT_ONCE):
            n = min(AT_ONCE, end - first)
            begin_slopes(row, edge, first, n)
            activate(row, row[ACTIVATION], row[OWN_SLOPE], row[DIFFERENCE], first, n)
            for r in range(first, first + n):
                x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
                value = line(row[DIFFERENCE], stride, r)
                slope = line(row[OWN_SLOPE], stride, r)
                output = line(row[at.OUTPUT], stride, r)
                for j in range(row[at.N_OUT]):
                    output[j] = (one - share[j]) * x[j] + share[j] * value[j]
                    slope[j] = (one - share[j]) + share[j] * slope[j]
                    value[j] = value[j] - x[j]

    def backward(table, row, now, begin, count):
        """goal = slope * gradient."""
        edge = edge_of(row, 0)
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            slope = line(row[OWN_SLOPE], row[at.STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] = gradient[j] * slope[j]
            deliver(edge, r, row[at.N_OUT])

    def share_gradient(table, row, unit, batch, goal):
        """goal (width,) = sum over the batch of gradient times f(x) - x."""
        begin_sum(table, goal, row[at.WIDTH])
        for r in range(batch):
            difference = line(row[DIFFERENCE], row[at.STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] += gradient[j] * difference[j]

    return exports(dtype, operations=(forward, backward), gradients=(share_gradient,))
