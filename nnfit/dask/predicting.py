"""Predictions of collections, partition by partition, and scores of them."""

from __future__ import annotations

import numpy as np

from nnfit.dask.packages import dask
from nnfit.dask.parts import is_collection, partitions
from nnfit.functions.losses import MULTILABEL


def lazily(model, method, X):
    """Predict a collection lazily, anything else at once.

    Parameters
    ----------
    model : estimator
        Fitted, of one machine.
    method : {"predict", "predict_proba"}
    X : dask array or dataframe, or array-like

    Returns
    -------
    dask array, series or dataframe, or ndarray
    """
    if not is_collection(X):
        return getattr(model, method)(X)
    example = _example(model, method)
    if hasattr(X, "chunks"):
        X = X.rechunk({1: -1}) if len(X.chunks[1]) > 1 else X
        more = {"drop_axis": 1}
        if example.ndim == 2:
            more = {"chunks": (X.chunks[0], (example.shape[1],))}
        return X.map_blocks(
            _predict, dask().delayed(model), method, dtype=example.dtype,
            meta=example, **more,
        )  # fmt: skip
    return X.map_partitions(
        _predict_table, model, method, meta=_as_table(model, X._meta, example)
    )


def _example(model, method):
    """Predictions of no rows, whose shape and type are those of any."""
    if not hasattr(model, "classes_"):
        n_outputs = model.n_outputs_
        return np.empty(0 if n_outputs == 1 else (0, n_outputs), model.coefs_[0].dtype)
    if method == "predict_proba":
        return np.empty((0, len(model.classes_)), model.coefs_[0].dtype)
    if model._target_kind == MULTILABEL:
        return np.empty((0, len(model.classes_)), np.int64)
    return np.empty(0, model.classes_.dtype)


def _predict(X, model, method):
    if X.shape[0] == 0:
        return _example(model, method)
    return getattr(model, method)(X)


def _predict_table(X, model, method):
    return _as_table(model, X, _predict(X, model, method))


def _as_table(model, X, values):
    """Predictions with the index of a table."""
    pandas = dask("pandas")
    if values.ndim == 1:
        return pandas.Series(values, index=X.index)
    names = getattr(model, "classes_", range(values.shape[1]))
    return pandas.DataFrame(values, index=X.index, columns=list(names))


# Scores ---------------------------------------------------------------------------


def score(model, X, y, sample_weight):
    """Accuracy or R2; of collections from sums over the partitions.

    Parameters
    ----------
    model : estimator
        Fitted, of one machine.
    X, y, sample_weight
        All collections, or none.

    Returns
    -------
    float
    """
    if not is_collection(X):
        return model.score(X, y, sample_weight)
    sums = dask().delayed(_sums)
    of_parts = dask().compute(
        *(sums(model, part) for part in partitions(X, y, sample_weight))
    )
    filled = [each for each in of_parts if each is not None]
    if not filled:
        raise ValueError("X has no rows to score.")
    weight = np.array([each[0] for each in filled])
    if hasattr(model, "classes_"):
        return float(sum(each[1] for each in filled) / weight.sum())
    means, squares, errors = (
        np.array([each[place] for each in filled]) for place in (1, 2, 3)
    )
    mean = np.average(means, axis=0, weights=weight)
    total = squares.sum(axis=0) + weight @ (means - mean) ** 2
    # As scikit-learn's r2_score, where a column does not vary.
    error, varies = errors.sum(axis=0), total > 0
    r2 = np.where(error > 0, 0.0, 1.0)
    r2[varies] = 1.0 - error[varies] / total[varies]
    return float(r2.mean())


def _sums(model, part):
    """Of a partition: weight and hits, or weight, mean, squares about it and errors."""
    if part.X.shape[0] == 0:
        return None
    y, predicted = np.asarray(part.y), np.asarray(model.predict(part.X))
    weight = np.ones(len(y))
    if part.sample_weight is not None:
        weight = np.asarray(part.sample_weight, np.float64).reshape(-1)
    y, predicted = y.reshape(len(y), -1), predicted.reshape(len(y), -1)
    if hasattr(model, "classes_"):
        return weight.sum(), weight @ (y == predicted).all(axis=1)
    y, predicted = y.astype(np.float64), predicted.astype(np.float64)
    mean = np.average(y, axis=0, weights=weight)
    return weight.sum(), mean, weight @ (y - mean) ** 2, weight @ (y - predicted) ** 2
