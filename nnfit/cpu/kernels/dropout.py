"""Dropout: units set to zero at random, the others scaled up (Srivastava et al. 2014).

The slope is multiplied as the value is, so that the way back needs nothing. What is
dropped depends on seed, step, layer, the row's place in the epoch and the unit alone.
"""

import numpy as np
from numba.core import types as nb

from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import scalar_type
from nnfit.cpu.kernels.pointers import offset, pointer_type
from nnfit.functions.random import HIDDEN_DROPOUT

#: ``drop(value, slope, stride, rows, units, seed, step, index, row, rate)``
DROP = {
    dtype: (
        pointer_type(dtype), pointer_type(dtype), nb.int64, nb.int64, nb.int64,
        nb.int64, nb.int64, nb.int64, nb.int64, nb.float64,
    )
    for dtype in ("float32", "float64")
}  # fmt: skip


def dropout(target, dtype):
    """Kernel ``drop``, which multiplies values and slopes by 0 or ``1 / (1 - rate)``.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    scalar = scalar_type(dtype)
    zero = scalar(0.0)

    def drop(value, slope, stride, rows, units, seed, step, index, row, rate):
        limit = np.uint32(np.uint64(rate * 4294967296.0))
        kept = scalar(1.0 / (1.0 - rate))
        stream = random.stream_of(seed, step, HIDDEN_DROPOUT + index)
        for r in range(rows):
            key = random.stream(nb.int64(stream), row + r)
            low, high = random.low_word(key), random.high_word(key)
            values = offset(value, r * stride)
            slopes = offset(slope, r * stride)
            for j in range(units):
                dropped = random.bits(low, high, j) < limit
                # Both read before the choice: a load in one branch stays a branch.
                kept_value, kept_slope = values[j] * kept, slopes[j] * kept
                values[j] = zero if dropped else kept_value
                slopes[j] = zero if dropped else kept_slope

    return {"drop": (drop, nb.void(*DROP[dtype]))}
