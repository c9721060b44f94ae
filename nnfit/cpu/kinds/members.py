"""Factors of each member's own, on the CPU: ``r * x``.

Lines of a row lie one after the other; line number i of a batch is of the member that
i leaves over when it is divided by their number.
"""

from nnfit.cpu import fields as at
from nnfit.network.kinds.members import begins

#: Number of the layer's row: how many lines are made of one of the input.
REPEATS = at.PRIVATE
END = REPEATS + 1

#: Numbers of one unit of the update, about.
UNIT_SIZE = 1024
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
    if graph.deliver(number, 0, in_tiles=not begins(node)):
        kernel = graph.plan.kernel_of(node)
        graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The factors, those of some members as one unit."""
    gradient = graph.plan.kernel_of(node).address("factors_gradient")
    add_lines(graph, number, (gradient,))


def add_lines(graph, number, gradients, first=0):
    """Add tensors with a line for each member, those of some members as one unit.

    Parameters
    ----------
    number : int
        The layer.
    gradients : sequence of int
        Addresses of functions, one for each tensor. What one has read of some members
        the next finds in the cache.
    first : int, default=0
        Which of the layer's tensors is the first.
    """
    row = graph.row_of(number)
    width, n_members = (graph.plan.words[row + word] for word in (at.WIDTH, at.LINES))
    most = max(1, UNIT_SIZE // width)
    for member in range(0, n_members, most):
        count = min(most, n_members - member)
        for tensor, gradient in enumerate(gradients, first):
            graph.plan.units.begin_group()
            graph.add_unit(
                number, tensor, gradient, start=member * width, size=count * width,
                lines=1, place=(0, member, count), cost=(COST_PER_LINE, UPDATE_COST),
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
        make_deliver_product,
        make_line,
        make_tensor_line,
    )
    from nnfit.cpu.kernels.pointers import offset

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line, deliver_product = make_tensor_line(dtype), make_deliver_product(dtype)
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
        n_out, stride = row[at.N_OUT], row[at.GRADIENT_STRIDE]
        if repeats == 1:
            for r in range(begin, begin + count):
                factors = tensor_line(table, row, 0, r % n_members)
                gradient = line(row[at.GRADIENT_BY_OUTPUT], stride, r)
                deliver_product(edge, r, factors, gradient, n_out)
            return
        for i in range(begin // repeats, (begin + count) // repeats):
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], i)
            for j in range(n_out):
                goal[j] = zero
            for r in range(i * repeats, (i + 1) * repeats):
                factors = tensor_line(table, row, 0, r % n_members)
                gradient = line(row[at.GRADIENT_BY_OUTPUT], stride, r)
                for j in range(n_out):
                    goal[j] += factors[j] * gradient[j]
            deliver(edge, i, n_out)

    def factors_gradient(table, row, unit, batch, goal):
        """goal (members, width) = sum over the rows of gradient times input."""
        edge, n_members, repeats = edge_of(row, 0), row[at.LINES], row[REPEATS]
        for j in range(unit[at.U_SIZE]):
            goal[j] = zero
        for begin in range(unit[at.U_FIRST], batch, n_members):
            for i in range(unit[at.U_ROWS]):
                r, of_member = begin + i, offset(goal, i * row[at.WIDTH])
                x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r // repeats)
                gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
                for j in range(row[at.N_OUT]):
                    of_member[j] += gradient[j] * x[j]

    return exports(dtype, operations=(forward, backward), gradients=(factors_gradient,))


def make_line_sums(dtype):
    """Make ``intercept_gradient`` of a layer with intercepts of each member's own."""
    from nnfit.cpu.kernels.lowering import scalar_type
    from nnfit.cpu.kernels.operations import make_line
    from nnfit.cpu.kernels.pointers import offset

    line, zero = make_line(dtype), scalar_type(dtype)(0.0)

    def intercept_gradient(table, row, unit, batch, goal):
        """goal (members, width) = sum over the rows of the layer's gradient."""
        for j in range(unit[at.U_SIZE]):
            goal[j] = zero
        for begin in range(unit[at.U_FIRST], batch, row[at.LINES]):
            for i in range(unit[at.U_ROWS]):
                of_member = offset(goal, i * row[at.WIDTH])
                place = row[at.GRADIENT_STRIDE], begin + i
                gradient = line(row[at.GRADIENT_BY_OUTPUT], *place)
                for j in range(row[at.N_OUT]):
                    of_member[j] += gradient[j]

    return intercept_gradient
