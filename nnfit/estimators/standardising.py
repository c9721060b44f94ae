"""Columns that are shifted and scaled in float64, since networks cannot take them raw.

Weights begin at the size of one, and float32 has 24 bits. A column whose values share a
large offset, such as a timestamp, spends its bits on the offset: the neighbours of
1.7e9 in float32 are 128 away. An optimizer spends its steps on the offset, in float64
too. R2 of scikit-learn in float64 on 1,000 rows of six features, the mean over five
seeds, where all columns but one have mean 0 and standard deviation 1:

* y with mean 64, whose values lie within a tenth of it: -130 instead of 0.91
* a feature with mean 64: 0.06 instead of 0.70; with mean 1000: -54
* y with standard deviation 0.001: -2500; y of 3e5 ± 1e5: -8.9

Such columns, and no others, are standardised: the mean is subtracted in float64 and the
difference divided by the standard deviation, before it is rounded to the type of the
computation. All else keeps its bits. What is found in the first call is kept.
"""

import warnings

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array

from nnfit.estimators.columns import category_columns
from nnfit.estimators.reading import float64_columns
from nnfit.network.scalings import CONSTANT

#: A column whose values spread over less than this part of the largest has an offset.
OFFSET = 1 / 8
#: With fewer rows the spread is not known.
FEW_ROWS = 8
#: From here on float32's step is a thousandth, as large as an optimizer's: targets are
#: standardised, and columns that are constant or have few rows count as an offset.
LARGE = 2.0**13
#: Features of the first size begin to ruin the first layer if they have an offset; of
#: the second, where float32's step is one, without one too.
FEATURE_SIZE, HUGE = 64.0, 2.0**24
#: A spread of y that is lost beside outputs that begin at the size of one. On 400 rows
#: R2 is 0.8 at a standard deviation of 0.1, -0.5 at 0.03, and -13 at 0.01.
TINY = 2.0**-4
#: float32 loses a spread that is a smaller part of the size, and targets are others if
#: their rounding is a larger part of the spread.
LOST = 2.0**-13
#: Rows, at least, that are looked at for an offset, which all rows share.
SAMPLE = 256

CURE = "for example with sklearn.preprocessing.StandardScaler"
CURE_OF_Y = (
    "for example with sklearn.compose.TransformedTargetRegressor(regressor, "
    "transformer=StandardScaler())"
)


# Features --------------------------------------------------------------------


def training_rows(estimator, given, X, first_pass):
    """Training data as the network takes them; sets how, in the first call.

    Parameters
    ----------
    estimator : BaseMLP
    given : array-like or sparse matrix
        As passed to `fit`.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        The same, checked, of the compute dtype.
    first_pass : bool

    Returns
    -------
    ndarray or CSR matrix
    """
    if first_pass:
        found = {"features": _find_features(estimator, given, X), "targets": None}
        estimator._fitted = {**estimator._fitted, **found}
    X = standardised(estimator, given, X)
    if not first_pass:
        _check_features(estimator, X)
    return X


def _find_features(estimator, given, X):
    """What to do with the columns of the first training data.

    Returns
    -------
    dict or None
        None if all columns stay as they are, else the "columns" that do not, their
        "shift" and their "scale".
    """
    columns = _conspicuous(estimator, X)
    if len(columns) == 0:
        return None
    if issparse(X):
        reason = "X is sparse, so they are not shifted. Pass an array, or scale them"
        _warn_of_features(estimator, columns, reason)
        return None
    values = _as_float64(given, columns)
    shift, deviation, n_rows = moments(values)
    low, high = _range(values)
    scale = _size_of_one(deviation, np.maximum(-low, high), n_rows)
    return {"columns": columns, "shift": shift, "scale": scale}


def _check_features(estimator, X):
    """Warn if data of a later call are not as those of the first were."""
    if X.shape[0] >= FEW_ROWS:
        columns = _conspicuous(estimator, X)
        if len(columns):
            reason = "It was not so in the first call, which decides. Scale them"
            _warn_of_features(estimator, columns, reason)


def standardised(estimator, given, X):
    """Data with the columns that were found shifted and scaled.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    given : array-like or sparse matrix
        As the user has passed it.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        The same, checked, of the compute dtype.

    Returns
    -------
    ndarray or CSR matrix
        `X` itself, or another array.
    """
    features = estimator._standard("features")
    if features is None:
        return X
    columns = features["columns"]
    values = (_as_float64(given, columns) - features["shift"]) / features["scale"]
    X = X.toarray() if issparse(X) else X.copy()
    X[:, columns] = values
    return X


