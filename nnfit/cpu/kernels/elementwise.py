"""Compiled loops around scalar functions: each a small kernel of its own.

The engine calls them by address, so that an activation, a loss or an optimizer
costs its own compilation and none of the engine's.
"""

from numba.core import types as nb

from nnfit.cpu.kernels.lowering import (
    helper,
    scalar_type,
    specialise,
    sum_helper,
)
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    make_stack_array,
    offset,
    pointer_type,
)
from nnfit.cpu.kernels.transposition import make_transpose_block
from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import GRADIENT_SUM, OPTIMIZERS

DTYPES = ("float32", "float64")
#: Most outputs of rows that a loss takes several at once. With more than 4 KB on the
#: stack, Windows needs a function of its C library.
MOST_OUTPUTS = 20
#: Arguments of the kernels of `penalty` and `average`, by dtype.
PENALISE = {
    dtype: (*2 * [pointer_type(dtype)], nb.int64, *3 * [scalar_type(dtype)])
    for dtype in DTYPES
}
CLIP = {
    dtype: (pointer_type(dtype), nb.int64, *2 * [scalar_type(dtype)])
    for dtype in DTYPES
}
AVERAGE = {
    dtype: (*2 * [pointer_type(dtype)], nb.int64, scalar_type(dtype))
    for dtype in DTYPES
}


def activation(target, name, dtype, function=None):
    """Kernel ``activate(z, value, rows, columns, stride)``; z becomes the slope.

    Not the value: LLVM would see that ``z if z > 0 else ...`` need not be stored
    where z already lies and use masked stores, 8 times slower on some processors.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    name : str
        Key of `ACTIVATIONS`; ignored with a `function` of the user.
    dtype : {"float32", "float64"}
    function : callable, default=None
    """
    scalar = specialise(
        function or ACTIVATIONS[name].function, dtype, IMPLEMENTATIONS[dtype]
    )
    pointer = pointer_type(dtype)

    def activate(z, value, rows, columns, stride):
        for row in range(rows):
            z_row = offset(z, row * stride)
            value_row = offset(value, row * stride)
            for i in range(columns):
                value_row[i], z_row[i] = scalar(z_row[i])

    signature = nb.void(pointer, pointer, nb.int64, nb.int64, nb.int64)
    return {"activate": (activate, signature)}


def loss(target, name, dtype, function=None):
    """Kernel ``loss(raw, stride, y, n_targets, gradient, row_loss, weights, ...)``.

    ``row_loss`` is the value times the row's weight, ``gradient`` likewise.
    """
    row = None if function else LOSSES[name]
    row_function = specialise(function or row.function, dtype, IMPLEMENTATIONS[dtype])
    pointer = pointer_type(dtype)

    def losses(
        raw, stride, y, n_targets, gradient, row_loss, weights, rows, n_out, params
    ):
        for row in range(rows):
            gradient_row = offset(gradient, row * stride)
            value = row_function(
                offset(raw, row * stride),
                offset(y, row * n_targets),
                gradient_row,
                n_out,
                params,
            )
            weight = weights[row]
            row_loss[row] = value * nb.float64(weight)
            for j in range(n_out):
                gradient_row[j] *= weight

    if row is not None and row.of_rows is not None:
        losses = _of_rows(target, dtype, row.of_rows, losses)
    signature = nb.void(
        pointer, nb.int64, pointer, nb.int64, pointer, FLOAT64_POINTER, pointer,
        nb.int64, nb.int64, pointer,
    )  # fmt: skip
    return {"loss": (losses, signature)}


def _of_rows(target, dtype, function, row_by_row):
    """Kernel of a loss that takes as many rows at once as two vectors have lanes.

    Rows are read and written by whole vectors, hence `stride` is a multiple of these.
    Rows of more outputs than the stack has room for are taken one by one. How many rows
    there are does not matter: the last ones stand beside zeros, so that the bits of a
    row do not depend on others.
    """
    # A constant: LLVM makes vectors of loops of so many steps, and two hide more of the
    # latency (10 outputs: 34 ns a row one by one, 19 by one vector, 15 by two).
    vector, zero = target.lanes(dtype), scalar_type(dtype)(0.0)
    lanes, transpose_block = 2 * vector, make_transpose_block(target, dtype)
    function = specialise(function, dtype, IMPLEMENTATIONS[dtype])
    one_by_one = helper(row_by_row)
    of_block = make_stack_array(dtype, MOST_OUTPUTS * lanes)
    of_rows = make_stack_array(dtype, lanes)
    of_work = make_stack_array(dtype, 3 * lanes)

    def losses(
        raw, stride, y, n_targets, gradient, row_loss, weights, rows, n_out, params
    ):
        if n_out > MOST_OUTPUTS:
            one_by_one(
                raw, stride, y, n_targets, gradient, row_loss, weights, rows, n_out,
                params,
            )  # fmt: skip
            return
        z, work = of_block(), of_work()
        targets, weight, values = of_rows(), of_rows(), of_rows()
        for first in range(0, rows, lanes):
            n = min(lanes, rows - first)
            if n < lanes:
                for r in range(lanes):
                    targets[r] = zero
                    weight[r] = zero
                for i in range(n_out * lanes):
                    z[i] = zero
            for r in range(n):
                targets[r] = y[(first + r) * n_targets]
                weight[r] = weights[first + r]
            for r in range(0, n, vector):
                source = offset(raw, (first + r) * stride)
                for j in range(0, n_out, vector):
                    transpose_block(
                        offset(source, j), stride, n - r,
                        offset(z, j * lanes + r), lanes, n_out - j,
                    )  # fmt: skip
            function(z, targets, values, work, lanes, n_out, params)
            for r in range(n):
                row_loss[first + r] = nb.float64(values[r]) * nb.float64(weight[r])
            for j in range(n_out):
                for r in range(lanes):
                    z[j * lanes + r] *= weight[r]
            for r in range(0, n, vector):
                goal = offset(gradient, (first + r) * stride)
                for j in range(0, n_out, vector):
                    transpose_block(
                        offset(z, j * lanes + r), lanes, n_out - j,
                        offset(goal, j), stride, n - r,
                    )  # fmt: skip

    return losses


