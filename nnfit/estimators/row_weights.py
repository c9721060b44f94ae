"""What a row counts: in the loss of a batch, and in what that loss is divided by."""

import numpy as np

from nnfit.estimators import resuming


def dividing_weight(estimator, sample_weight, loss_weight, rows, incremental):
    """Weights whose sum over a batch divides its loss.

    Class weights multiply the losses of rows. A division by their sum over the batch
    takes that back where a batch lacks a class. So the sample weights divide, times
    the mean class weight of the rows of a fit: one number for all batches, with which
    the loss of all rows is their weighted mean.

    Parameters
    ----------
    estimator : BaseMLP
        Keeps the sums behind the mean, to which calls of `partial_fit` add their rows.
    sample_weight : ndarray of shape (n_samples,) or None
    loss_weight : ndarray of shape (n_samples,) or None
        Class weights times sample weights; `sample_weight` itself without the former.
    rows : ndarray of int64 or None
        Rows to train on; None for all.
    incremental : bool
        Whether it is a call of `partial_fit`.

    Returns
    -------
    ndarray of shape (n_samples,) or None
    """
    if loss_weight is sample_weight:
        return sample_weight
    if sample_weight is None:
        sample_weight = np.ones(len(loss_weight))
    of_rows = slice(None) if rows is None else rows
    weights = loss_weight[of_rows], sample_weight[of_rows]
    sums = tuple(float(weight.sum()) for weight in weights)
    return sample_weight * mean_class_weight(estimator, sums, incremental)


def mean_class_weight(estimator, sums, incremental):
    """Mean class weight of the rows of a fit, or of all calls of `partial_fit`.

    Parameters
    ----------
    estimator, incremental
        See `dividing_weight`.
    sums : tuple of float
        Of the rows' weights in the loss, and of their sample weights.
    """
    total, count = resuming.add_weights(estimator, sums, incremental)
    return total / count
