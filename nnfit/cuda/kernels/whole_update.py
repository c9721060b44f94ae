"""Steps of the optimizer that need more of the gradient than one element.

    gradients of all units, and their squares            (`updates.find_gradient`)
    factor of clip_norm; update of all but whole matrices
    whole matrices, one after the other                  (`muon`)
    columns bounded by max_norm; penalties and averages

Every block adds the sums over units by itself, in the same order.
"""

import math
from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.choice import make_choice
from nnfit.cuda.kernels.columns import make_columns

WholeUpdate = namedtuple("WholeUpdate", "update_clipped bound")
Column = namedtuple("Column", "weights n_out")


def make_whole_update(build, optimizer, make_steps):
    """Build the phases of such a step after its gradients.

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build
    optimizer : nnfit.cuda.kernels.functions.Optimizer
    make_steps : callable
        That of `nnfit.cuda.kernels.building`.

    Returns
    -------
    whole_update : WholeUpdate
        Phases.
    """
    cuda, device = build.cuda, build.device
    threads, scalar = build.threads, build.scalar
    nothing = np.int64(0)
    zero, one, n_threads = scalar(0.0), scalar(1.0), threads.n_threads
    change = optimizer.update
    open_update, _, move_average, bounded = build.parameters

    @device
    def step(m, c, p, factor):
        """Clip the gradient of a parameter, and update it; its new value."""
        g = m.floats[m.longs[c.net + at.GRADIENT] + p] * factor
        return change(m, c.net, p, bounded(g, c.limit), c.h, zero, c.decay)

    steps = make_steps(build, step)
    by_lines, call_steps = bool(steps), make_choice(cuda, steps)

    @device
    def update_lines(m, net, now, factor, block, n_blocks):
        """`update_clipped` of tensors of which the batch has some lines."""
        longs = m.longs
        group = net + longs[net + at.GROUPS]
        for _ in range(longs[net + at.N_GROUPS]):
            function = longs[group + at.G_FUNCTION]
            call_steps(function, m, net, group, now, factor, block, n_blocks)
            group += at.GROUP

    @device
    def clip_factor(m, net):
        """What all gradients are multiplied by, at most 1."""
        limit = m.doubles[m.longs[net + at.FLOATS] + at.CLIP_NORM]
        part = 0.0
        for unit in range(threads.number(), m.longs[net + at.N_UNITS], n_threads):
            part += m.doubles[m.longs[net + at.SQUARES] + unit]
        norm = math.sqrt(threads.sum_of_block(m, part))
        return limit / norm if norm > limit else 1.0

    @device
    def update_clipped(m, net, argument, now, block, n_blocks):
        """Clip all gradients, and update what is no whole matrix."""
        longs = m.longs
        gradients = longs[net + at.GRADIENT]
        factor = scalar(clip_factor(m, net))
        start, stride = block * n_threads + threads.number(), n_blocks * n_threads
        tensor = net + longs[net + at.TENSORS]
        for _ in range(longs[net + at.N_TENSORS]):
            c = open_update(m, net, tensor, now.weight_sum)
            is_matrix = longs[tensor + at.MATRIX] != 0
            is_bounded = longs[tensor + at.IN_PANELS] != 0  # `bound` moves its average
            n = longs[tensor + at.N_TRAINED]
            if by_lines and longs[tensor + at.BY_LINES] != 0:
                n = nothing
            for e in range(start, n, stride):
                p = c.place + e
                if is_matrix:
                    g = m.floats[gradients + p] * factor
                    m.floats[gradients + p] = bounded(g, c.limit)
                else:
                    w = step(m, c, p, factor)
                    if not is_bounded:
                        move_average(m, c, p, w)
            tensor += at.TENSOR
        if by_lines:
            update_lines(m, net, now, factor, block, n_blocks)

    @device
    def square(m, c, r, j):
        value = np.float64(m.floats[c.weights + r * c.n_out + j])
        return value * value

    sum_column = make_columns(cuda, threads, square)
    lanes, groups = threads.lanes, threads.groups

    @device
    def bound_columns(m, net, tensor, c, block, n_blocks):
        longs = m.longs
        limit = m.doubles[longs[net + at.FLOATS] + at.MAX_NORM]
        n_in, n_out = longs[tensor + at.N_LINES], longs[tensor + at.N_COLUMNS]
        weights = longs[net + at.PARAMETERS] + c.place
        for first in range(block * lanes, n_out, n_blocks * lanes):
            j = first + threads.lane()
            total = sum_column(m, Column(weights, n_out), j, n_in, n_out)
            factor = one
            if math.sqrt(total) > limit:
                factor = scalar(limit / math.sqrt(total))
            cuda.syncthreads()  # all have read the column
            if j < n_out:
                for i in range(threads.group(), n_in, groups):
                    w = m.floats[weights + i * n_out + j] * factor
                    m.floats[weights + i * n_out + j] = w
                    move_average(m, c, c.place + i * n_out + j, w)

    @device
    def bound(m, net, argument, now, block, n_blocks):
        """Scale columns of weights whose norm is too large, and move their averages."""
        longs = m.longs
        tensor = net + longs[net + at.TENSORS]
        for _ in range(longs[net + at.N_TENSORS]):
            if longs[tensor + at.IN_PANELS] != 0:
                c = open_update(m, net, tensor, now.weight_sum)
                bound_columns(m, net, tensor, c, block, n_blocks)
            tensor += at.TENSOR

    return WholeUpdate(update_clipped, bound)
