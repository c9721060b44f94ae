"""Updates: the gradient of a unit over the batch and its step, at once.

A unit is some of a tensor's parameters: a strip of weights, some rows of one panel, or
a whole vector. Units lie in the order of the layers and are dealt to threads in runs of
equal cost, so that a thread keeps a panel's columns of the gradient in its cache and
none waits long for another. No sum depends on who has which.

Of some units a batch touches a few lines alone. Their gradient is that of these lines
one after the other, and each of them is a *part*, which is updated by itself: the other
lines, and what the optimizer keeps of them, stay as they are. Any other unit is one
part.
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.elementwise import AVERAGE, PENALISE
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import (
    UNIT_AFTER,
    UNIT_GRADIENT,
    batch_of,
    step_of,
    weight_sum_of,
)
from nnfit.cpu.kernels.pointers import (
    as_doubles,
    as_int64,
    caller,
    offset,
    pointer_from_address,
    pointer_type,
)

#: Of units: what finds a gradient, adds penalties, takes a step, moves the average and
#: derives what follows from new parameters.
Steps = namedtuple("Steps", "find penalise apply average after derive")


@helper
def unit_at(table, number):
    """Row of a unit."""
    return offset(table, table[at.UNITS] + number * at.UNIT)


@helper
def n_parts(unit):
    """Parts of a unit that the batch touches, once its gradient is found."""
    if unit[at.U_TOUCHED] == 0:
        return 1
    return as_int64(unit[at.U_TOUCHED])[at.TOUCHED_LINES]


@helper
def part_size(table, unit):
    """Elements of each part of a unit."""
    if unit[at.U_TOUCHED] == 0:
        return unit[at.U_SIZE]
    return offset(table, unit[at.U_TENSOR])[at.LINE]


@helper
def rates_offset(table, step, number):
    """Where the scalars of a step lie; two sets, to prepare one in advance."""
    return ((step % 2) * table[at.N_RATE_ROWS] + number) * at.N_RATES


def make_place(dtype):
    """Make ``like(table, address, other)`` and ``rates(table, unit, step)``.

    The first is where in another flat array lies what a parameter's address is for, the
    second the scalars of a unit's step.
    """
    as_floats = pointer_from_address(dtype)

    @helper
    def like(table, address, other):
        return as_floats(other + (address - table[at.PARAMETERS]))

    @helper
    def rates_of(table, unit, step):
        number = offset(table, unit[at.U_TENSOR])[at.RATE]
        return offset(as_floats(table[at.RATES]), rates_offset(table, step, number))

    return like, rates_of


def make_part_address(dtype):
    """Make ``part_address(table, unit, number)``: where a part of a unit begins."""
    item = 4 if dtype == "float32" else 8

    @helper
    def part_address(table, unit, number):
        if unit[at.U_TOUCHED] == 0:
            return unit[at.U_ADDRESS]
        line = as_int64(unit[at.U_TOUCHED])[at.TOUCHED + number]
        return unit[at.U_ADDRESS] + line * part_size(table, unit) * item

    return part_address


def make_steps(dtype):
    """Build what is done with a unit, for a precision.

    Returns
    -------
    steps : Steps
        Helpers for compiled code.
    """
    find, penalise = make_gradient(dtype)
    apply, average = make_apply(dtype)
    after = make_after()
    derive = make_derive(dtype, after, average)
    return Steps(find, penalise, apply, average, after, derive)


def make_gradient(dtype):
    """Make ``find`` and ``penalise``: a unit's gradient, and that of the penalties."""
    scalar, as_floats = scalar_type(dtype), pointer_from_address(dtype)
    call_gradient = caller(nb.void, *UNIT_GRADIENT[dtype])
    call_penalise = caller(nb.void, *PENALISE[dtype])
    part_address = make_part_address(dtype)
    zero = scalar(0.0)

    @helper
    def find(table, unit, batch, goal):
        row = offset(table, unit[at.U_ROW])
        n_lines = batch * row[at.LINES]
        call_gradient(unit[at.U_GRADIENT], (table, row, unit, n_lines, goal))

    @helper
    def penalise(table, floats, unit, gradient, weight_sum, limit):
        """Add what the penalties give to a gradient, and bound it."""
        l2 = l1 = zero
        if offset(table, unit[at.U_TENSOR])[at.PENALISED] != 0:
            factor = as_doubles(table[at.TENSOR_FACTORS])[unit[at.U_NUMBER]]
            l2 = scalar(factor * floats[at.ALPHA] / weight_sum)
            l1 = scalar(factor * floats[at.L1] / weight_sum)
        size = part_size(table, unit)
        for number in range(n_parts(unit)):
            weights = as_floats(part_address(table, unit, number))
            own = offset(gradient, number * size)
            arguments = (own, weights, size, l2, l1, scalar(limit))
            call_penalise(table[at.PENALISE_KERNEL], arguments)

    return find, penalise


