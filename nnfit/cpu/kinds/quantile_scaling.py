"""Columns by a piecewise linear function of each, on the CPU."""

from nnfit.cpu import fields as at

#: Number of the layer's row: address of int64 (2, n_out), the columns and the number
#: of the knots of each.
COLUMNS = at.PRIVATE
END = COLUMNS + 1
#: A batch may be done in parts: no row needs another, and nothing learns.
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, END)
    graph.output(number)
    graph.gradient(number)
    graph.plan.constants(row + COLUMNS, node.options, "int64")
    graph.instruct(graph.plan.kernel_of(node), "forward", row)


def add_units(graph, number, node):
    """None: training leaves knots and values alone."""


def build(target, dtype):
    """Kernel of piecewise linear functions: `forward` and `backward`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    from nnfit.cpu.kernels.bins import make_bin_of
    from nnfit.cpu.kernels.lowering import helper, scalar_type
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_line,
        make_tensor_line,
    )
    from nnfit.cpu.kernels.pointers import as_int64, offset

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line, scalar = make_tensor_line(dtype), scalar_type(dtype)
    bin_of = make_bin_of(dtype)
    zero, one = scalar(0.0), scalar(1.0)

    @helper
    def part_of(x, knots, n_knots):
        """Number of the last knot but one, or of one before it that is not above x."""
        return bin_of(x, offset(knots, 1), n_knots - 2)

    def forward(table, row, now, begin, count):
        """output (count, n_out) = the functions of the columns, one after the other."""
        edge, columns, n = edge_of(row, 0), as_int64(row[COLUMNS]), row[at.N_OUT]
        for j in range(n):
            knots, n_knots = tensor_line(table, row, 0, j), columns[n + j]
            values = tensor_line(table, row, 1, j)
            for r in range(begin, begin + count):
                x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)[columns[j]]
                i = part_of(x, knots, n_knots)
                part = (x - knots[i]) / (knots[i + 1] - knots[i])
                part = zero if part < zero else part
                part = one if part > one else part
                output = line(row[at.OUTPUT], row[at.STRIDE], r)
                output[j] = values[i] + part * (values[i + 1] - values[i])

    def backward(table, row, now, begin, count):
        """goal (count, n_in) = gradient times slope, and what the edge asks for."""
        edge, columns, n = edge_of(row, 0), as_int64(row[COLUMNS]), row[at.N_OUT]
        for r in range(begin, begin + count):
            inputs = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for j in range(n):
                x, n_knots = inputs[columns[j]], columns[n + j]
                knots = tensor_line(table, row, 0, j)
                values = tensor_line(table, row, 1, j)
                if knots[0] <= x and x < knots[n_knots - 1]:
                    i = part_of(x, knots, n_knots)
                    slope = (values[i + 1] - values[i]) / (knots[i + 1] - knots[i])
                    goal[columns[j]] += gradient[j] * slope
            deliver(edge, r, edge[at.N_IN])

    return exports(dtype, operations=(forward, backward))