def link(target, name, dtype):
    """Kernel ``link(raw, stride, out, rows, n_out)`` of an inverse link."""
    row_function = specialise(LINKS[name], dtype, IMPLEMENTATIONS[dtype])
    pointer = pointer_type(dtype)

    def links(raw, stride, out, rows, n_out):
        for row in range(rows):
            row_function(offset(raw, row * stride), offset(out, row * n_out), n_out)

    signature = nb.void(pointer, nb.int64, pointer, nb.int64, nb.int64)
    return {"link": (links, signature)}


def optimizer(target, name, dtype):
    """Kernels ``update`` and ``prepare`` of an optimizer.

    ``update(w, g, s0, s1, n, rates, l2, decay)`` adds ``l2 * w`` to the gradient
    and multiplies the weights by ``decay`` before it applies the optimizer, which does
    the latter itself if its row says so.
    """
    return _optimizer(OPTIMIZERS[name], dtype)


def gradient_sum(target, dtype):
    """Kernels of `optimizer` that leave the weights and add up the gradient."""
    return _optimizer(GRADIENT_SUM, dtype)


def penalty(target, dtype):
    """Kernels that change a gradient before the optimizer sees it.

    ``penalise(g, w, n, l2, l1, limit)`` adds the derivative of ``l2 / 2 * w**2 + l1 *
    abs(w)``, that of the absolute value being 0 at 0, and cuts what is beyond the
    limit; ``clip(g, n, factor, limit)`` multiplies and cuts; ``size(w, n)`` is the sum
    of absolute values.
    """
    scalar = scalar_type(dtype)
    zero = scalar(0.0)

    @helper
    def bounded(value, limit):
        value = limit if value > limit else value
        return -limit if value < -limit else value

    @sum_helper
    def total(w, n):
        result = abs(w[0])
        for i in range(1, n):
            result += abs(w[i])
        return result

    def penalise(g, w, n, l2, l1, limit):
        for i in range(n):
            sign = l1 if w[i] > zero else (-l1 if w[i] < zero else zero)
            g[i] = bounded(g[i] + l2 * w[i] + sign, limit)

    def clip(g, n, factor, limit):
        for i in range(n):
            g[i] = bounded(g[i] * factor, limit)

    def size(w, n):
        return nb.float64(total(w, n))

    return {
        "penalise": (penalise, nb.void(*PENALISE[dtype])),
        "clip": (clip, nb.void(*CLIP[dtype])),
        "size": (size, nb.float64(pointer_type(dtype), nb.int64)),
    }


def average(target, dtype):
    """Kernel ``average(a, w, n, rate)``: a running average follows the parameters."""
    one = scalar_type(dtype)(1.0)

    def follow(a, w, n, rate):
        if rate >= one:
            for i in range(n):
                a[i] = w[i]
        else:
            for i in range(n):
                a[i] += rate * (w[i] - a[i])

    return {"average": (follow, nb.void(*AVERAGE[dtype]))}


def _optimizer(row, dtype):
    scalar = scalar_type(dtype)
    pointer = pointer_type(dtype)
    function = specialise(row.update, dtype, IMPLEMENTATIONS[dtype])
    rates_of_step = specialise(row.prepare, "float64", IMPLEMENTATIONS["float64"])
    slots, decays = row.slots, row.decays
    one = scalar(1.0)

    def update(w, g, s0, s1, n, rates, l2, decay):
        h = (
            rates[0], rates[1], rates[2], rates[3],
            rates[4], rates[5], rates[6], one - decay if decays else rates[7],
        )  # fmt: skip
        for i in range(n):
            gradient = g[i] + l2 * w[i]
            decayed = w[i] if decays else w[i] * decay
            if slots == 0:
                w[i] = function(decayed, gradient, h)
            elif slots == 1:
                w[i], s0[i] = function(decayed, gradient, s0[i], h)
            else:
                w[i], s0[i], s1[i] = function(decayed, gradient, s0[i], s1[i], h)

    def prepare(step, learning_rate, hyper, memory, rates):
        h = rates_of_step(nb.float64(step), learning_rate, hyper, memory)
        for i in range(8):
            rates[i] = h[i]

    return {
        "update": (
            update,
            nb.void(
                pointer, pointer, pointer, pointer, nb.int64, pointer, scalar, scalar
            ),
        ),
        "prepare": (
            prepare,
            nb.void(nb.int64, nb.float64, FLOAT64_POINTER, FLOAT64_POINTER, pointer),
        ),
    }
