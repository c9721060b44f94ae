"""A dense layer of each member's own, on the CPU: ``x W + b``.

Coefficients of a unit of a member lie together, (n_members * n_out, n_in): few units
would leave a panel mostly empty. Lines are those of `nnfit.cpu.kinds.members`.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kinds.members import add_lines

#: Coefficients of one unit of the update, about: a quarter of the first-level cache.
UNIT_SIZE = 2048
#: What a coefficient takes, in lines of the batch; see `nnfit.cpu.kinds.dense`.
COST_PER_LINE, UPDATE_COST = 4, 24
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
    """Some lines of a member's coefficients, and its intercepts."""
    kernel = graph.plan.kernel_of(node)
    width = graph.plan.padded(
        graph.plan.words[graph.row_of(number) + at.EDGES + at.N_IN]
    )
    most = max(1, UNIT_SIZE // width)
    for member in range(node.options[0]):
        graph.plan.units.begin_group()
        for first in range(0, node.n_out, most):
            count, line = min(most, node.n_out - first), member * node.n_out + first
            graph.add_unit(
                number, 0, kernel.address("coef_gradient"), start=line * width,
                size=count * width, place=(0, line, count), lines=1,
                cost=(COST_PER_LINE, UPDATE_COST),
            )  # fmt: skip
    add_lines(graph, number, kernel.address("intercept_gradient"), 1)


def build(target, dtype):
    """Kernel of a dense layer of each member's own.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, and for the units `coef_gradient` and
        `intercept_gradient`.
    """
    from nnfit.cpu.kernels.lowering import scalar_type, sum_helper
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_begin_sum,
        make_deliver,
        make_line,
        make_tensor_line,
    )
    from nnfit.cpu.kernels.pointers import offset

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line, begin_sum = make_tensor_line(dtype), make_begin_sum(dtype)
    zero = scalar_type(dtype)(0.0)

    @sum_helper
    def product(a, b, n):
        total = zero
        for j in range(n):
            total += a[j] * b[j]
        return total

    def forward(table, row, now, begin, count):
        """output (count, n_out): products with the member's coefficients."""
        edge, n_out = edge_of(row, 0), row[at.N_OUT]
        for r in range(begin, begin + count):
            member = r % row[at.LINES]
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            intercept = tensor_line(table, row, 1, member)
            for j in range(n_out):
                coef = tensor_line(table, row, 0, member * n_out + j)
                output[j] = product(x, coef, edge[at.N_IN]) + intercept[j]

    def backward(table, row, now, begin, count):
        """goal (count, n_in): sum over units of gradient times coefficients."""
        edge, n_out = edge_of(row, 0), row[at.N_OUT]
        n_in = edge[at.N_IN]
        for r in range(begin, begin + count):
            member = r % row[at.LINES]
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for i in range(n_in):
                goal[i] = zero
            for j in range(n_out):
                coef, factor = (
                    tensor_line(table, row, 0, member * n_out + j),
                    gradient[j],
                )
                for i in range(n_in):
                    goal[i] += factor * coef[i]
            deliver(edge, r, n_in)

    def coef_gradient(table, row, unit, batch, goal):
        """goal (rows, width) = sum over a member's lines of gradient times input."""
        edge, n_out = edge_of(row, 0), row[at.N_OUT]
        member, first = unit[at.U_FIRST] // n_out, unit[at.U_FIRST] % n_out
        width = unit[at.U_SIZE] // unit[at.U_ROWS]
        begin_sum(table, goal, unit[at.U_SIZE])
        for r in range(member, batch, row[at.LINES]):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            for j in range(unit[at.U_ROWS]):
                of_unit, factor = offset(goal, j * width), gradient[first + j]
                for i in range(edge[at.N_IN]):
                    of_unit[i] += factor * x[i]

    def intercept_gradient(table, row, unit, batch, goal):
        """goal (members, width) = sum over the rows of the layer's gradient."""
        begin_sum(table, goal, unit[at.U_SIZE])
        for begin in range(unit[at.U_FIRST], batch, row[at.LINES]):
            for i in range(unit[at.U_ROWS]):
                of_member = offset(goal, i * row[at.WIDTH])
                place = row[at.GRADIENT_STRIDE], begin + i
                gradient = line(row[at.GRADIENT_BY_OUTPUT], *place)
                for j in range(row[at.N_OUT]):
                    of_member[j] += gradient[j]

    return exports(
        dtype,
        operations=(forward, backward),
        gradients=(coef_gradient, intercept_gradient),
    )
