"""Orders of rows, epoch by epoch, for engines that cannot shuffle well."""

from numba.core import types as nb

from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.pointers import INT64_POINTER, offset, pointer_type


def orders(target):
    """Entry point ``orders(goal, rows, n, n_epochs, seed, epoch)``.

    ``goal`` is int32 (n_epochs, n), ``rows`` int64 (n,); see `nnfit.cpu.orders`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    """

    @helper
    def fill(order, rows, n):
        for i in range(n):
            order[i] = rows[i]

    def orders(goal, rows, n, n_epochs, seed, epoch):
        for number in range(n_epochs):
            order = offset(goal, number * n)
            fill(order, rows, n)
            random.shuffle(order, n, seed, epoch + number)

    int64 = nb.int64
    signature = nb.void(
        pointer_type("int32"), INT64_POINTER, int64, int64, int64, int64
    )
    return {"orders": (orders, signature)}
