"""RealMLP's scaling of columns as a transformer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from nnfit.estimators.annotations import FloatArray, typed
from nnfit.network.kinds.scaling import scaled, unscaled
from nnfit.network.scalings import present, robust
from nnfit.pages import LinkedToItsPage

FLOATS = [np.float64, np.float32]


class RobustSmoothScaler(
    OneToOneFeatureMixin, TransformerMixin, LinkedToItsPage, BaseEstimator
):
    """Scale columns by their quartiles and cut outliers off smoothly.

    Each column becomes ``z / sqrt(1 + (z / 3) ** 2)`` of ``z = (x - median) /
    (upper quartile - lower quartile)``, which lies between -3 and 3: RealMLP's "robust
    scaling and smooth clipping" [1]_. Where the quartiles are equal, half the distance
    of the largest and the smallest value takes the place of theirs, and a constant
    column becomes 0. Missing values (NaN) are left out and stay as they are.

    The estimators do the same inside of the network with ``scaling="robust"``, which
    needs no second copy of the table.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Median of each column, 0 where all is missing.
    scale_ : ndarray of shape (n_features,)
        What the difference is multiplied by.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a table with names that are strings.

    See Also
    --------
    PiecewiseLinearEncoder : The position of numbers among bins.
    sklearn.preprocessing.RobustScaler : Quartiles without a cut.

    References
    ----------
    .. [1] Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: strong
       pre-tuned MLPs and boosted trees on tabular data", NeurIPS, arXiv:2407.04491.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfit import RobustSmoothScaler
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [1000.0], [np.nan]])
    >>> RobustSmoothScaler().fit_transform(X).ravel().round(2)
    array([-0.95, -0.49,  0.  ,  0.49,  3.  ,   nan])
    """

    _parameter_constraints: dict[str, Any] = {}

    center_: FloatArray
    scale_: FloatArray
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    def __init__(self) -> None:
        pass

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Find the quartiles of the columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, NaN for missing ones.
        y : object
            Not used.

        Returns
        -------
        self : object
            The fitted scaler.
        """
        X = self._check(X, reset=True)
        found = [robust(*present(x)) for x in X.T]
        self.center_, self.scale_, self._cuts = np.array(found).T
        return self

    def _check(self, X, reset):
        return validate_data(
            self, X, dtype=FLOATS, ensure_all_finite="allow-nan", reset=reset
        )

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Scale columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, NaN for missing ones.

        Returns
        -------
        X_scaled : ndarray of shape (n_samples, n_features)
            Between -3 and 3; float32 if `X` is, else float64.
        """
        check_is_fitted(self)
        X = self._check(X, reset=False)
        return self._of_columns(scaled, X)

    def inverse_transform(self, X: npt.ArrayLike) -> FloatArray:
        """Numbers that become the given ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Scaled columns. Of constant columns the constant is returned; of numbers so
            close to -3 or 3 that rounding has lost what they were, finite ones.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = check_array(X, dtype=FLOATS, ensure_all_finite="allow-nan")
        return self._of_columns(unscaled, X)

    def _of_columns(self, function, X):
        """A function of each column, without other copies of the whole."""
        found = np.stack([self.center_, self.scale_, self._cuts]).astype(X.dtype)
        result = np.empty_like(X, order="C")
        for number, x in enumerate(X.T):
            result[:, number] = function(x, found[:, number])
        return result

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
