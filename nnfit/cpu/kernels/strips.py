"""Strips of weights: their gradient over the batch and their update, at once.

A unit of work is a strip, some rows of one panel of one layer's weights, or all
biases of a layer. Units are numbered through the layers and dealt to threads in
runs of equal cost, so that a thread keeps a panel's columns of the gradient in its
cache and none waits long for another.
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.elementwise import AVERAGE, PENALISE
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.normalization import SCALE_GRADIENT
from nnfit.cpu.kernels.pointers import (
    INT64_POINTER,
    caller,
    layer_at,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.progress import rates_offset

# What a strip takes, in rows of the batch whose products take as long: Adam's update,
# the copy of its weights into the transposed ones. The sum for the biases is a tile
# of one row, two thirds of a tile of six, hence four rows of weights.
UPDATE_COST, TRANSPOSE_COST, BIAS_ROWS = 20, 30, 4

Strips = namedtuple(
    "Strips",
    "update derive panels_of strips_of_panel derive_strip apply penalise "
    "gradient_of vector_gradient move_average parameter_at",
)


def make_strips(target, dtype, dense):
    """Build the functions of phase 2 for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    dense : nnfit.cpu.kernels.dense.Dense

    Returns
    -------
    strips : Strips
        Helpers for compiled code.
    make_walk : callable
        ``make_walk(on_strip, on_vectors)`` makes another one like `Strips.update`.
    """
    scalar = scalar_type(dtype)
    item = 4 if dtype == "float32" else 8
    pointer = pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    panel = target.panel(dtype)
    rows_of_strip = target.strip(dtype)
    call_update = caller(
        nb.void, pointer, pointer, pointer, pointer, nb.int64, pointer, scalar, scalar
    )
    call_penalise = caller(nb.void, *PENALISE[dtype])
    call_size = caller(nb.float64, pointer, nb.int64)
    call_average = caller(nb.void, *AVERAGE[dtype])
    call_scale = caller(nb.void, *SCALE_GRADIENT[dtype])
    sparse_gradient = caller(
        nb.void, INT64_POINTER, INT64_POINTER, nb.int64, nb.int64, nb.int64, nb.int64,
        pointer,
    )  # fmt: skip
    zero, one = scalar(0.0), scalar(1.0)

    @helper
    def strips_of_panel(layer):
        return (layer[at.N_IN] + rows_of_strip - 1) // rows_of_strip

    @helper
    def panels_of(layer):
        return (layer[at.WIDTH] + panel - 1) // panel

    @helper
    def parameter_at(address, table, other):
        """Where in another flat array lies what a parameter's address is for."""
        return as_floats(other + (address - table[at.PARAMETERS]))

    @helper
    def move_average(table, address, n, rate):
        """Move the running average, if there is one, towards n new parameters."""
        if table[at.AVERAGE_KERNEL] != 0 and rate > zero:
            average = parameter_at(address, table, table[at.AVERAGE])
            call_average(
                table[at.AVERAGE_KERNEL], (average, as_floats(address), n, rate)
            )

    @helper
    def derive_strip(table, floats, layer, unit, column, first, rows, parity, rate):
        """Penalty, transposed copy and average of a strip's new weights."""
        columns = min(panel, layer[at.WIDTH] - column)
        address = layer[at.WEIGHTS] + item * (column * layer[at.N_IN] + first * columns)
        weights, n = as_floats(address), rows * columns
        penalty = 0.5 * floats[at.ALPHA] * nb.float64(sum_of_squares(weights, n))
        if floats[at.L1] > 0.0:
            penalty += floats[at.L1] * call_size(table[at.SIZE_KERNEL], (weights, n))
        penalties = as_doubles(table[at.PENALTY])
        penalties[parity * table[at.N_UNITS] + unit] = penalty
        if layer[at.TRANSPOSED] != 0:
            dense.transpose(layer, column, first, rows)
        move_average(table, address, n, rate)

    @helper
    def apply(table, address, gradient, n, rates, l2, decay):
        """Update n parameters at an address with their optimizer state."""
        call_update(
            table[at.UPDATE_KERNEL],
            (
                as_floats(address),
                gradient,
                parameter_at(address, table, table[at.STATE_0]),
                parameter_at(address, table, table[at.STATE_1]),
                n,
                rates,
                l2,
                decay,
            ),
        )

    @helper
    def penalise(table, floats, address, gradient, n, weight_sum, limit):
        """Add what the penalties of n weights give to their gradient, and bound it.

        A weight sum of 0 stands for parameters that have no penalty.
        """
        l2 = l1 = zero
        if weight_sum > 0.0:
            l2 = scalar(floats[at.ALPHA] / weight_sum)
            l1 = scalar(floats[at.L1] / weight_sum)
        weights = as_floats(address)
        arguments = (gradient, weights, n, l2, l1, scalar(limit))
        call_penalise(table[at.PENALISE_KERNEL], arguments)

    @helper
    def gradient_of(table, layer, index, batch, column, first, rows, gradient):
        """Gradient of a strip over the batch, from rows or from sparse entries."""
        if index == 0 and table[at.SPARSE] != 0:
            sparse_gradient(
                table[at.SPARSE_STRIP_GRADIENT],
                (table, layer, batch, column, first, rows, gradient),
            )
        else:
            dense.strip_gradient(layer, batch, column, first, rows, gradient)

    @helper
    def cost_of_weight(table, index, batch):
        cost = UPDATE_COST
        if index > 0 or table[at.SPARSE] == 0:  # the products of entries are few
            cost += batch
        if layer_at(table, index)[at.TRANSPOSED] != 0:
            cost += TRANSPOSE_COST
        return cost

    @helper
    def cost_of_all(table, batch):
        total = 0
        for index in range(table[at.N_LAYERS]):
            layer = layer_at(table, index)
            weights = (layer[at.N_IN] + BIAS_ROWS) * layer[at.WIDTH]
            total += weights * cost_of_weight(table, index, batch)
        return total

    @helper
    def vector_gradient(table, layer, batch, number, gradient):
        """Gradient of a layer's biases or, as number 1, of its scale."""
        if number == 0:
            dense.bias_gradient(table, layer, batch, gradient)
        else:
            call_scale(layer[at.SCALE_GRADIENT], (layer, batch, gradient))

    @helper
    def fused_strip(
        table, floats, layer, index, unit, batch, column, first, rows, scratch, rates,
        weight_sum, parity, factor,
    ):  # fmt: skip
        """Gradient of a strip over the batch and its update."""
        columns = min(panel, layer[at.WIDTH] - column)
        address = layer[at.WEIGHTS] + item * (column * layer[at.N_IN] + first * columns)
        n, l2 = rows * columns, scalar(floats[at.ALPHA] / weight_sum)
        gradient_of(table, layer, index, batch, column, first, rows, scratch)
        if table[at.PENALISE_KERNEL] != 0:
            limit = floats[at.CLIP_VALUE]
            penalise(table, floats, address, scratch, n, weight_sum, limit)
            l2 = zero
        apply(table, address, scratch, n, rates, l2, rates[at.DECAY])
        derive_strip(
            table, floats, layer, unit, column, first, rows, parity,
            rates[at.AVERAGE_RATE],
        )  # fmt: skip

    @helper
    def fused_vectors(table, floats, layer, unit, batch, scratch, rates, factor):
        """Gradient of a layer's biases and scale, and their update."""
        width = layer[at.WIDTH]
        for number in range(2 if layer[at.N_NORMS] > 0 else 1):
            address = layer[at.BIAS] if number == 0 else layer[at.NORMS]
            vector_gradient(table, layer, batch, number, scratch)
            if table[at.PENALISE_KERNEL] != 0:
                limit = floats[at.CLIP_VALUE]
                penalise(table, floats, address, scratch, width, 0.0, limit)
            apply(table, address, scratch, width, rates, zero, one)
            move_average(table, address, width, rates[at.AVERAGE_RATE])

    def make_walk(on_strip, on_vectors):
        """Make what visits the strips and the vectors of a thread, in order."""

        @helper
        def walk(table, floats, thread, n_threads, batch, step, weight_sum, factor):
            total = cost_of_all(table, batch)
            begin = total * thread // n_threads
            end = total * (thread + 1) // n_threads
            scratch = offset(
                as_floats(table[at.SCRATCH]), thread * table[at.SCRATCH_STRIDE]
            )
            parity = (step + 1) % 2
            unit = cost = 0  # of the strips before
            for index in range(table[at.N_LAYERS]):
                layer = layer_at(table, index)
                n_in, width = layer[at.N_IN], layer[at.WIDTH]
                rates = offset(
                    as_floats(table[at.RATES]), rates_offset(table, step, index)
                )
                n_strips = strips_of_panel(layer)
                cost_of_one = cost_of_weight(table, index, batch)
                for p in range(panels_of(layer)):
                    column = p * panel
                    columns = min(panel, width - column)
                    for strip in range(n_strips):
                        first = strip * rows_of_strip
                        rows = min(rows_of_strip, n_in - first)
                        if begin <= cost < end:
                            on_strip(
                                table, floats, layer, index, unit + strip, batch,
                                column, first, rows, scratch, rates, weight_sum,
                                parity, factor,
                            )  # fmt: skip
                        cost += rows * columns * cost_of_one
                    unit += n_strips
                if begin <= cost < end:
                    on_vectors(
                        table, floats, layer, unit, batch, scratch, rates, factor
                    )
                unit += 1
                cost += BIAS_ROWS * width * cost_of_one

        return walk

    @helper
    def derive(table, floats):
        """Penalty and transposed copies of all weights."""
        unit = 0
        for index in range(table[at.N_LAYERS]):
            layer = layer_at(table, index)
            n_in, n_strips = layer[at.N_IN], strips_of_panel(layer)
            for p in range(panels_of(layer)):
                for strip in range(n_strips):
                    first = strip * rows_of_strip
                    rows = min(rows_of_strip, n_in - first)
                    derive_strip(
                        table, floats, layer, unit + strip, p * panel, first, rows,
                        table[at.STEP] % 2, zero,
                    )  # fmt: skip
                unit += n_strips
            unit += 1

    strips = Strips(
        make_walk(fused_strip, fused_vectors), derive, panels_of,
        strips_of_panel, derive_strip, apply, penalise, gradient_of, vector_gradient,
        move_average, parameter_at,
    )  # fmt: skip
    return strips, make_walk


@sum_helper
def sum_of_squares(values, n):
    """Sum over a strip, which is the same for any number of threads."""
    total = values[0] * values[0]
    for i in range(1, n):
        total += values[i] * values[i]
    return total