def of_all_features(estimator, name, otherwise):
    """The "shift" or "scale" of every feature, (n_features,)."""
    values = np.full(estimator.n_features_in_, otherwise)
    features = estimator._standard("features")
    if features is not None:
        values[features["columns"]] = features[name]
    return values


def _conspicuous(estimator, X):
    """Numbers of the columns of numbers that no network should be given."""
    n_rows = X.shape[0]
    columns = np.arange(X.shape[1])
    # Every part of a column with an offset has one: a sample tells where to look.
    low, high = _range(X[:: max(1, n_rows // SAMPLE)])
    absent = columns[np.isnan(low)]
    if len(absent):
        low[absent], high[absent] = _range(X[:, absent])
    size = np.maximum(-low, high)
    huge = (size > HUGE) & (n_rows >= FEW_ROWS)
    offset = (size >= (1 - OFFSET) * FEATURE_SIZE) & (
        high - low < OFFSET / (1 - OFFSET) * size
    )
    candidates = columns[offset]
    if len(candidates):
        low, high = _range(X[:, candidates])
        small = np.maximum(-low, high) < FEATURE_SIZE
        present = n_rows if issparse(X) else n_rows - np.isnan(X[:, candidates]).sum(0)
        offset[candidates[small | ~has_offset(low, high, present)]] = False
    found = columns[offset | huge]
    return np.setdiff1d(found, category_columns(estimator)) if len(found) else found


def _range(X):
    """Smallest and largest value of every column; NaN where all are missing."""
    if issparse(X):
        low, high = X.min(axis=0).toarray().ravel(), X.max(axis=0).toarray().ravel()
    else:
        low, high = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    return low.astype(np.float64), high.astype(np.float64)


def moments(X):
    """Means, standard deviations and numbers of the values that are not missing.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)

    Returns
    -------
    mean, deviation : ndarray of float64 of shape (n_features,)
        NaN where all values are missing.
    n_rows : ndarray of int of shape (n_features,)
    """
    n_rows = np.full(X.shape[1], X.shape[0])
    if issparse(X):
        X = X.astype(np.float64)
        mean = np.asarray(X.mean(axis=0)).ravel()
        squares = np.asarray(X.multiply(X).mean(axis=0)).ravel()
        return mean, np.sqrt(np.maximum(squares - mean**2, 0.0)), n_rows
    mean, deviation = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    for column in np.flatnonzero(np.isnan(mean)):
        x = X[:, column]
        x = x[~np.isnan(x)]
        n_rows[column] = len(x)
        if len(x):
            mean[column] = x.mean(dtype=np.float64)
            deviation[column] = x.std(dtype=np.float64)
    return mean, deviation, n_rows


def has_offset(low, high, n_rows):
    """Whether all values of a column lie close together and far from zero."""
    size, spread = np.maximum(-low, high), high - low
    known = (spread > CONSTANT * size) & (n_rows >= FEW_ROWS)
    return (spread < OFFSET * size) & (known | (size > LARGE))


def _as_float64(given, columns):
    """Some columns of data that were checked before."""
    values = float64_columns(given, columns)
    if values is not None:
        return values
    if not isinstance(given, np.ndarray):
        given = check_array(
            given, accept_sparse="csr", dtype=np.float64, ensure_all_finite=False
        )
    values = given[:, columns]
    return (values.toarray() if issparse(values) else values).astype(np.float64)


def _size_of_one(deviation, size, n_rows):
    """Standard deviations to divide by; 1 for what does not vary or is not known."""
    varies = (deviation > CONSTANT * size) & (n_rows >= FEW_ROWS)
    return np.where(varies & np.isfinite(deviation), deviation, 1.0)


def _warn_of_features(estimator, columns, reason):
    named = columns[:5]
    if hasattr(estimator, "feature_names_in_"):
        named = estimator.feature_names_in_[named]
    names = ", ".join(map(repr, named.tolist())) + ", ..." * (len(columns) > 5)
    warnings.warn(
        f"The values of {len(columns)} column{'s' * (len(columns) > 1)} of X, {names}, "
        "are so large, or so close together for their size, that float32 loses what "
        f"distinguishes them and that they drown the other features. {reason} before, "
        f"{CURE}."
    )


# Targets ---------------------------------------------------------------------


def find_targets(y, loss):
    """What to do with the first training targets of a regression.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
    loss : Loss

    Returns
    -------
    dict or None
        None if they stay as they are, else the "shift" of every column and the "scale"
        of all: one, so that the loss is the user's but for a factor.
    """
    y = y.reshape(len(y), -1)
    low, high = _range(y)
    size, spread = np.maximum(-low, high), high - low
    offset = has_offset(low, high, len(y))
    is_known = len(y) >= FEW_ROWS
    tiny = CONSTANT * size.max() < spread.max() < TINY and is_known
    unfit = offset | tiny | ((size > LARGE) & is_known)
    if size.max() > np.finfo(np.float32).max:  # refused by float32
        return None
    if not unfit.any():
        _check_small(spread, size, is_known)
        return None
    if loss.power == 0:
        _check_untouched(loss, spread, size, tiny)
        return None
    shift = np.where(unfit, y.mean(axis=0, dtype=np.float64), 0.0)
    deviation = (y - shift).std(axis=0)
    scale = _size_of_one(np.sqrt(np.mean(deviation**2)), size.max(), len(y))
    _check_small(spread / scale, size / scale, is_known)
    return {"shift": shift, "scale": float(scale)}


def standard_targets(y, loss, weights=None):
    """Shift and scale of targets that a user wants standardised.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Of the rows to train on.
    loss : Loss
    weights : ndarray of shape (n_samples,), default=None
        What rows count.

    Returns
    -------
    dict
        As that of `find_targets`.

    Raises
    ------
    ValueError
        If the loss does not allow it.
    """
    if loss.power == 0:
        raise ValueError(
            f"target_scaling='standard' cannot be used with loss={loss.name!r}, which "
            "depends on more than the difference of prediction and y. Set "
            "target_scaling=None, or choose another loss, such as 'squared_error'."
        )
    y = y.reshape(len(y), -1).astype(np.float64)
    if weights is not None:
        y, weights = y[weights > 0.0], weights[weights > 0.0]
    shift = np.average(y, axis=0, weights=weights)
    variance = np.average((y - shift) ** 2, axis=0, weights=weights)
    deviation, size = float(np.sqrt(variance.mean())), np.abs(y).max()
    scale = deviation if deviation > CONSTANT * size else 1.0
    return {"shift": shift, "scale": scale}


def check_targets(targets, y, loss):
    """See that targets of a later call are as those of the first were.

    Raises
    ------
    ValueError
        If they were shifted and the loss, another one by now, does not allow it.
    """
    if targets is not None and loss.power == 0:
        raise ValueError(
            "Cannot continue to train a network whose targets are shifted, since they "
            f"lie far from zero, with loss={loss.name!r}, which depends on more than "
            "the difference of prediction and y. Start a new one with warm_start=False."
        )
    if len(y) < FEW_ROWS:
        return
    y = y.reshape(len(y), -1)
    if targets is not None:
        y = (y - targets["shift"]) / targets["scale"]
    low, high = _range(y)
    if _is_lost(high - low, np.maximum(-low, high)):
        _warn_of_targets(
            "this was not so in the first call, which decides whether y is shifted. "
            "Begin with more rows, or scale y before"
        )


def are_rounded(y, target):
    """Whether float32 loses what distinguishes targets that are not standardised.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Numbers or truth values.
    target : ndarray of shape (n_samples, n_targets)
        The same in the type of the computation.

    Returns
    -------
    bool
    """
    if y.dtype == target.dtype:
        return False
    y = y.reshape(target.shape)
    low, high = _range(y)
    error = np.abs(y - target).max(axis=0)
    return bool((error > LOST * (high - low)).any())


def _is_lost(spread, size):
    """Whether float32 loses what distinguishes the targets of a column."""
    return ((spread > 0) & (spread < LOST * size)).any()


def _check_small(spread, size, is_known):
    """Warn of columns that are lost beside the others, by what the loss makes of both.

    R2 of the smaller of two columns is 0.6 where it has a sixteenth of the spread, -5
    where it has a 64th, -1400 where it has a thousandth.
    """
    small = np.flatnonzero((spread > CONSTANT * size) & (spread < TINY))
    if len(small) and len(spread) > 1 and is_known:
        warnings.warn(
            f"The columns {small.tolist()} of y vary so much less than the others that "
            "the loss, which is their sum, hardly has them in it. Fit a network for "
            "each column, for example with "
            "sklearn.multioutput.MultiOutputRegressor, or scale them all before, "
            f"{CURE_OF_Y}."
        )


def _check_untouched(loss, spread, size, tiny):
    """Warn of targets that a loss does not allow to shift, if something is lost."""
    if _is_lost(spread, size) or (tiny and loss.link != "exp"):
        _warn_of_targets(
            f"with loss={loss.name!r} they cannot be shifted and scaled, since it "
            "depends on more than the difference of prediction and y. Choose another "
            "loss, such as 'squared_error', or scale y before"
        )


def _warn_of_targets(reason):
    warnings.warn(
        "The values of y are so close together for their size, or so small, that "
        "float32 and the steps of training lose what distinguishes them, and "
        f"{reason}, "
        f"{CURE_OF_Y}."
    )
