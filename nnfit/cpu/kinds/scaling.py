"""Columns about a middle and in units of a spread, on the CPU."""

from nnfit.cpu import fields as at
from nnfit.network.kinds.scaling import LARGEST

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
    """None: training leaves the scaling alone."""


def build(target, dtype):
    """Kernel of scalings: `forward` and `backward`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    import math

    from nnfit.cpu.kernels.lowering import helper, scalar_type
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_line,
        make_tensor_line,
    )
    from nnfit.cpu.kernels.pointers import as_int64

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line, scalar = make_tensor_line(dtype), scalar_type(dtype)
    zero, one, largest = scalar(0.0), scalar(1.0), scalar(LARGEST)

    @helper
    def scale(x, shift, scale):
        """Scaled, without a cut; NaN stays NaN."""
        z = scale * (x - shift)
        z = -largest if z < -largest else z
        return largest if z > largest else z

    @helper
    def inverse_root(z, cut):
        return one / scalar(math.sqrt(one + (cut * z) * (cut * z)))

    def forward(table, row, now, begin, count):
        """output (count, n_out) = z / sqrt(1 + (cut z)^2)."""
        edge, columns = edge_of(row, 0), as_int64(row[COLUMNS])
        shifts, scales = tensor_line(table, row, 0, 0), tensor_line(table, row, 0, 1)
        cuts = tensor_line(table, row, 0, 2)
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = x[columns[j]]
            for j in range(row[at.N_OUT]):
                z = scale(output[j], shifts[j], scales[j])
                output[j] = z * inverse_root(z, cuts[j])

    def backward(table, row, now, begin, count):
        """goal (count, n_in) = gradient times slope, and what the edge asks for."""
        edge, columns = edge_of(row, 0), as_int64(row[COLUMNS])
        shifts, scales = tensor_line(table, row, 0, 0), tensor_line(table, row, 0, 1)
        cuts = tensor_line(table, row, 0, 2)
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for j in range(row[at.N_OUT]):
                z = scale(x[columns[j]], shifts[j], scales[j])
                root = inverse_root(z, cuts[j])
                goal[columns[j]] += gradient[j] * scales[j] * (root * root * root)
            deliver(edge, r, edge[at.N_IN])

    return exports(dtype, operations=(forward, backward))
