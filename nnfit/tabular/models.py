"""Models of a mixture: a network, or scikit-learn's boosting, behind one interface.

``fit(data, split, n_threads, max_time)`` trains on some rows, and says whether it has;
``raw(X)`` is a float64 array (n_samples, n_outputs) of logarithms of odds or
probabilities, or in regression of predictions.
"""

import time

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from nnfit.tables.encoding import MOST_CODES
from nnfit.training.threads import threads_of


class NetworkModel:
    """A network of nnfit.

    Parameters
    ----------
    estimator : BaseMLP
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, data, split, n_threads, max_time):
        """Train, until `max_time` seconds have gone if that is not None."""
        estimator, rows, given = self.estimator, data.rows, data.given
        n_jobs = estimator.n_jobs
        estimator.set_params(n_jobs=n_threads, max_time=max_time)
        for name, value in data.names.items():
            setattr(estimator, name, value)
        validation = (None, None, None)
        if given is not None:
            validation = given.X, given.y, given.sample_weight
        estimator._fit(
            rows.X, rows.y, rows.sample_weight, validation,
            learnt=data.learnt, split=split,
        )  # fmt: skip
        estimator.set_params(n_jobs=n_jobs, max_time=None)
        return True

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

    #: Iterations that tell how long one takes.
    PROBE = 5
    #: Rows whose prediction is not worth several threads: they wait for each other
    #: after every tree, for milliseconds if others use the processors.
    FEW_ROWS = 10_000

    def __init__(self, estimator, columns, n_jobs):
        self.estimator, self.columns, self.n_jobs = estimator, columns, n_jobs

    def fit(self, data, split, n_threads, max_time):
        """Train, unless all iterations may take more than `max_time` seconds."""
        train, held = (None, None) if split is None else split
        train, held = data.rows.at(train), data.held.at(held)
        columns, estimator = self.columns, self.estimator
        estimator.set_params(categorical_features=columns.categories or None)
        fitted = columns.recoded(train.X), train.target.ravel(), train.loss_weight
        with threadpool_limits(n_threads, "openmp"):
            if max_time is not None:
                few = {"max_iter": self.PROBE, "early_stopping": False}
                started = time.perf_counter()
                clone(estimator).set_params(**few).fit(*fitted)
                seconds = time.perf_counter() - started
                if seconds * estimator.max_iter / self.PROBE > max_time:
                    return False
            estimator.fit(
                *fitted,
                X_val=columns.recoded(held.X),
                y_val=held.target.ravel(),
                sample_weight_val=held.loss_weight,
            )
        return True

    def raw(self, X):
        X, estimator = self.columns.recoded(X), self.estimator
        is_classifier = hasattr(estimator, "decision_function")
        of_rows = estimator.decision_function if is_classifier else estimator.predict
        n_threads = None if self.n_jobs is None else threads_of(self.n_jobs)
        if self.n_jobs is None and len(X) < self.FEW_ROWS:
            n_threads = 1
        with threadpool_limits(n_threads, "openmp"):
            return of_rows(X).reshape(len(X), -1)


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
        """Rows with numbers of categories in the place of their codes."""
        if not self.known:
            return X
        X = X.copy()
        for column, known in self.known.items():
            place = np.searchsorted(known, X[:, column])
            is_known = place < len(known)
            is_known[is_known] = known[place[is_known]] == X[is_known, column]
            X[:, column] = np.where(is_known, place, np.nan)
        return X
