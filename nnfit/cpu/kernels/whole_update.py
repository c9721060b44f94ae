"""Phase 2 where a step needs more of the gradient than a strip of it.

    gradients of all strips, and their squares            | barrier
    factor of clip_norm; update of all but whole matrices | barrier
    whole matrices, one after the other                   | barriers
    columns bounded by max_norm; what follows from the new weights

Sums are over strips, added in their order by every thread alike.
"""

import math

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_dense
from nnfit.cpu.kernels.elementwise import CLIP
from nnfit.cpu.kernels.engine import UPDATE_WHOLE
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import (
    INT64_POINTER,
    caller,
    layer_at,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.progress import rates_offset
from nnfit.cpu.kernels.strips import make_strips, sum_of_squares
from nnfit.cpu.kernels.threads import make_barrier


def matrix_arguments(dtype):
    """Of the kernel of an optimizer of whole matrices: see `nnfit.cpu.kernels.muon`."""
    pointer = pointer_type(dtype)
    return (
        pointer, pointer, pointer, pointer, nb.int64, nb.int64, nb.int64, nb.float64,
        nb.float64, nb.float64, INT64_POINTER, nb.int64, nb.int64, nb.int64,
    )  # fmt: skip


def whole_update(target, dtype):
    """Entry point ``update_whole`` for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    strips, make_walk = make_strips(target, dtype, make_dense(target, dtype))
    barrier = make_barrier(target)
    as_int64 = pointer_from_address("int64")
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    scalar = scalar_type(dtype)
    zero, one = scalar(0.0), scalar(1.0)
    item = 4 if dtype == "float32" else 8
    panel = target.panel(dtype)
    rows_of_strip = target.strip(dtype)
    call_clip = caller(nb.void, *CLIP[dtype])
    call_matrix = caller(nb.int64, *matrix_arguments(dtype))

    @helper
    def gradient_at(table, address):
        return strips.parameter_at(address, table, table[at.GRADIENT])

    @helper
    def find_strip(
        table, floats, layer, index, unit, batch, column, first, rows, scratch, rates,
        weight_sum, parity, factor,
    ):  # fmt: skip
        """Gradient of a strip over the batch, with that of the penalties."""
        columns = min(panel, layer[at.WIDTH] - column)
        address = layer[at.WEIGHTS] + item * (column * layer[at.N_IN] + first * columns)
        gradient, n = gradient_at(table, address), rows * columns
        strips.gradient_of(table, layer, index, batch, column, first, rows, gradient)
        strips.penalise(table, floats, address, gradient, n, weight_sum, math.inf)
        squares = as_doubles(table[at.GRADIENT_SQUARES])
        squares[unit] = nb.float64(sum_of_squares(gradient, n))

    @helper
    def find_vectors(table, floats, layer, unit, batch, scratch, rates, factor):
        """Gradient of a layer's biases and scale."""
        squares = 0.0
        for number in range(2 if layer[at.N_NORMS] > 0 else 1):
            address = layer[at.BIAS] if number == 0 else layer[at.NORMS]
            gradient = gradient_at(table, address)
            strips.vector_gradient(table, layer, batch, number, gradient)
            squares += nb.float64(sum_of_squares(gradient, layer[at.WIDTH]))
        as_doubles(table[at.GRADIENT_SQUARES])[unit] = squares

    @helper
    def clip(table, floats, gradient, n, factor):
        """Multiply n gradients by the factor of all, then bound each."""
        limit = scalar(floats[at.CLIP_VALUE])
        call_clip(table[at.CLIP_KERNEL], (gradient, n, scalar(factor), limit))

    @helper
    def update_strip(
        table, floats, layer, index, unit, batch, column, first, rows, scratch, rates,
        weight_sum, parity, factor,
    ):  # fmt: skip
        """Update of a strip whose gradient is known, unless a matrix waits for it."""
        columns = min(panel, layer[at.WIDTH] - column)
        address = layer[at.WEIGHTS] + item * (column * layer[at.N_IN] + first * columns)
        gradient, n = gradient_at(table, address), rows * columns
        clip(table, floats, gradient, n, factor)
        if layer[at.MATRIX] == 0:
            strips.apply(table, address, gradient, n, rates, zero, rates[at.DECAY])

    @helper
    def update_vectors(table, floats, layer, unit, batch, scratch, rates, factor):
        """Update of a layer's biases and scale."""
        width = layer[at.WIDTH]
        for number in range(2 if layer[at.N_NORMS] > 0 else 1):
            address = layer[at.BIAS] if number == 0 else layer[at.NORMS]
            gradient = gradient_at(table, address)
            clip(table, floats, gradient, width, factor)
            strips.apply(table, address, gradient, width, rates, zero, one)
            strips.move_average(table, address, width, rates[at.AVERAGE_RATE])

    find_gradients = make_walk(find_strip, find_vectors)
    update_all = make_walk(update_strip, update_vectors)

    @helper
    def clip_factor(table, floats):
        """What all gradients are multiplied by, at most 1."""
        if math.isinf(floats[at.CLIP_NORM]):
            return 1.0
        squares = as_doubles(table[at.GRADIENT_SQUARES])
        total = 0.0
        for unit in range(table[at.N_UNITS]):
            total += squares[unit]
        norm = math.sqrt(total)
        return floats[at.CLIP_NORM] / norm if norm > floats[at.CLIP_NORM] else 1.0

    @helper
    def update_matrices(table, step, thread, n_threads, passed):
        """Layers whose weights are updated as a whole, by all threads together.

        The kernel ends with a barrier.
        """
        shared = as_int64(table[at.SHARED])
        for index in range(table[at.N_LAYERS]):
            layer = layer_at(table, index)
            if layer[at.MATRIX] == 0:
                continue
            rates = offset(as_floats(table[at.RATES]), rates_offset(table, step, index))
            address = layer[at.WEIGHTS]
            passed = call_matrix(
                table[at.MATRIX_KERNEL],
                (
                    as_floats(address),
                    gradient_at(table, address),
                    strips.parameter_at(address, table, table[at.STATE_0]),
                    as_floats(table[at.MATRIX_WORK]),
                    layer[at.N_IN],
                    layer[at.N_OUT],
                    layer[at.WIDTH],
                    nb.float64(rates[at.MATRIX_MOMENTUM]),
                    nb.float64(rates[at.MATRIX_RATE]),
                    nb.float64(rates[at.DECAY]),
                    shared,
                    thread,
                    n_threads,
                    passed,
                ),
            )
        return passed

    @helper
    def bound_columns(floats, weights, n_in, columns):
        """Scale the columns of a panel whose norm is too large."""
        for j in range(columns):
            total = 0.0
            for i in range(n_in):
                value = nb.float64(weights[i * columns + j])
                total += value * value
            norm = math.sqrt(total)
            if norm > floats[at.MAX_NORM]:
                factor = scalar(floats[at.MAX_NORM] / norm)
                for i in range(n_in):
                    weights[i * columns + j] *= factor

    @helper
    def finish_panel(table, floats, layer, p, unit, rates, parity):
        n_in, column = layer[at.N_IN], p * panel
        columns = min(panel, layer[at.WIDTH] - column)
        if not math.isinf(floats[at.MAX_NORM]):
            weights = as_floats(layer[at.WEIGHTS] + item * column * n_in)
            bound_columns(floats, weights, n_in, columns)
        for strip in range(strips.strips_of_panel(layer)):
            first = strip * rows_of_strip
            rows = min(rows_of_strip, n_in - first)
            strips.derive_strip(
                table, floats, layer, unit + strip, column, first, rows, parity,
                rates[at.AVERAGE_RATE],
            )  # fmt: skip

    @helper
    def finish(table, floats, thread, n_threads, step):
        """Bounds, and what follows from new weights; panels go to threads in turn."""
        unit = number = 0
        for index in range(table[at.N_LAYERS]):
            layer = layer_at(table, index)
            rates = offset(as_floats(table[at.RATES]), rates_offset(table, step, index))
            for p in range(strips.panels_of(layer)):
                if number % n_threads == thread:
                    finish_panel(table, floats, layer, p, unit, rates, (step + 1) % 2)
                number += 1
                unit += strips.strips_of_panel(layer)
            unit += 1

    def update_whole(table, floats, thread, n_threads, batch, step, weight_sum, passed):
        """Phase 2 of a batch; returns how many barriers were passed."""
        shared = as_int64(table[at.SHARED])
        find_gradients(table, floats, thread, n_threads, batch, step, weight_sum, 1.0)
        passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
        factor = clip_factor(table, floats)
        update_all(table, floats, thread, n_threads, batch, step, weight_sum, factor)
        passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
        if table[at.MATRIX_KERNEL] != 0:
            passed = update_matrices(table, step, thread, n_threads, passed)
        finish(table, floats, thread, n_threads, step)
        return passed

    return {"update_whole": (update_whole, nb.int64(*UPDATE_WHOLE))}
