"""Checking and converting what the user passes, at the one boundary."""

import math
import sys
from copy import copy
from numbers import Number, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)
from sklearn.utils.validation import check_X_y as sklearn_check_X_y

from nnfit.addresses import plain
from nnfit.estimators.columns import name_of
from nnfit.estimators.reading import (
    encoded_matrix,
    has_values,
    learn_codes,
    read_again,
    read_training,
)
from nnfit.estimators.sparse import canonical, check_structure
from nnfit.tables.column import is_missing
from nnfit.tables.reading import FEW_ROWS

#: NumPy has truth values of its own.
NUMBERS = (Number, np.bool_)
#: Of weights. Squares of it and of its inverse are finite, and penalties over it.
LARGEST_SUM = 1e100
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
#: Types of rows to predict, as scikit-learn's checks take them: what is none of these
#: becomes the first.
PRECISIONS = [np.float64, np.float32]


def check_X(estimator, X, dtype):
    """Rows to predict, and how precise they were.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
    dtype : {"float32", "float64"}
        In which the network computes.

    Returns
    -------
    rows : ndarray or CSR matrix of shape (n_samples, n_features)
        C-contiguous or canonical, of that dtype.
    given : {numpy.float32, numpy.float64}
        float32 if X is, else float64, as scikit-learn would take it.
    """
    checked = _plain_rows(estimator, X)
    rows = None if checked is None else _cast(checked, dtype)
    if rows is None or not _has_finite_sum(rows):
        rows, given = _read_rows(estimator, X, dtype)
        # A value too large for the dtype has become inf.
        check_values(estimator, rows, "X")
        return rows, given
    return rows, np.float32 if checked.dtype == np.float32 else np.float64


def _read_rows(estimator, X, dtype):
    """The same, by scikit-learn's checks or column by column."""
    check_structure(X, "X")
    encoded = read_again(estimator, X, dtype)
    if encoded is not None:
        rows = check_array(
            encoded.X, dtype=dtype, ensure_all_finite=False, estimator=estimator
        )
        return rows, np.float32 if encoded.is_single else np.float64
    # Of some tables only "numeric" keeps float32; of lists it refuses strings.
    kept = "numeric" if hasattr(X, "columns") else PRECISIONS
    checked = validate_data(
        estimator,
        X,
        accept_sparse="csr",
        dtype=kept,
        ensure_all_finite=False,
        reset=False,
    )
    rows = encoded_matrix(estimator, _cast(checked, dtype))
    return rows, np.float32 if checked.dtype == np.float32 else np.float64


def _cast(X, dtype):
    """Rows as the engine takes them; values too large for the dtype become inf."""
    if not issparse(X):
        return plain(X, dtype)
    data = X.data.astype(dtype, copy=False)
    if data is not X.data:
        X = copy(X)  # its `astype` copies the indices too
        X.data = data
    return canonical(X)


def _plain_rows(estimator, X):
    """Rows of numbers that need no more than a cast, as an ndarray or a CSR matrix.

    None where they need more, or are wrong: scikit-learn's checks decide and say what
    is. They take 0.1 ms, of a table 0.7 ms, where all the rest of predicting one row
    takes 0.05 ms.
    """
    if has_values(estimator):
        return None
    names, kind = getattr(estimator, "feature_names_in_", None), type(X)
    if kind is list:
        X = _array_of(X)
    elif issparse(X) and X.ndim == 2:
        check_structure(X, "X")
        X = X.tocsr()
    elif _is_plain_table(X):
        columns = X.columns
        if names is None:
            if getattr(columns, "dtype", np.dtype(object)).kind not in "iu":
                return None  # scikit-learn warns that names have come
        elif not np.array_equal(np.asarray(columns, dtype=object), names):
            return None
        X, names = X.to_numpy(), None
    elif kind is not np.ndarray:
        return None
    fits = (
        names is None  # else it warns that names are missing
        and X is not None
        and X.dtype.kind in "biuf"
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
    )
    return X if fits else None


def _array_of(rows):
    """A list as an ndarray; None if the rows are of several lengths."""
    try:
        return np.asarray(rows)
    except ValueError:
        return None


