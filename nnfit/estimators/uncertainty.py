"""Averages of several predictions for the same rows, and their spread.

Several predictions come from the members of an ensemble (Lakshminarayanan et al. 2017,
arXiv:1612.01474) and from passes with dropout (Gal and Ghahramani 2016,
arXiv:1506.02142).
"""

from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar

from nnfit.estimators.validation import check_dropout


def networks(estimator):
    """The single networks of a fitted estimator: its members, or itself."""
    return getattr(estimator, "members_", None) or [estimator]


def average(estimator, n_passes, return_std, predict):
    """Mean of what all networks predict in all passes.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    n_passes : int or None
        Passes with dropout of every network; None stands for one without.
    return_std : bool
    predict : callable
        ``predict(network, dropout)``, see `passes`.

    Returns
    -------
    mean : ndarray
        Of the shape and type of a prediction.
    std : ndarray
        Standard deviation, only with `return_std`.

    Raises
    ------
    ValueError
        If there is but one prediction and its spread is asked for, or if there is no
        dropout and passes are.
    """
    members = networks(estimator)
    if return_std and n_passes is None and len(members) == 1:
        raise ValueError(
            "return_std=True needs several predictions of the same rows, got one. Fit "
            "an ensemble with n_members=5, or a network with dropout and pass "
            "n_passes=50."
        )
    moments = _Moments()
    for network in members:
        for dropout in passes(network, n_passes):
            moments.add(predict(network, dropout))
    return (moments.mean, moments.std) if return_std else moments.mean


def passes(network, n_passes):
    """What the engine's ``predict`` takes as `dropout`, for one pass after another.

    Parameters
    ----------
    network : BaseMLP
        Fitted, a single network.
    n_passes : int or None

    Returns
    -------
    list of tuple or None
        Rates of the hidden layers, rate of the features, seed and number of the pass.
        Fitted networks have their own seed, so that the same rows get the same
        prediction at every call.
    """
    if n_passes is None:
        return [None]
    check_scalar(n_passes, "n_passes", Integral, min_val=1)
    fitted = network._description()
    dropout, inputs = fitted["dropout"], float(fitted["input_dropout"])
    rates = check_dropout(dropout, len(network.coefs_) - 1)
    if not rates and not inputs:
        raise ValueError(
            f"n_passes={n_passes} needs a network with dropout, got "
            f"dropout={dropout!r} and input_dropout={inputs!r}. "
            "Fit one with, for example, dropout=0.1."
        )
    seed = getattr(network, "_seed", 0)  # weights set by hand have none
    return [(rates, inputs, seed, number) for number in range(n_passes)]


class _Moments:
    """Mean and variance of arrays that come one by one (Welford 1962)."""

    def __init__(self):
        self._count = 0

    def add(self, values):
        """Take one more array."""
        self._count += 1
        if self._count == 1:
            # One array is returned as it is; sums of several are exact to rounding.
            self._dtype, self._mean, self._squares = values.dtype, values, None
            return
        if self._count == 2:
            self._mean = self._mean.astype(np.float64)
            self._squares = np.zeros_like(self._mean)
        step = values - self._mean
        self._mean += step / self._count
        self._squares += step * (values - self._mean)

    @property
    def mean(self):
        """Mean, of the type of the arrays."""
        return self._mean.astype(self._dtype, copy=False)

    @property
    def std(self):
        """Standard deviation, whose square is the mean squared distance of the mean."""
        if self._squares is None:
            return np.zeros_like(self._mean)
        return np.sqrt(self._squares / self._count).astype(self._dtype)
