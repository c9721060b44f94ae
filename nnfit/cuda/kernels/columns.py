"""Sums over the rows of a batch: a lane takes a column, the groups share its rows."""

import numpy as np

from nnfit.cuda import fields as at


def make_columns(cuda, threads, term):
    """Build ``sum_column(m, c, j, n_rows, n_columns)``, a sum over rows.

    Every lane has a column `j` of its own and adds up ``term(m, c, r, j) -> float``.
    All threads of a block must call it; the result is valid for ``j < n_columns``.
    """
    groups = threads.groups

    @cuda.jit(device=True)
    def sum_column(m, c, j, n_rows, n_columns):
        part = 0.0
        if j < n_columns:
            for r in range(threads.group(), n_rows, groups):
                part += np.float64(term(m, c, r, j))
        return threads.sum_of_groups(m, part)

    return sum_column


def make_vector_gradient(build, store, open_term, term, by_member=False):
    """Build the gradient of a vector, whose units are an element for each lane.

    A tensor of several lines is one vector, of what training changes.

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build
    store : callable
        See `nnfit.cuda.kinds`.
    open_term, term : callable
        The gradient of element j is the sum over the rows of the batch of ``term(m, c,
        r, j)``, where c is ``open_term(m, net, row, tensor, now)``.
    by_member : bool, default=False
        Whether the members of a row have numbers j of their own, and r counts rows.
    """
    threads, scalar, lanes = build.threads, build.scalar, build.threads.lanes
    open_update = build.open_update
    sum_column = make_columns(build.cuda, threads, term)

    @build.device
    def gradient(m, net, group, now, parts, block, n_blocks):
        longs = m.longs
        tensor = net + longs[group + at.G_TENSOR]
        row = net + longs[group + at.G_ROW]
        c = open_term(m, net, row, tensor, now)
        u = open_update(m, net, tensor, now.weight_sum)
        n, first = longs[tensor + at.N_TRAINED], longs[group + at.G_FIRST]
        n_rows = now.size
        if by_member:
            n_rows = now.size // longs[row + at.LINES]
        begin = (block - first) % n_blocks
        for number in range(begin, longs[group + at.G_UNITS], n_blocks):
            j = number * lanes + threads.lane()
            g = sum_column(m, c, j, n_rows, n)
            part = 0.0
            if j < n and threads.group() == 0:
                part = store(m, u, u.place + j, scalar(g))
            part = threads.sum_of_block(m, part)
            if threads.number() == 0:
                m.doubles[parts + first + number] = part

    return gradient


def make_vector_size(build, size):
    """Build the penalty of a vector as it is, by the units of its gradient."""
    threads, lanes, open_update = build.threads, build.threads.lanes, build.open_update

    @build.device
    def penalty(m, net, group, now, parts, block, n_blocks):
        longs = m.longs
        tensor = net + longs[group + at.G_TENSOR]
        c = open_update(m, net, tensor, 1.0)
        values = longs[net + at.PARAMETERS] + c.place
        n, first = longs[tensor + at.N_TRAINED], longs[group + at.G_FIRST]
        begin = (block - first) % n_blocks
        for number in range(begin, longs[group + at.G_UNITS], n_blocks):
            j = number * lanes + threads.lane()
            part = 0.0
            if j < n and threads.group() == 0:
                part = size(c, m.floats[values + j])
            part = threads.sum_of_block(m, part)
            if threads.number() == 0:
                m.doubles[parts + first + number] = part

    return penalty
