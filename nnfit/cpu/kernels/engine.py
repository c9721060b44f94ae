"""The compiled engine: training and prediction, the same program on every thread.

A batch has two phases with a barrier after each.

1. Rows. Each thread takes a slice of the batch's rows through gather, forward,
   loss and backward. Nothing is shared but weights, which stand still.
2. Strips. Each thread takes strips of weights. It sums the gradient of a strip
   over the whole batch and updates the strip at once, while both are in the
   first-level cache. Thread 0 also accounts for the batch.

No sum has the number of threads in its order, so neither have the weights.
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_dense
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.memory import (
    FLOAT64_POINTER,
    INT64_POINTER,
    atomic_load,
    caller,
    layer_at,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.progress import make_progress
from nnfit.cpu.kernels.row_major import make_row_major
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.scores import make_scores
from nnfit.cpu.kernels.strips import make_strips
from nnfit.cpu.kernels.threads import make_team


def build(target, dtype):
    """Entry points of the engine for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `train`, `begin_epoch`, `refresh`, `predict`, `predict_few`, `evaluate` and
        `move_weights`; they take the tables of `nnfit.cpu.fields` and, on threads,
        the thread's number.
    """
    pointer = pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    as_int64 = pointer_from_address("int64")
    dense = make_dense(target, dtype)
    row_major = make_row_major(target, dtype, dense)
    rows_of = make_rows(dtype)
    progress = make_progress(dtype)
    scores = make_scores()
    strips = make_strips(target, dtype, dense)
    team = make_team(target)
    rows_of_tile = target.tile_rows
    lose = caller(
        nb.void, pointer, nb.int64, pointer, nb.int64, pointer, FLOAT64_POINTER,
        pointer, nb.int64, nb.int64, pointer,
    )  # fmt: skip
    tables = (INT64_POINTER, INT64_POINTER)
    sparse_forward = caller(nb.void, *tables, nb.int64, nb.int64, nb.int64)
    sort_batch = caller(nb.void, *tables, nb.int64, nb.int64)
    link = caller(nb.void, pointer, nb.int64, pointer, nb.int64, nb.int64)

    @helper
    def forward(table, position, row, rows):
        """All layers for a block of rows of the batch at `position`."""
        first = layer_at(table, 0)
        if table[at.SPARSE] != 0:
            sparse_forward(
                table[at.SPARSE_FORWARD], (table, first, position, row, rows)
            )
        else:
            rows_of.gather(table, first, first[at.N_IN], position, row, rows)
        for index in range(table[at.SPARSE], table[at.N_LAYERS]):
            layer = layer_at(table, index)
            stride = layer[at.INPUT_STRIDE]
            inputs = offset(as_floats(layer[at.INPUT]), row * stride)
            dense.forward(layer, inputs, stride, row, rows)

    @helper
    def compute_loss(table, row, rows):
        """Losses of a block of rows; the gradient goes where it is propagated."""
        last = layer_at(table, table[at.N_LAYERS] - 1)
        start = row * last[at.STRIDE]
        n_targets = table[at.N_TARGETS]
        lose(
            table[at.LOSS_KERNEL],
            (
                offset(as_floats(last[at.OUTPUT]), start),
                last[at.STRIDE],
                offset(as_floats(table[at.BATCH_Y]), row * n_targets),
                n_targets,
                offset(as_floats(last[at.SLOPE]), start),
                offset(as_doubles(table[at.ROW_LOSS]), row),
                offset(as_floats(table[at.BATCH_WEIGHT]), row),
                rows,
                table[at.N_OUTPUTS],
                as_floats(table[at.LOSS_PARAMETERS]),
            ),
        )

    @helper
    def pass_rows(table, position, batch, begin, end, weight_sum):
        """Phase 1 for rows begin to end of the batch at `position`."""
        block = table[at.ROW_BLOCK]
        for row in range(begin, end, block):
            rows = min(block, end - row)
            rows_of.gather_targets(table, position, row, rows, weight_sum)
            forward(table, position, row, rows)
            compute_loss(table, row, rows)
            for index in range(table[at.N_LAYERS] - 1, 0, -1):
                dense.backward(
                    layer_at(table, index), layer_at(table, index - 1), row, rows
                )
            for index in range(table[at.N_LAYERS]):
                dense.pack_rows(layer_at(table, index), batch, row, rows)

    @helper
    def slice_begin(batch, thread, n_threads):
        """First row of a thread's slice: whole tiles, as evenly as they go."""
        tiles = (batch + rows_of_tile - 1) // rows_of_tile
        return min(batch, tiles * thread // n_threads * rows_of_tile)

    def train(table, floats, thread):
        n_threads = table[at.N_THREADS]
        shared = as_int64(table[at.TEAM])
        passed = team.wait_for_all(shared, thread, n_threads, 0, False)
        team.begin(shared, thread)
        while (
            table[at.STOPPED] == at.RUNNING
            and table[at.BATCHES] < table[at.MAX_BATCHES]
            and table[at.EPOCH] < table[at.MAX_EPOCHS]
            and atomic_load(offset(shared, at.ABORTED)) == 0
        ):
            number = table[at.BATCHES]
            if team.number_now(shared, n_threads, number) < n_threads:
                if thread > 0:
                    return
                # The call shall not take longer for it.
                left = (table[at.MAX_BATCHES] - number) // n_threads
                table[at.MAX_BATCHES] = number + max(left, 1)
                n_threads = 1
            position = table[at.CURSOR]
            batch = min(table[at.BATCH_SIZE], table[at.N_ROWS] - position)
            weight_sum = floats[at.WEIGHT_SUM]
            learning_rate = floats[at.LEARNING_RATE]
            step = table[at.STEP]
            if weight_sum > 0.0:
                begin = slice_begin(batch, thread, n_threads)
                end = slice_begin(batch, thread + 1, n_threads)
                pass_rows(table, position, batch, begin, end, weight_sum)
                if thread == 0 and table[at.SPARSE] != 0:
                    sort_batch(
                        table[at.SPARSE_SORT_BATCH],
                        (table, layer_at(table, 0), position, batch),
                    )
            passed = team.wait_for_all(shared, thread, n_threads, passed, True)
            # At the end of an epoch thread 0 shuffles.
            ends = position + batch >= table[at.N_ROWS]
            if thread == 0:
                progress.finish_batch(table, floats, batch)
            if weight_sum > 0.0:
                strips.update(
                    table, floats, thread, n_threads, batch, step, learning_rate,
                    weight_sum,
                )  # fmt: skip
            passed = team.wait_for_all(shared, thread, n_threads, passed, not ends)
            team.watch(shared, thread, n_threads, number, table[at.PATIENCE])

    def begin_epoch(table):
        progress.begin_epoch(table)

    def refresh(table, floats):
        """Everything derived from what may be set between two calls."""
        strips.derive(table)
        progress.prepare_batch(table, floats)

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

    def predict(table, out, begin, end):
        """out[begin:end] = link(raw prediction), or raw without a link."""
        block = table[at.ROW_BLOCK]
        for row in range(begin, end, block):
            rows = min(block, end - row)
            forward(table, row, 0, rows)
            goal = offset(out, row * table[at.N_OUTPUTS])
            write_predictions(table, rows, goal)

    def predict_few(table, out, rows):
        """`predict` of all rows at once, with weights that are not packed."""
        first = layer_at(table, 0)
        rows_of.gather(table, first, first[at.N_IN], 0, 0, rows)
        for index in range(table[at.N_LAYERS]):
            row_major.forward(layer_at(table, index), rows)
        write_predictions(table, rows, out)

    def move_weights(table, packing):
        """From the weights of an estimator to those of the engine, or back."""
        for index in range(table[at.N_LAYERS]):
            row_major.move(layer_at(table, index), packing)

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
            weight = rows_of.weight(table, rows_of.row_number(table, row + r))
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
            forward(table, row, 0, rows)
            rows_of.gather_targets(table, row, 0, rows, weight_sum)
            compute_loss(table, 0, rows)
            for r in range(rows):
                total += losses[r]
            if table[at.SCORE] != at.NO_SCORE:
                score_block(table, row, rows, sums)
        return total

    threads = nb.void(INT64_POINTER, FLOAT64_POINTER, nb.int64)
    return {
        "train": (train, threads),
        "begin_epoch": (begin_epoch, nb.void(INT64_POINTER)),
        "refresh": (refresh, nb.void(INT64_POINTER, FLOAT64_POINTER)),
        "predict": (predict, nb.void(INT64_POINTER, pointer, nb.int64, nb.int64)),
        "predict_few": (predict_few, nb.void(INT64_POINTER, pointer, nb.int64)),
        "move_weights": (move_weights, nb.void(INT64_POINTER, nb.int64)),
        "evaluate": (
            evaluate,
            nb.float64(INT64_POINTER, nb.float64, FLOAT64_POINTER),
        ),
    }
