"""Regression."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin

from nnfit.estimators.annotations import (
    Dtype,
    FloatArray,
    RandomState,
    Rows,
    Scoring,
)
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.documentation import documented
from nnfit.numpy_errors import without_numpy_errors
from nnfit.tabular.base import PARAMETERS, Tabular
from nnfit.tabular.data import Rows as RowsOfFit
from nnfit.tabular.intervals import Intervals, checked_levels, parts_of
from nnfit.tabular.judging import PredictedNumbers


@partial(documented, texts=(PARAMETERS,))
class TabularRegressor(RegressorMixin, Tabular):
    """The regressor of choice for tables: tables in, good predictions out.

    Several networks predict together, by their mean. Each has rows of its own held out.
    The errors on these rows give the quantiles of a prediction, and families of models
    get the weights that are best on them. Predictions stay within the range of the
    targets.

    Parameters
    ----------
    scoring : str, callable or None, default=None
        What the predictions shall be good at: the name of a scikit-learn scorer, or a
        function ``scorer(estimator, X, y)``. It decides which epoch of a network is its
        best, and how families are weighted. None stands for R2.

    Attributes
    ----------
    leaderboard_ : dict of list
        A row for each family, that with the largest weight first: "family", "score" (of
        `scoring`) and "rmse" on rows held out, "seconds" of training, "weight",
        "n_members".
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a table with names that are strings.
    n_iter_ : int
        Epochs, or trees, of the longest training.

    See Also
    --------
    TabularClassifier : The same for classification.
    RealMLPRegressor : One of the families.
    MLPRegressor : A network of which everything can be chosen.

    Examples
    --------
    >>> from nnfit import TabularRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regr = TabularRegressor("fast", random_state=0, max_iter=30).fit(X, y)
    >>> regr.score(X, y) > 0.3
    True
    >>> regr.predict_quantiles(X[:2], [0.1, 0.9]).shape
    (2, 2)
    """

    _task, _y_numeric = "regression", True

    def __init__(
        self,
        preset: Literal["fast", "default", "best"] = "default",
        *,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        partner: Literal["hist_gradient_boosting", "auto"] | None = "auto",
        n_members: int | None = None,
        max_iter: int | None = None,
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        random_state: RandomState | None = None,
        verbose: bool | int = False,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    # Targets and values ------------------------------------------------------

    def _learn_target(self, y, sample_weight):
        self._is_vector = y.ndim == 1
        counted = y if sample_weight is None else y[sample_weight > 0]
        self._range = counted.min(axis=0), counted.max(axis=0)
        return y

    def _rows(self, X, y, sample_weight, name):
        target = y.reshape(len(y), -1).astype(np.float64)
        return RowsOfFit(X, y, target, sample_weight, sample_weight)

    def _labels(self, rows):
        return None

    def _find_temperature(self, raw, rows):
        return None

    def _values(self, raw, temperature):
        return np.clip(raw, *self._range)

    def _losses(self, values, target):
        return np.square(values - target).mean(axis=1)

    def _predicted(self, values):
        return PredictedNumbers(len(values), self._shaped(values))

    def _shown_loss(self, loss):
        return loss**0.5

    def _shaped(self, values):
        return values[:, 0] if self._is_vector else values

    def _learn_errors(self, rows, values, folds, categories):
        part_of, errors = parts_of(*folds), rows.target - values
        self._intervals = [
            Intervals(self, rows.X, own, rows.loss_weight, part_of, categories)
            for own in errors.T
        ]

    # Predicting --------------------------------------------------------------

    @without_numpy_errors
    def predict(self, X: Rows) -> FloatArray:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Float64, within the range of the targets of `fit`.
        """
        return self._shaped(self._mixture(self._check_rows(X)[0]))

    @without_numpy_errors
    def predict_quantiles(self, X: Rows, quantiles: npt.ArrayLike) -> FloatArray:
        """Predict quantiles: what a target lies below with some probability.

        The target of a new row like those of the training lies between those of 0.05
        and 0.95 nine times of ten. They come from the errors on rows held out, in which
        a member that has not seen a row has predicted it: narrow where these were
        small for rows alike.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.
        quantiles : float or array-like of shape (n_quantiles,)
            Levels, in (0, 1). Nearer to 0 or 1 than ``1 / (n_samples + 1)`` they are
            those of the largest errors.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            For several outputs (n_samples, n_outputs, n_quantiles).
        """
        levels = checked_levels(quantiles)
        X, _ = self._check_rows(X)
        intervals_of_outputs = self._known_intervals()
        middle = self._mixture(X)
        found = np.stack(
            [
                middle[:, [output]] + intervals.quantiles(X, levels)
                for output, intervals in enumerate(intervals_of_outputs)
            ],
            axis=1,
        )
        return found[:, 0] if self._is_vector else found

    def _known_intervals(self):
        """The errors of each output."""
        if not hasattr(self, "_intervals"):
            raise ValueError(
                "Quantiles come from trees, and files of weights hold networks alone. "
                "Save the fitted TabularRegressor by joblib to predict them."
            )
        return self._intervals
