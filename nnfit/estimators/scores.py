"""Default validation scores, evaluated after every epoch.

They agree with scikit-learn's ``accuracy_score`` and ``r2_score``, whose checks of
their arguments take longer than an epoch of a small network.
"""

import math

import numpy as np


def accuracy(predicted, expected, sample_weight=None):
    """Share of rows in which all columns are right.

    Parameters
    ----------
    predicted, expected : ndarray of shape (n_samples, n_outputs)
    sample_weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    float
    """
    right = np.all(predicted == expected, axis=1)
    return float(np.average(right, weights=sample_weight))


def r2(predicted, expected, sample_weight=None):
    """Coefficient of determination, averaged over outputs.

    Parameters
    ----------
    predicted, expected : ndarray of shape (n_samples, n_outputs)
    sample_weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    float
        NaN if a prediction is not finite. A constant output counts as 1 if it is
        predicted exactly, else as 0.
    """
    if not np.isfinite(predicted).all():
        return math.nan
    predicted = predicted.astype(np.float64, copy=False)
    expected = expected.astype(np.float64, copy=False)
    weight = 1.0 if sample_weight is None else sample_weight[:, None]
    mean = np.average(expected, axis=0, weights=sample_weight)
    residual = np.sum(weight * (expected - predicted) ** 2, axis=0)
    total = np.sum(weight * (expected - mean) ** 2, axis=0)
    constant = total == 0
    scores = 1 - residual / np.where(constant, 1.0, total)
    scores[constant] = np.where(residual[constant] == 0, 1.0, 0.0)
    return float(np.mean(scores))
