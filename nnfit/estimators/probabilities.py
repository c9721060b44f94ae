"""From raw predictions of a classifier to probabilities, and back."""

from functools import reduce

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

from nnfit.estimators.targets import BINARY, MULTICLASS
from nnfit.functions.links import PROBABILITY_LINKS


def log_probabilities(raw, kind, link):
    """Logarithms of the probabilities of classes, or of labels.

    Parameters
    ----------
    raw : ndarray of shape (n_samples, n_outputs)
        Finite raw predictions.
    kind : {"binary", "multiclass", "multilabel-indicator"}
    link : {"logistic", "softmax"}
        A loss of the user's own has the logistic link for several classes too; a
        class then has its share in the sum.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
    """
    if kind == BINARY:
        # log(1 - p) would cancel.
        return log_expit(np.hstack([-raw, raw]))
    if kind == MULTICLASS:
        return log_softmax(raw if link == "softmax" else log_expit(raw), axis=1)
    return log_expit(raw)


def probabilities(raw, kind, link):
    """Probabilities of classes, or of labels, as `log_probabilities` takes them."""
    if kind == BINARY:
        # 1 - p would cancel: its smallest value beside 0 is 6e-8 in float32.
        return expit(np.hstack([-raw, raw]))
    if kind == MULTICLASS:
        return softmax(raw if link == "softmax" else log_expit(raw), axis=1)
    return expit(raw)


def inside(probability):
    """Probabilities, of which none remains 0 or 1; in place.

    Finite raw predictions stand for probabilities between 0 and 1. Where these round
    to 0 or 1 the next number inside keeps logarithms finite.
    """
    one = probability.dtype.type(1)
    tiny = np.finfo(probability.dtype).tiny
    return np.clip(probability, tiny, np.nextafter(one, 0 * one), out=probability)


def pooled(raws, kind, link):
    """Raw prediction that stands for the mean of several probabilities.

    Where there are none it is the mean of the raw predictions.

    Parameters
    ----------
    raws : list of ndarray of shape (n_samples, n_outputs)
        Raw predictions of several networks.
    kind : str
        See `log_probabilities`.
    link : str
        Of any loss.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
        Logarithms of the mean probabilities of several classes, else of the odds.
    """
    if link not in PROBABILITY_LINKS:
        return np.mean(raws, axis=0, dtype=np.float64).astype(raws[0].dtype)
    if kind == MULTICLASS:
        logarithms = (log_probabilities(raw, kind, link) for raw in raws)
        return reduce(np.logaddexp, logarithms) - np.log(raws[0].dtype.type(len(raws)))
    # Where probabilities round to 1 the odds still differ.
    for_it = reduce(np.logaddexp, (log_expit(raw) for raw in raws))
    return for_it - reduce(np.logaddexp, (log_expit(-raw) for raw in raws))
