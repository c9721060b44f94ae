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
from nnfit.cuda.kernels.normalization import make_columns

WholeUpdate = namedtuple("WholeUpdate", "update_clipped bound")
Column = namedtuple("Column", "weights n_out")


def make_whole_update(cuda, threads, kind, optimizer, parameters):
    """Build the phases of such a step after its gradients.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind
    optimizer : nnfit.cuda.kernels.functions.Optimizer
    parameters : nnfit.cuda.kernels.updates.Parameters

    Returns
    -------
    whole_update : WholeUpdate
        Phases ``phase(m, net, now, block, n_blocks)``.
    """
    device, scalar = cuda.jit(device=True), np.dtype(kind.dtype).type
    zero, one, n_threads = scalar(0.0), scalar(1.0), threads.n_threads
    change = optimizer.update
    open_update, move_average = parameters.open_update, parameters.move_average
    bounded = parameters.bounded

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
    def update_clipped(m, net, now, block, n_blocks):
        """Clip all gradients, and update what is no whole matrix."""
        longs = m.longs
        gradients = longs[net + at.GRADIENT]
        factor = scalar(clip_factor(m, net))
        start, stride = block * n_threads + threads.number(), n_blocks * n_threads
        for index in range(longs[net + at.N_LAYERS]):
            layer = net + at.HEADER + index * at.LAYER
            c = open_update(m, net, index, now.weight_sum)
            n_weights = longs[layer + at.N_IN] * c.n_out
            is_matrix = longs[layer + at.MATRIX] != 0
            for e in range(start, n_weights, stride):
                p = c.place + e
                g = bounded(m.floats[gradients + p] * factor, c.limit)
                if is_matrix:
                    m.floats[gradients + p] = g
                else:
                    change(m, net, p, g, c.h, zero, c.decay)
            for vector in range(2 if longs[layer + at.N_NORMS] > 0 else 1):
                base = c.bias if vector == 0 else longs[layer + at.NORMS]
                for j in range(start, c.n_out, stride):
                    p = base + j
                    g = bounded(m.floats[gradients + p] * factor, c.limit)
                    move_average(m, c, p, change(m, net, p, g, c.h, zero, one))

    @device
    def square(m, c, r, j):
        value = np.float64(m.floats[c.weights + r * c.n_out + j])
        return value * value

    sum_column = make_columns(cuda, threads, square)
    lanes, groups = threads.lanes, threads.groups

    @device
    def bound(m, net, now, block, n_blocks):
        """Scale columns of weights whose norm is too large, and move all averages."""
        longs = m.longs
        limit = m.doubles[longs[net + at.FLOATS] + at.MAX_NORM]
        for index in range(longs[net + at.N_LAYERS]):
            layer = net + at.HEADER + index * at.LAYER
            c = open_update(m, net, index, now.weight_sum)
            n_in, weights = longs[layer + at.N_IN], longs[net + at.PARAMETERS] + c.place
            for first in range(block * lanes, c.n_out, n_blocks * lanes):
                j = first + threads.lane()
                total = sum_column(m, Column(weights, c.n_out), j, n_in, c.n_out)
                factor = one
                if math.sqrt(total) > limit:
                    factor = scalar(limit / math.sqrt(total))
                cuda.syncthreads()  # all have read the column
                if j < c.n_out:
                    for i in range(threads.group(), n_in, groups):
                        w = m.floats[weights + i * c.n_out + j] * factor
                        m.floats[weights + i * c.n_out + j] = w
                        move_average(m, c, c.place + i * c.n_out + j, w)

    return WholeUpdate(update_clipped, bound)
