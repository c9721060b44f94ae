"""Dropout: units set to zero at random, the others scaled up (Srivastava et al. 2014).

The slope is multiplied as the value is, so that the way back needs nothing. What is
dropped depends on seed, step, layer, the row's place in the epoch, its line and the
unit alone.
"""

import numpy as np
from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import exports, make_line, position_of, step_of
from nnfit.cpu.kernels.pointers import as_doubles
from nnfit.functions.random import HIDDEN_DROPOUT

#: Number behind those that every layer has: which of the rates is the layer's.
NUMBER = at.EDGES


def dropout(target, dtype):
    """Kernels ``drop``, which multiplies values and slopes by 0 or ``1 / (1 - rate)``.

    ``drop_alone`` is for layers without slopes of their own, and makes them these
    factors.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    scalar, line = scalar_type(dtype), make_line(dtype)
    zero, one = scalar(0.0), scalar(1.0)

    @helper
    def key_of(table, row, now, r):
        seed, step, position = table[at.SEED], step_of(now), position_of(now)
        stream = random.stream_of(seed, step, HIDDEN_DROPOUT + row[NUMBER])
        key = random.stream(nb.int64(stream), position * row[at.LINES] + r)
        return random.low_word(key), random.high_word(key)

    @helper
    def rate_of(table, row):
        rates = as_doubles(table[at.DROPOUT_RATES])
        return rates[table[at.N_DROPOUT] + row[NUMBER]]

    @helper
    def factors_of(rate):
        """Random bits below a limit drop a unit, others are multiplied by a factor."""
        limit = np.uint32(np.uint64(rate * 4294967296.0))
        return limit, scalar(1.0 / (1.0 - rate))

    def drop(table, row, now, begin, count):
        rate = rate_of(table, row)
        if rate <= 0.0:
            return
        limit, kept = factors_of(rate)
        for r in range(begin, begin + count):
            low, high = key_of(table, row, now, r)
            values = line(row[at.OUTPUT], row[at.STRIDE], r)
            slopes = line(row[at.SLOPE], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                dropped = random.bits(low, high, j) < limit
                # Both read before the choice: a load in one branch stays a branch.
                kept_value, kept_slope = values[j] * kept, slopes[j] * kept
                values[j] = zero if dropped else kept_value
                slopes[j] = zero if dropped else kept_slope

    def drop_alone(table, row, now, begin, count):
        rate = rate_of(table, row)
        limit, kept = factors_of(rate)
        for r in range(begin, begin + count):
            slopes = line(row[at.SLOPE], row[at.STRIDE], r)
            if rate <= 0.0:
                for j in range(row[at.N_OUT]):
                    slopes[j] = one
            else:
                low, high = key_of(table, row, now, r)
                values = line(row[at.OUTPUT], row[at.STRIDE], r)
                for j in range(row[at.N_OUT]):
                    dropped = random.bits(low, high, j) < limit
                    kept_value = values[j] * kept
                    values[j] = zero if dropped else kept_value
                    slopes[j] = zero if dropped else kept

    return exports(dtype, operations=(drop, drop_alone))
