"""Default validation scores from raw predictions.

They agree with scikit-learn's ``accuracy_score`` and ``r2_score``, and are NaN where a
prediction is not finite.
"""

import math

import numpy as np

from nnfit.functions.scores import r2, squares_about_mean


def score_of(name, network, raw, y, sample_weight):
    """Score of some rows.

    Parameters
    ----------
    name : {"accuracy", "multilabel_accuracy", "r2"} or None
    network : nnfit.network.description.Network
    raw : ndarray of shape (n, n_outputs)
        Before the inverse link.
    y : ndarray of shape (n, n_targets)
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    score : float
        NaN without a name.
    """
    if name is None or not np.isfinite(raw).all():
        return math.nan
    if name == "r2":
        return _r2(network, raw, y, sample_weight)
    if name == "accuracy":
        target = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
        right = raw.argmax(axis=1) == target
    else:
        right = ((raw > 0) == (y > 0.5)).all(axis=1)
    return float(np.average(right, weights=sample_weight))


def _r2(network, raw, y, sample_weight):
    predicted = raw.astype(np.float64)
    if network.loss.link == "exp":
        with np.errstate(over="ignore"):
            predicted = np.exp(raw).astype(np.float64)
    elif network.loss.link != "identity":
        predicted = np.sort(predicted, axis=1)
    weight = 1.0 if sample_weight is None else sample_weight[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.sum(weight * (y.astype(np.float64) - predicted) ** 2, axis=0)
    return r2(sums, squares_about_mean(y, sample_weight))
