"""Inputs that are never twice the same: mixup, noise and dropped features.

All of them change the copies of rows in the batch's buffer. Random numbers depend on
seed, step and the row's place in the epoch alone.
"""

import numpy as np
from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import helper, scalar_type, specialise
from nnfit.cpu.kernels.operations import (
    batch_of,
    exports,
    make_line,
    position_of,
    step_of,
    weight_sum_of,
)
from nnfit.cpu.kernels.pointers import as_doubles, caller, offset, pointer_from_address
from nnfit.cpu.kernels.rows import loss_arguments, make_rows
from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.functions.mixup import N_QUANTILES
from nnfit.functions.random import INPUT_DROPOUT, INPUT_NOISE, MIXUP, inverse_normal


def augmentation(target, dtype):
    """Kernel of `mix`, `add_noise` and `drop_inputs`, and of `mixed_losses`.

    Their layer is the features, whose rows are gathered.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    mixing = make_mixing(dtype)
    operations = (make_mix(dtype, mixing), *make_changes(dtype))
    return exports(dtype, operations=(*operations, make_mixed_losses(dtype, mixing)))


def make_mixing(dtype):
    """Make ``mixing(table, now)``, and ``partner(table, now, r, shift)``."""
    rows_of = make_rows(dtype)

    @helper
    def mixing(table, now):
        """Share of a row itself, and how far away in the batch its partner is."""
        batch = batch_of(now)
        if batch < 2:
            return 1.0, 0
        stream = random.stream_of(table[at.SEED], step_of(now), MIXUP)
        shift = 1 + random.below(stream, 0, batch - 1)
        place = random.below(stream, 1, N_QUANTILES)
        return as_doubles(table[at.BETA_QUANTILES])[place], shift

    @helper
    def partner(table, now, r, shift):
        """Row of the data that is mixed into row r of the batch."""
        place = position_of(now) + (r + shift) % batch_of(now)
        return rows_of.row_number(table, place)

    return mixing, partner


def make_mix(dtype, mixing):
    """Make ``mix``: rows become their shares of themselves and of their partners."""
    scalar, line, rows_of = scalar_type(dtype), make_line(dtype), make_rows(dtype)
    mixing_of, partner = mixing

    def mix(table, row, now, begin, count):
        share, shift = mixing_of(table, now)
        if shift == 0:
            return
        n = row[at.N_OUT]
        own, other = scalar(share), scalar(1.0 - share)
        for r in range(begin, begin + count):
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(n):
                goal[j] *= own
            rows_of.add_row(table, partner(table, now, r, shift), other, goal, n)

    return mix


def make_changes(dtype):
    """Make ``add_noise`` and ``drop_inputs``."""
    scalar, line = scalar_type(dtype), make_line(dtype)
    zero = scalar(0.0)
    quantile = specialise(inverse_normal, "float64", IMPLEMENTATIONS["float64"])

    def add_noise(table, row, now, begin, count):
        deviation = as_doubles(table[at.AUGMENTATION])[at.NOISE]
        stream = random.stream_of(table[at.SEED], step_of(now), INPUT_NOISE)
        for r in range(begin, begin + count):
            key = random.stream(nb.int64(stream), position_of(now) + r)
            low, high = random.low_word(key), random.high_word(key)
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                uniform = (nb.float64(random.bits(low, high, j)) + 0.5) / 4294967296.0
                goal[j] += scalar(deviation * quantile(uniform))

    def drop_inputs(table, row, now, begin, count):
        rate = as_doubles(table[at.DROPOUT_RATES])[2 * table[at.N_DROPOUT] - 1]
        if rate <= 0.0:
            return
        stream = random.stream_of(table[at.SEED], step_of(now), INPUT_DROPOUT)
        limit = np.uint32(np.uint64(rate * 4294967296.0))
        kept = scalar(1.0 / (1.0 - rate))
        for r in range(begin, begin + count):
            key = random.stream(nb.int64(stream), position_of(now) + r)
            low, high = random.low_word(key), random.high_word(key)
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                dropped = random.bits(low, high, j) < limit
                value = goal[j] * kept
                goal[j] = zero if dropped else value

    return add_noise, drop_inputs


def make_mixed_losses(dtype, mixing):
    """Make ``mixed_losses``: for both targets of each row, by their shares."""
    scalar, line, rows_of = scalar_type(dtype), make_line(dtype), make_rows(dtype)
    as_floats = pointer_from_address(dtype)
    call_loss = caller(nb.void, *loss_arguments(dtype))
    mixing_of, partner = mixing

    @helper
    def weigh(table, now, begin, count, share, shift):
        """Targets of the partners, and both shares of the weights."""
        n_targets, n_lines = table[at.N_TARGETS], table[at.RAW_LINES]
        goal, y = as_floats(table[at.PARTNER_Y]), as_floats(table[at.Y])
        for r in range(begin, begin + count):
            number = partner(table, now, r // n_lines, shift)
            for j in range(n_targets):
                goal[r * n_targets + j] = y[number * n_targets + j]
            weight = rows_of.weight(table[at.LOSS_WEIGHT], number)
            other = (1.0 - share) * weight / (weight_sum_of(now) * n_lines)
            as_floats(table[at.PARTNER_WEIGHT])[r] = scalar(other)
            own = as_floats(table[at.BATCH_LOSS_WEIGHT])[r]
            as_floats(table[at.OWN_WEIGHT])[r] = scalar(share) * own

    @helper
    def losses_of(table, begin, count, y, weight, gradient, losses):
        stride, n_targets = table[at.RAW_STRIDE], table[at.N_TARGETS]
        call_loss(
            table[at.LOSS_KERNEL],
            (
                line(table[at.RAW], stride, begin),
                stride,
                line(y, n_targets, begin),
                n_targets,
                line(gradient, stride, begin),
                offset(as_doubles(losses), begin),
                offset(as_floats(weight), begin),
                count,
                table[at.N_OUTPUTS],
                as_floats(table[at.LOSS_PARAMETERS]),
            ),
        )

    def mixed_losses(table, row, now, begin, count):
        """Losses of lines of mixed rows, and their gradient by the raw prediction."""
        share, shift = mixing_of(table, now)
        weigh(table, now, begin, count, share, shift)
        losses_of(
            table, begin, count, table[at.BATCH_Y], table[at.OWN_WEIGHT],
            table[at.RAW_GRADIENT], table[at.ROW_LOSS],
        )  # fmt: skip
        losses_of(
            table, begin, count, table[at.PARTNER_Y], table[at.PARTNER_WEIGHT],
            table[at.PARTNER_GRADIENT], table[at.PARTNER_LOSS],
        )  # fmt: skip
        losses = as_doubles(table[at.ROW_LOSS])
        others = as_doubles(table[at.PARTNER_LOSS])
        stride = table[at.RAW_STRIDE]
        for r in range(begin, begin + count):
            losses[r] += others[r]
            gradient = line(table[at.RAW_GRADIENT], stride, r)
            other = line(table[at.PARTNER_GRADIENT], stride, r)
            for j in range(table[at.N_OUTPUTS]):
                gradient[j] += other[j]

    return mixed_losses
