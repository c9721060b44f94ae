"""Updates where a step needs more of the gradient than a unit of it.

    find_units     gradients of all units, and their squares
    update_units   the factor of clip_norm; update of all but whole matrices
    ...            whole matrices, one after the other (`nnfit.cpu.kernels.muon`)
    finish_groups  columns bounded by max_norm; what follows from new weights

Of a batch in parts, `find_units` comes with each and the others with the last.
Threads wait for each other after each of these. Sums are over units, in their order by
every thread alike.
"""

import math

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.elementwise import CLIP
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import batch_of, exports, step_of, weight_sum_of
from nnfit.cpu.kernels.pointers import (
    as_doubles,
    caller,
    offset,
    pointer_from_address,
)
from nnfit.cpu.kernels.updates import (
    make_place,
    make_steps,
    n_parts,
    part_size,
    sum_of_squares,
    unit_at,
)


def whole_update(target, dtype):
    """Kernel of `find_units`, `update_units` and `finish_groups`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    steps = make_steps(dtype)
    operations = (
        make_find_units(dtype, steps),
        make_update_units(dtype, steps),
        make_finish_groups(target, dtype, steps),
    )
    return exports(dtype, operations=operations)


def make_find_units(dtype, steps):
    """Make ``find_units``: gradients with those of the penalties, and their squares."""
    like, _ = make_place(dtype)

    def find_units(table, row, now, begin, count):
        floats = as_doubles(table[at.FLOATS_AT])
        squares = as_doubles(table[at.GRADIENT_SQUARES])
        batch, weight_sum = batch_of(now), weight_sum_of(now)
        for number in range(begin, begin + count):
            unit = unit_at(table, number)
            gradient = like(table, unit[at.U_ADDRESS], table[at.GRADIENT])
            steps.find(table, unit, batch, gradient)
            if table[at.ENDS] == 0:
                continue
            if offset(table, unit[at.U_TENSOR])[at.PENALISED] != 0:
                steps.penalise(table, floats, unit, gradient, weight_sum, math.inf)
            size, total = n_parts(unit) * part_size(table, unit), 0.0
            if size > 0:
                total = nb.float64(sum_of_squares(gradient, size))
            squares[number] = total

    return find_units


def make_update_units(dtype, steps):
    """Make ``update_units``: steps of all units but those of whole matrices."""
    scalar = scalar_type(dtype)
    zero = scalar(0.0)
    like, rates_of = make_place(dtype)
    call_clip = caller(nb.void, *CLIP[dtype])

    @helper
    def clip_factor(table, floats):
        """What all gradients are multiplied by, at most 1."""
        if math.isinf(floats[at.CLIP_NORM]):
            return 1.0
        squares = as_doubles(table[at.GRADIENT_SQUARES])
        total = 0.0
        for number in range(table[at.N_UNITS]):
            total += squares[number]
        norm = math.sqrt(total)
        return floats[at.CLIP_NORM] / norm if norm > floats[at.CLIP_NORM] else 1.0

    def update_units(table, row, now, begin, count):
        floats = as_doubles(table[at.FLOATS_AT])
        factor = scalar(clip_factor(table, floats))
        limit = scalar(floats[at.CLIP_VALUE])
        for number in range(begin, begin + count):
            unit = unit_at(table, number)
            gradient = like(table, unit[at.U_ADDRESS], table[at.GRADIENT])
            size = n_parts(unit) * part_size(table, unit)
            arguments = (gradient, size, factor, limit)
            call_clip(table[at.CLIP_KERNEL], arguments)
            if offset(table, unit[at.U_TENSOR])[at.MATRIX] == 0:
                rates = rates_of(table, unit, step_of(now))
                steps.apply(table, unit, gradient, rates, zero)

    return update_units


def make_finish_groups(target, dtype, steps):
    """Make ``finish_groups``: bounds, and what follows from new parameters."""
    scalar, as_floats = scalar_type(dtype), pointer_from_address(dtype)
    panel = target.panel(dtype)
    _, rates_of = make_place(dtype)

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
    def bound(table, floats, unit):
        """Bound the columns of the panel that begins with a unit."""
        tensor = offset(table, unit[at.U_TENSOR])
        if tensor[at.IN_PANELS] == 0 or math.isinf(floats[at.MAX_NORM]):
            return
        columns = min(panel, tensor[at.LINE] - unit[at.U_COLUMN])
        weights = as_floats(unit[at.U_ADDRESS])
        bound_columns(floats, weights, tensor[at.N_LINES], columns)

    def finish_groups(table, row, now, begin, count):
        floats, step = as_doubles(table[at.FLOATS_AT]), step_of(now)
        for number in range(begin, begin + count):
            group = offset(table, table[at.GROUPS] + number * at.GROUP)
            first = unit_at(table, group[at.G_FIRST])
            bound(table, floats, first)
            rate = rates_of(table, first, step)[at.AVERAGE_RATE]
            for unit in range(group[at.G_FIRST], group[at.G_END]):
                steps.derive(table, floats, unit, (step + 1) % 2, rate)

    return finish_groups
