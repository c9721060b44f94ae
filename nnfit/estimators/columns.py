"""Columns of X that a user gives as numbers, names or a mask."""

import numpy as np


def category_columns(estimator):
    """Numbers of the columns of categories that the first call has found, ascending.

    Parameters
    ----------
    estimator : BaseMLP
    """
    return sorted(estimator._standard("categories") or ())


def columns_of(estimator, asked, name):
    """Numbers of columns that a user gives as numbers, names or a mask, ascending."""
    n, asked = estimator.n_features_in_, np.atleast_1d(np.asarray(asked))
    if asked.size == 0:
        return []
    wanted = f"{name} must be numbers of columns, their names, or a mask"
    if asked.ndim != 1 or asked.dtype.kind not in "biuUO":
        raise ValueError(f"{wanted}, got {asked!r}.")
    if asked.dtype.kind == "b":
        if len(asked) != n:
            raise ValueError(
                f"{name} must have an entry for each of the {n} features if it is a "
                f"mask, got {len(asked)}."
            )
        return np.flatnonzero(asked).tolist()
    if asked.dtype.kind in "UO":
        return _of_names(estimator, asked.tolist(), name)
    if not (-n <= asked.min() and asked.max() < n):
        raise ValueError(
            f"{name} must be numbers of columns below {n}, the number of features, "
            f"got {asked.tolist()}."
        )
    return sorted({number % n for number in asked.tolist()})


def _of_names(estimator, asked, name):
    known = getattr(estimator, "feature_names_in_", None)
    if known is None:
        raise ValueError(
            f"{name} holds names, {asked!r}, but X has none. Pass a DataFrame, or give "
            "numbers of columns."
        )
    numbers = {each: number for number, each in enumerate(known.tolist())}
    missing = [each for each in asked if each not in numbers]
    if missing:
        raise ValueError(
            f"{name} must be names of columns of X, got {missing!r}, which it lacks. "
            f"It has {known.tolist()}."
        )
    return sorted({numbers[each] for each in asked})


def name_of(estimator, column, of="X"):
    """A column as messages call it; `of` is what the user calls the rows."""
    names = getattr(estimator, "feature_names_in_", None)
    return f"column {column if names is None else names[column]!r} of {of}"
