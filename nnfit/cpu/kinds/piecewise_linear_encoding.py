"""Where a number lies among bins, as many numbers as there are bins, on the CPU."""

import numpy as np

from nnfit.cpu import fields as at

#: Numbers of the layer's row. Of each column in int64 (3, n_columns): which of the
#: input's it is, the number of its bins, and of those of the columns before it.
COLUMNS = at.PRIVATE
N_COLUMNS = COLUMNS + 1
SCALE = COLUMNS + 2  # address of the encoding's factor
KEEPS_INPUT = COLUMNS + 3
END = COLUMNS + 4


def takes_entries(node):
    """Whether the layer can read the entries of a sparse matrix."""
    return False


def add_columns(graph, row, node):
    """Write a layer's columns and their numbers of bins into the plan."""
    columns, n_bins = node.options[:2]
    before = np.cumsum(n_bins) - n_bins
    graph.plan.constants(row + COLUMNS, [columns, n_bins, before], "int64")
    graph.plan.words[row + N_COLUMNS] = len(columns)


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    add_columns(graph, row, node)
    plan.constants(row + SCALE, [node.options[2]])
    plan.words[row + KEEPS_INPUT] = node.options[3]
    graph.output(number)
    graph.gradient(number)
    graph.instruct(plan.kernel_of(node), "forward", row)


def way_back(graph, number, node):
    """Gradient by the input, if anything learns from it."""
    if graph.deliver(number, 0):
        kernel = graph.plan.kernel_of(node)
        graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """None: training leaves the bins alone."""


def build(target, dtype):
    """Kernel of encodings: `forward` and `backward`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    from nnfit.cpu.kernels.bins import make_bins
    from nnfit.cpu.kernels.lowering import helper, scalar_type
    from nnfit.cpu.kernels.operations import edge_of, exports, make_deliver, make_line
    from nnfit.cpu.kernels.pointers import offset, pointer_from_address

    line, deliver, bins = make_line(dtype), make_deliver(dtype), make_bins(dtype)
    as_floats, zero = pointer_from_address(dtype), scalar_type(dtype)(0.0)

    @helper
    def encode(output, n_bins, found, number, scale):
        """output (n_bins,): the number in its bin, 1 before it and 0 behind it."""
        for t in range(n_bins):
            output[t] = scale if t < found else zero
        output[found] = scale * number

    def forward(table, row, now, begin, count):
        """output (count, n_out) = the columns' encodings side by side."""
        edge, keeps, scale = edge_of(row, 0), row[KEEPS_INPUT], as_floats(row[SCALE])[0]
        for number in range(row[N_COLUMNS]):
            column = bins.column_of(table, row, number)
            place = column.first + keeps * number
            for r in range(begin, begin + count):
                x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)[column.input]
                output = offset(line(row[at.OUTPUT], row[at.STRIDE], r), place)
                if keeps != 0:
                    output[0] = x
                found = bins.find(column, x)
                part, _ = bins.inside(column, found, x)
                encode(offset(output, keeps), column.n_bins, found, part, scale)

    def backward(table, row, now, begin, count):
        """goal (count, n_in) += gradient times slope, and what the edge asks for."""
        edge, keeps, scale = edge_of(row, 0), row[KEEPS_INPUT], as_floats(row[SCALE])[0]
        for r in range(begin, begin + count):
            inputs = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            for number in range(row[N_COLUMNS]):
                column = bins.column_of(table, row, number)
                x, own = inputs[column.input], offset(gradient, column.first)
                own = offset(own, keeps * number)
                found = bins.find(column, x)
                _, width = bins.inside(column, found, x)
                by_input = scale * own[keeps + found] / width
                if keeps != 0:
                    by_input += own[0]
                goal[column.input] += by_input
            deliver(edge, r, edge[at.N_IN])

    return exports(dtype, operations=(forward, backward))