def _is_plain_table(X):
    """Whether X is a table whose columns are arrays, without missing or sparse ones.

    One of few rows: of others NumPy would make a matrix of float64.
    """
    if type(X) is getattr(sys.modules.get("pandas"), "DataFrame", None):
        are_arrays = all(isinstance(dtype, np.dtype) for dtype in X.dtypes)
        return are_arrays and len(X) <= FEW_ROWS
    is_polars = type(X) is getattr(sys.modules.get("polars"), "DataFrame", None)
    return is_polars and len(X) <= FEW_ROWS


def _is_plain_target(y, X):
    """Whether a target is a vector that scikit-learn's checks would not change."""
    if type(y) is not np.ndarray or y.ndim != 1 or type(X) is not np.ndarray:
        return False
    if len(y) != len(X) or y.dtype.kind not in "biuf":
        return False
    return y.dtype.kind != "f" or (y.dtype in FLOATS and _has_finite_sum(y))


def _has_finite_sum(array):
    """True if all is finite; an overflow, or what is not, needs a closer look."""
    if issparse(array):
        array = array.data
    return math.isfinite(array.sum())


def check_values(estimator, X, name):
    """Refuse infinite values, and in a sparse matrix NaN; in others it is missing.

    Parameters
    ----------
    estimator : BaseMLP
        That knows the names of its features.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Of float32 or float64.
    name : str
        What the user calls it.

    Raises
    ------
    ValueError
        That names the column.
    """
    is_sparse = issparse(X)
    try:
        assert_all_finite(X, allow_nan=not is_sparse)
    except ValueError:
        pass
    else:
        return
    X = X.tocoo() if is_sparse else X
    values = X.data if is_sparse else X
    places = np.nonzero(~np.isfinite(values) if is_sparse else np.isinf(values))
    first = tuple(int(numbers[0]) for numbers in places)
    row, column = (int(X.row[first]), int(X.col[first])) if is_sparse else first
    place = f"{name_of(estimator, column, name)}, row {row}"
    if np.isnan(values[first]):
        raise ValueError(
            f"Input {name} contains NaN and is sparse: {place}. Only in arrays and "
            "tables NaN stands for a missing value. Pass one of these, or fill in "
            "what is missing."
        )
    raise ValueError(
        f"Input {name} contains infinity or a value too large for "
        f"{values.dtype!r}: {place}. Replace it, by NaN if it is not known."
    )


def check_X_y(estimator, X, y, dtype, reset, y_numeric=False):
    """Training data, converted as by :func:`check_X`; ``y`` keeps its dtype."""
    if not reset and _is_plain_target(y, X):
        checked = _plain_rows(estimator, X)
        rows = None if checked is None else _cast(checked, dtype)
        if rows is not None and _has_finite_sum(rows):
            return rows, y
    check_objects(y, "y", y_numeric)
    check_structure(X, "X")
    check_structure(y, "y")
    rules = {
        "accept_sparse": "csr",
        "multi_output": True,
        "y_numeric": y_numeric,
        "dtype": dtype,
        "order": "C",
        "ensure_all_finite": False,
    }
    rows = read_training(estimator, X, y, dtype, reset)
    if rows is not None:
        X, y = sklearn_check_X_y(rows, y, estimator=estimator, **rules)
    else:
        X, y = validate_data(estimator, X, y, reset=reset, **rules)
        if reset:
            learn_codes(estimator)
        X = encoded_matrix(estimator, canonical(X))
    check_values(estimator, X, "X")
    return X, check_column(y, y_numeric)


def check_validation_data(estimator, X_val, y_val, dtype):
    """Validation data, by the rules of the training data but named as passed."""
    if X_val is None or y_val is None:
        given, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise ValueError(f"{given} is provided, but {missing} was not provided.")
    return check_more_rows(estimator, X_val, y_val, dtype, ("X_val", "y_val"))


