"""Dropout: units set to zero at random, the others scaled up (Srivastava et al. 2014).

The slope is multiplied as the value is, so that the way back needs nothing. What is
dropped depends on seed, step, layer, the row's place in the epoch, its line and the
unit alone.
"""

import numpy as np
from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import scalar_type
from nnfit.cpu.kernels.operations import exports, make_line, position_of, step_of
from nnfit.cpu.kernels.pointers import as_doubles
from nnfit.functions.random import HIDDEN_DROPOUT

#: Number behind those that every layer has: which of the rates is the layer's.
NUMBER = at.EDGES


def dropout(target, dtype):
    """Kernel ``drop``, which multiplies values and slopes by 0 or ``1 / (1 - rate)``.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    scalar, line = scalar_type(dtype), make_line(dtype)
    zero, one = scalar(0.0), scalar(1.0)

    def drop(table, row, now, begin, count):
        number, position = row[NUMBER], position_of(now)
        rate = as_doubles(table[at.DROPOUT_RATES])[table[at.N_DROPOUT] + number]
        if rate <= 0.0:
            return
        limit = np.uint32(np.uint64(rate * 4294967296.0))
        kept = scalar(1.0 / (1.0 - rate))
        seed, step = table[at.SEED], step_of(now)
        stream = random.stream_of(seed, step, HIDDEN_DROPOUT + number)
        for r in range(begin, begin + count):
            key = random.stream(nb.int64(stream), position * row[at.LINES] + r)
            low, high = random.low_word(key), random.high_word(key)
            values = line(row[at.OUTPUT], row[at.STRIDE], r)
            slopes = line(row[at.SLOPE], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                dropped = random.bits(low, high, j) < limit
                # Both read before the choice: a load in one branch stays a branch.
                kept_value, kept_slope = values[j] * kept, slopes[j] * kept
                values[j] = zero if dropped else kept_value
                slopes[j] = zero if dropped else kept_slope

    def begin_slopes(table, row, now, begin, count):
        """Slopes of 1, for layers that have none."""
        for r in range(begin, begin + count):
            slopes = line(row[at.SLOPE], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                slopes[j] = one

    return exports(dtype, operations=(drop, begin_slopes))
