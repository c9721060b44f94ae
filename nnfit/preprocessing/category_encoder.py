"""Categories of tables as codes or indicators, as a transformer."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_array,
    check_is_fitted,
    validate_data,
)

from nnfit.estimators.annotations import Dtype, FloatArray, Rows, typed
from nnfit.estimators.columns import columns_of, name_of
from nnfit.pages import LinkedToItsPage
from nnfit.tables.encoding import FROM_DTYPE, encode, encode_again
from nnfit.tables.reading import matrix_table, table_of


class CategoryEncoder(TransformerMixin, LinkedToItsPage, BaseEstimator):
    """Make numbers of the categories of a table, and leave its numbers as they are.

    Categories become codes, integers from 0 in the order of their values; -1 stands for
    a missing value and for one that `fit` has not seen. Few of them may become
    indicators instead, as RealMLP has them [1]_: a column of two categories +1 and -1,
    one of more a column of 0 and 1 for each of them, and 0 everywhere for a missing or
    unseen value.

    The estimators do the same by themselves with their parameter
    ``categorical_features``. Codes of this encoder are ready for it: pass them the
    attribute `categorical_features_`.

    Parameters
    ----------
    categorical_features : array-like of {bool, int, str} or "from_dtype", \
default="from_dtype"
        Columns of categories: "from_dtype" for those of texts and of types for
        categories, or a mask, numbers or names.
    max_one_hot : int, default=0
        Columns with up to so many categories become indicators.
    dtype : {"float32", "float64"}, default="float64"
        Of the result.

    Attributes
    ----------
    categories_ : dict
        By number of a column of categories the list of their values, in the order of
        the codes.
    categorical_features_ : list of int
        Columns of the result that hold codes.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a table with names that are strings.

    See Also
    --------
    MLPClassifier : Which takes tables as they are.
    sklearn.preprocessing.OrdinalEncoder : Codes of all columns.

    References
    ----------
    .. [1] Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: strong
       pre-tuned MLPs and boosted trees on tabular data", NeurIPS, arXiv:2407.04491.

    Examples
    --------
    >>> from nnfit import CategoryEncoder
    >>> X = [["red", 1.5, "yes"], ["blue", 2.0, "no"], [None, 1.0, "yes"]]
    >>> CategoryEncoder().fit_transform(X)
    array([[ 1. ,  1.5,  1. ],
           [ 0. ,  2. ,  0. ],
           [-1. ,  1. ,  1. ]])
    """

    _parameter_constraints: dict[str, Any] = {
        "categorical_features": ["array-like", StrOptions({FROM_DTYPE})],
        "max_one_hot": [Interval(Integral, 0, None, closed="left")],
        "dtype": [StrOptions({"float32", "float64"})],
    }

    categories_: dict[int, list[Any]]
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    def __init__(
        self,
        *,
        categorical_features: npt.ArrayLike | str = FROM_DTYPE,
        max_one_hot: int = 0,
        dtype: Dtype = "float64",
    ) -> None:
        self.categorical_features = categorical_features
        self.max_one_hot = max_one_hot
        self.dtype = dtype

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: Rows, y: Any = None) -> Self:
        """Learn the categories.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A table (pandas, polars, pyarrow), an array, or rows of objects.
        y : object
            Not used.

        Returns
        -------
        self : object
            The fitted encoder.

        Raises
        ------
        ValueError
            If a column that is not of categories holds texts.
        """
        table, asked = self._read(X, reset=True), self.categorical_features
        if not isinstance(asked, str):
            asked = columns_of(self, asked, "categorical_features")
        named = partial(name_of, self)
        encoded = encode(table, asked, self.dtype, named, keeps_codes=False)
        check_array(encoded.X, ensure_all_finite=False, estimator=self)
        self.categories_ = encoded.categories
        return self

    def transform(self, X: Rows) -> FloatArray:
        """Numbers, codes and indicators.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Like that of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Columns in their order, indicators of one beside each other.
        """
        check_is_fitted(self)
        table = self._read(X, reset=False)
        named = partial(name_of, self)
        codes = encode_again(table, self.categories_, self.dtype, named).X
        codes = check_array(codes, ensure_all_finite=False, estimator=self)
        if not any(map(self._is_one_hot, range(self.n_features_in_))):
            return codes
        blocks = [self._block(number, codes) for number in range(self.n_features_in_)]
        return np.hstack(blocks)

    def get_feature_names_out(
        self, input_features: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.object_]:
        """Names of the columns of the result.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features; None for those seen in `fit`, or else ``x0``, ``x1``
            and so on.

        Returns
        -------
        ndarray of str objects
            That of an indicator is followed by its category, or by the one for which it
            is +1.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        found = []
        for number, name in enumerate(names):
            if self._is_one_hot(number):
                found += [f"{name}_{value}" for value in self._indicated(number)]
            else:
                found.append(name)
        return np.array(found, dtype=object)

    @property
    def categorical_features_(self) -> list[int]:
        """Columns of the result that hold codes."""
        check_is_fitted(self)
        places, place = [], 0
        for number in range(self.n_features_in_):
            if self._is_one_hot(number):
                place += len(self._indicated(number))
                continue
            if number in self.categories_:
                places.append(place)
            place += 1
        return places

    def _read(self, X, reset):
        """A table, whose names and number of columns are checked."""
        table = table_of(X)
        if table is None or table.is_matrix:
            X = validate_data(self, X, ensure_all_finite=False, reset=reset)
            return matrix_table(X)
        validate_data(self, table.data, skip_check_array=True, reset=reset)
        return table

    def _is_one_hot(self, number):
        """Whether a column becomes indicators."""
        known = self.categories_.get(number)
        return known is not None and len(known) <= self.max_one_hot > 0

    def _indicated(self, number):
        """Categories that have an indicator of their own."""
        known = self.categories_[number]
        return known[:1] if len(known) == 2 else known

    def _block(self, number, codes):
        """What becomes of a column, (n_samples, n_columns)."""
        column, own = codes[:, number : number + 1], self._indicators(number)
        return column if own is None else own[column[:, 0].astype(np.intp)]

    def _indicators(self, number):
        """What becomes of each code of a column, -1 last; None where codes stay."""
        if not self._is_one_hot(number):
            return None
        n = len(self.categories_[number])
        own = np.array([[1.0], [-1.0]]) if n == 2 else np.eye(n)
        return np.vstack([own, np.zeros((1, own.shape[1]))]).astype(self.dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = [self.dtype]
        return tags
