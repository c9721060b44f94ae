"""The compiled engine's training: the same program on every thread.

A batch has two phases with a barrier after each.

1. Rows. Each thread takes a slice of the batch's rows through gather, forward,
   loss and backward. Nothing is shared but weights, which stand still.
2. Strips. Each thread takes strips of weights. It sums the gradient of a strip
   over the whole batch and updates the strip at once, while both are in the
   first-level cache. Thread 0 also accounts for the batch.

No sum has the number of threads in its order, so neither have the weights.

The phases are kernels of their own. The second, with the loop around both, calls the
first by its address, as predictions and evaluations do.
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
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.strips import make_strips
from nnfit.cpu.kernels.threads import make_team

#: ``forward_rows(table, position, row, rows)``
FORWARD_ROWS = (INT64_POINTER, nb.int64, nb.int64, nb.int64)
#: ``evaluate_rows(table, position, row, rows, weight_sum)``
EVALUATE_ROWS = (INT64_POINTER, nb.int64, nb.int64, nb.int64, nb.float64)
#: ``pass_rows(table, position, batch, begin, end, weight_sum)``
PASS_ROWS = (INT64_POINTER, nb.int64, nb.int64, nb.int64, nb.int64, nb.float64)


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
    pointer = pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    dense = make_dense(target, dtype)
    rows_of = make_rows(dtype)
    lose = caller(
        nb.void, pointer, nb.int64, pointer, nb.int64, pointer, FLOAT64_POINTER,
        pointer, nb.int64, nb.int64, pointer,
    )  # fmt: skip
    sparse_forward = caller(
        nb.void, INT64_POINTER, INT64_POINTER, nb.int64, nb.int64, nb.int64
    )
    # By their address here as well: inlined, LLVM would work on each of them twice.
    call_forward = caller(nb.void, *FORWARD_ROWS)
    call_evaluate = caller(nb.void, *EVALUATE_ROWS)

    def forward_rows(table, position, row, rows):
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

    def evaluate_rows(table, position, row, rows, weight_sum):
        """Forward pass and losses of a block of rows."""
        rows_of.gather_targets(table, position, row, rows, weight_sum)
        call_forward(table[at.FORWARD_ROWS], (table, position, row, rows))
        compute_loss(table, row, rows)

    def pass_rows(table, position, batch, begin, end, weight_sum):
        """Phase 1 for rows begin to end of the batch at `position`."""
        block = table[at.ROW_BLOCK]
        for row in range(begin, end, block):
            rows = min(block, end - row)
            call_evaluate(
                table[at.EVALUATE_ROWS], (table, position, row, rows, weight_sum)
            )
            for index in range(table[at.N_LAYERS] - 1, 0, -1):
                dense.backward(
                    layer_at(table, index), layer_at(table, index - 1), row, rows
                )
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
    strips = make_strips(target, dtype, dense)
    team = make_team(target)
    rows_of_tile = target.tile_rows
    pass_rows = caller(nb.void, *PASS_ROWS)
    sort_batch = caller(nb.void, INT64_POINTER, INT64_POINTER, nb.int64, nb.int64)

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
                pass_rows(
                    table[at.PASS_ROWS],
                    (table, position, batch, begin, end, weight_sum),
                )
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

    threads = nb.void(INT64_POINTER, FLOAT64_POINTER, nb.int64)
    return {
        "train": (train, threads),
        "begin_epoch": (begin_epoch, nb.void(INT64_POINTER)),
        "refresh": (refresh, nb.void(INT64_POINTER, FLOAT64_POINTER)),
    }
