"""Fitted networks, and rows as they take them, for what looks inside of them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_consistent_length

from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.validation import check_target


def fitted_in(estimator, user):
    """The fitted estimator of nnfit in another, and what transforms rows before it.

    Parameters
    ----------
    estimator : estimator of nnfit, Pipeline that ends with one, or a search for one
    user : str
        What needs it, for messages.

    Returns
    -------
    fitted : BaseMLP or a mixture of models
    transform : callable
    mixture : Mixture
        Its networks, at least one.

    Raises
    ------
    TypeError
        If it is none of nnfit's, or has no network.
    NotFittedError
    """
    fitted, transform = getattr(estimator, "best_estimator_", estimator), _same
    if isinstance(fitted, Pipeline):
        if len(fitted) > 1:
            transform = fitted[:-1].transform
        fitted = fitted[-1]
    if not hasattr(fitted, "_as_mixture"):
        raise TypeError(
            f"{user} needs a fitted network of nnfit, such as MLPClassifier, or a "
            f"Pipeline that ends with one, got {estimator!r}."
        )
    mixture = fitted._as_mixture()
    if not mixture.families:
        raise TypeError(
            f"{user} needs a network, and in this {type(fitted).__name__} "
            f"{' and '.join(mixture.others)} alone predicts. Fit it with partner=None."
        )
    return fitted, transform, mixture


def members_in(estimator, user):
    """The single fitted networks of an estimator, a list; see `fitted_in`.

    Of a mixture of unlike models those of the family that counts most.
    """
    return fitted_in(estimator, user)[2].families[0].networks


def _same(X):
    return X


class Sample(NamedTuple):
    """Rows as the network takes them, and their targets.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
    y : ndarray
        Of the user's, checked.
    target : ndarray of shape (n, n_targets)
        As the loss takes them.
    """

    X: np.ndarray
    y: np.ndarray
    target: np.ndarray

    def some(self, rows):
        """Those of some rows."""
        return Sample(*(array[rows] for array in self))


def sample_of(estimator, X, y, names=("X", "y")):
    """Check rows and targets as those of a prediction and of a training.

    Parameters
    ----------
    estimator : BaseMLP or a mixture of models
        Fitted.
    X, y
    names : tuple of str
        What the user calls them.

    Returns
    -------
    Sample
        As the first network takes them.
    """
    X, _ = estimator._check_rows(X)
    y = check_target(estimator, y, names[1])
    check_consistent_length(X, y)
    first = estimator._as_mixture().networks[0]
    y = first._check_target_again(y, names[1])
    X = filled(first, X, names[0])
    return Sample(X, y, first._encode(y, X.dtype.name))


def training_network(estimator, sample):
    """The network of a single fitted estimator with its loss, and its weights."""
    network, weights = estimator._fitted_network(X=sample.X)
    loss, parameters = estimator._loss_row()
    return replace(network, loss=loss, loss_parameters=parameters), weights
