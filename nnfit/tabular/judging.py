"""How good predictions of rows held out are."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import check_scoring

from nnfit.estimators.losses import check_scorer


class Judge:
    """Scores and losses of predictions of some rows.

    Parameters
    ----------
    estimator : Tabular
        That has learnt the targets.
    rows : Rows

    Attributes
    ----------
    name : str
        Of the score.
    is_of_user : bool
        Whether a score was asked for, by which models are chosen then.
    """

    def __init__(self, estimator, rows):
        self._estimator, self.rows = estimator, rows
        scoring = estimator.scoring
        self.is_of_user = scoring is not None
        self.name = "score"
        if scoring is None:
            scoring = "r2" if estimator._task == "regression" else "accuracy"
        if isinstance(scoring, str):
            self.name = scoring
        self._scorer = None
        if scoring != "loss":
            self._scorer = check_scoring(estimator, scoring=scoring)
            if estimator._task == "regression":
                check_scorer(estimator, self._scorer)
        self._of_function = callable(estimator.scoring)

    def at(self, rows):
        """The same for some of the rows."""
        few = object.__new__(Judge)
        vars(few).update(vars(self))
        few.rows = self.rows.at(rows)
        return few

    def loss(self, values):
        """Mean log-loss, or squared error.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_outputs)
            Probabilities, or predictions.
        """
        rows = self.rows
        losses = self._estimator._losses(values, rows.target)
        return float(np.average(losses, weights=rows.loss_weight))

    def score(self, values):
        """The score that was asked for; NaN where it cannot be computed."""
        if self._scorer is None:
            return -self.loss(values)
        rows, weights = self.rows, {}
        if rows.sample_weight is not None:
            weights["sample_weight"] = rows.sample_weight
        predicted = self._estimator._predicted(values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            try:
                return float(self._scorer(predicted, rows.X, rows.y, **weights))
            except ValueError:
                if self._of_function:
                    raise
                return np.nan

    def cost(self, values):
        """What the choice of models makes small."""
        if self.is_of_user:
            score = self.score(values)
            if not np.isnan(score):
                return -score
        return self.loss(values)


class _Predicted(BaseEstimator):
    """An estimator that has predicted already, for a scorer."""

    def __init__(self, n_rows, prediction):
        self.n_rows, self.prediction = n_rows, prediction

    def predict(self, X):
        if len(X) != self.n_rows:
            raise ValueError(
                "scoring is called with predictions of the rows that are held out, and "
                f"must ask for those of all {self.n_rows}; got {len(X)} rows."
            )
        return self.prediction


class PredictedNumbers(RegressorMixin, _Predicted):
    """A regressor that has predicted already."""


class PredictedClasses(ClassifierMixin, _Predicted):
    """A classifier that has predicted already."""

    def __init__(self, n_rows, prediction, probabilities, classes):
        super().__init__(n_rows, prediction)
        self.probabilities, self.classes_ = probabilities, classes

    def predict_proba(self, X):
        self.predict(X)
        return self.probabilities
