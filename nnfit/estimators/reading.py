"""Tables of users as matrices of numbers and codes, as the first call has learnt."""

from functools import partial

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    validate_data,
)

from nnfit.estimators.columns import columns_of, name_of
from nnfit.tables.encoding import FROM_DTYPE, encode, encode_again, numbers_of
from nnfit.tables.reading import matrix_table, table_of


def read_training(estimator, X, y, dtype, reset):
    """Training data that are a table; names and number of their columns are checked.

    Parameters
    ----------
    estimator : BaseMLP
    X, y
        See `BaseMLP.fit`.
    dtype : {"float32", "float64"}
    reset : bool
        Whether names, numbers and categories are learnt.

    Returns
    -------
    ndarray of shape (n_samples, n_features) or None
        None where X is no table, or one that NumPy has as a matrix of numbers.
    """
    table, asked = table_of(X), estimator.categorical_features
    is_plain = asked is None or _is_from_dtype(asked)
    if table is None or (table.is_matrix and is_plain):
        return None
    validate_data(estimator, table.data, y, skip_check_array=True, reset=reset)
    if not reset:
        return _again(estimator, table, dtype, "X").X
    if not _is_from_dtype(asked):
        asked = _asked(estimator)
    encoded = encode(table, asked, dtype, partial(name_of, estimator))
    estimator._fitted = {"categories": encoded.categories}
    return encoded.X


def learn_codes(estimator):
    """The same where X is a matrix of numbers: its categories are codes."""
    asked = estimator.categorical_features
    asked = [] if _is_from_dtype(asked) else _asked(estimator)
    estimator._fitted = {"categories": dict.fromkeys(asked)}


def read_again(estimator, X, dtype, name="X"):
    """Rows like those of the first call, if they are a table.

    Returns
    -------
    Encoded or None
        As `read_training`.
    """
    table = table_of(X)
    if table is None or table.is_matrix:
        return None
    _check_feature_names(estimator, table.data, reset=False)
    _check_n_features(estimator, table.data, reset=False)
    return _again(estimator, table, dtype, name)


def encoded_matrix(estimator, X, name="X"):
    """Rows that are a matrix of numbers; their values are encoded where those were."""
    if not has_values(estimator):
        return X
    if issparse(X):
        column = name_of(estimator, min(estimator._standard("categories")), name)
        raise ValueError(
            f"{name} must be a table or an array as in the training, since {column} "
            "holds categories by their values; got a sparse matrix."
        )
    return _again(estimator, matrix_table(X), X.dtype, name).X


def has_values(estimator):
    """Whether categories are known by values, and not by codes that X holds."""
    categories = vars(estimator).get("_fitted", {}).get("categories")
    return bool(categories) and any(own is not None for own in categories.values())


def float64_columns(given, columns):
    """Some columns of numbers of a table as float64; None where `given` is no table."""
    table = table_of(given)
    if table is None:
        return None
    values = np.empty((table.shape[0], len(columns)))
    for place, number in enumerate(columns):
        values[:, place] = numbers_of(table.column(number), str(number))
    return values


def _again(estimator, table, dtype, name):
    categories = estimator._standard("categories") or {}
    named = partial(name_of, estimator, of=name)
    return encode_again(table, categories, dtype, named)


def _is_from_dtype(asked):
    return isinstance(asked, str) and asked == FROM_DTYPE


def _asked(estimator):
    asked = estimator.categorical_features
    return [] if asked is None else columns_of(estimator, asked, "categorical_features")
