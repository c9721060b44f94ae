"""The loss of rows by those of the other rows of a batch, on the CPU: InfoNCE.

    find_units        lines of length 1
    forward           similarities of a row's first line with all second lines, their
                      shares of the sum of exponentials, and the loss
    backward          gradient by both lines: by the row of the shares for the first,
                      by the column for the second

A row reads others of the batch: threads wait between.
"""

from nnfit.cpu import fields as at

#: Numbers of the layer's row.
TEMPERATURE = at.PRIVATE  # one number
UNITS = TEMPERATURE + 1  # (2 batch, input stride): lines of length 1
INVERSE = TEMPERATURE + 2  # (2 batch,): 1 / length
SHARES = TEMPERATURE + 3  # (batch, batch)
N_ROWS = TEMPERATURE + 4  # distance of its rows
END = TEMPERATURE + 5


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    graph.output(number)
    graph.gradient(number)
    kernel = plan.kernel_of(node)
    if not plan.trains:
        graph.instruct(kernel, "give_nothing", row)
        return
    n_rows = plan.words[row + N_ROWS] = plan.n_rows
    plan.constants(row + TEMPERATURE, node.options)
    plan.buffer(row + UNITS, 2 * n_rows * plan.words[row + at.EDGES + at.INPUT_STRIDE])
    plan.buffer(row + INVERSE, 2 * n_rows)
    plan.buffer(row + SHARES, n_rows * n_rows)
    graph.instruct(kernel, "find_units", row)
    plan.program.wait()
    graph.instruct(kernel, "forward", row)


def way_back(graph, number, node):
    """Gradient by the lines, if anything learns from it."""
    if graph.deliver(number, 0):
        plan = graph.plan
        plan.program.wait()
        name = "backward" if plan.trains else "deliver_nothing"
        graph.instruct(plan.kernel_of(node), name, graph.row_of(number))


def add_units(graph, number, node):
    """It has no tensors."""


def build(target, dtype):
    """Kernel of the loss of rows by the other rows of a batch.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `find_units`, `forward`, `backward`, and without a batch `give_nothing` and
        `deliver_nothing`.
    """
    import math

    from numba.core import types as nb

    from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
    from nnfit.cpu.kernels.operations import (
        batch_of,
        edge_of,
        exports,
        make_deliver,
        make_line,
    )
    from nnfit.cpu.kernels.pointers import pointer_from_address
    from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
    from nnfit.network.kinds.contrast import EPSILON

    line, deliver, scalar = make_line(dtype), make_deliver(dtype), scalar_type(dtype)
    as_floats = pointer_from_address(dtype)
    zero, one, epsilon = scalar(0.0), scalar(1.0), scalar(EPSILON)
    exp_of, log_of = (IMPLEMENTATIONS["float64"][name] for name in ("exp", "log"))

    @sum_helper
    def product(a, b, n):
        result = zero
        for j in range(n):
            result += a[j] * b[j]
        return result

    @helper
    def unit_of(row, r):
        return line(row[UNITS], edge_of(row, 0)[at.INPUT_STRIDE], r)

    def find_units(table, row, now, begin, count):
        """Lines of rows over their lengths."""
        edge = edge_of(row, 0)
        for r in range(2 * begin, 2 * (begin + count)):
            z, unit = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r), unit_of(row, r)
            squares = product(z, z, edge[at.N_IN]) + epsilon
            inverse = as_floats(row[INVERSE])[r] = one / scalar(math.sqrt(squares))
            for j in range(edge[at.N_IN]):
                unit[j] = z[j] * inverse

    def forward(table, row, now, begin, count):
        """Shares and losses of rows; all lines of length 1 are known."""
        n, batch = edge_of(row, 0)[at.N_IN], batch_of(now)
        scale = one / as_floats(row[TEMPERATURE])[0]
        for r in range(begin, begin + count):
            first, shares = unit_of(row, 2 * r), line(row[SHARES], row[N_ROWS], r)
            for i in range(batch):
                shares[i] = scale * product(first, unit_of(row, 2 * i + 1), n)
            own, total = shares[r], 0.0
            for i in range(batch):
                total += exp_of(nb.float64(shares[i] - own))
            logarithm = log_of(total)
            for i in range(batch):
                shares[i] = scalar(exp_of(nb.float64(shares[i] - own) - logarithm))
            line(row[at.OUTPUT], row[at.STRIDE], r)[0] = scalar(logarithm)

    @helper
    def deliver_line(row, r, inverse):
        """From the gradient by a line of length 1, at its goal, to that by the line."""
        edge, unit = edge_of(row, 0), unit_of(row, r)
        goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
        along = product(goal, unit, edge[at.N_IN])
        for j in range(edge[at.N_IN]):
            goal[j] = inverse * (goal[j] - along * unit[j])
        deliver(edge, r, edge[at.N_IN])

    @helper
    def gradient_of(row, r):
        return line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)[0]

    def backward(table, row, now, begin, count):
        """Gradient by both lines of rows; shares and gradients of all rows are known.

        A loss changes by ``share - 1`` with the similarity of its own pair, by
        ``share`` with those of others, each over the temperature.
        """
        edge, batch = edge_of(row, 0), batch_of(now)
        scale = one / as_floats(row[TEMPERATURE])[0]
        inverse = as_floats(row[INVERSE])
        for r in range(begin, begin + count):
            first = line(edge[at.GOAL], edge[at.GOAL_STRIDE], 2 * r)
            second = line(edge[at.GOAL], edge[at.GOAL_STRIDE], 2 * r + 1)
            for j in range(edge[at.N_IN]):
                first[j] = second[j] = zero
            for i in range(batch):
                hit = one if i == r else zero
                by_first = gradient_of(row, r) * scale
                by_first *= line(row[SHARES], row[N_ROWS], r)[i] - hit
                by_second = gradient_of(row, i) * scale
                by_second *= line(row[SHARES], row[N_ROWS], i)[r] - hit
                left, right = unit_of(row, 2 * i), unit_of(row, 2 * i + 1)
                for j in range(edge[at.N_IN]):
                    first[j] += by_first * right[j]
                    second[j] += by_second * left[j]
            deliver_line(row, 2 * r, inverse[2 * r])
            deliver_line(row, 2 * r + 1, inverse[2 * r + 1])

    def give_nothing(table, row, now, begin, count):
        """Losses of 0."""
        for r in range(begin, begin + count):
            line(row[at.OUTPUT], row[at.STRIDE], r)[0] = zero

    def deliver_nothing(table, row, now, begin, count):
        """A gradient of 0."""
        edge = edge_of(row, 0)
        for r in range(2 * begin, 2 * (begin + count)):
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = zero
            deliver(edge, r, edge[at.N_IN])

    operations = (find_units, forward, backward, give_nothing, deliver_nothing)
    return exports(dtype, operations=operations)
