"""Positions of numbers among bins as a transformer."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from nnfit.estimators.annotations import FloatArray, typed
from nnfit.network.bins import find_bins
from nnfit.network.kinds.piecewise_linear_encoding import encode
from nnfit.pages import LinkedToItsPage

FLOATS = [np.float64, np.float32]


class PiecewiseLinearEncoder(TransformerMixin, LinkedToItsPage, BaseEstimator):
    """Encode each number by where it lies among the bins of its column.

    A column with bins becomes one number for each of them: 1 for bins below the number,
    0 for those above it, and in its own bin how far it has come. A linear function of
    these is piecewise linear in the column [1]_.

    The estimators do the same inside of the network with
    ``numeric_embedding="piecewise_linear_encoding"``, which needs no wide copy of the
    table.

    Parameters
    ----------
    n_bins : int, default=48
        Most bins of a column; it has fewer where edges are equal.
    bins : {"quantile", "tree"}, default="quantile"
        Where the edges are: at quantiles, or where a decision tree on the column
        splits, which needs `y`.
    task : {"auto", "classification", "regression"}, default="auto"
        What the trees predict. "auto": numbers if `y` has such that are no integers,
        else classes.
    keep_input : bool, default=False
        Whether the column itself goes before its encoding.

    Attributes
    ----------
    bins_ : list of ndarray
        Edges of the bins of each column, which increase.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a table with names that are strings.

    See Also
    --------
    RobustSmoothScaler : RealMLP's scaling.
    sklearn.preprocessing.KBinsDiscretizer : Which bin a number is in, not how far.

    References
    ----------
    .. [1] Gorishniy, Rubachev and Babenko (2022), "On embeddings for numerical features
       in tabular deep learning", NeurIPS, arXiv:2203.05556.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfit import PiecewiseLinearEncoder
    >>> X = np.arange(7.0)[:, None]
    >>> encoder = PiecewiseLinearEncoder(n_bins=3).fit(X)
    >>> encoder.bins_
    [array([0., 2., 4., 6.])]
    >>> encoder.transform([[1.0], [5.0]])
    array([[0.5, 0. , 0. ],
           [1. , 1. , 0.5]])
    """

    _parameter_constraints: dict[str, Any] = {
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "bins": [StrOptions({"quantile", "tree"})],
        "task": [StrOptions({"auto", "classification", "regression"})],
        "keep_input": ["boolean"],
    }

    bins_: list[FloatArray]
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    def __init__(
        self,
        n_bins: int = 48,
        *,
        bins: Literal["quantile", "tree"] = "quantile",
        task: Literal["auto", "classification", "regression"] = "auto",
        keep_input: bool = False,
    ) -> None:
        self.n_bins = n_bins
        self.bins = bins
        self.task = task
        self.keep_input = keep_input

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike | None = None) -> Self:
        """Find the bins of the columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets, with ``bins="tree"``.

        Returns
        -------
        self : object
            The fitted encoder.

        Raises
        ------
        ValueError
            If `X` is invalid, or if trees have no targets.
        """
        task = None
        if self.bins == "tree":
            X, y = validate_data(self, X, y, dtype=FLOATS, multi_output=True)
            task = self.task
            if task == "auto":
                is_number = type_of_target(y).startswith("continuous")
                task = "regression" if is_number else "classification"
        else:
            X, y = validate_data(self, X, dtype=FLOATS), None
        n_bins, edges = find_bins(X.T, self.n_bins, dtype=X.dtype, y=y, task=task)
        self.bins_ = [row[: n + 1] for n, row in zip(n_bins, edges, strict=True)]
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Encode numbers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers.

        Returns
        -------
        X_encoded : ndarray of shape (n_samples, n_encoded_features)
            Float32 if `X` is, else float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        result = np.empty((len(X), self._n_features_out), X.dtype)
        end = 0
        for x, edges in zip(X.T, self.bins_, strict=True):
            if self.keep_input:
                result[:, end] = x
                end += 1
            n = len(edges) - 1
            result[:, end : end + n] = encode(x, edges.astype(X.dtype))[0]
            end += n
        return result

    @property
    def _n_features_out(self):
        return sum(len(edges) - 1 + self.keep_input for edges in self.bins_)

    def get_feature_names_out(
        self, input_features: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.object_]:
        """Names of the columns of the output, such as ``age_bin0``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features; None for those of `fit`, or ``x0``, ``x1`` and so on.

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        found = []
        for name, edges in zip(names, self.bins_, strict=True):
            found += [name] * self.keep_input
            found += [f"{name}_bin{number}" for number in range(len(edges) - 1)]
        return np.array(found, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.bins == "tree"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
