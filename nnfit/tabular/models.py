"""Models of a mixture: a network, or scikit-learn's boosting, behind one interface.

``fit(data, split, n_threads, max_time, task)`` trains on some rows, and says whether to
the end; None if not at all. ``raw(X)`` is a float64 array (n_samples, n_outputs) of
logarithms of odds or probabilities, or in regression of predictions.
"""

import time

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from nnfit.tables.encoding import MOST_CODES
from nnfit.tabular.tasks import ALONE
from nnfit.training.threads import threads_of, usable_processors


class NetworkModel:
    """A network of nnfit.

    Parameters
    ----------
    estimator : BaseMLP
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, data, split, n_threads, max_time, task=ALONE):
        """Train, until `max_time` seconds have gone if that is not None."""
        started = time.perf_counter()
        estimator, rows, given = self.estimator, data.rows, data.given
        n_jobs = estimator.n_jobs
        estimator.set_params(n_jobs=n_threads, max_time=max_time)
        for name, value in data.names.items():
            setattr(estimator, name, value)
        validation = (None, None, None)
        if given is not None:
            validation = given.X, given.y, given.sample_weight
        with task.of_network(estimator) as told:
            estimator._fit(
                rows.X, rows.y, rows.sample_weight, validation,
                learnt=data.learnt, split=split, **told,
            )  # fmt: skip
        estimator.set_params(n_jobs=n_jobs, max_time=None)
        return max_time is None or time.perf_counter() - started < max_time

    def raw(self, X):
        return self.estimator._outputs(self.estimator, X, True, given=np.float64)


class BoostingModel:
    """scikit-learn's gradient boosting, with its categories and missing values.

    Parameters
    ----------
    estimator : HistGradientBoostingClassifier or HistGradientBoostingRegressor
    columns : Columns
    n_jobs : int or None
        Threads of a prediction.
    """

    #: Iterations that tell how long one takes, and fewer than which are not worth it.
    PROBE, FEWEST = 5, 50
    #: Rows that are not worth several threads: these wait for each other after every
    #: tree, for milliseconds if others use the processors.
    FEW_ROWS = 10_000

    def __init__(self, estimator, columns, n_jobs):
        self.estimator, self.columns, self.n_jobs = estimator, columns, n_jobs

    def fit(self, data, split, n_threads, max_time, task=ALONE):
        """Train with as many iterations as `max_time` seconds are enough for."""
        train, held = (None, None) if split is None else split
        train, held = data.rows.at(train), data.held.at(held)
        most = self.estimator.max_iter
        with threadpool_limits(n_threads, "openmp"):
            if max_time is not None:
                enough = int(max_time / self._seconds(train))
                if enough < self.FEWEST:
                    return None
                self.estimator.set_params(max_iter=min(most, enough))
            with task.of_others():
                self.fit_rows(train, held)
        return self.estimator.n_iter_ < self.estimator.max_iter or (
            self.estimator.max_iter == most
        )

    def _seconds(self, train):
        """How long an iteration takes."""
        few = {"max_iter": self.PROBE, "early_stopping": False}
        probe = clone(self.estimator).set_params(**few)
        started = time.perf_counter()
        BoostingModel(probe, self.columns, None).fit_rows(train)
        return (time.perf_counter() - started) / self.PROBE

    def fit_rows(self, train, held=None):
        """Train on some rows, until the loss of others falls no more."""
        # scikit-learn's bins need a number in each column.
        self._empty = np.flatnonzero(np.isnan(train.X).all(axis=0))
        columns, validation = self.columns.categories, {}
        if held is not None:
            validation = {
                "X_val": self._recoded(held.X),
                "y_val": held.target.ravel(),
                "sample_weight_val": held.loss_weight,
            }
        self.estimator.set_params(categorical_features=columns or None)
        self.estimator.fit(
            self._recoded(train.X),
            train.target.ravel(),
            train.loss_weight,
            **validation,
        )

    def _recoded(self, X):
        X = self.columns.recoded(X)
        X[:, self._empty] = 0.0
        return X

    def raw(self, X):
        X, estimator = self._recoded(X), self.estimator
        is_classifier = hasattr(estimator, "decision_function")
        of_rows = estimator.decision_function if is_classifier else estimator.predict
        with self.threads(len(X)):
            return of_rows(X).reshape(len(X), -1)

    def threads(self, n_rows):
        """Limit the threads that scikit-learn takes for so many rows."""
        if self.n_jobs is not None:
            n_threads = threads_of(self.n_jobs)
        else:
            n_threads = 1 if n_rows < self.FEW_ROWS else usable_processors()
        return threadpool_limits(n_threads, "openmp")


class Columns:
    """Categories as the boosting takes them: few, and numbered from 0.

    Rare ones of a column with more than 254 are missing values.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        With codes of categories.
    categories : list of int
        Columns that hold them.
    """

    MOST = 254

    def __init__(self, X, categories):
        self.categories, self.known = [], {}
        for column in categories:
            codes, counts = np.unique(X[:, column], return_counts=True)
            is_known = (codes >= 0) & (codes < MOST_CODES)
            codes, counts = codes[is_known], counts[is_known]
            if len(codes) > self.MOST:
                codes = np.sort(codes[np.argsort(-counts, kind="stable")[: self.MOST]])
            self.categories.append(column)
            self.known[column] = codes

    def recoded(self, X):
        """A copy with numbers of categories in the place of their codes."""
        X = X.copy()
        for column, known in self.known.items():
            place = np.searchsorted(known, X[:, column])
            is_known = place < len(known)
            is_known[is_known] = known[place[is_known]] == X[is_known, column]
            X[:, column] = np.where(is_known, place, np.nan)
        return X