def check_more_rows(estimator, X, y, dtype, names):
    """Rows by the rules of the first training data, named as passed.

    Parameters
    ----------
    estimator : BaseMLP
        That knows names and number of its features.
    X, y
        See `BaseMLP.fit`.
    dtype : {"float32", "float64"}
    names : tuple of str
        What the user calls both.

    Returns
    -------
    X, y : ndarray
    """
    of_X, of_y = names
    check_structure(X, of_X)
    encoded = read_again(estimator, X, dtype, of_X)
    if encoded is None:
        _check_feature_names(estimator, X, reset=False)
    X = check_array(
        X if encoded is None else encoded.X,
        accept_sparse="csr",
        dtype=dtype,
        order="C",
        ensure_all_finite=False,
        estimator=estimator,
        input_name=of_X,
    )
    _check_n_features(estimator, X, reset=False)
    if encoded is None:
        X = encoded_matrix(estimator, canonical(X), of_X)
    check_values(estimator, X, of_X)
    y = check_target(estimator, y, of_y)
    check_consistent_length(X, y)
    return X, y


def check_target(estimator, y, name):
    """Targets like those of the training, by their rules but named as passed."""
    y_numeric = estimator._y_numeric
    check_objects(y, name, y_numeric)
    check_structure(y, name)
    y = check_array(
        y,
        accept_sparse="csr",
        ensure_2d=False,
        dtype=np.float64 if y_numeric else None,
        ensure_all_finite=True,
        estimator=estimator,
        input_name=name,
    )
    return check_column(y, y_numeric)


def check_objects(y, name, y_numeric):
    """Refuse what is no target among Python's objects: texts as numbers, None, NaN.

    scikit-learn's checks compare such labels, or call their type unknown. What else may
    be wrong with them is for it to say.

    Parameters
    ----------
    y : array-like, sparse matrix or None
    name : str
        What the user calls it.
    y_numeric : bool
        Whether it holds numbers and not labels.
    """
    if y is None or issparse(y):
        return
    try:
        values = np.asarray(y)
    except ValueError:  # rows of different lengths
        return
    if values.dtype.kind not in ("OUSMmV" if y_numeric else "O"):
        return
    shape, values = values.shape, values.ravel().tolist()
    for i, value in enumerate(values):
        if is_missing(value) or (y_numeric and not isinstance(value, NUMBERS)):
            wanted, advice = _NUMBERS if y_numeric else _LABELS
            place = ", ".join(map(str, np.unravel_index(i, shape)))
            place = f" at position {place}" if place else ""
            got = f"{value!r}{place}"
            raise ValueError(f"{name} must hold {wanted}, got {got}. {advice}")
        if y_numeric and isinstance(value, int) and abs(value) > sys.float_info.max:
            raise ValueError(
                f"{name} must hold numbers up to {sys.float_info.max:.2g}, got an "
                f"integer of {value.bit_length()} bits. Divide {name}, or take its "
                "logarithm."
            )
    texts = [isinstance(value, str) for value in values]
    if any(texts) and not all(texts):
        text, other = values[texts.index(True)], values[texts.index(False)]
        raise ValueError(
            f"{name} must hold labels of one type, got {text!r} and {other!r}, which "
            "have no order. Convert them, for example to str."
        )


_LABELS = (
    "a label everywhere",
    "Leave out what has no label, or give it one, for example 'unknown'.",
)
_NUMBERS = (
    "numbers",
    "Leave out what has none, and convert texts, for example with astype(float).",
)


def check_column(y, y_numeric):
    """A column vector as a vector, with scikit-learn's warning; numbers are dense."""
    if issparse(y) and (y_numeric or y.shape[1] == 1):
        y = y.toarray()
    if y.ndim == 2 and y.shape[1] == 1 and not issparse(y):
        return column_or_1d(y, warn=True)
    return y


def check_y_range(y, loss):
    """Refuse targets outside the range of a loss."""
    smallest = y.min()
    if smallest < loss.y_min or (smallest == loss.y_min and not loss.y_min_inclusive):
        sign = ">=" if loss.y_min_inclusive else ">"
        raise ValueError(
            f"loss={loss.name!r} needs y {sign} {loss.y_min:g}, got a minimum of "
            f"{smallest:g}. Remove or transform those targets, or use another loss."
        )


def cast_target(y, dtype, targets=None):
    """Numeric targets as columns of the compute dtype, finite in it.

    Shifted and scaled before, if `targets` says so, see `find_targets`.
    """
    y = y.reshape(len(y), -1)
    if targets is not None:
        y = (y - targets["shift"]) / targets["scale"]
    y = plain(y, dtype)
    assert_all_finite(y, input_name="y")
    return y


