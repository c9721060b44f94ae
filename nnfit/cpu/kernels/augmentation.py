"""Inputs that are never twice the same: rows mixed, entries swapped, noise, dropout.

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
from nnfit.functions.random import (
    CUTMIX,
    FEATURE_SWAP,
    INPUT_DROPOUT,
    INPUT_NOISE,
    MIXUP,
    inverse_normal,
)

_HALF = np.uint64(32)


def augmentation(target, dtype):
    """Kernel of what `Features.changes` names, and of `mixed_losses`.

    Their layer is the features, whose rows are gathered.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    mixing = make_mixing(dtype)
    operations = (
        *make_mixes(dtype, mixing), *make_swaps(dtype, mixing), *make_changes(dtype),
        make_mixed_losses(dtype, mixing),
    )  # fmt: skip
    return exports(dtype, operations=operations)


@helper
def words_of(table, now, purpose, line):
    """Both words of the key of a line's random numbers; lines count from the epoch."""
    start = random.stream_of(table[at.SEED], step_of(now), purpose)
    key = random.stream(nb.int64(start), line)
    return random.low_word(key), random.high_word(key)


def make_mixing(dtype):
    """Make ``mixing(table, now)``, ``partner`` and ``own_share``.

    Arguments of ``partner(table, now, r, n_lines, shift)`` and of ``own_share(table,
    now, r, share)``: r is a line of the batch, of `own_share` that of a raw prediction,
    and `shift` and `share` are what ``mixing`` returns.
    """
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
    def partner(table, now, r, n_lines, shift):
        """Row of the data that is mixed into line r of the batch."""
        n = batch_of(now) * n_lines
        other = r + shift * n_lines
        if other >= n:
            other -= n
        return rows_of.row_of_line(table, position_of(now), other, n_lines)

    @helper
    def own_share(table, now, r, share):
        """Share of a line's own loss: that of its columns, where some are cut out."""
        if table[at.CUTS] == 0:
            return share
        n_lines = table[at.RAW_LINES]
        place = position_of(now) * n_lines + r
        if table[at.OWN_ROWS] == 0:
            place //= n_lines
        low, high = words_of(table, now, CUTMIX, place)
        limit, n, kept = random.limit_of(share), table[at.N_FEATURES], 0
        for j in range(n):
            kept += nb.int64(np.uint64(random.bits(low, high, j)) < limit)
        return nb.float64(kept) / nb.float64(n)

    return mixing, partner, own_share


def make_mixes(dtype, mixing):
    """Make ``mix`` and ``cut``.

    With ``mix`` rows become their shares of themselves and of their partners, with
    ``cut`` each takes a random part of its partner's columns.
    """
    scalar, line, rows_of = scalar_type(dtype), make_line(dtype), make_rows(dtype)
    mixing_of, partner, _ = mixing

    def mix(table, row, now, begin, count):
        share, shift = mixing_of(table, now)
        if shift == 0:
            return
        n, n_lines = row[at.N_OUT], row[at.LINES]
        own, other = scalar(share), scalar(1.0 - share)
        for r in range(begin, begin + count):
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(n):
                goal[j] *= own
            number = partner(table, now, r, n_lines, shift)
            rows_of.add_row(table, number, other, goal, n)

    def cut(table, row, now, begin, count):
        share, shift = mixing_of(table, now)
        if shift == 0:
            return
        n_lines, limit = row[at.LINES], random.limit_of(share)
        position = position_of(now) * n_lines
        for r in range(begin, begin + count):
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            words = words_of(table, now, CUTMIX, position + r)
            number = partner(table, now, r, n_lines, shift)
            rows_of.take(table, number, words, limit, goal, row[at.N_OUT])

    return mix, cut


