"""Factors of each member's own, on the CPU: ``r * x``.

Lines of a row lie one after the other; line number i of a batch is of the member that
i leaves over when it is divided by their number.
"""

from nnfit.cpu import fields as at
from nnfit.network.kinds.members import begins

#: Numbers of the layer's row.
REPEATS = at.AFTER_SUMS  # how many lines are made of one of the input
END = REPEATS + 1

#: Numbers of one unit of the update, about.
UNIT_SIZE = 1024
#: What a number takes, in rows of the batch; see `nnfit.cpu.kinds.dense`.
COST_PER_ROW, UPDATE_COST = 1, 24
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    plan.words[row + REPEATS] = node.options[0] if begins(node) else 1
    part_sums(graph, row, 1)
    graph.output(number, graph.passing_output(number))
    graph.gradient(number, graph.passing_gradient(number))
    graph.instruct(plan.kernel_of(node), "forward", row)


def way_back(graph, number, node):
    """Sums for the factors, and the gradient by the inputs."""
    graph.deliver(number, 0, in_tiles=not begins(node))
    kernel = graph.plan.kernel_of(node)
    graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """The factors, those of some members as one unit."""
    add_lines(graph, number, graph.plan.kernel_of(node).address("sum_of_parts"), 0)


def part_sums(graph, row, n_tensors):
    """Reserve the sums of a layer's way back for tensors with a line for each member.

    Their gradients are sums of what only the way back reads. It sums up some rows
    while they are in the cache, those of a grain, which are one thread's.
    """
    plan, words = graph.plan, graph.plan.words
    if not plan.goes_back:
        return
    words[row + at.PART] = part = plan.program.grain
    n_members = words[row + at.LINES]
    n_parts = -(-(plan.n_rows // n_members) // part)
    for tensor in range(n_tensors):
        plan.buffer(row + at.SUMS + tensor, n_parts * n_members * words[row + at.WIDTH])


def add_lines(graph, number, gradient, tensor):
    """Add a tensor with a line for each member, those of some members as one unit.

    Parameters
    ----------
    number : int
        The layer.
    gradient : int
        Address of a function.
    tensor : int
        Which of the layer's tensors.
    """
    row = graph.row_of(number)
    width, n_members = (graph.plan.words[row + word] for word in (at.WIDTH, at.LINES))
    most = max(1, UNIT_SIZE // width)
    for member in range(0, n_members, most):
        count = min(most, n_members - member)
        graph.plan.units.begin_group()
        graph.add_unit(
            number, tensor, gradient, start=member * width, size=count * width,
            lines=1, place=(tensor, member, count), cost=(COST_PER_ROW, UPDATE_COST),
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
        Of `forward`, `backward`, and for the units `sum_of_parts`.
    """
    from nnfit.cpu.kernels.lowering import helper
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_deliver_product,
        make_line,
        make_tensor_line,
    )
    from nnfit.cpu.kernels.parts import make_add_product, make_sum_of_parts

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line, deliver_product = make_tensor_line(dtype), make_deliver_product(dtype)
    add_product, sum_of_parts = make_add_product(dtype), make_sum_of_parts(dtype)

    def forward(table, row, now, begin, count):
        """output (count, n_out) = factors of the member * input."""
        edge, n_members, repeats = edge_of(row, 0), row[at.LINES], row[REPEATS]
        for r in range(begin, begin + count):
            factors = tensor_line(table, row, 0, r % n_members)
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r // repeats)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = factors[j] * x[j]

    @helper
    def deliver_sum(table, row, i):
        """goal (n_out,) = sum over the lines of a row of factors * gradient."""
        edge, n_out, n_members = edge_of(row, 0), row[at.N_OUT], row[at.LINES]
        goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], i)
        for member in range(n_members):
            factors, r = tensor_line(table, row, 0, member), i * n_members + member
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            if member == 0:
                for j in range(n_out):
                    goal[j] = factors[j] * gradient[j]
            else:
                for j in range(n_out):
                    goal[j] += factors[j] * gradient[j]
        deliver(edge, i, n_out)

    def backward(table, row, now, begin, count):
        """Sums of gradient * input, and goal = factors * gradient, summed in order."""
        edge, n_members, repeats = edge_of(row, 0), row[at.LINES], row[REPEATS]
        n_out, stride = row[at.N_OUT], row[at.GRADIENT_STRIDE]
        first, end = begin // n_members, (begin + count) // n_members
        for member in range(n_members):
            factors = tensor_line(table, row, 0, member)
            for i in range(first, end):
                r = i * n_members + member
                x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r // repeats)
                gradient = line(row[at.GRADIENT_BY_OUTPUT], stride, r)
                add_product(row, i, member, gradient, x)
                if edge[at.GOAL] != 0 and repeats == 1:
                    deliver_product(edge, r, factors, gradient, n_out)
        if edge[at.GOAL] != 0 and repeats > 1:
            for i in range(first, end):
                deliver_sum(table, row, i)

    return exports(dtype, operations=(forward, backward), gradients=(sum_of_parts,))
