"""The compiled engine's training: the same program on every thread.

A batch is a program of segments (`nnfit.cpu.kernels.program`), with barriers between
them. A plain network has two phases:

1. Rows. Each thread takes a slice of the batch's rows through gather, forward,
   loss and backward. Nothing is shared but weights, which stand still.
2. Units. Each thread takes units of parameters. It sums the gradient of a unit
   over the whole batch and updates the unit at once, while both are in the
   first-level cache. Thread 0 also accounts for the batch.

A large batch is done in parts, so that activations stay in the second-level cache; the
gradients of parts are added up, and the last part updates.

Layers that take statistics of the batch have barriers within the first, and steps that
need the whole gradient within the second. No sum has the number of threads in its
order, so neither have the weights.
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.denormals import flushing
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.operations import (
    OPERATION,
    batch_of,
    position_of,
)
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    INT64_POINTER,
    as_doubles,
    as_int64,
    atomic_load,
    offset,
)
from nnfit.cpu.kernels.program import (
    make_program,
    record_of,
    set_part,
    set_position,
)
from nnfit.cpu.kernels.progress import make_progress
from nnfit.cpu.kernels.threads import make_barrier
from nnfit.cpu.kernels.updates import make_updates
from nnfit.functions.normalization import STATISTICS_MOMENTUM
from nnfit.functions.stopping import RUNNING


def training(target, dtype):
    """Entry points of training for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `train`, `begin_epoch`, `refresh` and `collect`; they take the tables of
        `nnfit.cpu.fields` and, on threads, the thread's number. Of the operations
        `account` and `update_units`.
    """
    progress = make_progress(dtype)
    update_units, derive_all = make_updates(dtype)

    def account(table, row, now, begin, count):
        """Account for a batch and prepare the next; thread 0 only."""
        floats = as_doubles(table[at.FLOATS_AT])
        progress.add_losses(table, floats, batch_of(now))
        if table[at.ENDS] != 0:
            progress.finish_batch(table, floats)

    def begin_epoch(table):
        progress.begin_epoch(table)

    @flushing
    def refresh(table, floats):
        """Everything derived from what may be set between two calls."""
        derive_all(table, floats)
        progress.prepare_batch(table, floats)

    threads = nb.void(INT64_POINTER, FLOAT64_POINTER, nb.int64)
    return {
        "train": (make_train(target), threads),
        "begin_epoch": (begin_epoch, nb.void(INT64_POINTER)),
        "refresh": (refresh, nb.void(INT64_POINTER, FLOAT64_POINTER)),
        "collect": (make_collect(target), nb.void(INT64_POINTER)),
        "account": (account, nb.void(*OPERATION)),
        "update_units": (update_units, nb.void(*OPERATION)),
    }


def make_train(target):
    """Make ``train(table, floats, thread)``: the loop over batches."""
    barrier, program = make_barrier(target), make_program(target)

    @helper
    def look_at_batch(table, floats, thread):
        """Write down what a thread knows of the next batch; thread 0 will change it."""
        position = table[at.CURSOR]
        batch = min(table[at.BATCH_SIZE], table[at.N_ROWS] - position)
        now = record_of(table, thread)
        set_position(now, position, batch, table[at.STEP])
        as_int64(now)[at.NOW_THREAD] = thread
        numbers = as_doubles(now)
        numbers[at.NOW_WEIGHT_SUM] = floats[at.WEIGHT_SUM]
        numbers[at.NOW_SPREAD] = floats[at.WEIGHT_SPREAD]
        full = nb.float64(table[at.BATCH_SIZE])
        numbers[at.NOW_MOMENTUM] = STATISTICS_MOMENTUM * nb.float64(batch) / full
        return now, position + batch >= table[at.N_ROWS]

    @helper
    def goes_on(table, shared):
        return (
            table[at.STOPPED] == RUNNING
            and table[at.BATCHES] < table[at.MAX_BATCHES]
            and table[at.EPOCH] < table[at.MAX_EPOCHS]
            and atomic_load(offset(shared, at.ABORTED)) == 0
        )

    @flushing
    def train(table, floats, thread):
        n_threads = table[at.N_THREADS]
        shared = as_int64(table[at.SHARED])
        passed = barrier.wait_for_all(shared, thread, n_threads, 0, False)
        barrier.begin_watch(shared, thread)
        while goes_on(table, shared):
            number = table[at.BATCHES]
            if barrier.number_now(shared, n_threads, number) < n_threads:
                if thread > 0:
                    return
                # While the others return; then the driver may try them again.
                alone_until = number + table[at.ALONE_BATCHES]
                table[at.MAX_BATCHES] = min(table[at.MAX_BATCHES], alone_until)
                n_threads = 1
            now, ends = look_at_batch(table, floats, thread)
            position, batch = position_of(now), batch_of(now)
            most = table[at.PART_ROWS] * n_threads
            for first in range(0, batch, most):
                count = min(most, batch - first)
                is_last = first + count == batch
                set_part(now, position + first, count)
                if thread == 0:  # units are behind a barrier from here
                    table[at.ADDS] = 1 if first > 0 else 0
                    table[at.ENDS] = 1 if is_last else 0
                n = table[at.N_SEGMENTS if is_last else at.N_PART_SEGMENTS]
                # At the end of an epoch thread 0 shuffles.
                passed = program.run(
                    table, 0, n, now, shared, thread, n_threads, passed,
                    not (ends and is_last),
                )  # fmt: skip
            barrier.watch(shared, thread, n_threads, number, table[at.PATIENCE])

    return train


def make_collect(target):
    """Make ``collect(table)``: the statistics of the batch that thread 0 knows of."""
    program = make_program(target)

    @flushing
    def collect(table):
        first, last = table[at.N_SEGMENTS], table[at.STATISTICS_END]
        shared, now = as_int64(table[at.SHARED]), record_of(table, 0)
        program.run(table, first, last, now, shared, 0, 1, 0, False)

    return collect