def make_swaps(dtype, mixing):
    """Make ``swap`` and ``mark_swaps``, which writes into the batch's targets.

    The first number of an entry says whether it is swapped, the second for which row's.
    """
    scalar, line, rows_of = scalar_type(dtype), make_line(dtype), make_rows(dtype)
    as_floats = pointer_from_address(dtype)
    one, zero = scalar(1.0), scalar(0.0)
    _, partner, _ = mixing

    @helper
    def swap_limit(table, now):
        """Below it are the bits of entries that are swapped."""
        if table[at.SWAP_VALUES] == 0 and batch_of(now) < 2:
            return np.uint64(0)
        return random.limit_of(as_doubles(table[at.FLOATS_AT])[at.FEATURE_SWAP])

    def swap(table, row, now, begin, count):
        n, n_lines = row[at.N_OUT], row[at.LINES]
        limit, values = swap_limit(table, now), table[at.SWAP_VALUES]
        position, others = position_of(now) * n_lines, np.uint64(batch_of(now) - 1)
        for r in range(begin, begin + count):
            low, high = words_of(table, now, FEATURE_SWAP, position + r)
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(n):
                if np.uint64(random.bits(low, high, j)) >= limit:
                    continue
                if values != 0:
                    goal[j] = as_floats(values)[j]
                else:
                    high_half = (
                        np.uint64(random.bits(low, high, n + j)) * others >> _HALF
                    )
                    shift = 1 + nb.int64(high_half)
                    number = partner(table, now, r, n_lines, shift)
                    goal[j] = rows_of.value(table, number, j)

    def mark_swaps(table, row, now, begin, count):
        n_lines, limit = row[at.LINES], swap_limit(table, now)
        position, copies = position_of(now) * n_lines, table[at.RAW_LINES] // n_lines
        y = as_floats(table[at.BATCH_Y])
        for r in range(begin, begin + count):
            low, high = words_of(table, now, FEATURE_SWAP, position + r)
            for copy in range(r * copies, (r + 1) * copies):
                goal = copy * table[at.N_TARGETS] + table[at.SWAP_MASK]
                for j in range(row[at.N_OUT]):
                    is_swapped = np.uint64(random.bits(low, high, j)) < limit
                    y[goal + j] = one if is_swapped else zero

    return swap, mark_swaps


def make_changes(dtype):
    """Make ``add_noise`` and ``drop_inputs``."""
    scalar, line = scalar_type(dtype), make_line(dtype)
    zero = scalar(0.0)
    quantile = specialise(inverse_normal, "float64", IMPLEMENTATIONS["float64"])

    def add_noise(table, row, now, begin, count):
        deviations = as_doubles(table[at.NOISE])
        position = position_of(now) * row[at.LINES]
        for r in range(begin, begin + count):
            low, high = words_of(table, now, INPUT_NOISE, position + r)
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                uniform = (nb.float64(random.bits(low, high, j)) + 0.5) / 4294967296.0
                goal[j] += scalar(deviations[j] * quantile(uniform))

    def drop_inputs(table, row, now, begin, count):
        rate = as_doubles(table[at.DROPOUT_RATES])[2 * table[at.N_DROPOUT] - 1]
        if rate <= 0.0:
            return
        position = position_of(now) * row[at.LINES]
        limit = np.uint32(random.limit_of(rate))
        kept = scalar(1.0 / (1.0 - rate))
        for r in range(begin, begin + count):
            low, high = words_of(table, now, INPUT_DROPOUT, position + r)
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
    mixing_of, partner, own_share = mixing

    @helper
    def weigh(table, now, begin, count, share, shift):
        """Targets of the partners, and both shares of the weights."""
        n_targets, n_lines = table[at.N_TARGETS], table[at.RAW_LINES]
        goal, y = as_floats(table[at.PARTNER_Y]), as_floats(table[at.Y])
        for r in range(begin, begin + count):
            number = partner(table, now, r, n_lines, shift)
            for j in range(n_targets):
                goal[r * n_targets + j] = y[number * n_targets + j]
            weight = rows_of.weight(table[at.LOSS_WEIGHT], number)
            part = own_share(table, now, r, share)
            other = (1.0 - part) * weight / (weight_sum_of(now) * n_lines)
            as_floats(table[at.PARTNER_WEIGHT])[r] = scalar(other)
            own = as_floats(table[at.BATCH_LOSS_WEIGHT])[r]
            as_floats(table[at.OWN_WEIGHT])[r] = scalar(part) * own

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