def check_weights(sample_weight, X, name="sample_weight"):
    """Sample weights as float64: finite, not negative, not all zero; or None."""
    if sample_weight is None:
        return None
    try:
        weights = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
    except ValueError as error:
        if name == "sample_weight":
            raise
        raise ValueError(f"{name}: {error}") from error  # whose name is fixed
    return check_sum_of_weights(plain(weights), name)


def check_groups(groups, X):
    """Groups of the rows as a vector, or None."""
    if groups is None:
        return None
    groups = check_array(groups, input_name="groups", ensure_2d=False, dtype=None)
    if groups.shape not in ((X.shape[0],), (X.shape[0], 1)):
        raise ValueError(
            f"groups must hold the group of each of the {X.shape[0]} samples, got the "
            f"shape {groups.shape}."
        )
    return groups.ravel()


def check_sum_of_weights(weights, name):
    """Refuse weights that are all zero, or that cannot be added up and squared."""
    # scikit-learn 1.9 refuses them by itself, 1.7 does not.
    if not weights.any():
        raise ValueError(
            f"{name} must contain at least one non-zero weight, got only zeros."
        )
    total = weights.sum()
    if not 1.0 / LARGEST_SUM <= total <= LARGEST_SUM:
        raise ValueError(
            f"{name} must have a sum between {1.0 / LARGEST_SUM:g} and "
            f"{LARGEST_SUM:g}, got {total:g}. Divide the weights by the largest one."
        )
    return weights


def check_hidden_layer_sizes(hidden_layer_sizes):
    """Units of every hidden layer, as a list of Python ints."""
    if not hasattr(hidden_layer_sizes, "__iter__"):
        hidden_layer_sizes = [hidden_layer_sizes]
    sizes = list(hidden_layer_sizes)
    for size in sizes:
        if not hasattr(size, "__index__"):
            raise ValueError(f"hidden_layer_sizes must be integers, got {sizes}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def hidden_sizes(estimator):
    """Units of every hidden layer: as listed, or drawn by number, width and taper."""
    if estimator.n_layers is None:
        return check_hidden_layer_sizes(estimator._value("hidden_layer_sizes"))
    width, taper = estimator.layer_width, float(estimator.taper)
    try:
        return [max(1, round(width * taper**i)) for i in range(estimator.n_layers)]
    except OverflowError:
        raise ValueError(
            f"layer_width, times taper={taper:g} from layer to layer, must keep the "
            f"sizes of n_layers={estimator.n_layers} layers below "
            f"{sys.float_info.max:.2g}, got more. Lower one of them."
        ) from None


def check_dropout(dropout, n_hidden):
    """One rate for every hidden layer, as a tuple.

    Parameters
    ----------
    dropout : float or array-like of float
    n_hidden : int

    Returns
    -------
    tuple of float
        Empty if all are 0.
    """
    if isinstance(dropout, Real):
        rates = (float(dropout),) * n_hidden
    else:
        rates = _numbers("dropout", dropout, "hidden layer", n_hidden, "a rate or ")
        if not all(0 <= rate < 1 for rate in rates):
            raise ValueError(f"dropout must hold rates in [0, 1), got {dropout!r}.")
    return rates if any(rates) else ()


def check_learning_rate_factors(factors, n_layers):
    """One factor for every layer, as a tuple; empty for None."""
    if factors is None:
        return ()
    name = "learning_rate_factors"
    checked = _numbers(name, factors, "layer, the last one included", n_layers)
    if not all(0 <= factor < math.inf for factor in checked):
        raise ValueError(f"{name} must be finite and at least 0, got {factors!r}.")
    return checked


def _numbers(name, values, of_what, expected, alternative=""):
    """A list of numbers of one parameter, as a tuple of floats."""
    wanted = f"{name} must be {alternative}a list of one number per {of_what}"
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{wanted}, got {values!r}.") from None
    if len(numbers) != expected:
        raise ValueError(f"{wanted}, {expected} here, got {len(numbers)}: {values!r}.")
    return numbers
