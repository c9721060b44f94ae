"""Losses of the rows, and the gradient by the raw predictions."""

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.functions import make_loss
from nnfit.cuda.kernels.pointers import offset


def make_find_row_losses(cuda, threads, kind, batches):
    """Build ``find_row_losses(m, net, argument, now, block, n_blocks)``.

    For the lines of a batch it writes their losses times their weights, and the
    gradient by the raw predictions. A line has its part of the row's weight.
    """
    loss = make_loss(cuda, kind.dtype, kind.loss)
    scalar = np.dtype(kind.dtype).type
    mixes, row_of_line = kind.mixes, batches.row_of_line
    marks, own_rows = kind.marks_swaps, kind.own_rows
    zero, one = scalar(0.0), scalar(1.0)

    @cuda.jit(device=True)
    def marked(m, net, now, r, row):
        """Where the targets of a line are, with what is swapped in it written down."""
        n_targets, n_lines = m.longs[net + at.N_TARGETS], m.longs[net + at.RAW_LINES]
        goal = m.longs[net + at.BATCH_Y] + r * n_targets
        y = m.longs[net + at.Y] + row * n_targets
        for j in range(n_targets):
            m.floats[goal + j] = m.floats[y + j]
        mask = goal + m.longs[net + at.SWAP_MASK]
        line = r if own_rows else r // n_lines
        for j in range(m.longs[net + at.N_FEATURES]):
            swapped = batches.is_swapped(m, net, now, line, j)
            m.floats[mask + j] = one if swapped else zero
        return goal

    @cuda.jit(device=True)
    def loss_of(m, net, now, r, row, gradient):
        """Loss of a row of the batch with the target of a row of the data."""
        n = m.longs[net + at.N_OUTPUTS]
        raw = m.longs[net + at.RAW] + r * m.longs[net + at.RAW_STRIDE]
        y = m.longs[net + at.Y] + row * m.longs[net + at.N_TARGETS]
        if marks:
            y = marked(m, net, now, r, row)
        parameters = m.longs[net + at.LOSS_PARAMETERS]
        return np.float64(
            loss(
                offset(m.floats, raw),
                offset(m.floats, y),
                offset(m.floats, gradient),
                n,
                offset(m.floats, parameters),
            )
        )

    @cuda.jit(device=True)
    def find_row_losses(m, net, argument, now, block, n_blocks):
        """Losses of lines; a thread takes a line."""
        longs = m.longs
        n_lines = longs[net + at.RAW_LINES]
        weight_sum = now.weight_sum * n_lines
        n = longs[net + at.N_OUTPUTS]
        share, shift = 1.0, np.int64(0)
        if mixes:
            share, shift = batches.mixing(m, net, now)
        first, stride = block * threads.n_threads, n_blocks * threads.n_threads
        r = now.begin * n_lines + first + threads.number()
        while r < now.end * n_lines:
            gradient = longs[net + at.RAW_GRADIENT] + r * longs[net + at.RAW_STRIDE]
            row = row_of_line(m, net, now, r, n_lines)
            weight = batches.weight(m, net, at.LOSS_WEIGHT, row)
            part = batches.own_share(m, net, now, r, share)
            own = scalar(part) * scalar(weight / weight_sum)
            value = loss_of(m, net, now, r, row, gradient) * np.float64(own)
            for j in range(n):
                m.floats[gradient + j] *= own
            if mixes and shift != 0:
                line = (r + shift * n_lines) % (now.size * n_lines)
                partner = row_of_line(m, net, now, line, n_lines)
                weight = batches.weight(m, net, at.LOSS_WEIGHT, partner)
                other = scalar((1.0 - part) * weight / weight_sum)
                mixed = longs[net + at.PARTNER_GRADIENT] + r * n
                value += loss_of(m, net, now, r, partner, mixed) * np.float64(other)
                for j in range(n):
                    m.floats[gradient + j] += other * m.floats[mixed + j]
            m.doubles[longs[net + at.ROW_LOSS] + r] = value
            r += stride

    return find_row_losses
