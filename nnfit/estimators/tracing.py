"""Fitted networks, and rows as they take them, for what looks inside of them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_consistent_length

from nnfit.estimators import by_hand
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.uncertainty import networks
from nnfit.estimators.validation import check_target


def network_in(estimator, user):
    """The fitted network of an estimator, and what transforms rows before it.

    Parameters
    ----------
    estimator : BaseMLP, Pipeline that ends with one, or a search for one
    user : str
        What needs it, for messages.

    Returns
    -------
    network : BaseMLP
    transform : callable

    Raises
    ------
    TypeError
        If it is none of nnfit's.
    NotFittedError
    """
    network, transform = getattr(estimator, "best_estimator_", estimator), _same
    if isinstance(network, Pipeline):
        if len(network) > 1:
            transform = network[:-1].transform
        network = network[-1]
    if not isinstance(network, BaseMLP):
        raise TypeError(
            f"{user} needs a fitted network of nnfit, such as MLPClassifier, or a "
            f"Pipeline that ends with one, got {estimator!r}."
        )
    by_hand.check_fitted(network)
    return network, transform


def members_in(estimator, user):
    """The single fitted networks of an estimator, a list; see `network_in`.

    Of a mixture of unlike models those of the family that counts most.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    of_mixture = getattr(estimator, "_networks", None)
    return of_mixture or networks(network_in(estimator, user)[0])


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
    estimator : BaseMLP
        Fitted.
    X, y
    names : tuple of str
        What the user calls them.

    Returns
    -------
    Sample
    """
    X, _ = estimator._check_rows(X)
    first = networks(estimator)[0]
    X = filled(first, X, names[0])
    y = check_target(estimator, y, names[1])
    check_consistent_length(X, y)
    y = first._check_target_again(y, names[1])
    return Sample(X, y, first._encode(y, X.dtype.name))


def training_network(estimator, sample):
    """The network of a single fitted estimator with its loss, and its weights."""
    network, weights = estimator._fitted_network(X=sample.X)
    loss, parameters = estimator._loss_row()
    return replace(network, loss=loss, loss_parameters=parameters), weights
