"""Expected gradients: the mean over a background of attributions along random ways."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from nnfit.estimators.annotations import Rows
from nnfit.inspection.attributions import Attributions
from nnfit.inspection.explained import Explained

#: Up to so many features go one after the other: a way back takes as long as two
#: predictions, so that more would take longer than this many stages.
FEW_FEATURES, STAGES = 32, 4
#: Points of a way at which slopes are taken, at least, and of a stage of several.
WAY, STAGE = 8, 2
#: Numbers of the points that are evaluated together.
BLOCK = 1 << 21


def expected_gradients(
    estimator: Any,
    X: Rows,
    background: Rows,
    *,
    target: object = None,
    response_method: str = "auto",
    n_stages: int | Literal["auto"] = "auto",
    n_orders: int = 2,
    random_state: int | np.random.RandomState | None = None,
) -> Attributions:
    """Estimate Shapley values over a background sample.

    The Shapley value of a feature is the mean change of the prediction when the feature
    goes from its value in a background row to that in the row, over all orders in which
    the features may do so one after the other. All background rows are used, each with
    random orders of its own and their reverses. Of many features several go together,
    along a straight way, and each gets what its slopes say.

    Parameters
    ----------
    estimator : estimator object
        A fitted network of nnfit, an ensemble, or a Tabular estimator without trees.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to explain.
    background : {array-like, sparse matrix} of shape (n_background, n_features)
        What rows are compared with, such as 100 of the training rows.
    target, response_method
        See :func:`input_gradients`.
    n_stages : int or "auto", default="auto"
        Stages of a way. 1 for all features together (the expected gradients of the
        reference): the least work, and a mean that differs from Shapley values where
        features interact. As many as features, or more, for one after the other: the
        mean over orders is exactly the Shapley values, and a way takes a prediction for
        each feature. ``"auto"`` is that for up to 32 features, else 4.
    n_orders : int, default=2
        Random orders of each background row.
    random_state : int, RandomState instance or None, default=None
        Of the orders.

    Returns
    -------
    Attributions
        ``base_values`` are means over the background; ``standard_errors`` those of the
        means over orders, NaN for a single order.

    Raises
    ------
    NotFittedError
        Before ``fit``.
    ValueError
        If ``X``, ``background`` or a parameter is invalid.

    References
    ----------
    Erion, Janizek, Sturmfels, Lundberg and Lee (2021), "Improving performance of deep
    learning models with axiomatic attribution priors and expected gradients",
    arXiv:1906.10670. Castro, Gómez and Tejada (2009), "Polynomial calculation of the
    Shapley value based on sampling".

    Examples
    --------
    >>> from nnfit import MLPRegressor
    >>> from nnfit.inspection import expected_gradients
    >>> X = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    >>> regressor = MLPRegressor(max_iter=5, random_state=0).fit(X, [1, 2, 3, 0])
    >>> expected_gradients(regressor, X[:1], X).values.shape
    (1, 2)
    """
    if n_stages != "auto":
        check_scalar(n_stages, "n_stages", Integral, min_val=1)
    check_scalar(n_orders, "n_orders", Integral, min_val=1)
    explained = Explained(estimator, X, target, response_method, has_path=True)
    ways = _Ways(explained, explained.represent(background), n_stages)
    random_state = check_random_state(random_state)
    shape = n_orders, ways.n_background, explained.n_columns
    # Of each feature its place in an order, the same for all rows that are explained.
    return ways.explain(random_state.random_sample(shape).argsort(axis=2))


class _Ways:
    """Ways from background rows to the rows that are explained."""

    def __init__(self, explained, begins, n_stages):
        self._explained, self._begins = explained, begins
        self._n_features = explained.n_columns
        if n_stages == "auto":
            n_stages = self._n_features if self._n_features <= FEW_FEATURES else STAGES
        self._n_stages, self._one_by_one = n_stages, n_stages >= self._n_features
        if not self._one_by_one:
            n_points = max(STAGE, WAY // n_stages)
            points, weights = np.polynomial.legendre.leggauss(n_points)
            self._points, self._weights = (points + 1) / 2, weights / 2

    @property
    def n_background(self):
        """Number of background rows."""
        return len(self._begins[0])

    @property
    def _n_evaluations(self):
        """Points of a way."""
        if self._one_by_one:
            return self._n_features + 1
        return self._n_stages * len(self._points)

    def explain(self, orders):
        """Means over background rows and orders, and over the reverse of each."""
        explained, n = self._explained, len(self._explained.index)
        values, variances = np.zeros((2, n, self._n_features))
        width = max(each.shape[1] for each in self._begins)
        size = max(1, BLOCK // (width * self._n_evaluations))
        n_orders, n_background, _ = orders.shape
        for first in range(0, n * n_background, size):
            pairs = np.arange(first, min(first + size, n * n_background))
            row, begin = np.divmod(pairs, n_background)
            found = np.stack(
                [self._both_ways(row, begin, order[begin]) for order in orders]
            )
            np.add.at(values, row, found.mean(axis=0))
            spread = found.var(axis=0, ddof=1) if n_orders > 1 else np.nan
            np.add.at(variances, row, np.broadcast_to(spread, found.shape[1:]))
        values /= n_background
        outputs = explained.values(explained.rows, explained.index)
        base_values = self._base_values()
        return Attributions(
            values, outputs, base_values,
            np.abs(values.sum(axis=1) - (outputs - base_values)),
            np.full(n, 2 * n_orders * n_background * self._n_evaluations),
            np.sqrt(variances / n_orders) / n_background,
        )  # fmt: skip

    def _base_values(self):
        """Means over the background of what is explained of each row."""
        index = self._explained.index
        means = np.zeros(len(index))
        for each in np.unique(index):
            own = np.full(self.n_background, each)
            means[index == each] = self._explained.values(self._begins, own).mean()
        return means

    def _both_ways(self, row, begin, order):
        """Attributions (n, n_features) of ways, and of those in the reverse order."""
        reverse = self._n_features - 1 - order
        along = self._differences if self._one_by_one else self._by_slopes
        return (along(row, begin, order) + along(row, begin, reverse)) / 2

    def _points_of(self, row, begin, shares):
        """Points (n * n_points,) of ways, and which output is explained there.

        `shares` (n, n_points, n_features) are those of the rows.
        """
        explained, n_points = self._explained, shares.shape[1]
        begins = [np.repeat(each[begin], n_points, axis=0) for each in self._begins]
        ends = [np.repeat(each[row], n_points, axis=0) for each in explained.rows]
        points = explained.mix(begins, ends, shares.reshape(-1, self._n_features))
        return points, np.repeat(explained.index[row], n_points)

    def _differences(self, row, begin, order):
        """Changes of the prediction as the features go one after the other."""
        steps = np.arange(self._n_features + 1)
        shares = order[:, None] < steps[:, None]
        values = self._explained.values(*self._points_of(row, begin, shares))
        changes = np.diff(values.reshape(len(row), -1), axis=1)
        return np.take_along_axis(changes, order, axis=1)

    def _by_slopes(self, row, begin, order):
        """What slopes say as the features of a stage go together."""
        explained, stages = self._explained, np.arange(self._n_stages)
        own = (order * self._n_stages // self._n_features)[:, None]
        times = (stages[:, None] + self._points).ravel()[:, None]
        points, index = self._points_of(row, begin, np.clip(times - own, 0, 1))
        _, slopes = explained.evaluate(points, index, with_values=False)
        weights = np.tile(self._weights, self._n_stages)[:, None]
        weights = weights * (own == np.floor(times))
        rises = [
            self._rise(slope, begins[begin], ends[row])
            for slope, begins, ends in zip(
                slopes, self._begins, explained.rows, strict=True
            )
        ]
        rises = explained.by_columns(rises).reshape(weights.shape)
        return np.einsum("npf,npf->nf", rises, weights)

    def _rise(self, slopes, begins, ends):
        """Slopes times the length of the way."""
        by_way = slopes.reshape(len(begins), -1, slopes.shape[1])
        return (by_way * (ends - begins)[:, None]).reshape(slopes.shape)
