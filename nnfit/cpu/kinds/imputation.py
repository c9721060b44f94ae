"""Columns with a number in the place of what is missing, on the CPU."""

from nnfit.cpu import fields as at

#: Numbers of the layer's row: how many columns it reads, and the address of int64
#: (n_out,), the columns and those that have an indicator.
N_COLUMNS = at.PRIVATE
COLUMNS = N_COLUMNS + 1
END = COLUMNS + 1
#: A batch may be done in parts: no row needs another, and nothing learns.
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    columns, indicated = node.options
    plan.words[row + N_COLUMNS] = len(columns)
    plan.constants(row + COLUMNS, [*columns, *indicated], "int64")
    graph.output(number)
    graph.gradient(number)
    graph.instruct(plan.kernel_of(node), "forward", row)


def add_units(graph, number, node):
    """None: training leaves the fills alone."""


def build(target, dtype):
    """Kernel of imputations: `forward` and `backward`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    from nnfit.cpu.kernels.lowering import scalar_type
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_line,
        make_tensor,
    )
    from nnfit.cpu.kernels.pointers import as_int64

    line, deliver, tensor = make_line(dtype), make_deliver(dtype), make_tensor(dtype)
    zero, one = scalar_type(dtype)(0.0), scalar_type(dtype)(1.0)

    def forward(table, row, now, begin, count):
        """output (count, n_out) = filled columns, then indicators."""
        edge, columns = edge_of(row, 0), as_int64(row[COLUMNS])
        fills, n = tensor(table, row, 0), row[N_COLUMNS]
        for r in range(begin, begin + count):
            inputs = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(n):
                x = inputs[columns[j]]
                output[j] = x if x == x else fills[j]
            for j in range(n, row[at.N_OUT]):
                x = inputs[columns[j]]
                output[j] = zero if x == x else one

    def backward(table, row, now, begin, count):
        """goal (count, n_in) = the gradient in the columns that are not missing."""
        edge, columns = edge_of(row, 0), as_int64(row[COLUMNS])
        for r in range(begin, begin + count):
            inputs = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for j in range(row[N_COLUMNS]):
                x = inputs[columns[j]]
                goal[columns[j]] += gradient[j] if x == x else zero
            deliver(edge, r, edge[at.N_IN])

    return exports(dtype, operations=(forward, backward))
