"""The rows of a fit, as the models take them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Rows with their targets.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        Numbers, with NaN where one is missing, and codes of categories.
    y : ndarray
        Targets as the user has them, checked.
    target : ndarray of shape (n_samples, n)
        Number of the class, 0 and 1 for each label, or numbers.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights in scores.
    loss_weight : ndarray of shape (n_samples,) or None
        Weights in losses, those of the classes included.
    """

    X: np.ndarray
    y: np.ndarray
    target: np.ndarray
    sample_weight: np.ndarray | None
    loss_weight: np.ndarray | None

    def at(self, rows):
        """Some of them; all for None."""
        if rows is None:
            return self
        return Rows(*(None if each is None else each[rows] for each in self))


class Data(NamedTuple):
    """What models are trained on.

    Attributes
    ----------
    rows : Rows
    given : Rows or None
        ``X_val`` and what belongs to it.
    learnt : dict
        What was learnt of the columns, see `nnfit.estimators.fitting.fit_network`.
    names : dict
        Number and names of the columns, as attributes of an estimator.
    """

    rows: Rows
    given: Rows | None
    learnt: dict[str, Any]
    names: dict[str, Any]

    @property
    def held(self):
        """The rows of which some are held out."""
        return self.rows if self.given is None else self.given
