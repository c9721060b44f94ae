"""Strips of weights: their gradient over the batch and their update, at once.

A unit of work is a strip, some rows of one panel of one layer's weights, or all
biases of a layer. Units are numbered through the layers and dealt to threads in
runs of equal cost, so that a thread keeps a panel's columns of the gradient in its
cache and none waits long for another.
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.memory import (
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

Strips = namedtuple("Strips", "update derive")


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
    sparse_gradient = caller(
        nb.void, INT64_POINTER, INT64_POINTER, nb.int64, nb.int64, nb.int64, nb.int64,
        pointer,
    )  # fmt: skip
    one, zero = scalar(1.0), scalar(0.0)

    @helper
    def strips_of_panel(layer):
        return (layer[at.N_IN] + rows_of_strip - 1) // rows_of_strip

    @helper
    def panels_of(layer):
        return (layer[at.WIDTH] + panel - 1) // panel

    @helper
    def derive_strip(table, layer, unit, column, first, rows, parity):
        """What follows from a strip's new weights: penalty, transposed copy."""
        columns = min(panel, layer[at.WIDTH] - column)
        weights = offset(
            as_floats(layer[at.WEIGHTS]), column * layer[at.N_IN] + first * columns
        )
        squares = as_doubles(table[at.PENALTY])
        squares[parity * table[at.N_UNITS] + unit] = sum_of_squares(
            weights, rows * columns
        )
        if layer[at.TRANSPOSED] != 0:
            dense.transpose(layer, column, first, rows)

    @helper
    def apply(table, weights, gradient, n, rates, l2, decay):
        """Update n parameters that lie at `weights` with their optimizer state."""
        distance = (weights - table[at.PARAMETERS]) // item
        call_update(
            table[at.UPDATE_KERNEL],
            (
                as_floats(weights),
                gradient,
                offset(as_floats(table[at.STATE_0]), distance),
                offset(as_floats(table[at.STATE_1]), distance),
                n,
                rates,
                l2,
                decay,
            ),
        )

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
    def update(
        table, floats, thread, n_threads, batch, step, learning_rate, weight_sum
    ):
        """Phase 2 of a batch for one thread."""
        total = cost_of_all(table, batch)
        begin = total * thread // n_threads
        end = total * (thread + 1) // n_threads
        rates = offset(as_floats(table[at.RATES]), rates_offset(step))
        l2 = scalar(floats[at.ALPHA] / weight_sum)
        decay = scalar(1.0 - learning_rate * floats[at.WEIGHT_DECAY])
        gradient = offset(
            as_floats(table[at.SCRATCH]), thread * table[at.SCRATCH_STRIDE]
        )
        unit = cost = 0  # of the strips before
        for index in range(table[at.N_LAYERS]):
            layer = layer_at(table, index)
            n_in, width = layer[at.N_IN], layer[at.WIDTH]
            n_strips = strips_of_panel(layer)
            cost_of_one = cost_of_weight(table, index, batch)
            for p in range(panels_of(layer)):
                column = p * panel
                columns = min(panel, width - column)
                for strip in range(n_strips):
                    first = strip * rows_of_strip
                    rows = min(rows_of_strip, n_in - first)
                    if begin <= cost < end:
                        gradient_of(
                            table, layer, index, batch, column, first, rows, gradient
                        )
                        weights = layer[at.WEIGHTS] + item * (
                            column * n_in + first * columns
                        )
                        n = rows * columns
                        apply(table, weights, gradient, n, rates, l2, decay)
                        derive_strip(
                            table, layer, unit + strip, column, first, rows,
                            (step + 1) % 2,
                        )  # fmt: skip
                    cost += rows * columns * cost_of_one
                unit += n_strips
            if begin <= cost < end:
                dense.bias_gradient(table, layer, batch, gradient)
                apply(table, layer[at.BIAS], gradient, width, rates, zero, one)
            unit += 1
            cost += BIAS_ROWS * width * cost_of_one

    @helper
    def derive(table):
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
                        table, layer, unit + strip, p * panel, first, rows,
                        table[at.STEP] % 2,
                    )  # fmt: skip
                unit += n_strips
            unit += 1

    return Strips(update, derive)


@sum_helper
def sum_of_squares(values, n):
    """Sum over a strip, which is the same for any number of threads."""
    total = values[0] * values[0]
    for i in range(1, n):
        total += values[i] * values[i]
    return total
