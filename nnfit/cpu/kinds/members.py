"""Factors of each member's own, on the CPU: ``r * x``.

Lines of a row lie one after the other; line number i of a batch is of the member that
i leaves over when it is divided by their number.
"""

from nnfit.cpu import fields as at
from nnfit.network.kinds.members import begins

#: Number of the layer's row: how many lines are made of one of the input.
REPEATS = at.PRIVATE
END = REPEATS + 1

#: What a factor takes, in lines of the batch; see `nnfit.cpu.kinds.dense`.
COST_PER_LINE, UPDATE_COST = 4, 24


def takes_entries(node):
    """Whether the layer can read the entries of a sparse matrix."""
    return False


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    plan.words[row + REPEATS] = node.options[0] if begins(node) else 1
    graph.output(number)
    graph.gradient(number)
    graph.instruct(plan.kernel_of(node), "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        kernel = graph.plan.kernel_of(node)
        graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The factors, those of a member as one unit."""
    gradient = graph.plan.kernel_of(node).address("factors_gradient")
    for member in range(node.options[0]):
        add_member(graph, number, 0, member, gradient)


def add_member(graph, number, tensor, member, gradient):
    """Add a line of a tensor, which the lines of one member go into, as a unit."""
    size = graph.plan.words[graph.row_of(number) + at.WIDTH]
    graph.plan.units.begin_group()
    graph.add_unit(
        number, tensor, gradient, start=member * size, size=size, lines=1,
        place=(0, member, 1), cost=(COST_PER_LINE, UPDATE_COST),
    )  # fmt: skip


def build(target, dtype):
    """Kernel of factors of each member's own.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, and for the units `factors_gradient`.
    """
    from nnfit.cpu.kernels.lowering import scalar_type
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_line,
        make_tensor_line,
    )

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line = make_tensor_line(dtype)
    zero = scalar_type(dtype)(0.0)

    def forward(table, row, now, begin, count):
        """output (count, n_out) = factors of the member * input."""
        edge, n_members, repeats = edge_of(row, 0), row[at.LINES], row[REPEATS]
        for r in range(begin, begin + count):
            factors = tensor_line(table, row, 0, r % n_members)
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r // repeats)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = factors[j] * x[j]

    def backward(table, row, now, begin, count):
        """goal (count / repeats, n_out) = sum of factors * gradient, in order."""
        edge, n_members, repeats = edge_of(row, 0), row[at.LINES], row[REPEATS]
        n_out = row[at.N_OUT]
        for i in range(begin // repeats, (begin + count) // repeats):
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], i)
            for j in range(n_out):
                goal[j] = zero
            for r in range(i * repeats, (i + 1) * repeats):
                factors = tensor_line(table, row, 0, r % n_members)
                gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
                for j in range(n_out):
                    goal[j] += factors[j] * gradient[j]
            deliver(edge, i, n_out)

    def factors_gradient(table, row, unit, batch, goal):
        """goal (width,) = sum over a member's lines of gradient times input."""
        edge, n_members, repeats = edge_of(row, 0), row[at.LINES], row[REPEATS]
        for j in range(row[at.WIDTH]):
            goal[j] = zero
        for r in range(unit[at.U_FIRST], batch, n_members):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r // repeats)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] += gradient[j] * x[j]

    return exports(dtype, operations=(forward, backward), gradients=(factors_gradient,))
