"""A learnt factor for each input, on the CPU: ``scale * x``."""

from nnfit.cpu import fields as at

#: What a factor takes, in rows of the batch; see `nnfit.cpu.kinds.dense`.
COST_PER_ROW, UPDATE_COST = 4, 80
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, at.PRIVATE)
    graph.output(number)
    graph.gradient(number)
    graph.instruct(graph.plan.kernel_of(node), "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        kernel = graph.plan.kernel_of(node)
        graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The factors, as one unit."""
    gradient = graph.plan.kernel_of(node).address("scale_gradient")
    graph.add_vector(number, 0, gradient, (COST_PER_ROW, UPDATE_COST))


def build(target, dtype):
    """Kernel of layers with a factor for each input.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, and for the unit `scale_gradient`.
    """
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_begin_sum,
        make_deliver,
        make_line,
        make_tensor,
    )

    line, deliver, tensor = make_line(dtype), make_deliver(dtype), make_tensor(dtype)
    begin_sum = make_begin_sum(dtype)

    def forward(table, row, now, begin, count):
        """output (count, n_out) = scale * input."""
        edge, scale = edge_of(row, 0), tensor(table, row, 0)
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = scale[j] * x[j]

    def backward(table, row, now, begin, count):
        """goal (count, n_out) = scale * gradient, and what the edge asks for."""
        edge, scale = edge_of(row, 0), tensor(table, row, 0)
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] = scale[j] * gradient[j]
            deliver(edge, r, row[at.N_OUT])

    def scale_gradient(table, row, unit, batch, goal):
        """goal (width,) = sum over the batch of gradient times input, rows in order."""
        edge = edge_of(row, 0)
        begin_sum(table, goal, row[at.WIDTH])
        for r in range(batch):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] += gradient[j] * x[j]

    return exports(dtype, operations=(forward, backward), gradients=(scale_gradient,))
