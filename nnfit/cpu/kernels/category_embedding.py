"""Codes of categories to lines, lines to numbers, and gradients by the lines.

`nnfit.cpu.kinds.category_embedding` says what each function is for.
"""

import numpy as np
from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import (
    batch_of,
    edge_of,
    exports,
    make_deliver,
    make_line,
    make_tensor,
    position_of,
    step_of,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import as_int64, offset
from nnfit.cpu.kinds import category_embedding as own


def build(target, dtype):
    """Kernel of layers of categories.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    operations = (
        make_look_up(dtype),
        mask,
        make_forward(dtype),
        make_give_nothing(dtype),
        sort_lines,
    )
    return exports(
        dtype, operations=operations, gradients=(make_vectors_gradient(dtype),)
    )


@helper
def column_of(row, number):
    """What is known of a column."""
    return offset(as_int64(row[own.COLUMNS]), number * own.COLUMN)


@helper
def lines_of(row, r):
    """Lines of a row of the batch."""
    return offset(as_int64(row[own.LINES]), r * row[own.N_COLUMNS])


def make_look_up(dtype):
    """Make ``look_up``: the line of each code, 0 for what is none."""
    line, tensor, scalar = make_line(dtype), make_tensor(dtype), scalar_type(dtype)
    zero = scalar(0.0)

    @helper
    def line_of(column, code, lines):
        # Comparisons with NaN are false.
        if not (code >= zero and code < scalar(column[own.N_CODES])):
            return 0
        number = nb.int64(code)
        if scalar(number) != code:
            return 0
        found = lines[column[own.FIRST_CODE] + number]
        if not (found >= zero and found < scalar(column[own.N_LINES])):
            return 0
        return nb.int64(found)

    def look_up(table, row, now, begin, count):
        edge, lines = edge_of(row, 0), tensor(table, row, 0)
        for r in range(begin, begin + count):
            codes = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            goal = lines_of(row, r)
            for i in range(row[own.N_COLUMNS]):
                column = column_of(row, i)
                goal[i] = line_of(column, codes[column[own.UNIT]], lines)

    return look_up


def mask(table, row, now, begin, count):
    """Line 0 for some codes, by seed, step, layer, row of the epoch and column."""
    limit, position = np.uint32(row[own.MASK_LIMIT]), position_of(now)
    stream = random.stream_of(table[at.SEED], step_of(now), row[own.MASK_PURPOSE])
    for r in range(begin, begin + count):
        key = random.stream(nb.int64(stream), position + r)
        low, high = random.low_word(key), random.high_word(key)
        goal = lines_of(row, r)
        for i in range(row[own.N_COLUMNS]):
            if random.bits(low, high, i) < limit:
                goal[i] = 0


def make_forward(dtype):
    """Make ``forward``: blocks of columns side by side."""
    line, tensor, scalar = make_line(dtype), make_tensor(dtype), scalar_type(dtype)
    zero, one = scalar(0.0), scalar(1.0)

    @helper
    def write_one_hot(column, found, block):
        width = column[own.COLUMN_WIDTH]
        for j in range(width):
            block[j] = zero
        if found > 0 and column[own.N_LINES] == 3:
            block[0] = one if found == 1 else -one
        elif found > 0:
            block[found - 1] = one

    def forward(table, row, now, begin, count):
        for r in range(begin, begin + count):
            output, lines = line(row[at.OUTPUT], row[at.STRIDE], r), lines_of(row, r)
            for i in range(row[own.N_COLUMNS]):
                column = column_of(row, i)
                block = offset(output, column[own.FIRST_OUTPUT])
                if column[own.FIRST_LINE] < 0:
                    write_one_hot(column, lines[i], block)
                else:
                    distance = tensor_of(table, row, 1)[at.LINE]
                    place = (column[own.FIRST_LINE] + lines[i]) * distance
                    vector = offset(tensor(table, row, 1), place)
                    for j in range(column[own.COLUMN_WIDTH]):
                        block[j] = vector[j]

    return forward


def make_give_nothing(dtype):
    """Make ``give_nothing``: a gradient of 0, and what the edge asks for."""
    line, deliver = make_line(dtype), make_deliver(dtype)
    zero = scalar_type(dtype)(0.0)

    def give_nothing(table, row, now, begin, count):
        edge = edge_of(row, 0)
        for r in range(begin, begin + count):
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            deliver(edge, r, edge[at.N_IN])

    return give_nothing


# --------------------------------------------------------- lines in their order


@helper
def merge(source, goal, begin, middle, end):
    """Two sorted parts side by side as one."""
    i, j, k = begin, middle, begin
    while i < middle and j < end:
        # Two choices without a branch, which nobody could foresee.
        one, other = source[i], source[j]
        is_first = one < other
        goal[k] = one if is_first else other
        i += 1 if is_first else 0
        j += 0 if is_first else 1
        k += 1
    for rest in range(i, middle):
        goal[k] = source[rest]
        k += 1
    for rest in range(j, end):
        goal[k] = source[rest]
        k += 1


@helper
def sort(values, spare, n):
    """Sort n integers, with room for as many."""
    source, goal, size, is_spare = values, spare, 1, False
    while size < n:
        for begin in range(0, n, 2 * size):
            middle, end = min(begin + size, n), min(begin + 2 * size, n)
            merge(source, goal, begin, middle, end)
        source, goal = goal, source
        size, is_spare = 2 * size, not is_spare
    if is_spare:
        for k in range(n):
            values[k] = spare[k]


@helper
def keys_of(row, number):
    """Sorted lines and rows of an embedded column."""
    return offset(as_int64(row[own.KEYS]), number * 2 * row[own.ROWS])


def sort_lines(table, row, now, begin, count):
    """Sort the lines of embedded columns and their rows."""
    batch, embedded = batch_of(now), as_int64(row[own.EMBEDDED])
    for number in range(begin, begin + count):
        keys, place = keys_of(row, number), embedded[number]
        first = column_of(row, place)[own.FIRST_LINE]
        for r in range(batch):
            keys[r] = ((first + lines_of(row, r)[place]) << 32) | r
        sort(keys, offset(keys, row[own.ROWS]), batch)


@helper
def first_from(keys, n, bound):
    """How many of the sorted keys are less than a bound."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


def make_vectors_gradient(dtype):
    """Make ``vectors_gradient`` of a range of lines of a column."""
    line, zero = make_line(dtype), scalar_type(dtype)(0.0)

    def vectors_gradient(table, row, unit, batch, goal):
        """goal: for each line that the batch has, the sum over its rows in order."""
        number, first, n_lines = unit[at.U_COLUMN], unit[at.U_FIRST], unit[at.U_ROWS]
        column = column_of(row, as_int64(row[own.EMBEDDED])[number])
        keys, touched = keys_of(row, number), as_int64(unit[at.U_TOUCHED])
        k = first_from(keys, batch, first << 32)
        end = first_from(keys, batch, (first + n_lines) << 32)
        width, distance = column[own.COLUMN_WIDTH], tensor_of(table, row, 1)[at.LINE]
        by_output, stride = row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE]
        n = 0
        while k < end:
            here, total = keys[k] >> 32, offset(goal, n * distance)
            for j in range(distance):
                total[j] = zero
            while k < end and keys[k] >> 32 == here:
                gradient = line(by_output, stride, keys[k] & 0xFFFFFFFF)
                block = offset(gradient, column[own.FIRST_OUTPUT])
                for j in range(width):
                    total[j] += block[j]
                k += 1
            touched[at.TOUCHED + n] = here - first
            n += 1
        touched[at.TOUCHED_LINES] = n

    return vectors_gradient
