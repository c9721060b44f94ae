"""Slopes of a prediction by the features, as they are and averaged over noise."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state, check_scalar

from nnfit.estimators.annotations import FloatArray, Rows
from nnfit.estimators.columns import category_columns
from nnfit.inspection.explained import Explained


def input_gradients(
    estimator: Any,
    X: Rows,
    *,
    target: object = None,
    response_method: str = "auto",
) -> FloatArray:
    """Slopes of a prediction by the features.

    Parameters
    ----------
    estimator : estimator object
        A fitted network of nnfit, an ensemble, or a Tabular estimator without trees.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to explain.
    target : object, default=None
        What to explain: a class of a classifier, else the number of a label, output or
        quantile. None stands for the second of two classes, the class that is predicted
        for a row, or the only output.
    response_method : {"auto", "decision_function", "predict_proba", "predict"}, \
            default="auto"
        Method of the estimator whose result is explained: for a classifier
        ``"decision_function"`` or ``"predict_proba"``, for a regressor ``"predict"``.
        ``"auto"`` is the first of these that there is.

    Returns
    -------
    ndarray of float64 of shape (n_samples, n_features)
        Derivative by each feature in its own units. 0 for categories and missing
        values, which have no slope.

    Raises
    ------
    NotFittedError
        Before ``fit``.
    ValueError
        If ``X`` is invalid or there is no such target.

    Examples
    --------
    >>> from nnfit import MLPRegressor
    >>> from nnfit.inspection import input_gradients
    >>> X = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    >>> regressor = MLPRegressor(max_iter=5, random_state=0).fit(X, [1, 2, 3, 0])
    >>> input_gradients(regressor, X).shape
    (4, 2)
    """
    explained = Explained(estimator, X, target, response_method, has_path=False)
    return _slopes(explained, explained.rows)


def _slopes(explained, rows):
    _, slopes = explained.evaluate(rows, explained.index, with_values=False)
    return explained.by_columns(slopes) / explained.scales


def smooth_grad(
    estimator: Any,
    X: Rows,
    *,
    target: object = None,
    response_method: str = "auto",
    noise: float | npt.ArrayLike = 0.1,
    n_samples: int = 50,
    random_state: int | np.random.RandomState | None = None,
) -> FloatArray:
    """Means of the slopes of a prediction around each row (SmoothGrad).

    Parameters
    ----------
    estimator : estimator object
        A fitted network of nnfit, an ensemble, or a Tabular estimator without trees.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to explain.
    target, response_method
        See :func:`input_gradients`.
    noise : float or array-like of shape (n_features,), default=0.1
        Standard deviation of the normal noise that is added to each feature; a single
        number is times the standard deviation of the feature in ``X``. Categories and
        missing values stay as they are.
    n_samples : int, default=50
        Points around each row.
    random_state : int, RandomState instance or None, default=None
        Of the noise.

    Returns
    -------
    ndarray of float64 of shape (n_samples, n_features)

    Raises
    ------
    NotFittedError
        Before ``fit``.
    ValueError
        If ``X`` or a parameter is invalid.

    References
    ----------
    Smilkov, Thorat, Kim, Viégas and Wattenberg (2017), "SmoothGrad: removing noise by
    adding noise", arXiv:1706.03825.
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    explained = Explained(estimator, X, target, response_method, has_path=False)
    deviation = _deviation(explained, noise)
    deviation[category_columns(estimator)] = 0.0
    draw = check_random_state(random_state).standard_normal
    total, shape = 0.0, explained.rows[0].shape
    for _ in range(n_samples):
        shift = draw(shape) * deviation
        moved = [(rows + shift).astype(rows.dtype) for rows in explained.rows]
        total = total + _slopes(explained, moved)
    return total / n_samples


def _deviation(explained, noise):
    """Standard deviations of the noise, in the units of the networks."""
    noise, n = np.asarray(noise, np.float64), explained.n_columns
    if (noise.ndim and noise.shape != (n,)) or not (noise >= 0).all():
        raise ValueError(
            f"noise must be a number from 0, or one for each of the {n} features, got "
            f"an array of the shape {noise.shape}."
            if noise.ndim
            else f"noise must be at least 0, got {noise}."
        )
    if noise.ndim:
        return noise / explained.scales
    rows = explained.rows[0]
    if len(rows) == 1:
        raise ValueError(
            "noise must be an array of one number for each feature if X has a single "
            f"row, whose spread is not known, got noise={noise}."
        )
    return noise * np.nanstd(rows, axis=0, dtype=np.float64)
