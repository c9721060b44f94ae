"""Prediction and evaluation: blocks of rows, one after the other.

What is done with a block is the first segment of the table's program. Each is a kernel
of its own, so that a fit compiles none that it does not need.
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.denormals import flushing
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    INT64_POINTER,
    as_doubles,
    caller,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.program import make_program, record_of, set_position
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.scores import make_scores


def prediction(target, dtype):
    """Entry point ``predict(table, out, begin, end)``, for a precision."""
    pointer = pointer_type(dtype)
    run_block = make_program(target).run_block
    write_predictions = make_write_predictions(dtype)

    @flushing
    def predict(table, out, begin, end):
        """out[begin:end] = link(raw prediction), or raw without a link."""
        block, now = table[at.ROW_BLOCK], record_of(table, 0)
        segment = offset(table, table[at.SEGMENTS])
        for row in range(begin, end, block):
            rows = min(block, end - row)
            set_position(now, row, rows, table[at.STEP])
            run_block(table, segment, now, 0, rows)
            goal = offset(out, row * table[at.N_OUTPUTS])
            write_predictions(table, rows, goal)

    signature = nb.void(INT64_POINTER, pointer, nb.int64, nb.int64)
    return {"predict": (predict, signature)}


def evaluation(target, dtype):
    """Entry point ``evaluate(table, weight_sum, sums)``, for a precision."""
    as_floats = pointer_from_address(dtype)
    run_block = make_program(target).run_block
    rows_of, scores = make_rows(dtype), make_scores()
    write_predictions = make_write_predictions(dtype)

    @helper
    def score_block(table, row, rows, sums):
        """Add a block's part of the score to `sums`; its targets are gathered."""
        n_outputs, n_targets = table[at.N_OUTPUTS], table[at.N_TARGETS]
        values, stride = as_floats(table[at.RAW]), table[at.RAW_STRIDE]
        if table[at.SCORE] == at.R2:
            write_predictions(table, rows, as_floats(table[at.PREDICTIONS]))
            values, stride = as_floats(table[at.PREDICTIONS]), n_outputs
        for r in range(rows):
            number = rows_of.row_number(table, row + r)
            weight = rows_of.weight(table[at.SAMPLE_WEIGHT], number)
            value = offset(values, r * stride)
            y = offset(as_floats(table[at.BATCH_Y]), r * n_targets)
            if table[at.SCORE] == at.R2:
                scores.add_squares(value, n_outputs, y, weight, sums)
            else:
                sums[0] += scores.count_right(
                    table[at.SCORE], value, n_outputs, y, n_targets, weight
                )

    @flushing
    def evaluate(table, weight_sum, sums):
        """Weighted mean loss over all rows, in row order; `sums` for the score."""
        block = table[at.ROW_BLOCK]
        n, now = table[at.N_ROWS], record_of(table, 0)
        segment = offset(table, table[at.SEGMENTS])
        as_doubles(now)[at.NOW_WEIGHT_SUM] = weight_sum
        losses = as_doubles(table[at.ROW_LOSS])
        total = 0.0
        for row in range(0, n, block):
            rows = min(block, n - row)
            set_position(now, row, rows, 0)
            run_block(table, segment, now, 0, rows)
            for r in range(rows):
                total += losses[r]
            if table[at.SCORE] != at.NO_SCORE:
                score_block(table, row, rows, sums)
        return total

    signature = nb.float64(INT64_POINTER, nb.float64, FLOAT64_POINTER)
    return {"evaluate": (evaluate, signature)}


def make_write_predictions(dtype):
    """Make ``write_predictions(table, rows, goal)`` from the last layer's output."""
    pointer = pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    link = caller(nb.void, pointer, nb.int64, pointer, nb.int64, nb.int64)

    @helper
    def write_predictions(table, rows, goal):
        """goal = link(raw prediction), or raw without a link."""
        n_outputs, stride = table[at.N_OUTPUTS], table[at.RAW_STRIDE]
        raw = as_floats(table[at.RAW])
        if table[at.LINK_KERNEL] != 0:
            link(table[at.LINK_KERNEL], (raw, stride, goal, rows, n_outputs))
            return
        for r in range(rows):
            for j in range(n_outputs):
                goal[r * n_outputs + j] = raw[r * stride + j]

    return write_predictions
