"""Rows for training, validation and test."""

import math
import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupShuffleSplit,
    StratifiedGroupKFold,
    train_test_split,
)
from sklearn.utils import _safe_indexing, check_random_state, indexable

from nnfit.tables.checks.column import read_columns
from nnfit.tables.checks.rows import row_keys
from nnfit.training.splits import split_every_class

#: Folds of groups of which validation and test take some: sizes are then right to half
#: of 5 %, and 0.15 is exact.
FOLDS = 20


def train_validation_test_split(
    *arrays: Any,
    validation_size: float | int = 0.15,
    test_size: float | int = 0.15,
    stratify: Any = None,
    groups: Any = None,
    time: Any = None,
    shuffle: bool = True,
    random_state: Any = None,
) -> list[Any]:
    """Split tables, arrays or lists into rows for training, validation and test.

    Training fits the model, validation chooses parameters and stops the training, and
    test tells, once and at the end, how good it is.

    Parameters
    ----------
    *arrays : sequence of indexables of the same length
        Lists, arrays, sparse matrices, tables of pandas, polars or pyarrow.
    validation_size, test_size : float or int, default=0.15
        Share of the rows, or their number; with `groups` share or number of the groups.
        The rest is for training.
    stratify : array-like of shape (n_samples,), optional
        Classes, of which all parts have the same shares and at least a row each;
        usually ``y``.
    groups : array-like of shape (n_samples,), optional
        Who or what a row is of (a patient, a device). Rows of a group stay together, so
        that the test is on groups that training has not seen. With `stratify`, the
        shares of classes are kept as well as whole groups allow.
    time : array-like of shape (n_samples,), optional
        When a row was made: numbers, dates, or texts in the order of time. Validation
        is after training, and test after validation; rows of the same time stay
        together, and each part is in the order of time.
    shuffle : bool, default=True
        Whether rows are drawn. If not, the first rows are for training and the last for
        test.
    random_state : int, RandomState instance or None, default=None
        Draws the rows; pass an int for the same split in every call.

    Returns
    -------
    list, length=3 * len(arrays)
        Training, validation and test rows of the first array, then of the second, and
        so on, each of the type of its array.

    Examples
    --------
    >>> from nnfit import train_validation_test_split
    >>> X, y = [[i] for i in range(20)], [0, 1] * 10
    >>> X_train, X_val, X_test, y_train, y_val, y_test = train_validation_test_split(
    ...     X, y, stratify=y, random_state=0
    ... )
    >>> len(X_train), len(X_val), len(X_test)
    (14, 3, 3)
    """
    if not arrays:
        raise ValueError("Pass at least one array to split, got none.")
    arrays = indexable(*arrays)
    n = _length(arrays[0])
    _check_together(stratify, groups, time, shuffle)
    rng = check_random_state(random_state)
    stratify, groups, time = (
        None if each is None else _read(each, name, n)
        for each, name in ((stratify, "stratify"), (groups, "groups"), (time, "time"))
    )
    sizes = validation_size, test_size
    if groups is not None:
        parts = _by_groups(groups, stratify, sizes, rng)
    elif time is not None:
        parts = _by_time(time, _counts(n, sizes, "rows"))
    elif stratify is not None:
        parts = _stratified(stratify, _counts(n, sizes, "rows"), rng)
    else:
        parts = _of_rows(n, _counts(n, sizes, "rows"), shuffle, rng)
    return [_safe_indexing(array, part) for array in arrays for part in parts]


def _length(array):
    return array.shape[0] if hasattr(array, "shape") else len(array)


def _check_together(stratify, groups, time, shuffle):
    given = {"stratify": stratify, "groups": groups, "time": time}
    given = [name for name, each in given.items() if each is not None]
    if "time" in given and len(given) > 1:
        raise ValueError(
            f"time cannot be kept together with {given[0]}: a split by time has one "
            f"cut for all rows. Pass either time or {given[0]}."
        )
    if given and given != ["time"] and not shuffle:
        raise ValueError(
            f"shuffle=False keeps the order of the rows, which {given[0]} cannot. "
            "Leave out one of them, or pass time."
        )


def _read(values, name, n):
    """Numbers of which equal ones are equal values, in their order."""
    columns = read_columns(values, name)
    if len(columns[0]) != n:
        raise ValueError(
            f"{name} must have a value for each of the {n} rows, got {len(columns[0])}."
        )
    n_missing = sum(column.missing.sum() for column in columns)
    if n_missing:
        raise ValueError(
            f"{name} must not have missing values, got {n_missing}. Fill them or leave "
            "out these rows."
        )
    if name == "time" and not columns[0].ordered:
        raise ValueError("time must be numbers, dates or texts, got a mixture of them.")
    if len(columns) == 1:
        return columns[0].take(slice(None))
    if name == "stratify":  # several targets
        return np.unique(row_keys(columns), return_inverse=True)[1]
    raise ValueError(f"{name} must be one column, got {len(columns)}.")


