"""Columns of X as targets: standardised numbers, codes of categories, missing entries.

A target is the column itself, and the loss `nnfit.functions.reconstruction`
takes all of them side by side: a number by one output, a category by one output each.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from nnfit.network import scalings


class Columns(NamedTuple):
    """What is known of columns that are targets, as plain values.

    Attributes
    ----------
    n_categories : tuple of int
        Of each column; 0 for numbers.
    means, deviations : tuple of float
        Of each column of numbers; 0 for categories, and where nothing varies.
    """

    n_categories: tuple
    means: tuple
    deviations: tuple

    @property
    def widths(self):
        """Outputs of each column."""
        return tuple(max(n, 1) for n in self.n_categories)

    def loss_parameters(self):
        """Those of the loss, by which the loss of a row is the mean over columns."""
        weight = 1.0 / len(self.n_categories)
        return tuple(number for width in self.widths for number in (width, weight))

    def encoded(self, X, dtype):
        """Targets of rows, (n_samples, n_columns), with NaN for what is missing."""
        y = np.empty(X.shape, dtype)
        for column, n in enumerate(self.n_categories):
            x = X[:, column]
            if n:
                y[:, column] = np.where((x >= 0) & (x < n), x, np.nan)
            else:
                deviation = self.deviations[column] or 1.0
                y[:, column] = (x - self.means[column]) / deviation
        return y

    def decoded(self, raw):
        """Columns of raw outputs: numbers in the units of X, and the likeliest codes.

        Parameters
        ----------
        raw : ndarray of shape (n_samples, n_outputs)
            Of which those of columns come first.

        Returns
        -------
        ndarray of float64 of shape (n_samples, n_columns)
        """
        found = []
        for column, own in enumerate(self._parts(raw)):
            if self.n_categories[column]:
                found.append(own.argmax(axis=1).astype(np.float64))
            else:
                deviation = self.deviations[column] or 1.0
                found.append(own[:, 0] * deviation + self.means[column])
        return np.stack(found, axis=1)

    def errors(self, raw, y):
        """Loss of each entry, (n_samples, n_columns); NaN where it is missing.

        Parameters
        ----------
        raw : ndarray of shape (n_samples, n_outputs)
        y : ndarray of shape (n_samples, n_columns)
            From `encoded`.
        """
        errors = np.full(y.shape, np.nan)
        for column, own in enumerate(self._parts(raw)):
            known = np.flatnonzero(~np.isnan(y[:, column]))
            own, target = own[known], y[known, column]
            if self.n_categories[column]:
                of_all = log_softmax(own, axis=1)
                errors[known, column] = -of_all[
                    np.arange(len(known)), target.astype(np.int64)
                ]
            else:
                errors[known, column] = 0.5 * (own[:, 0] - target) ** 2
        return errors

    def _parts(self, raw):
        ends = np.cumsum(self.widths)
        return np.split(raw.astype(np.float64), ends, axis=1)[: len(ends)]


def find_columns(X, categories, weights=None):
    """Look at the columns of some rows.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Categories as codes; NaN and negative codes are missing.
    categories : dict
        By number of the column of categories their values, or None for codes.
    weights : ndarray of shape (n_samples,) or None

    Returns
    -------
    Columns
    """
    counts, means, deviations = [], [], []
    for number in range(X.shape[1]):
        x, own = scalings.present(X[:, number], weights)
        count = mean = deviation = 0
        if number in categories:
            known = categories[number]
            last = int(x.max(initial=0)) if known is None else len(known) - 1
            count = max(last + 1, 2)  # one output is for numbers
        else:
            mean, scale, _ = scalings.standard(x.copy(), own)
            varies = len(x) and (x != x[0]).any()
            deviation = 1.0 / scale if varies else 0.0
        counts.append(count)
        means.append(float(mean))
        deviations.append(float(deviation))
    return Columns(tuple(counts), tuple(means), tuple(deviations))
