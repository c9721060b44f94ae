"""Between two batches: losses, epochs, stopping and the next learning rate.

One thread does this while the others update weights. What they read of a batch
they have read before it began.
"""

import math
from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    as_doubles,
    as_int64,
    caller,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.updates import rates_offset
from nnfit.engine_settings import (
    AVERAGE_FACTOR,
    DECAY_FACTOR,
    DROPOUT_FACTOR,
    MISSED,
    MOMENTUM_FACTOR,
    N_FACTORS,
    N_MEMORY,
    N_RATE_FACTORS,
    RATE_FACTOR,
)
from nnfit.functions import stopping
from nnfit.functions.stopping import CONVERGED, DIVERGED, INVSCALING, RUNNING

Progress = namedtuple("Progress", "begin_epoch add_losses finish_batch prepare_batch")


def make_progress(dtype):
    """Build the functions that lead from batch to batch, for a precision."""
    as_floats, rows_of = pointer_from_address(dtype), make_rows(dtype)
    pointer = pointer_type(dtype)
    scalar = scalar_type(dtype)
    prepare_rates = caller(
        nb.void, nb.int64, nb.float64, FLOAT64_POINTER, FLOAT64_POINTER, pointer
    )
    invscaling = helper(stopping.invscaling)
    after_epoch = helper(stopping.after_epoch)

    @helper
    def begin_epoch(table):
        """Set the epoch's order of rows."""
        if table[at.ORDER] == 0:
            return
        n = table[at.N_ORDERED]
        order = as_int64(table[at.ORDER])
        for i in range(n):
            order[i] = i
        if table[at.ROWS] != 0:
            rows = as_int64(table[at.ROWS])
            for i in range(n):
                order[i] = rows[i]
        if table[at.SHUFFLE] != 0:
            random.shuffle(order, n, table[at.SEED], table[at.EPOCH])

    @helper
    def weigh_batch(table, floats):
        """Sum and spread of the weights of the batch that comes next."""
        count = min(table[at.BATCH_SIZE], table[at.N_ROWS] - table[at.CURSOR])
        weight_sum = squares = nb.float64(count)
        if table[at.SAMPLE_WEIGHT] != 0 and table[at.OWN_ROWS] != 0:
            n_lines, weight_sum = table[at.RAW_LINES], 0.0
            for r in range(count * n_lines):
                row = rows_of.row_of_line(table, table[at.CURSOR], r, n_lines)
                weight_sum += rows_of.weight(table[at.SAMPLE_WEIGHT], row)
            weight_sum /= nb.float64(n_lines)  # spread: of batch normalisation
        elif table[at.SAMPLE_WEIGHT] != 0:
            weights = as_doubles(table[at.SAMPLE_WEIGHT])
            ordered = table[at.ORDER] != 0
            order = as_int64(table[at.ORDER])
            weight_sum = squares = 0.0
            for i in range(table[at.CURSOR], table[at.CURSOR] + count):
                weight = weights[order[i] if ordered else i]
                weight_sum += weight
                squares += weight * weight
        floats[at.WEIGHT_SUM] = weight_sum
        square = weight_sum * weight_sum  # 0 where weights are too small
        floats[at.WEIGHT_SPREAD] = 1.0 - squares / square if square > 0.0 else 0.0

    @helper
    def factor_of(table, column):
        """What the schedules say of the batch that comes next."""
        if table[at.BATCH_FACTORS] == 0:
            return 0.0 if column == AVERAGE_FACTOR else 1.0
        return as_doubles(table[at.BATCH_FACTORS])[
            table[at.BATCHES] * N_FACTORS + column
        ]

    @helper
    def prepare_dropout(table):
        """Rates of the batch that comes next, behind those given."""
        rates = as_doubles(table[at.DROPOUT_RATES])
        n, factor = table[at.N_DROPOUT], factor_of(table, DROPOUT_FACTOR)
        for i in range(n):
            rates[n + i] = rates[i] * factor

    @helper
    def prepare_rates_of(table, floats, index):
        """Optimizer scalars of the step that comes next, one row of them."""
        step, n_rows = table[at.STEP], table[at.N_RATE_ROWS]
        factors = offset(as_doubles(table[at.RATE_FACTORS]), N_RATE_FACTORS * index)
        learning_rate = floats[at.RATE_NOW] * factors[0]
        rates = offset(as_floats(table[at.RATES]), rates_offset(table, step, index))
        # From the numbers after the last step to those after this one: the same,
        # however often a step is prepared.
        memory = as_doubles(table[at.MEMORY])
        before = offset(memory, ((step % 2) * n_rows + index) * N_MEMORY)
        after = offset(memory, (((step + 1) % 2) * n_rows + index) * N_MEMORY)
        for i in range(N_MEMORY):
            after[i] = before[i]
        hyper = as_doubles(table[at.HYPER])
        number = step + 1 - nb.int64(before[MISSED])
        prepare_rates(
            table[at.PREPARE_KERNEL], (number, learning_rate, hyper, after, rates)
        )
        after[MISSED] += factors[2]
        decay = factors[1] * floats[at.WEIGHT_DECAY] * factor_of(table, DECAY_FACTOR)
        rates[at.DECAY] = scalar(1.0 - learning_rate * decay)
        rates[at.AVERAGE_RATE] = scalar(factor_of(table, AVERAGE_FACTOR))
        rates[at.MATRIX_RATE] = scalar(learning_rate)
        if table[at.MOMENTUM] >= 0:
            rates[at.MATRIX_MOMENTUM] = scalar(hyper[table[at.MOMENTUM]])

    @helper
    def prepare_batch(table, floats):
        """Weight sum and scalars of the batch that comes next."""
        if table[at.WHOLE] == 0:
            weigh_batch(table, floats)
        if table[at.DROPOUT_RATES] != 0:
            prepare_dropout(table)
        if table[at.MOMENTUM] >= 0:
            momentum = floats[at.MOMENTUM_GIVEN] * factor_of(table, MOMENTUM_FACTOR)
            as_doubles(table[at.HYPER])[table[at.MOMENTUM]] = momentum
        floats[at.RATE_NOW] = floats[at.LEARNING_RATE] * factor_of(table, RATE_FACTOR)
        for index in range(table[at.N_RATE_ROWS]):
            prepare_rates_of(table, floats, index)

    @helper
    def add_losses(table, floats, count):
        """Add the losses of the next rows of a batch, in order."""
        if floats[at.WEIGHT_SUM] > 0.0:
            rows, loss = as_doubles(table[at.ROW_LOSS]), floats[at.BATCH_LOSS]
            for r in range(count * table[at.RAW_LINES]):
                loss += rows[r]
            floats[at.BATCH_LOSS] = loss

    @helper
    def batch_loss(table, floats):
        """Loss of a batch: of its rows, then the penalties of its weights.

        The penalty was summed, weights strip by strip, when they were last
        updated; both sums have an order without the number of threads in it.
        """
        loss = floats[at.BATCH_LOSS] * floats[at.LOSS_SCALE]
        floats[at.BATCH_LOSS] = 0.0
        n_units = table[at.N_UNITS]
        parts = offset(as_doubles(table[at.PENALTY]), (table[at.STEP] % 2) * n_units)
        penalty = 0.0
        for unit in range(n_units):
            penalty += parts[unit]
        return loss + penalty / floats[at.WEIGHT_SUM]

    @helper
    def finish_epoch(table, floats):
        """Record an epoch and apply scikit-learn's rule of stopping."""
        n = table[at.N_ROWS]
        loss = floats[at.EPOCH_LOSS] / n
        finished = table[at.FINISHED]
        as_doubles(table[at.LOSS_CURVE])[finished] = loss
        as_doubles(table[at.RATE_CURVE])[finished] = floats[at.RATE_NOW]
        table[at.FINISHED] = finished + 1
        table[at.EPOCH] += 1
        table[at.SAMPLES] += n
        table[at.CURSOR] = 0
        floats[at.EPOCH_LOSS] = 0.0
        if table[at.SCHEDULE] == INVSCALING:
            floats[at.LEARNING_RATE] = invscaling(
                floats[at.LEARNING_RATE_INIT],
                nb.float64(table[at.SAMPLES]),
                floats[at.POWER_T],
            )
        if table[at.MONITOR] != 0:
            best, count, rate, stops = after_epoch(
                loss,
                floats[at.BEST_LOSS],
                table[at.NO_IMPROVEMENT],
                floats[at.TOL],
                table[at.N_ITER_NO_CHANGE],
                table[at.SCHEDULE],
                floats[at.LEARNING_RATE],
                floats[at.LEARNING_RATE_DECAY],
            )
            floats[at.BEST_LOSS], floats[at.LEARNING_RATE] = best, rate
            table[at.NO_IMPROVEMENT] = count
            if stops:
                table[at.STOPPED] = CONVERGED

    @helper
    def finish_batch(table, floats):
        """Account for a batch and prepare the next; thread 0 only."""
        loss = math.nan  # of a batch without weight
        batch = min(table[at.BATCH_SIZE], table[at.N_ROWS] - table[at.CURSOR])
        if floats[at.WEIGHT_SUM] > 0.0:
            loss = batch_loss(table, floats)
            share = table[at.N_ROWS] if table[at.WHOLE] != 0 else batch
            floats[at.EPOCH_LOSS] += loss * nb.float64(share)
            table[at.STEP] += 1
            if not math.isfinite(loss):
                table[at.STOPPED] = DIVERGED
        if table[at.BATCH_CURVE] != 0:
            as_doubles(table[at.BATCH_CURVE])[table[at.BATCHES]] = loss
        table[at.BATCHES] += 1
        table[at.CURSOR] += batch
        if table[at.CURSOR] >= table[at.N_ROWS]:
            finish_epoch(table, floats)
            if table[at.STOPPED] == RUNNING:
                begin_epoch(table)
        prepare_batch(table, floats)

    return Progress(begin_epoch, add_losses, finish_batch, prepare_batch)
