"""Some of the input's columns, on the CPU."""

from nnfit.cpu import fields as at

#: Number of the layer's row: address of int64 (n_out,), the columns.
COLUMNS = at.PRIVATE
END = COLUMNS + 1
#: A batch may be done in parts: no row needs another, and nothing learns.
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, END)
    graph.output(number)
    graph.gradient(number)
    graph.plan.constants(row + COLUMNS, node.options[0], "int64")
    graph.instruct(graph.plan.kernel_of(node), "forward", row)


def add_units(graph, number, node):
    """It has no tensors."""


def build(target, dtype):
    """Kernel of selections: `forward` and `backward`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    from nnfit.cpu.kernels.lowering import scalar_type
    from nnfit.cpu.kernels.operations import edge_of, exports, make_deliver, make_line
    from nnfit.cpu.kernels.pointers import as_int64

    line, deliver = make_line(dtype), make_deliver(dtype)
    zero = scalar_type(dtype)(0.0)

    def forward(table, row, now, begin, count):
        """output (count, n_out) = input[:, columns]."""
        edge, columns = edge_of(row, 0), as_int64(row[COLUMNS])
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = x[columns[j]]

    def backward(table, row, now, begin, count):
        """goal (count, n_in) = the gradient in the columns, and what the edge asks."""
        edge, columns = edge_of(row, 0), as_int64(row[COLUMNS])
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for j in range(row[at.N_OUT]):
                goal[columns[j]] += gradient[j]
            deliver(edge, r, edge[at.N_IN])

    return exports(dtype, operations=(forward, backward))
