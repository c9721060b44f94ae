"""From batch to batch: losses, epochs, stopping, and the scalars of the next step.

`prepare` runs while the losses of the rows are computed, `account` while parameters are
updated. One block runs them, mostly one thread of it. Neither writes what others read
at the same time.
"""

import math
from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.batches import make_factor_of
from nnfit.cuda.kernels.functions import make_scalar
from nnfit.cuda.kernels.pointers import offset
from nnfit.engine_settings import (
    AVERAGE_FACTOR,
    DECAY_FACTOR,
    MISSED,
    MOMENTUM_FACTOR,
    N_MEMORY,
    N_RATE_FACTORS,
    RATE_FACTOR,
)
from nnfit.functions import stopping
from nnfit.functions.normalization import SMALLEST_SPREAD

Progress = namedtuple("Progress", "goes_on prepare account collect")


def make_progress(cuda, threads, kind, optimizer):
    """Build the functions that lead from batch to batch.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind
    optimizer : nnfit.cuda.kernels.functions.Optimizer

    Returns
    -------
    progress : Progress
    """
    device, scalar = cuda.jit(device=True), np.dtype(kind.dtype).type
    factor_of, rates_of_step = make_factor_of(cuda), optimizer.prepare
    invscaling = make_scalar(cuda, stopping.invscaling, "float64")
    after_epoch = make_scalar(cuda, stopping.after_epoch, "float64")
    n_threads = threads.n_threads

    @device
    def goes_on(m, net):
        """Whether there is a batch to do."""
        longs = m.longs
        return (
            longs[net + at.STOPPED] == stopping.RUNNING
            and longs[net + at.BATCHES] < longs[net + at.MAX_BATCHES]
            and longs[net + at.EPOCH] < longs[net + at.MAX_EPOCHS]
        )

    @device
    def prepare_row(m, net, now, index):
        """Scalars of this step for the tensors of a row of rates."""
        longs, doubles = m.longs, m.doubles
        floats, n_rows = longs[net + at.FLOATS], longs[net + at.N_RATE_ROWS]
        factors = longs[net + at.RATE_FACTORS] + N_RATE_FACTORS * index
        learning_rate = doubles[floats + at.RATE_NOW] * doubles[factors]
        # The numbers of the last step become those of this one.
        memory = longs[net + at.MEMORY]
        before = memory + (now.step % 2 * n_rows + index) * N_MEMORY
        after = memory + ((now.step + 1) % 2 * n_rows + index) * N_MEMORY
        for i in range(N_MEMORY):
            doubles[after + i] = doubles[before + i]
        hyper = longs[net + at.HYPER]
        number = np.float64(now.step + 1) - doubles[before + MISSED]
        h = rates_of_step(
            number, learning_rate, offset(doubles, hyper), offset(doubles, after)
        )
        doubles[after + MISSED] += doubles[factors + 2]
        rates = longs[net + at.RATES] + index * at.N_RATES
        m.floats[rates], m.floats[rates + 1] = scalar(h[0]), scalar(h[1])
        m.floats[rates + 2], m.floats[rates + 3] = scalar(h[2]), scalar(h[3])
        m.floats[rates + 4], m.floats[rates + 5] = scalar(h[4]), scalar(h[5])
        m.floats[rates + 6], m.floats[rates + 7] = scalar(h[6]), scalar(h[7])
        decay = doubles[factors + 1] * doubles[floats + at.WEIGHT_DECAY]
        decay *= factor_of(m, net, now.number, DECAY_FACTOR)
        average = factor_of(m, net, now.number, AVERAGE_FACTOR)
        m.floats[rates + at.DECAY] = scalar(1.0 - learning_rate * decay)
        m.floats[rates + at.AVERAGE_RATE] = scalar(average)
        m.floats[rates + at.MATRIX_RATE] = scalar(learning_rate)
        momentum = longs[net + at.MOMENTUM]
        if momentum >= 0:
            m.floats[rates + at.MATRIX_MOMENTUM] = scalar(doubles[hyper + momentum])

    @device
    def prepare(m, net, argument, now, block, n_blocks):
        """Scalars of this step, by one thread of the last block."""
        if block < n_blocks - 1 or threads.number() < n_threads - 1:
            return
        longs, doubles = m.longs, m.doubles
        floats, momentum = longs[net + at.FLOATS], longs[net + at.MOMENTUM]
        if momentum >= 0:
            value = doubles[floats + at.MOMENTUM_GIVEN]
            value *= factor_of(m, net, now.number, MOMENTUM_FACTOR)
            doubles[longs[net + at.HYPER] + momentum] = value
        factor = factor_of(m, net, now.number, RATE_FACTOR)
        doubles[floats + at.RATE_NOW] = doubles[floats + at.LEARNING_RATE] * factor
        for index in range(longs[net + at.N_RATE_ROWS]):
            prepare_row(m, net, now, index)

    @device
    def batch_loss(m, net, now):
        """Loss of the batch with the penalties of the weights it was computed with."""
        longs, t = m.longs, threads.number()
        floats = longs[net + at.FLOATS]
        part = 0.0
        for r in range(t, now.size * longs[net + at.RAW_LINES], n_threads):
            part += m.doubles[longs[net + at.ROW_LOSS] + r]
        loss = threads.sum_of_block(m, part) * m.doubles[floats + at.LOSS_SCALE]
        n_units = longs[net + at.N_UNITS]
        penalties = longs[net + at.PENALTY] + now.step % 2 * n_units
        part = 0.0
        for unit in range(t, n_units, n_threads):
            part += m.doubles[penalties + unit]
        return loss + threads.sum_of_block(m, part) / now.weight_sum

    @device
    def finish_epoch(m, net):
        """Record an epoch and apply the rule of stopping."""
        longs, doubles = m.longs, m.doubles
        floats, n = longs[net + at.FLOATS], longs[net + at.N_ROWS]
        loss = doubles[floats + at.EPOCH_LOSS] / np.float64(n)
        finished = longs[net + at.FINISHED]
        doubles[longs[net + at.LOSS_CURVE] + finished] = loss
        doubles[longs[net + at.RATE_CURVE] + finished] = doubles[floats + at.RATE_NOW]
        longs[net + at.FINISHED] = finished + 1
        longs[net + at.EPOCH] += 1
        longs[net + at.SAMPLES] += n
        longs[net + at.CURSOR] = 0
        doubles[floats + at.EPOCH_LOSS] = 0.0
        rate, schedule = doubles[floats + at.LEARNING_RATE], longs[net + at.SCHEDULE]
        if schedule == stopping.INVSCALING:
            rate = invscaling(
                doubles[floats + at.LEARNING_RATE_INIT],
                np.float64(longs[net + at.SAMPLES]),
                doubles[floats + at.POWER_T],
            )
        if longs[net + at.MONITOR] != 0:
            best, count, rate, stops = after_epoch(
                loss, doubles[floats + at.BEST_LOSS], longs[net + at.NO_IMPROVEMENT],
                doubles[floats + at.TOL], longs[net + at.N_ITER_NO_CHANGE], schedule,
                rate, doubles[floats + at.LEARNING_RATE_DECAY],
            )  # fmt: skip
            doubles[floats + at.BEST_LOSS] = best
            longs[net + at.NO_IMPROVEMENT] = count
            if stops:
                longs[net + at.STOPPED] = stopping.CONVERGED
        doubles[floats + at.LEARNING_RATE] = rate

    @device
    def count(m, net, now):
        """Go on to the next batch; true at the end of an epoch. By one thread."""
        longs = m.longs
        longs[net + at.BATCHES] = now.number + 1
        longs[net + at.CURSOR] = now.position + now.size
        return now.position + now.size >= longs[net + at.N_ROWS]

    @device
    def account(m, net, argument, now, block, n_blocks):
        """Account for a batch, by all threads of the last block."""
        if block < n_blocks - 1:
            return
        loss = math.nan  # of a batch without weight
        if now.weight_sum > 0.0:
            loss = batch_loss(m, net, now)
        if threads.number() == 0:
            longs = m.longs
            floats = longs[net + at.FLOATS]
            if now.weight_sum > 0.0:
                share = (
                    longs[net + at.N_ROWS] if longs[net + at.WHOLE] != 0 else now.size
                )
                m.doubles[floats + at.EPOCH_LOSS] += loss * np.float64(share)
                longs[net + at.STEP] = now.step + 1
                if not math.isfinite(loss):
                    longs[net + at.STOPPED] = stopping.DIVERGED
            curve = longs[net + at.BATCH_CURVE]
            if curve != 0:
                m.doubles[curve + now.number] = loss
            if count(m, net, now):
                finish_epoch(m, net)

    @device
    def collect(m, net, argument, now, block, n_blocks):
        """Account for a batch whose statistics have been collected."""
        if block == n_blocks - 1 and threads.number() == 0:
            if now.weight_sum > 0.0 and now.spread > SMALLEST_SPREAD:
                collected = m.longs[net + at.FLOATS] + at.COLLECTED
                m.doubles[collected] += np.float64(now.size)
            if count(m, net, now):
                m.longs[net + at.EPOCH] += 1

    return Progress(goes_on, prepare, account, collect)
