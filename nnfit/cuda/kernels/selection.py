"""Gradients of layers that read some columns of their input: the kind `selection`."""

from nnfit.cuda import fields as at

#: Numbers of such a layer's row: how many columns it reads, and the place of their
#: numbers (n_columns,), of where those of each input begin in the order that follows
#: (n_in + 1,), and of that order (n_columns,).
N_COLUMNS = at.PRIVATE
COLUMNS = N_COLUMNS + 1
END_OF_COLUMNS = COLUMNS + 1


def make_spread(build, term):
    """Build the phase of the gradient by the input.

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build
    term : callable
        ``term(m, net, row, r, number, now)`` is the gradient of row r by column
        `number` of the layer. Several columns may be of one input.
    """
    threads, zero = build.threads, build.scalar(0.0)
    open_goal, deliver = build.delivering
    groups, lanes = threads.groups, threads.lanes

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch, n_in): sums over the columns of each input."""
        longs, row = m.longs, net + place
        edge = row + at.EDGES
        c, n_in = open_goal(m, edge), longs[edge + at.N_IN]
        starts = net + longs[row + COLUMNS] + longs[row + N_COLUMNS]
        order = starts + n_in + 1
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), n_in, lanes):
                value = zero
                for i in range(longs[starts + j], longs[starts + j + 1]):
                    value += term(m, net, row, r, longs[order + i], now)
                deliver(m, c, r, j, value)

    return backward
