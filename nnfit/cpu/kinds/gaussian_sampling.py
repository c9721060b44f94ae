"""A draw from a normal distribution, on the CPU.

The noise depends on seed, step, layer, the row's place in the epoch and the unit alone.
"""

from nnfit.cpu import fields as at
from nnfit.functions.random import MASK

#: Numbers of the layer's row.
DISTANCES = at.PRIVATE  # (batch, stride): draws minus means; 0 if nothing is drawn
PURPOSE = DISTANCES + 1
END = DISTANCES + 2
#: A batch may be done in parts: no row needs another, and nothing learns.
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    plan.words[row + PURPOSE] = MASK + number
    graph.output(number)
    graph.gradient(number)
    kernel = plan.kernel_of(node)
    graph.instruct(kernel, "forward", row)
    if plan.masks:
        plan.buffer(row + DISTANCES, plan.n_rows * plan.words[row + at.STRIDE])
        plan.program.rows(kernel.address("draw"), row, is_random=True)


def way_back(graph, number, node):
    """That by the means is its own; the other, if anything learns from it."""
    graph.pass_on(number, 0)
    if graph.deliver(number, 1):
        kernel = graph.plan.kernel_of(node)
        graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """It has no tensors."""


def build(target, dtype):
    """Kernel of draws from normal distributions.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `draw` and `backward`.
    """
    from numba.core import types as nb

    from nnfit.cpu.kernels import random
    from nnfit.cpu.kernels.lowering import scalar_type, specialise
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_line,
        position_of,
        step_of,
    )
    from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
    from nnfit.functions.random import inverse_normal

    line, deliver, scalar = make_line(dtype), make_deliver(dtype), scalar_type(dtype)
    zero, half = scalar(0.0), scalar(0.5)
    quantile = specialise(inverse_normal, "float64", IMPLEMENTATIONS["float64"])
    exp_of = IMPLEMENTATIONS["float64"]["exp"]

    def forward(table, row, now, begin, count):
        """output (count, n_out) = mean."""
        edge = edge_of(row, 0)
        for r in range(begin, begin + count):
            mean = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                output[j] = mean[j]

    def draw(table, row, now, begin, count):
        """output (count, n_out) += exp(log_variance / 2) * noise."""
        edge = edge_of(row, 1)
        position = position_of(now) * row[at.LINES]
        stream = random.stream_of(table[at.SEED], step_of(now), row[PURPOSE])
        for r in range(begin, begin + count):
            key = random.stream(nb.int64(stream), position + r)
            low, high = random.low_word(key), random.high_word(key)
            log_variance = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            distance = line(row[DISTANCES], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                uniform = (nb.float64(random.bits(low, high, j)) + 0.5) / 4294967296.0
                deviation = exp_of(0.5 * nb.float64(log_variance[j]))
                distance[j] = scalar(deviation * quantile(uniform))
                output[j] += distance[j]

    def backward(table, row, now, begin, count):
        """goal (count, n_out) = gradient * distance / 2, and what the edge asks for."""
        edge = edge_of(row, 1)
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] = zero
            if row[DISTANCES] != 0:
                distance = line(row[DISTANCES], row[at.STRIDE], r)
                for j in range(row[at.N_OUT]):
                    goal[j] = half * gradient[j] * distance[j]
            deliver(edge, r, row[at.N_OUT])

    return exports(dtype, operations=(forward, draw, backward))
