"""What layers know of columns of numbers: found from data, before training.

A column is a vector without missing values, `present`, whose values and order are
lost; it may be empty. It keeps its type, so that of a million rows of 20 columns in
float32 it is a twentieth.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from nnfit.network.bins import quantiles
from nnfit.network.kinds.scaling import LARGEST

#: A spread that is a smaller part of the largest value is rounding in float64.
CONSTANT = 2.0**-46
#: 1 / cut: what a robustly scaled number stays below.
BOUND = 3.0
#: Rows for each quantile, and fewest and most of them, as TabM has them (Gorishniy et
#: al. 2024, arXiv:2410.24210).
ROWS_OF_A_QUANTILE, FEWEST, MOST = 30, 10, 1000
#: Smallest rank there is, as scikit-learn's QuantileTransformer has it.
LEAST_RANK = 1e-7
#: Ranks between which the function is a line. Few, since a table of 1,000 quantiles for
#: each of 20 columns does not stay in the cache: a fifth of an epoch of three layers of
#: 256 units. scikit-learn's function, a line of ranks between quantiles, differs from
#: it by some hundredths.
BETWEEN = ndtr(np.linspace(ndtri(LEAST_RANK), -ndtri(LEAST_RANK), 129))


def present(x, weights=None):
    """What there is of a column of a table, as a copy.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Numbers, NaN for missing ones.
    weights : ndarray of shape (n,), default=None
        What rows count; None for all alike.

    Returns
    -------
    x : ndarray, of its type
    weights : ndarray or None
        More than 0.
    """
    is_there = ~np.isnan(x)
    if weights is not None:
        is_there &= weights > 0.0
    if is_there.all():
        return x.copy(), weights
    return x[is_there], None if weights is None else weights[is_there]


def mean(x, weights=None):
    """Weighted mean of a column; 0 if it is empty."""
    if len(x) == 0:
        return 0.0
    if weights is None:
        return float(x.mean(dtype=np.float64))
    return float(np.average(x, weights=weights))


def standard(x, weights=None):
    """Mean, one over the standard deviation, and no cut; a constant is not divided.

    Parameters
    ----------
    x, weights
        As `present` gives them.

    Returns
    -------
    tuple of float
        Shift, scale and cut, see `nnfit.network.kinds.scaling`.
    """
    shift = mean(x, weights)
    size = max(float(x.max(initial=0.0)), -float(x.min(initial=0.0)))
    if size > 0.0:  # squares then are of the size of one
        x /= size
        x -= shift / size
    deviation = size * np.sqrt(mean(np.square(x, out=x), weights))
    scale = 1.0 / deviation if deviation > CONSTANT * size else 1.0
    return shift, min(scale, LARGEST), 0.0


def robust(x, weights=None):
    """Median, one over the distance of the quartiles, and a cut.

    RealMLP's scaling (Holzmüller et al. 2024, arXiv:2407.04491): half of all values has
    a size of one or so, and none is larger than 3. Where the quartiles are equal, half
    the distance of the largest and smallest value takes their place; a constant becomes
    0.

    Parameters
    ----------
    x, weights
        As `present` gives them.

    Returns
    -------
    tuple of float
        Shift, scale and cut, see `nnfit.network.kinds.scaling`.
    """
    if len(x) == 0:
        return 0.0, 0.0, 1.0 / BOUND
    shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    found = quantiles(x, shares, weights, in_place=True)
    low, first, middle, third, high = found.tolist()
    distance = third - first if third > first else (high - low) / 2.0
    scale = 1.0 / distance if distance > 0.0 else 0.0
    return middle, min(scale, LARGEST), 1.0 / BOUND


def normal(x, weights=None, dtype="float64"):
    """Knots at quantiles, and those of a normal distribution as their values.

    As scikit-learn's QuantileTransformer with ``output_distribution="normal"``, but for
    some hundredths, and with two differences. A value at several quantiles has the
    middle of their ranks at the ends too, where it would lie 5.2 away from all others.
    A constant becomes 0.

    Parameters
    ----------
    x, weights
        As `present` gives them.
    dtype : {"float32", "float64"}, default="float64"
        Type in which knots must differ.

    Returns
    -------
    knots, values : ndarray of float64 of shape (n_knots,)
        See `nnfit.network.kinds.quantile_scaling`.
    """
    n = min(max(len(x) // ROWS_OF_A_QUANTILE, FEWEST), MOST)
    ranks, found = np.linspace(0.0, 1.0, n), np.empty(0, dtype)
    if len(x):
        found = quantiles(x, ranks, weights, in_place=True).astype(dtype)
    # Rounding between two of them may put one below the one before.
    found = np.maximum.accumulate(found)
    found, first, count = np.unique(found, return_index=True, return_counts=True)
    if len(found) < 2:
        return np.array([0.0, 1.0]), np.zeros(2)
    is_level = count > 1
    level, start, end = found[is_level], ranks[first], ranks[first + count - 1]
    # Close beside a value at several quantiles are the first and last of its ranks.
    # Engines take distances that are not normal numbers for 0.
    tiny = np.finfo(dtype).tiny
    close = np.maximum(np.spacing(np.abs(level)), 2 * tiny)
    knots = np.concatenate([found, level - close, level + close])
    own = np.concatenate([(start + end) / 2.0, start[is_level], end[is_level]])
    knots, own = _increasing(knots, own, tiny)
    other = BETWEEN[BETWEEN > end[np.searchsorted(start, BETWEEN, side="right") - 1]]
    between = np.interp(other, own, knots.astype(np.float64)).astype(dtype)
    is_needed = np.isin(knots, np.concatenate([level, level - close, level + close]))
    is_needed[[0, -1]] = True
    knots = np.concatenate([knots[is_needed], between])
    own = np.concatenate([own[is_needed], other])
    knots, own = _increasing(knots, own, tiny)
    return knots.astype(np.float64), ndtri(np.clip(own, LEAST_RANK, 1.0 - LEAST_RANK))


def _increasing(knots, ranks, tiny):
    """In order, far enough from each other, with the rank that comes first."""
    knots, places = np.unique(knots, return_index=True)
    is_apart = np.diff(knots, prepend=-np.inf) >= tiny
    return knots[is_apart], ranks[places][is_apart]
