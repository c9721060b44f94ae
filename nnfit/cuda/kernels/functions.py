"""Scalar functions of the registries, and the user's, as code for the device."""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import GRADIENT_SUM, OPTIMIZERS
from nnfit.functions.pools import POOLS
from nnfit.functions.specialising import specialise

Optimizer = namedtuple("Optimizer", "row update prepare")


def make_scalar(cuda, function, dtype, copies=None):
    """A scalar function for the device in one precision, see `specialise`."""
    return specialise(function, dtype, {}, cuda.jit(device=True), copies)


def _row(registry, entry):
    """Function of a name in a registry, or the user's function itself."""
    return registry[entry].function if isinstance(entry, str) else entry


def make_activate(cuda, dtype, entries):
    """Build ``activate(number, z) -> (value, slope)`` of several functions.

    Parameters
    ----------
    cuda : module
    dtype : {"float32", "float64"}
    entries : tuple of str or callable
        Names of activations, or functions of the user's, by number.
    """
    scalar = np.dtype(dtype).type
    if not entries:
        one = scalar(1.0)

        @cuda.jit(device=True)
        def activate(number, z):
            return z, one

        return activate
    function = make_scalar(cuda, _row(ACTIVATIONS, entries[0]), dtype)

    @cuda.jit(device=True)
    def first(z):
        value, slope = function(z)
        return scalar(value), scalar(slope)

    rest = make_activate(cuda, dtype, entries[1:])

    @cuda.jit(device=True)
    def activate(number, z):
        if number == 0:
            return first(z)
        return rest(number - 1, z)

    return activate


def make_loss(cuda, dtype, entry):
    """Loss of a row, see `nnfit.functions.losses`."""
    return make_scalar(cuda, _row(LOSSES, entry), dtype)


def make_link(cuda, dtype, name):
    """Inverse link of a row, see `nnfit.functions.links`."""
    return make_scalar(cuda, LINKS[name], dtype)


def make_pool(cuda, dtype, name):
    """Raw predictions of members as one, see `nnfit.functions.pools`."""
    return make_scalar(cuda, POOLS[name], dtype)


def make_optimizer(cuda, dtype, name):
    """Build the update of one parameter, and the scalars of an optimizer step.

    Parameters
    ----------
    cuda : module
    dtype : {"float32", "float64"}
    name : str or None
        Of an optimizer; None to add up the gradient.

    Returns
    -------
    optimizer : Optimizer
        ``update(m, net, p, gradient, h, l2, decay) -> w`` changes parameter `p` and its
        state, and ``prepare`` is the registry's, in double precision.
    """
    row = GRADIENT_SUM if name is None else OPTIMIZERS[name]
    function = make_scalar(cuda, row.update, dtype)
    decays = row.decays
    one = np.dtype(dtype).type(1.0)

    device = cuda.jit(device=True)
    step = _make_step(cuda, row, function)

    @device
    def update(m, net, p, gradient, h, l2, decay):
        place = m.longs[net + at.PARAMETERS] + p
        w = m.floats[place]
        gradient = gradient + l2 * w
        if decays:
            w, last = w, one - decay
        else:
            w, last = w * decay, h[7]
        scalars = (h[0], h[1], h[2], h[3], h[4], h[5], h[6], last)
        first = m.longs[net + at.STATE] + p
        second = first + m.longs[net + at.SIZE]
        w = step(m, w, gradient, scalars, first, second)
        m.floats[place] = w
        return w

    return Optimizer(row, update, make_scalar(cuda, row.prepare, "float64"))


def _make_step(cuda, row, function):
    """An optimizer's step of one parameter, whose state lies at two addresses."""
    if row.slots == 0:

        def step(m, w, gradient, h, first, second):
            return function(w, gradient, h)

    elif row.slots == 1:

        def step(m, w, gradient, h, first, second):
            w, m.floats[first] = function(w, gradient, m.floats[first], h)
            return w

    else:

        def step(m, w, gradient, h, first, second):
            w, m.floats[first], m.floats[second] = function(
                w, gradient, m.floats[first], m.floats[second], h
            )
            return w

    return cuda.jit(device=True)(step)
