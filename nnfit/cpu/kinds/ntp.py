"""The input over the root of its width, on the CPU."""

import math

from nnfit.cpu import fields as at

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
    """It has no tensors."""


def build(target, dtype):
    """Kernel of the input over the root of its width.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward` and `backward`.
    """
    from numba.core import types as nb

    from nnfit.cpu.kernels.lowering import helper, scalar_type
    from nnfit.cpu.kernels.operations import edge_of, exports, make_deliver, make_line

    line, deliver, scalar = make_line(dtype), make_deliver(dtype), scalar_type(dtype)

    @helper
    def factor_of(row):
        return scalar(1.0 / math.sqrt(nb.float64(row[at.N_OUT])))

    def forward(table, row, now, begin, count):
        """output (count, n_out) = input / sqrt(n_out)."""
        edge, factor = edge_of(row, 0), factor_of(row)
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = factor * x[j]

    def backward(table, row, now, begin, count):
        """goal (count, n_out) = gradient / sqrt(n_out), and what the edge asks for."""
        edge, factor = edge_of(row, 0), factor_of(row)
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] = factor * gradient[j]
            deliver(edge, r, row[at.N_OUT])

    return exports(dtype, operations=(forward, backward))
