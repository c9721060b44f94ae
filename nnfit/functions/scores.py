"""Coefficient of determination, from sums that engines compute."""

import math

import numpy as np


def squares_about_mean(y, sample_weight):
    """Weighted sum of squares about the mean of each column, (n_targets,)."""
    y = y.astype(np.float64, copy=False)
    weight = 1.0 if sample_weight is None else sample_weight[:, None]
    mean = np.average(y, axis=0, weights=sample_weight)
    return np.sum(weight * (y - mean) ** 2, axis=0)


def r2(errors, squares):
    """Mean over the outputs, as scikit-learn's ``r2_score`` has it.

    Parameters
    ----------
    errors, squares : ndarray of shape (n_outputs,)
        Weighted sums of squared errors, and of squares about the mean.

    Returns
    -------
    score : float
        NaN if an error is not finite.
    """
    if not np.isfinite(errors).all():
        return math.nan
    # A constant target counts as 1 if it is predicted exactly, else as 0.
    constant = squares == 0
    shares = errors / np.where(constant, 1.0, squares)
    return float(np.mean(1.0 - np.where(constant, errors != 0, shares)))