def _counts(n, sizes, what):
    """How many of n are for training, validation and test."""
    counts = []
    for name, size in zip(("validation_size", "test_size"), sizes, strict=True):
        share = isinstance(size, Real) and 0 < size < 1
        if isinstance(size, Integral | np.integer) and not isinstance(size, bool):
            counts.append(int(size))
        elif share:
            # Of 100 * 0.15 = 15.000000000000002 the 15.
            counts.append(math.ceil(round(size * n, 9)))
        else:
            counts.append(0)
        if counts[-1] < 1:
            raise ValueError(
                f"{name} must be a share between 0 and 1, or a number of {what} of at "
                f"least 1, got {size!r}."
            )
    counts = [n - sum(counts), *counts]
    if counts[0] < 1:
        raise ValueError(
            f"validation_size={sizes[0]} and test_size={sizes[1]} of {n} {what} leave "
            "none for training. Make them smaller."
        )
    return counts


def _of_rows(n, counts, shuffle, rng):
    rest, test = train_test_split(
        np.arange(n),
        test_size=counts[2],
        shuffle=shuffle,
        random_state=rng if shuffle else None,
    )
    train, validation = train_test_split(
        rest,
        test_size=counts[1],
        shuffle=shuffle,
        random_state=rng if shuffle else None,
    )
    return train, validation, test


def _stratified(labels, counts, rng):
    n_of_class = np.unique(labels, return_counts=True)[1]
    few = int(np.count_nonzero(n_of_class < 3))
    if few:
        raise ValueError(
            "stratify must have at least three rows of every class, one for each part, "
            f"got {few} of {len(n_of_class)} classes with fewer. Put rare classes "
            "together or leave them out; amounts can be cut into classes before."
        )
    if first := _split(labels, counts[2], rng):
        rest, test = first
    if not first or not (second := _split(labels[rest], counts[1], rng)):
        raise ValueError(
            f"Parts of {counts[0]}, {counts[1]} and {counts[2]} rows cannot all have a "
            f"row of each of the {len(n_of_class)} classes of stratify. Change "
            "validation_size and test_size, or put rare classes together."
        )
    return rest[second[0]], rest[second[1]], test


def _split(labels, n_aside, rng):
    # The share is rounded up to this number.
    return split_every_class(labels, (n_aside - 0.5) / len(labels), rng)


def _by_groups(groups, stratify, sizes, rng):
    n_groups = len(np.unique(groups))
    if n_groups < 3:
        raise ValueError(
            "groups must hold at least three different groups, one for each part, got "
            f"{n_groups}."
        )
    counts = _counts(n_groups, sizes, "groups")
    if stratify is not None:
        return _by_groups_and_classes(groups, stratify, counts, rng)
    test = GroupShuffleSplit(1, test_size=counts[2], random_state=rng)
    ((rest, test),) = test.split(groups, groups=groups)
    validation = GroupShuffleSplit(1, test_size=counts[1], random_state=rng)
    ((train, validation),) = validation.split(rest, groups=groups[rest])
    return rest[train], rest[validation], test


def _by_groups_and_classes(groups, stratify, counts, rng):
    """Some of many folds are for validation, some for test."""
    n_groups = sum(counts)
    most = np.unique(stratify, return_counts=True)[1].max()
    n_folds = min(FOLDS, n_groups, most)
    fold_of = np.empty(len(groups), np.int64)
    # Numbered at random and not shuffled by scikit-learn, which until 1.8 lost the
    # balance of the classes by that.
    _, own = np.unique(groups, return_inverse=True)
    groups = rng.permutation(own.max() + 1)[own]
    folds = StratifiedGroupKFold(n_folds)
    with warnings.catch_warnings():
        # A rare class is not in every fold, but several folds make a part.
        warnings.filterwarnings("ignore", "The least populated class")
        for number, (_, rows) in enumerate(folds.split(groups, stratify, groups)):
            fold_of[rows] = number
    test = max(1, round(n_folds * counts[2] / n_groups))
    validation = max(1, round(n_folds * counts[1] / n_groups))
    part_of = np.searchsorted([test, test + validation], fold_of, side="right")
    train, validation, test = (np.flatnonzero(part_of == part) for part in (2, 1, 0))
    if not min(len(train), len(validation), len(test)):
        raise ValueError(
            f"{n_groups} groups are too few for parts of these sizes with the classes "
            "of stratify. Leave out stratify, or change validation_size and test_size."
        )
    return train, validation, test


def _by_time(time, counts):
    of_level = np.unique(time, return_counts=True)[1]
    if len(of_level) < 3:
        raise ValueError(
            "time must hold at least three different times, one for each part, got "
            f"{len(of_level)}."
        )
    # Rows until the end of each time: cuts are at some of them.
    ends = np.cumsum(of_level)
    first = np.abs(ends[:-2] - counts[0]).argmin()
    second = first + 1 + np.abs(ends[first + 1 : -1] - counts[0] - counts[1]).argmin()
    order = np.argsort(time, kind="stable")
    return np.split(order, [ends[first], ends[second]])
