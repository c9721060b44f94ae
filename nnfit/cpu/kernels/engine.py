"""The compiled engine's training: the same program on every thread.

A batch has two phases with a barrier after each.

1. Rows. Each thread takes a slice of the batch's rows through gather, forward,
   loss and backward. Nothing is shared but weights, which stand still.
2. Strips. Each thread takes strips of weights. It sums the gradient of a strip
   over the whole batch and updates the strip at once, while both are in the
   first-level cache. Thread 0 also accounts for the batch.

Layers that are normalised over the batch have barriers within phase 1, and take it
from `batch_pass`; steps that need the whole gradient have them within phase 2, and take
it from `whole_update`. No sum has the number of threads in its order, so neither have
the weights.

The phases are kernels of their own. The second, with the loop around both, calls the
first by its address, as predictions and evaluations do.
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_dense
from nnfit.cpu.kernels.layers import make_layers
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    INT64_POINTER,
    atomic_load,
    caller,
    layer_at,
    offset,
    pointer_from_address,
)
from nnfit.cpu.kernels.progress import make_progress
from nnfit.cpu.kernels.strips import make_strips
from nnfit.cpu.kernels.threads import make_barrier
from nnfit.functions.normalization import STATISTICS_MOMENTUM
from nnfit.functions.stopping import RUNNING

#: ``forward_rows(table, position, row, rows)``
FORWARD_ROWS = (INT64_POINTER, nb.int64, nb.int64, nb.int64)
#: ``evaluate_rows(table, position, row, rows, weight_sum)``
EVALUATE_ROWS = (INT64_POINTER, nb.int64, nb.int64, nb.int64, nb.float64)
#: ``pass_rows(table, position, batch, begin, end, weight_sum)``
PASS_ROWS = (INT64_POINTER, nb.int64, nb.int64, nb.int64, nb.int64, nb.float64)
#: ``pass_batch(table, position, batch, begin, end, weight_sum, spread, momentum,
#: thread, n_threads, passed)``, which returns the number of barriers passed
PASS_BATCH = (
    INT64_POINTER, nb.int64, nb.int64, nb.int64, nb.int64, nb.float64, nb.float64,
    nb.float64, nb.int64, nb.int64, nb.int64,
)  # fmt: skip
#: ``update_whole(table, floats, thread, n_threads, batch, step, weight_sum, passed)``,
#: likewise
UPDATE_WHOLE = (
    INT64_POINTER, FLOAT64_POINTER, nb.int64, nb.int64, nb.int64, nb.int64, nb.float64,
    nb.int64,
)  # fmt: skip


def rows(target, dtype):
    """Entry points of what is done row by row, for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward_rows`, `evaluate_rows` and `pass_rows`, which the table has the
        addresses of.
    """
    dense = make_dense(target, dtype)
    layers = make_layers(target, dtype, dense)
    # By their address here as well: inlined, LLVM would work on each of them twice.
    call_forward = caller(nb.void, *FORWARD_ROWS)
    call_evaluate = caller(nb.void, *EVALUATE_ROWS)

    def forward_rows(table, position, row, rows):
        """All layers for a block of rows of the batch at `position`."""
        layers.gather(table, position, row, rows)
        for index in range(table[at.N_LAYERS]):
            layers.product(table, index, position, row, rows)
            layers.finish(table, index, position, row, rows)

    def evaluate_rows(table, position, row, rows, weight_sum):
        """Forward pass and losses of a block of rows."""
        layers.gather_targets(table, position, row, rows, weight_sum)
        call_forward(table[at.FORWARD_ROWS], (table, position, row, rows))
        layers.find_row_losses(table, position, row, rows)

    def pass_rows(table, position, batch, begin, end, weight_sum):
        """Phase 1 for rows begin to end of the batch at `position`."""
        block = table[at.ROW_BLOCK]
        for row in range(begin, end, block):
            rows = min(block, end - row)
            call_evaluate(
                table[at.EVALUATE_ROWS], (table, position, row, rows, weight_sum)
            )
            for index in range(table[at.N_LAYERS] - 1, 0, -1):
                before = layer_at(table, index - 1)
                dense.backward(layer_at(table, index), before, row, rows)
                if before[at.NORMALISE] != 0:
                    layers.scale_slopes(table, before, row, rows)
                    layers.back(table, before, row, rows)
            for index in range(table[at.N_LAYERS]):
                dense.pack_rows(layer_at(table, index), batch, row, rows)

    return {
        "forward_rows": (forward_rows, nb.void(*FORWARD_ROWS)),
        "evaluate_rows": (evaluate_rows, nb.void(*EVALUATE_ROWS)),
        "pass_rows": (pass_rows, nb.void(*PASS_ROWS)),
    }


def training(target, dtype):
    """Entry points of training for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `train`, `begin_epoch` and `refresh`; they take the tables of
        `nnfit.cpu.fields` and, on threads, the thread's number.
    """
    as_int64 = pointer_from_address("int64")
    dense = make_dense(target, dtype)
    progress = make_progress(dtype)
    strips, _ = make_strips(target, dtype, dense)
    barrier = make_barrier(target)
    rows_of_tile = target.tile_rows
    pass_rows = caller(nb.void, *PASS_ROWS)
    pass_batch = caller(nb.int64, *PASS_BATCH)
    update_whole = caller(nb.int64, *UPDATE_WHOLE)
    sort_batch = caller(nb.void, INT64_POINTER, INT64_POINTER, nb.int64, nb.int64)

    @helper
    def slice_begin(batch, thread, n_threads):
        """First row of a thread's slice: whole tiles, as evenly as they go."""
        tiles = (batch + rows_of_tile - 1) // rows_of_tile
        return min(batch, tiles * thread // n_threads * rows_of_tile)

    def train(table, floats, thread):
        n_threads = table[at.N_THREADS]
        shared = as_int64(table[at.SHARED])
        passed = barrier.wait_for_all(shared, thread, n_threads, 0, False)
        barrier.begin_watch(shared, thread)
        while (
            table[at.STOPPED] == RUNNING
            and table[at.BATCHES] < table[at.MAX_BATCHES]
            and table[at.EPOCH] < table[at.MAX_EPOCHS]
            and atomic_load(offset(shared, at.ABORTED)) == 0
        ):
            number = table[at.BATCHES]
            if barrier.number_now(shared, n_threads, number) < n_threads:
                if thread > 0:
                    return
                # The call shall not take longer for it.
                left = (table[at.MAX_BATCHES] - number) // n_threads
                table[at.MAX_BATCHES] = number + max(left, 1)
                n_threads = 1
            position = table[at.CURSOR]
            batch = min(table[at.BATCH_SIZE], table[at.N_ROWS] - position)
            weight_sum = floats[at.WEIGHT_SUM]
            spread = floats[at.WEIGHT_SPREAD]
            step = table[at.STEP]
            if weight_sum > 0.0:
                begin = slice_begin(batch, thread, n_threads)
                end = slice_begin(batch, thread + 1, n_threads)
                if table[at.PASS_BATCH] == 0:
                    pass_rows(
                        table[at.PASS_ROWS],
                        (table, position, batch, begin, end, weight_sum),
                    )
                else:
                    full = nb.float64(table[at.BATCH_SIZE])
                    passed = pass_batch(
                        table[at.PASS_BATCH],
                        (
                            table, position, batch, begin, end, weight_sum, spread,
                            STATISTICS_MOMENTUM * nb.float64(batch) / full, thread,
                            n_threads, passed,
                        ),
                    )  # fmt: skip
                if thread == 0 and table[at.SPARSE] != 0:
                    sort_batch(
                        table[at.SPARSE_SORT_BATCH],
                        (table, layer_at(table, 0), position, batch),
                    )
            passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
            # At the end of an epoch thread 0 shuffles.
            ends = position + batch >= table[at.N_ROWS]
            if thread == 0:
                progress.finish_batch(table, floats, batch)
            if weight_sum > 0.0:
                if table[at.UPDATE_WHOLE] == 0:
                    strips.update(
                        table, floats, thread, n_threads, batch, step, weight_sum, 1.0
                    )
                else:
                    passed = update_whole(
                        table[at.UPDATE_WHOLE],
                        (
                            table, floats, thread, n_threads, batch, step, weight_sum,
                            passed,
                        ),
                    )  # fmt: skip
            passed = barrier.wait_for_all(shared, thread, n_threads, passed, not ends)
            barrier.watch(shared, thread, n_threads, number, table[at.PATIENCE])

    def begin_epoch(table):
        progress.begin_epoch(table)

    def refresh(table, floats):
        """Everything derived from what may be set between two calls."""
        strips.derive(table, floats)
        progress.prepare_batch(table, floats)

    threads = nb.void(INT64_POINTER, FLOAT64_POINTER, nb.int64)
    return {
        "train": (train, threads),
        "begin_epoch": (begin_epoch, nb.void(INT64_POINTER)),
        "refresh": (refresh, nb.void(INT64_POINTER, FLOAT64_POINTER)),
    }
