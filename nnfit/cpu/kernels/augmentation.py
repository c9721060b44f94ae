"""Inputs that are never twice the same: mixup, noise and dropped features.

All of them change the copies of rows in the batch's buffer. Random numbers depend on
seed, step and the row's place in the epoch alone.
"""

import numpy as np
from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.layers import AUGMENT, loss_arguments
from nnfit.cpu.kernels.lowering import helper, scalar_type, specialise
from nnfit.cpu.kernels.pointers import caller, layer_at, offset, pointer_from_address
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.functions.mixup import N_QUANTILES
from nnfit.functions.random import INPUT_DROPOUT, INPUT_NOISE, MIXUP, inverse_normal


def augmentation(target, dtype):
    """Kernels ``augment(table, position, row, rows)`` and ``mixed_loss``, likewise.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    scalar = scalar_type(dtype)
    zero = scalar(0.0)
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    rows_of = make_rows(dtype)
    quantile = specialise(inverse_normal, "float64", IMPLEMENTATIONS["float64"])
    call_loss = caller(nb.void, *loss_arguments(dtype))

    @helper
    def batch_at(table, position):
        return min(table[at.BATCH_SIZE], table[at.N_ROWS] - position)

    @helper
    def mixing(table, position):
        """Share of a row itself, and how far away in the batch its partner is."""
        batch = batch_at(table, position)
        if table[at.BETA_QUANTILES] == 0 or batch < 2:
            return 1.0, 0
        stream = random.stream_of(table[at.SEED], table[at.STEP], MIXUP)
        shift = 1 + random.below(stream, 0, batch - 1)
        place = random.below(stream, 1, N_QUANTILES)
        return as_doubles(table[at.BETA_QUANTILES])[place], shift

    @helper
    def partner(table, position, r, shift):
        """Row of the data that is mixed into row r of the batch."""
        batch = batch_at(table, position)
        return rows_of.row_number(table, position + (r + shift) % batch)

    @helper
    def mix(table, position, row, rows):
        share, shift = mixing(table, position)
        if shift == 0:
            return
        first = layer_at(table, 0)
        n = first[at.N_IN]
        own, other = scalar(share), scalar(1.0 - share)
        for r in range(row, row + rows):
            goal = offset(as_floats(first[at.INPUT]), r * first[at.INPUT_STRIDE])
            for j in range(n):
                goal[j] *= own
            rows_of.add_row(table, partner(table, position, r, shift), other, goal, n)

    @helper
    def add_noise(table, position, row, rows, deviation):
        first = layer_at(table, 0)
        stream = random.stream_of(table[at.SEED], table[at.STEP], INPUT_NOISE)
        for r in range(row, row + rows):
            key = random.stream(nb.int64(stream), position + r)
            low, high = random.low_word(key), random.high_word(key)
            goal = offset(as_floats(first[at.INPUT]), r * first[at.INPUT_STRIDE])
            for j in range(first[at.N_IN]):
                uniform = (nb.float64(random.bits(low, high, j)) + 0.5) / 4294967296.0
                goal[j] += scalar(deviation * quantile(uniform))

    @helper
    def drop_inputs(table, position, row, rows, rate):
        first = layer_at(table, 0)
        stream = random.stream_of(table[at.SEED], table[at.STEP], INPUT_DROPOUT)
        limit = np.uint32(np.uint64(rate * 4294967296.0))
        kept = scalar(1.0 / (1.0 - rate))
        for r in range(row, row + rows):
            key = random.stream(nb.int64(stream), position + r)
            low, high = random.low_word(key), random.high_word(key)
            goal = offset(as_floats(first[at.INPUT]), r * first[at.INPUT_STRIDE])
            for j in range(first[at.N_IN]):
                dropped = random.bits(low, high, j) < limit
                value = goal[j] * kept
                goal[j] = zero if dropped else value

    def augment(table, position, row, rows):
        """Change the gathered rows of a batch."""
        mix(table, position, row, rows)
        deviation = as_doubles(table[at.AUGMENTATION])[at.NOISE]
        if deviation > 0.0:
            add_noise(table, position, row, rows, deviation)
        rate = as_doubles(table[at.DROPOUT_RATES])[2 * table[at.N_LAYERS] - 1]
        if rate > 0.0:
            drop_inputs(table, position, row, rows, rate)

    @helper
    def weigh(table, position, row, rows, share, shift):
        """Targets of the partners, and both shares of the weights."""
        n_targets = table[at.N_TARGETS]
        goal, y = as_floats(table[at.PARTNER_Y]), as_floats(table[at.Y])
        for r in range(row, row + rows):
            number = partner(table, position, r, shift)
            for j in range(n_targets):
                goal[r * n_targets + j] = y[number * n_targets + j]
            weight = rows_of.weight(table[at.LOSS_WEIGHT], number)
            total = as_doubles(table[at.AUGMENTATION])[at.BATCH_WEIGHT_SUM]
            as_floats(table[at.PARTNER_WEIGHT])[r] = scalar(
                (1.0 - share) * weight / total
            )
            own = as_floats(table[at.BATCH_LOSS_WEIGHT])[r]
            as_floats(table[at.OWN_WEIGHT])[r] = scalar(share) * own

    @helper
    def find_row_losses(table, last, row, rows, y, weight, gradient, losses):
        n_targets = table[at.N_TARGETS]
        call_loss(
            table[at.LOSS_KERNEL],
            (
                offset(as_floats(last[at.OUTPUT]), row * last[at.STRIDE]),
                last[at.STRIDE],
                offset(as_floats(y), row * n_targets),
                n_targets,
                offset(as_floats(gradient), row * last[at.STRIDE]),
                offset(as_doubles(losses), row),
                offset(as_floats(weight), row),
                rows,
                table[at.N_OUTPUTS],
                as_floats(table[at.LOSS_PARAMETERS]),
            ),
        )

    def mixed_loss(table, position, row, rows):
        """Losses for both targets of each row, by their shares, and the gradient."""
        last = layer_at(table, table[at.N_LAYERS] - 1)
        share, shift = mixing(table, position)
        weigh(table, position, row, rows, share, shift)
        find_row_losses(
            table, last, row, rows, table[at.BATCH_Y], table[at.OWN_WEIGHT],
            last[at.SLOPE], table[at.ROW_LOSS],
        )  # fmt: skip
        find_row_losses(
            table, last, row, rows, table[at.PARTNER_Y], table[at.PARTNER_WEIGHT],
            table[at.PARTNER_GRADIENT], table[at.PARTNER_LOSS],
        )  # fmt: skip
        losses, others = (
            as_doubles(table[at.ROW_LOSS]),
            as_doubles(table[at.PARTNER_LOSS]),
        )
        stride = last[at.STRIDE]
        for r in range(row, row + rows):
            losses[r] += others[r]
            gradient = offset(as_floats(last[at.SLOPE]), r * stride)
            other = offset(as_floats(table[at.PARTNER_GRADIENT]), r * stride)
            for j in range(table[at.N_OUTPUTS]):
                gradient[j] += other[j]

    signature = nb.void(*AUGMENT)
    return {"augment": (augment, signature), "mixed_loss": (mixed_loss, signature)}
