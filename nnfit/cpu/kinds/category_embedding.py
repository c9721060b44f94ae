"""Codes of categories as numbers, on the CPU.

    look_up           lines of the codes, (batch, n_columns)
    mask              line 0 at random, in training
    forward           the output from the lines
    sort_lines        for each embedded column its lines with the rows that have them,
                      in order, when all rows are done
    vectors_gradient  sums over the rows of a line, for each line that the batch has
    give_nothing      the gradient by the codes, 0

A unit is a range of the lines of a column. Lines that the batch does not have cost
nothing (`nnfit.cpu.kernels.updates`): sorting depends on the batch alone.
"""

from itertools import pairwise

import numpy as np

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import CATEGORY_EMBEDDING
from nnfit.functions.random import MASK as MASK_STREAM
from nnfit.network.kinds.category_embedding import MASK, Column, columns_of

#: What compiles its functions.
BUILDER = CATEGORY_EMBEDDING
#: Numbers of the layer's row.
COLUMNS = at.PRIVATE  # int64 (n_columns, COLUMN): what is known of each
N_COLUMNS = COLUMNS + 1
LINES = COLUMNS + 2  # int64 (batch, n_columns): line of each code
ROWS = COLUMNS + 3  # of the buffers
MASK_LIMIT = COLUMNS + 4  # random bits below it are masked, of 32 bits
MASK_PURPOSE = COLUMNS + 5
EMBEDDED = COLUMNS + 6  # int64 (n_embedded,): numbers of the columns
#: int64 (n_embedded, 2, batch): lines of the vectors and rows that have them, sorted,
#: and room to sort them; a line is 2**32 times as much as a row.
KEYS = COLUMNS + 7
END = COLUMNS + 8

#: Numbers of a column, those of `Column`.
UNIT, N_CODES, FIRST_CODE, N_LINES, FIRST_LINE, FIRST_OUTPUT, COLUMN_WIDTH = range(7)
COLUMN = len(Column._fields)
#: Units of a column, and lines of one at least.
PARTS, MIN_LINES = 4, 8
#: What an element of a line takes, in rows of the batch: sorting and sums for each row,
#: and an update, which waits for memory; see `nnfit.cpu.kinds.dense`.
COST_PER_ROW, UPDATE_COST = 60, 80
#: A batch may be done in parts, unless a column is embedded.
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row, columns = graph.plan, graph.new_row(number, END), columns_of(node)
    plan.constants(row + COLUMNS, columns, np.int64)
    plan.words[row + N_COLUMNS], plan.words[row + ROWS] = len(columns), plan.n_rows
    plan.words[row + MASK_LIMIT] = int(node.options[MASK] * 2**32)
    plan.words[row + MASK_PURPOSE] = MASK_STREAM + number
    plan.buffer(row + LINES, plan.n_rows * len(columns), np.int64)
    graph.output(number)
    graph.gradient(number)
    kernel = plan.kernel_of(node)
    graph.instruct(kernel, "look_up", row)
    if plan.masks and node.options[MASK]:
        plan.program.rows(kernel.address("mask"), row, is_random=True)
    graph.instruct(kernel, "forward", row)


def way_back(graph, number, node):
    """0 by the codes, if anything learns from it; lines in their order."""
    plan, row = graph.plan, graph.row_of(number)
    kernel = plan.kernel_of(node)
    if graph.deliver(number, 0):
        graph.instruct(kernel, "give_nothing", row)
    columns = enumerate(columns_of(node))
    embedded = [place for place, column in columns if column.is_embedded]
    if embedded:
        plan.constants(row + EMBEDDED, embedded, np.int64)
        plan.buffer(row + KEYS, len(embedded) * 2 * plan.n_rows, np.int64)
        plan.program.share_last(kernel.address("sort_lines"), row, len(embedded))


def add_units(graph, number, node):
    """Ranges of the lines of each embedded column."""
    gradient = graph.plan.kernel_of(node).address("vectors_gradient")
    embedded = [column for column in columns_of(node) if column.is_embedded]
    for place, column in enumerate(embedded):
        n_parts = max(1, min(PARTS, column.n_lines // MIN_LINES))
        ends = [column.n_lines * part // n_parts for part in range(n_parts + 1)]
        for begin, end in pairwise(ends):
            first = column.first_line + begin
            cost = COST_PER_ROW // n_parts, UPDATE_COST // n_parts
            graph.add_lines(number, 1, gradient, place, first, end - begin, cost)
