"""Prediction and evaluation: blocks of rows, one after the other.

What they do with a block is the engine's: they call it by its address. Each is a kernel
of its own, so that a fit compiles none that it does not need.
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_dense
from nnfit.cpu.kernels.engine import EVALUATE_ROWS, FORWARD_ROWS
from nnfit.cpu.kernels.layers import make_layers
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    INT64_POINTER,
    caller,
    layer_at,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.row_major import make_row_major
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.scores import make_scores


def prediction(target, dtype):
    """Entry point ``predict(table, out, begin, end)``, for a precision."""
    pointer = pointer_type(dtype)
    forward_rows = caller(nb.void, *FORWARD_ROWS)
    write_predictions = make_write_predictions(dtype)

    def predict(table, out, begin, end):
        """out[begin:end] = link(raw prediction), or raw without a link."""
        block = table[at.ROW_BLOCK]
        for row in range(begin, end, block):
            rows = min(block, end - row)
            forward_rows(table[at.FORWARD_ROWS], (table, row, 0, rows))
            goal = offset(out, row * table[at.N_OUTPUTS])
            write_predictions(table, rows, goal)

    signature = nb.void(INT64_POINTER, pointer, nb.int64, nb.int64)
    return {"predict": (predict, signature)}


def prediction_of_few(target, dtype):
    """Entry point ``predict_few(table, out, rows)``, with weights where they are.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    pointer = pointer_type(dtype)
    dense = make_dense(target, dtype)
    row_major = make_row_major(target, dtype, dense)
    layers = make_layers(target, dtype, dense)
    write_predictions = make_write_predictions(dtype)

    def predict_few(table, out, n_rows):
        """`predict` of the first rows, with weights that are not packed."""
        block = table[at.ROW_BLOCK]
        for row in range(0, n_rows, block):
            rows = min(block, n_rows - row)
            layers.gather(table, row, 0, rows)
            for index in range(table[at.N_LAYERS]):
                layer = layer_at(table, index)
                if index == 0 and table[at.SPARSE] != 0:
                    row_major.sparse_product(table, layer, row, rows)
                else:
                    row_major.product(layer, rows)
                layers.finish(table, index, row, 0, rows)
            write_predictions(table, rows, offset(out, row * table[at.N_OUTPUTS]))

    signature = nb.void(INT64_POINTER, pointer, nb.int64)
    return {"predict_few": (predict_few, signature)}


def evaluation(target, dtype):
    """Entry point ``evaluate(table, weight_sum, sums)``, for a precision."""
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    evaluate_rows = caller(nb.void, *EVALUATE_ROWS)
    rows_of, scores = make_rows(dtype), make_scores()
    write_predictions = make_write_predictions(dtype)

    @helper
    def score_block(table, row, rows, sums):
        """Add a block's part of the score to `sums`; its targets are gathered."""
        last = layer_at(table, table[at.N_LAYERS] - 1)
        n_outputs, n_targets = table[at.N_OUTPUTS], table[at.N_TARGETS]
        values, stride = as_floats(last[at.OUTPUT]), last[at.STRIDE]
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

    def evaluate(table, weight_sum, sums):
        """Weighted mean loss over all rows, in row order; `sums` for the score."""
        block = table[at.ROW_BLOCK]
        n = table[at.N_ROWS]
        losses = as_doubles(table[at.ROW_LOSS])
        total = 0.0
        for row in range(0, n, block):
            rows = min(block, n - row)
            evaluate_rows(table[at.EVALUATE_ROWS], (table, row, 0, rows, weight_sum))
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
        last = layer_at(table, table[at.N_LAYERS] - 1)
        n_outputs = table[at.N_OUTPUTS]
        raw = as_floats(last[at.OUTPUT])
        if table[at.LINK_KERNEL] != 0:
            link(table[at.LINK_KERNEL], (raw, last[at.STRIDE], goal, rows, n_outputs))
            return
        for r in range(rows):
            for j in range(n_outputs):
                goal[r * n_outputs + j] = raw[r * last[at.STRIDE] + j]

    return write_predictions
