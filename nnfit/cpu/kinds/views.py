"""A row as it is, and a copy with other values in some columns, on the CPU.

What is replaced depends on seed, step, layer, the row's place in the epoch and the
column alone. A row reads others of the batch: threads wait before.
"""

from nnfit.cpu import fields as at
from nnfit.functions.random import MASK

#: Numbers of the layer's row.
SHARE = at.PRIVATE  # random bits below it are replaced, of 32 bits; 0 for none
PURPOSE = SHARE + 1
END = SHARE + 2


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    plan.words[row + PURPOSE] = MASK + number
    graph.output(number)
    graph.gradient(number)
    kernel = plan.kernel_of(node)
    graph.instruct(kernel, "forward", row)
    if plan.masks and node.options[0]:
        plan.words[row + SHARE] = int(node.options[0] * 2**32)
        plan.program.wait()
        plan.program.rows(kernel.address("swap"), row, is_random=True)


def way_back(graph, number, node):
    """Gradient by the rows, if anything learns from it."""
    plan, row = graph.plan, graph.row_of(number)
    if graph.deliver(number, 0):
        if plan.words[row + SHARE]:  # else a row has what is its own
            plan.program.wait()
        graph.instruct(plan.kernel_of(node), "backward", row)


def add_units(graph, number, node):
    """It has no tensors."""


def build(target, dtype):
    """Kernel of two lines for each row.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `swap` and `backward`.
    """
    import numpy as np
    from numba.core import types as nb

    from nnfit.cpu.kernels import random
    from nnfit.cpu.kernels.lowering import helper
    from nnfit.cpu.kernels.operations import (
        batch_of,
        edge_of,
        exports,
        make_deliver,
        make_line,
        position_of,
        step_of,
    )

    line, deliver = make_line(dtype), make_deliver(dtype)

    @helper
    def key_of(table, row, now, r):
        """What random bits of row r are made from."""
        stream = random.stream_of(table[at.SEED], step_of(now), row[PURPOSE])
        return random.stream(nb.int64(stream), 2 * (position_of(now) + r) + 1)

    @helper
    def is_swapped(row, key, j):
        low, high = random.low_word(key), random.high_word(key)
        return nb.int64(random.bits(low, high, j)) < row[SHARE]

    def forward(table, row, now, begin, count):
        """Both lines (count, n_out) are the row."""
        edge = edge_of(row, 0)
        for r in range(begin, begin + count):
            x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r // 2)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = x[j]

    def swap(table, row, now, begin, count):
        """Entries of the second lines become those of other rows."""
        edge, batch = edge_of(row, 0), batch_of(now)
        if batch < 2:
            return
        for r in range(begin // 2, (begin + count) // 2):
            key = key_of(table, row, now, r)
            output = line(row[at.OUTPUT], row[at.STRIDE], 2 * r + 1)
            for j in range(row[at.N_OUT]):
                if is_swapped(row, key, j):
                    donor = (r + 1 + j % (batch - 1)) % batch
                    x = line(edge[at.INPUT], edge[at.INPUT_STRIDE], donor)
                    output[j] = x[j]

    def backward(table, row, now, begin, count):
        """goal (count / 2, n_out) = gradients of what there is of a row."""
        edge, batch, n_out = edge_of(row, 0), batch_of(now), row[at.N_OUT]
        gradients, stride = row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE]
        for r in range(begin // 2, (begin + count) // 2):
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            first, second = (
                line(gradients, stride, 2 * r),
                line(gradients, stride, 2 * r + 1),
            )
            swaps, key = batch > 1 and row[SHARE] != 0, np.uint64(0)
            if swaps:
                key = key_of(table, row, now, r)
            for j in range(n_out):
                total = first[j]
                if not (swaps and is_swapped(row, key, j)):
                    total += second[j]
                if swaps:
                    taker = (r + batch - 1 - j % (batch - 1)) % batch
                    if is_swapped(row, key_of(table, row, now, taker), j):
                        total += line(gradients, stride, 2 * taker + 1)[j]
                goal[j] = total
            deliver(edge, r, n_out)

    return exports(dtype, operations=(forward, swap, backward))