def make_apply(dtype):
    """Make ``apply`` and ``average``: a unit's step, and that of its average."""
    scalar, pointer = scalar_type(dtype), pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    (like, _), part_address = make_place(dtype), make_part_address(dtype)
    call_update = caller(
        nb.void, pointer, pointer, pointer, pointer, nb.int64, pointer, scalar, scalar
    )
    call_average = caller(nb.void, *AVERAGE[dtype])
    zero, one = scalar(0.0), scalar(1.0)

    @helper
    def apply(table, unit, gradient, rates, l2):
        penalised = offset(table, unit[at.U_TENSOR])[at.PENALISED] != 0
        size = part_size(table, unit)
        for number in range(n_parts(unit)):
            address = part_address(table, unit, number)
            call_update(
                table[at.UPDATE_KERNEL],
                (
                    as_floats(address),
                    offset(gradient, number * size),
                    like(table, address, table[at.STATE_0]),
                    like(table, address, table[at.STATE_1]),
                    size,
                    rates,
                    l2,
                    rates[at.DECAY] if penalised else one,
                ),
            )

    @helper
    def average(table, unit, rate):
        """Move the running average, if there is one, towards new parameters."""
        if table[at.AVERAGE_KERNEL] != 0 and rate > zero:
            address = unit[at.U_ADDRESS]
            call_average(
                table[at.AVERAGE_KERNEL],
                (
                    like(table, address, table[at.AVERAGE]),
                    as_floats(address),
                    unit[at.U_SIZE],
                    rate,
                ),
            )

    return apply, average


def make_after():
    """Make ``after(table, unit)``: what the layer derives from parameters."""
    call_after = caller(nb.void, *UNIT_AFTER)

    @helper
    def after(table, unit):
        if unit[at.U_AFTER] != 0:
            row = offset(table, unit[at.U_ROW])
            call_after(unit[at.U_AFTER], (table, row, unit))

    return after


def make_derive(dtype, after, average):
    """Make ``derive(table, floats, number, parity, rate)`` of a unit's new parameters.

    It writes down their penalty and what the layer derives, and moves their average.
    """
    as_floats, pointer = pointer_from_address(dtype), pointer_type(dtype)
    call_size = caller(nb.float64, pointer, nb.int64)

    @helper
    def penalty_of(table, floats, unit):
        if offset(table, unit[at.U_TENSOR])[at.PENALISED] == 0:
            return 0.0
        weights, n = as_floats(unit[at.U_ADDRESS]), unit[at.U_SIZE]
        penalty = 0.5 * floats[at.ALPHA] * nb.float64(sum_of_squares(weights, n))
        if floats[at.L1] > 0.0:
            penalty += floats[at.L1] * call_size(table[at.SIZE_KERNEL], (weights, n))
        return penalty * as_doubles(table[at.TENSOR_FACTORS])[unit[at.U_NUMBER]]

    @helper
    def derive(table, floats, number, parity, rate):
        unit = unit_at(table, number)
        penalties = as_doubles(table[at.PENALTY])
        place = parity * table[at.N_UNITS] + number
        penalties[place] = penalty_of(table, floats, unit)
        after(table, unit)
        average(table, unit, rate)

    return derive


def make_updates(dtype):
    """Make the operation `update_units` and ``derive_all(table, floats)``."""
    scalar, as_floats = scalar_type(dtype), pointer_from_address(dtype)
    steps = make_steps(dtype)
    like, rates_of = make_place(dtype)
    zero = scalar(0.0)

    def update_units(table, row, now, begin, count):
        """Gradients of units over the batch, and their updates at its end."""
        batch, step, weight_sum = batch_of(now), step_of(now), weight_sum_of(now)
        floats = as_doubles(table[at.FLOATS_AT])
        place = as_int64(now)[at.NOW_THREAD] * table[at.SCRATCH_STRIDE]
        gradient = offset(as_floats(table[at.SCRATCH]), place)
        for number in range(begin, begin + count):
            unit = unit_at(table, number)
            if table[at.GRADIENT] != 0:
                gradient = like(table, unit[at.U_ADDRESS], table[at.GRADIENT])
            steps.find(table, unit, batch, gradient)
            if table[at.ENDS] == 0:
                continue
            rates = rates_of(table, unit, step)
            l2 = zero
            if table[at.PENALISE_KERNEL] != 0:
                limit = floats[at.CLIP_VALUE]
                steps.penalise(table, floats, unit, gradient, weight_sum, limit)
            elif offset(table, unit[at.U_TENSOR])[at.PENALISED] != 0:
                factor = as_doubles(table[at.TENSOR_FACTORS])[unit[at.U_NUMBER]]
                l2 = scalar(factor * floats[at.ALPHA] / weight_sum)
            steps.apply(table, unit, gradient, rates, l2)
            parity, rate = (step + 1) % 2, rates[at.AVERAGE_RATE]
            steps.derive(table, floats, number, parity, rate)

    @helper
    def derive_all(table, floats):
        """What follows from all parameters, when they may have been set."""
        n_trained = table[at.N_UNITS]
        for number in range(n_trained):
            steps.derive(table, floats, number, table[at.STEP] % 2, zero)
        for number in range(n_trained, n_trained + table[at.N_FROZEN_UNITS]):
            steps.after(table, unit_at(table, number))

    return update_units, derive_all


@sum_helper
def sum_of_squares(values, n):
    """Sum over a unit, which is the same for any number of threads."""
    total = values[0] * values[0]
    for i in range(1, n):
        total += values[i] * values[i]
    return total
