"""What the functions of layers take, and where they find their numbers.

An operation works on rows, columns or units `begin` to ``begin + count`` of a batch,
for the layer whose numbers are at `row` in the table. `now` is the address of what the
thread knows of the batch (`nnfit.cpu.fields`).
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import (
    INT64_POINTER,
    as_doubles,
    as_int64,
    offset,
    pointer_from_address,
    pointer_type,
)

#: ``operation(table, row, now, begin, count)``
OPERATION = (INT64_POINTER, INT64_POINTER, nb.int64, nb.int64, nb.int64)
#: ``gradient(table, row, unit, batch, goal)`` of one unit over the rows in order; where
#: `ADDS` says so, over the next rows, added to the goal
UNIT_GRADIENT = {
    dtype: (INT64_POINTER, INT64_POINTER, INT64_POINTER, nb.int64, pointer_type(dtype))
    for dtype in ("float32", "float64")
}
#: ``after(table, row, unit)``: what follows from new parameters
UNIT_AFTER = (INT64_POINTER, INT64_POINTER, INT64_POINTER)


def exports(dtype, *, operations=(), gradients=(), after=()):
    """Functions with their signatures, as a builder of a kernel returns them."""
    void = {
        nb.void(*OPERATION): operations,
        nb.void(*UNIT_GRADIENT[dtype]): gradients,
        nb.void(*UNIT_AFTER): after,
    }
    return {
        function.__name__: (function, signature)
        for signature, functions in void.items()
        for function in functions
    }


@helper
def edge_of(row, number):
    """An input of a layer."""
    return offset(row, at.EDGES + number * at.EDGE)


@helper
def tensor_of(table, row, number):
    """Row of a tensor of a layer."""
    return offset(table, row[at.OWN_TENSORS] + number * at.TENSOR)


@helper
def batch_of(now):
    """Rows of the batch."""
    return as_int64(now)[at.BATCH]


@helper
def position_of(now):
    """Where the batch begins in the epoch's order."""
    return as_int64(now)[at.POSITION]


@helper
def step_of(now):
    """Steps of the optimizer before the batch."""
    return as_int64(now)[at.NOW_STEP]


@helper
def weight_sum_of(now):
    """Sum of the sample weights of the batch."""
    return as_doubles(now)[at.NOW_WEIGHT_SUM]


def make_begin_sum(dtype):
    """Make ``begin_sum(table, goal, n)``, for a unit's sum over the batch.

    Of a batch that is done in parts, the first begins and the others go on.
    """
    zero = scalar_type(dtype)(0.0)

    @helper
    def begin_sum(table, goal, n):
        if table[at.ADDS] == 0:
            for j in range(n):
                goal[j] = zero

    return begin_sum


def make_line(dtype):
    """Make ``line(address, stride, r)``: row r of a buffer."""
    as_floats = pointer_from_address(dtype)

    @helper
    def line(address, stride, r):
        return offset(as_floats(address), r * stride)

    return line


def make_tensor(dtype):
    """Make ``tensor(table, row, number)``: the numbers of a tensor of a layer."""
    as_floats = pointer_from_address(dtype)

    @helper
    def tensor(table, row, number):
        return as_floats(tensor_of(table, row, number)[at.ADDRESS])

    return tensor


def make_tensor_line(dtype):
    """Make ``tensor_line(table, row, number, i)``: line i of a tensor of a layer."""
    as_floats = pointer_from_address(dtype)

    @helper
    def tensor_line(table, row, number, i):
        tensor = tensor_of(table, row, number)
        return offset(as_floats(tensor[at.ADDRESS]), i * tensor[at.LINE])

    return tensor_line


def make_deliver(dtype):
    """Make ``deliver(edge, r, n)``, which finishes a row's gradient by an input.

    Its n numbers lie at the goal. The gradient of later layers by the same input is
    added, the sum multiplied by slopes, as the edge says; what lies beyond becomes
    zero.
    """
    line = make_line(dtype)
    zero = scalar_type(dtype)(0.0)

    @helper
    def deliver(edge, r, n):
        goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
        if edge[at.ADDED] != 0:
            added = line(edge[at.ADDED], edge[at.ADDED_STRIDE], r)
            for j in range(n):
                goal[j] += added[j]
        if edge[at.SCALE] != 0:
            slope = line(edge[at.SCALE], edge[at.SCALE_STRIDE], r)
            for j in range(n):
                goal[j] *= slope[j]
        for j in range(n, edge[at.GOAL_WIDTH]):
            goal[j] = zero

    return deliver


def make_deliver_product(dtype):
    """Make ``deliver_product(edge, r, a, b, n)``: deliver n numbers ``a * b``.

    Where the goal is in the place of the slopes, as for products of tiles
    (`nnfit.network.graph.Graph.deliver`), they are read before they are written.
    """
    line, deliver = make_line(dtype), make_deliver(dtype)
    zero = scalar_type(dtype)(0.0)

    @helper
    def deliver_product(edge, r, a, b, n):
        goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
        if edge[at.SCALE] != edge[at.GOAL]:
            for j in range(n):
                goal[j] = a[j] * b[j]
            deliver(edge, r, n)
            return
        if edge[at.ADDED] == 0:
            for j in range(n):
                goal[j] *= a[j] * b[j]
        else:
            added = line(edge[at.ADDED], edge[at.ADDED_STRIDE], r)
            for j in range(n):
                goal[j] *= a[j] * b[j] + added[j]
        for j in range(n, edge[at.GOAL_WIDTH]):
            goal[j] = zero

    return deliver_product
