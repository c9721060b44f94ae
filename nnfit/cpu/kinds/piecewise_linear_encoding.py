"""Where a number lies among bins, as many numbers as there are bins, on the CPU."""

import numpy as np

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import PIECEWISE_LINEAR_ENCODING

#: What compiles its functions.
BUILDER = PIECEWISE_LINEAR_ENCODING
#: Numbers of the layer's row, first those of all that reads bins. Of each column in
#: int64 (3, n_columns): which of the input's it is, the number of its bins, and of
#: those of the columns before it.
COLUMNS = at.PRIVATE
N_COLUMNS = COLUMNS + 1
BIN = COLUMNS + 2  # int64 (n_columns, N_ROWS): which bin a number lies in
FRACTION = COLUMNS + 3  # (n_columns, N_ROWS): how far
N_ROWS = COLUMNS + 4
END_OF_BINS = COLUMNS + 5
SCALE = END_OF_BINS  # address of the encoding's factor
KEEPS_INPUT = SCALE + 1
END = SCALE + 2
#: A batch may be done in parts: no row needs another, and nothing learns.
works_in_parts = True


def add_bins(graph, row, node):
    """Write a layer's columns into its row, and reserve what `locate` finds of them."""
    plan, (columns, n_bins) = graph.plan, node.options[:2]
    before = np.cumsum(n_bins) - n_bins
    plan.constants(row + COLUMNS, [columns, n_bins, before], "int64")
    plan.words[row + N_COLUMNS], plan.words[row + N_ROWS] = len(columns), plan.n_rows
    plan.buffer(row + BIN, len(columns) * plan.n_rows, "int64")
    plan.buffer(row + FRACTION, len(columns) * plan.n_rows)


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    add_bins(graph, row, node)
    plan.constants(row + SCALE, [node.options[2]])
    plan.words[row + KEEPS_INPUT] = node.options[3]
    graph.output(number)
    graph.gradient(number)
    graph.instruct(plan.kernel_of(node), "forward", row)


def add_units(graph, number, node):
    """None: training leaves the bins alone."""
