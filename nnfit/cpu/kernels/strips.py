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

#: Parts of an update: gradient and update of each strip at once, or, where a step needs
#: all gradients first, one after the other.
FUSED, GRADIENTS, APPLICATION = range(3)

Strips = namedtuple("Strips", "update derive panels_of strips_of_panel derive_strip")


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
    call_penalise = caller(nb.void, pointer, pointer, nb.int64, scalar, scalar)
    call_clip = caller(nb.void, pointer, nb.int64, scalar, scalar)
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
    def follow(table, address, n, rate):
        """Move the running average towards n parameters."""
        average = parameter_at(address, table, table[at.AVERAGE])
        values = as_floats(address)
        if rate >= one:
            for i in range(n):
                average[i] = values[i]
        else:
            for i in range(n):
                average[i] += rate * (values[i] - average[i])

    @helper
    def settle(table, address, n, rate):
        """What follows from n new parameters, wherever they belong."""
        if table[at.AVERAGE] != 0 and rate > zero:
            follow(table, address, n, rate)

    @helper
    def derive_strip(table, floats, layer, unit, column, first, rows, parity, rate):
        """Penalty, transposed copy and average of a strip's new weights."""
        columns = min(panel, layer[at.WIDTH] - column)
        address = layer[at.WEIGHTS] + item * (column * layer[at.N_IN] + first * columns)
        weights, n = as_floats(address), rows * columns
        penalty = 0.5 * floats[at.ALPHA] * nb.float64(sum_of_squares(weights, n))
        if floats[at.L1] > 0.0:
            penalty += floats[at.L1] * nb.float64(sum_of_sizes(weights, n))
        penalties = as_doubles(table[at.PENALTY])
        penalties[parity * table[at.N_UNITS] + unit] = penalty
        if layer[at.TRANSPOSED] != 0:
            dense.transpose(layer, column, first, rows)
        settle(table, address, n, rate)

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
    def penalise(table, floats, address, gradient, n, weight_sum):
        """Add the derivative of the penalties of n weights to their gradient."""
        call_penalise(
            table[at.PENALISE_KERNEL],
            (
                gradient,
                as_floats(address),
                n,
                scalar(floats[at.ALPHA] / weight_sum),
                scalar(floats[at.L1] / weight_sum),
            ),
        )

    @helper
    def clip(table, floats, gradient, n, factor):
        """Multiply n gradients by the factor of all, then bound each."""
        limit = scalar(floats[at.CLIP_VALUE])
        call_clip(table[at.CLIP_KERNEL], (gradient, n, scalar(factor), limit))

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
    def scale_gradient(layer, batch, gradient):
        """Sum over the batch of the gradient by u times z normalised, (width,)."""
        width, stride = layer[at.WIDTH], layer[at.STRIDE]
        for j in range(width):
            gradient[j] = zero
        for r in range(batch):
            by_u = offset(as_floats(layer[at.SLOPE]), r * stride)
            normed = offset(as_floats(layer[at.NORMED]), r * stride)
            for j in range(layer[at.N_OUT]):
                gradient[j] += by_u[j] * normed[j]

    @helper
    def step_of(table, floats, layer, address, gradient, n, rates, weight_sum, part,
                factor):  # fmt: skip
        """Update n parameters by their gradient; weights have penalties and decay."""
        is_weight = weight_sum > 0.0
        l2 = scalar(floats[at.ALPHA] / weight_sum) if is_weight else zero
        decay = rates[at.DECAY] if is_weight else one
        if table[at.PENALISE_KERNEL] != 0:
            if part == FUSED and is_weight:
                penalise(table, floats, address, gradient, n, weight_sum)
            clip(table, floats, gradient, n, factor)
            l2 = zero
        if layer[at.MATRIX] == 0 or not is_weight:
            apply(table, address, gradient, n, rates, l2, decay)

    @helper
    def gradient_at(table, address, scratch, part):
        """Where the gradient of the parameters at an address goes, or is."""
        if part == FUSED:
            return scratch
        return parameter_at(address, table, table[at.GRADIENT])

    @helper
    def weights_step(table, floats, layer, index, unit, batch, column, first, rows,
                     scratch, rates, weight_sum, parity, part, factor):  # fmt: skip
        """One strip's part of an update."""
        columns = min(panel, layer[at.WIDTH] - column)
        address = layer[at.WEIGHTS] + item * (column * layer[at.N_IN] + first * columns)
        n = rows * columns
        gradient = gradient_at(table, address, scratch, part)
        if part != APPLICATION:
            gradient_of(table, layer, index, batch, column, first, rows, gradient)
        if part == GRADIENTS:
            penalise(table, floats, address, gradient, n, weight_sum)
            squares = as_doubles(table[at.GRADIENT_SQUARES])
            squares[unit] = nb.float64(sum_of_squares(gradient, n))
            return
        step_of(
            table, floats, layer, address, gradient, n, rates, weight_sum, part, factor
        )
        if part == FUSED:
            derive_strip(
                table, floats, layer, unit, column, first, rows, parity,
                rates[at.AVERAGE_RATE],
            )  # fmt: skip

    @helper
    def vectors_step(table, floats, layer, unit, batch, scratch, rates, part, factor):
        """The part of an update of a layer's biases and of its scale."""
        width, squares = layer[at.WIDTH], 0.0
        for number in range(2 if layer[at.N_NORMS] > 0 else 1):
            address = layer[at.BIAS] if number == 0 else layer[at.NORMS]
            gradient = gradient_at(table, address, scratch, part)
            if part != APPLICATION:
                if number == 0:
                    dense.bias_gradient(table, layer, batch, gradient)
                else:
                    scale_gradient(layer, batch, gradient)
            if part == GRADIENTS:
                squares += nb.float64(sum_of_squares(gradient, width))
            else:
                step_of(
                    table, floats, layer, address, gradient, width, rates, 0.0, part,
                    factor,
                )  # fmt: skip
                settle(table, address, width, rates[at.AVERAGE_RATE])
        if part == GRADIENTS:
            as_doubles(table[at.GRADIENT_SQUARES])[unit] = squares

    @helper
    def update(
        table, floats, thread, n_threads, batch, step, weight_sum, part, factor=1.0
    ):
        """Phase 2 of a batch for one thread, or a part of it."""
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
            rates = offset(as_floats(table[at.RATES]), rates_offset(table, step, index))
            n_strips = strips_of_panel(layer)
            cost_of_one = cost_of_weight(table, index, batch)
            for p in range(panels_of(layer)):
                column = p * panel
                columns = min(panel, width - column)
                for strip in range(n_strips):
                    first = strip * rows_of_strip
                    rows = min(rows_of_strip, n_in - first)
                    if begin <= cost < end:
                        weights_step(
                            table, floats, layer, index, unit + strip, batch, column,
                            first, rows, scratch, rates, weight_sum, parity, part,
                            factor,
                        )  # fmt: skip
                    cost += rows * columns * cost_of_one
                unit += n_strips
            if begin <= cost < end:
                vectors_step(
                    table, floats, layer, unit, batch, scratch, rates, part, factor
                )
            unit += 1
            cost += BIAS_ROWS * width * cost_of_one

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

    return Strips(update, derive, panels_of, strips_of_panel, derive_strip)


@sum_helper
def sum_of_squares(values, n):
    """Sum over a strip, which is the same for any number of threads."""
    total = values[0] * values[0]
    for i in range(1, n):
        total += values[i] * values[i]
    return total


@sum_helper
def sum_of_sizes(values, n):
    """Likewise, of absolute values."""
    total = abs(values[0])
    for i in range(1, n):
        total += abs(values[i])
    return total
