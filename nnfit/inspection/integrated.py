"""Integrated gradients, by steps that are halved where the slopes jump."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_scalar

from nnfit.estimators.annotations import Rows
from nnfit.inspection.attributions import Attributions
from nnfit.inspection.explained import Explained

#: Steps of equal length that a path begins with.
FIRST_STEPS = 8
#: Gauss's points of a step from 0 to 1, of equal weight: exact for slopes that are
#: polynomials of the third degree.
POINTS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0)
#: What helps against rounding.
ROUNDING = {
    "float32": "Fit the estimator with dtype='float64', or raise tol.",
    "float64": "Raise tol.",
}


def integrated_gradients(
    estimator: Any,
    X: Rows,
    baseline: Rows,
    *,
    target: object = None,
    response_method: str = "auto",
    tol: float = 1e-4,
    max_steps: int = 10_000,
) -> Attributions:
    """Attribute the difference to a baseline by the slopes on the straight way from it.

    Categories and missing values go from the baseline's to the row's in what the
    network makes of them: vectors, indicators and the numbers put in the place of
    missing ones, whose attributions are summed to their column.

    Parameters
    ----------
    estimator : estimator object
        A fitted network of nnfit, an ensemble, or a Tabular estimator without trees.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to explain.
    baseline : {array-like, sparse matrix} of shape (1, n_features), (n_features,) or \
            (n_samples, n_features)
        What rows are compared with, such as the means of the training rows: one row
        for all, or one for each.
    target, response_method
        See :func:`input_gradients`.
    tol : float, default=1e-4
        Most that the attributions of a row may miss the difference by, in parts of the
        largest difference of all rows.
    max_steps : int, default=10000
        Most steps of a row that are tried. Each takes the slopes at two points. Steps
        are halved where the slopes jump, so that a network of 64 ReLU units and another
        64 takes some 400, and one that begins with 48 bins of each feature 1200.

    Returns
    -------
    Attributions
        ``errors`` are sums of the absolute errors of all steps, rounding included.

    Raises
    ------
    NotFittedError
        Before ``fit``.
    ValueError
        If ``X`` or a parameter is invalid.

    Warns
    -----
    ConvergenceWarning
        If `max_steps` are not enough for `tol`, or if the rounding of float32 leaves
        more, against which the estimator's ``dtype="float64"`` helps.

    References
    ----------
    Sundararajan, Taly and Yan (2017), "Axiomatic attribution for deep networks",
    arXiv:1703.01365.
    """
    check_scalar(tol, "tol", Real, min_val=0.0)
    check_scalar(max_steps, "max_steps", Integral, min_val=FIRST_STEPS)
    explained = Explained(estimator, X, target, response_method, has_path=True)
    path = _Path(explained, explained.others(baseline, "baseline"))
    found = path.integrate(tol, max_steps)
    largest = np.abs(found.outputs - found.base_values).max(initial=0.0)
    missed = found.errors > tol * largest
    if missed.any():
        n_steps = found.n_evaluations[missed] // len(POINTS)
        # The last step is not halved where one is left.
        cure = f"after max_steps={max_steps}. Raise max_steps, or tol."
        if n_steps.max() < max_steps - 1:
            cure = f"by the rounding of {explained.dtype}. {ROUNDING[explained.dtype]}"
        warnings.warn(
            f"integrated_gradients misses {int(missed.sum())} of {len(missed)} rows by "
            f"up to {found.errors.max():.2g}, more than tol={tol:g} times the largest "
            f"difference, {cure}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return found


class _Path:
    """Straight ways to the rows that are explained."""

    def __init__(self, explained, begins):
        self._explained, self._begins, self._ends = explained, begins, explained.rows

    def _points(self, rows, shares):
        """Points of the ways to some rows, and which output is explained there."""
        explained = self._explained
        begins, ends = ([each[rows] for each in m] for m in (self._begins, self._ends))
        return explained.mix(begins, ends, shares), explained.index[rows]

    def _values(self, rows, shares):
        return self._explained.values(*self._points(rows, shares))

    def _rises(self, rows, shares):
        """Of each column: its slope times the length of the way."""
        points, index = self._points(rows, shares)
        _, slopes = self._explained.evaluate(points, index, with_values=False)
        return self._explained.by_columns(
            [
                slope * (end[rows] - begin[rows])
                for slope, begin, end in zip(
                    slopes, self._begins, self._ends, strict=True
                )
            ]
        )

    def integrate(self, tol, max_steps):
        """Halve the steps whose error counts, until all together do not."""
        n, nodes = len(self._explained.index), np.arange(FIRST_STEPS + 1) / FIRST_STEPS
        every = np.repeat(np.arange(n), len(nodes))
        values = self._values(every, np.tile(nodes, n)).reshape(n, -1)
        limit = tol * np.abs(values[:, -1] - values[:, 0]).max(initial=0.0)
        # What halves cannot mend is the rounding of points and values.
        epsilon = 4 * self._explained.epsilon
        noise = epsilon * np.ptp(values)
        total, errors = np.zeros((n, self._explained.n_columns)), np.zeros(n)
        n_steps = np.zeros(n, np.int64)
        # Steps that are not done: their rows, begins, lengths, and values at the ends.
        rows = np.repeat(np.arange(n), FIRST_STEPS)
        begin, length = np.tile(nodes[:-1], n), np.full(len(rows), 1 / FIRST_STEPS)
        low, high = values[:, :-1].ravel(), values[:, 1:].ravel()
        while len(rows):
            rises = [self._rises(rows, begin + length * point) for point in POINTS]
            parts = length[:, None] * sum(rises) / len(POINTS)
            gaps = np.abs(parts.sum(axis=1) - (high - low))
            counts = np.bincount(rows, minlength=n)
            n_steps += counts
            # The smallest are done that make up a quarter of what is left of the limit:
            # gaps halve from time to time. A quarter of it is for rounding.
            sums, place = _sums_of_smallest(gaps, rows, counts)
            is_left = (sums > (0.75 * limit - errors)[rows] / 4) & (gaps > noise)
            is_left &= (length > epsilon) & (place < ((max_steps - n_steps) // 2)[rows])
            np.add.at(total, rows[~is_left], parts[~is_left])
            np.add.at(errors, rows[~is_left], gaps[~is_left])
            rows, begin, low, high = (
                each[is_left] for each in (rows, begin, low, high)
            )
            length = length[is_left] / 2
            middle = self._values(rows, begin + length) if len(rows) else low
            rows, length = np.tile(rows, 2), np.tile(length, 2)
            begin = np.concatenate([begin, begin + length[: len(begin)]])
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        return Attributions(
            total, values[:, -1], values[:, 0], errors, len(POINTS) * n_steps
        )


def _sums_of_smallest(gaps, rows, counts):
    """Of each gap the sum of its row's up to it, and how many of them are larger."""
    order = np.lexsort((gaps, rows))
    ends = np.cumsum(counts)
    sums, place = np.empty_like(gaps), np.empty_like(rows)
    running = np.cumsum(gaps[order])
    before = np.concatenate([[0.0], running])[ends - counts]
    own = rows[order]
    sums[order] = running - before[own]
    place[order] = ends[own] - 1 - np.arange(len(gaps))
    return sums, place
