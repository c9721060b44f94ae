"""Quantiles of a regression from what it makes of rows held out.

Normalised conformal prediction: errors of rows held out, each divided by the size of
error that a model expects there, have quantiles, and these times the size expected of a
new row are its. Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018),
"Distribution-free predictive inference for regression", JASA; Barber, Candès, Ramdas
and Tibshirani (2021), "Predictive inference with the jackknife+", Annals of Statistics.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from nnfit.tabular.data import Rows
from nnfit.tabular.models import BoostingModel, Columns

#: Quantiles that are kept, beside the extremes.
MOST = 1000
#: Rows from which on the size of errors is learnt, and the parts of them, each of which
#: gets sizes from the others.
LEARNT, N_PARTS = 200, 3
#: Sizes are at least this part of their mean.
SMALLEST = 0.05


class Intervals:
    """Errors of one output.

    Parameters
    ----------
    estimator : Tabular
    X : ndarray of shape (n_samples, n_features)
    errors : ndarray of shape (n_samples,)
        Targets minus predictions.
    weight : ndarray of shape (n_samples,) or None
        Of the rows.
    part_of : ndarray of int of shape (n_samples,)
        Rows of a group are in the same part.
    categories : list of int
    """

    def __init__(self, estimator, X, errors, weight, part_of, categories):
        self._sizes, self._low = [], 0.0
        sizes = np.ones(len(errors))
        absolute = np.abs(errors)
        if len(errors) >= LEARNT and len(np.unique(part_of)) > 1:
            self._low = SMALLEST * float(np.average(absolute, weights=weight))
            columns = Columns(X, categories)
            absolute_of = Rows(X, absolute, absolute[:, None], weight, weight)
            for part in np.unique(part_of):
                others = part_of != part
                model = _size_model(estimator, columns)
                with model.threads(len(X)):
                    model.fit_rows(absolute_of.at(others))
                self._sizes.append(model)
                sizes[~others] = self._expected([model], X[~others])
        sizes = np.where(sizes > 0, sizes, 1.0)  # all errors are 0
        order = np.argsort(errors / sizes, kind="stable")
        scaled = (errors / sizes)[order]
        weight = np.ones(len(errors)) if weight is None else weight[order]
        mean = np.average(weight, weights=weight)
        # A new row of the mean weight may lie before all of these, or after them.
        at = np.cumsum(weight) / (weight.sum() + mean)
        if len(scaled) > MOST:
            levels = np.linspace(at[0], at[-1], MOST)
            at, scaled = levels, np.interp(levels, at, scaled)
        self._at, self._scaled = at, scaled

    def _expected(self, models, X):
        sizes = np.mean([model.raw(X)[:, 0] for model in models], axis=0)
        return np.maximum(sizes, self._low)

    def of_errors(self, levels):
        """Quantiles of errors whose expected size is 1."""
        return np.interp(levels, self._at, self._scaled)

    def quantiles(self, X, levels):
        """What is added to predictions, an array (n_samples, n_levels)."""
        of_errors = self.of_errors(levels)
        if not self._sizes:
            return np.broadcast_to(of_errors, (len(X), len(levels)))
        sizes = self._expected(self._sizes, X)
        return sizes[:, None] * of_errors


def checked_levels(quantiles):
    """Levels of quantiles as an array of floats."""
    levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"quantiles must be levels between 0 and 1, got {quantiles!r}."
        )
    return levels


def _size_model(estimator, columns):
    """Small trees, for what errors have in common is coarse."""
    model = HistGradientBoostingRegressor(
        learning_rate=0.1,
        max_iter=40,
        max_leaf_nodes=8,
        early_stopping=False,
        random_state=0,
    )
    return BoostingModel(model, columns, estimator.n_jobs)


def parts_of(rows, n_samples, trials):
    """Part of each of some rows: folds, or where there are none thirds in turn."""
    fold_of = np.full(n_samples, -1)
    splits = [trial.split for trial in trials if trial.split is not None]
    for number, (_, held) in enumerate(splits):
        fold_of[held] = number
    if len(np.unique(fold_of[rows])) > 1:
        return fold_of[rows]
    return np.arange(len(rows)) % N_PARTS
