"""Collections of Dask as partitions of rows, what is found in them, and shards."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from nnfit.dask.packages import dask
from nnfit.estimators.targets import class_weights, dense_target
from nnfit.functions.losses import MULTICLASS, MULTILABEL

#: Most rows that the client looks at before the training. Means, scales, bins and
#: categories are those of a fit where there are no more, else those of a sample.
LOOKED_AT = 100_000


class Part(NamedTuple):
    """Rows of a partition, as the user has them."""

    X: Any
    y: Any
    sample_weight: Any


class Found(NamedTuple):
    """What a partition holds.

    Attributes
    ----------
    n_rows : int
    widths : tuple of int
        Columns of X and of y.
    classes, counts : ndarray or None
        Of a classification: labels and the sums of their weights; of a matrix of
        labels, None and rows without and with each label.
    first : ndarray of int
        Rows that nobody may overlook: the first of each class, or those of the
        smallest and largest targets.
    """

    n_rows: int
    widths: tuple[int, int]
    classes: np.ndarray | None
    counts: np.ndarray | None
    first: np.ndarray


def partitions(X, y, sample_weight=None, names=("X", "y", "sample_weight")):
    """Partitions of collections that belong together.

    Parameters
    ----------
    X, y, sample_weight : dask array, dataframe or series
    names : tuple of str
        What the user calls them.

    Returns
    -------
    list of Delayed
        Each makes a `Part`.
    """
    given = [X, y, sample_weight]
    for place, (collection, name) in enumerate(zip(given, names, strict=True)):
        if collection is None and place == 2:
            continue
        given[place] = _whole_rows(collection, name)
    chunks = _row_chunks(given[0])
    blocks = []
    for collection, name in zip(given, names, strict=True):
        if collection is None:
            blocks.append([None] * len(blocks[0]))
            continue
        own = _row_chunks(collection)
        if None not in (chunks, own) and sum(chunks) != sum(own):
            raise ValueError(
                f"{name} must have as many rows as {names[0]}, {sum(chunks)}, got "
                f"{sum(own)}."
            )
        if None not in (chunks, own) and chunks != own:
            collection = collection.rechunk({0: chunks})
        blocks.append(_delayed(collection))
        if len(blocks[-1]) != len(blocks[0]):
            raise ValueError(
                f"{name} must have as many partitions as {names[0]}, "
                f"{len(blocks[0])}, got {len(blocks[-1])}. Repartition one of them, or "
                "make both of one collection."
            )
    part = dask().delayed(_part, pure=True)
    return [
        part(number, names, *each)
        for number, each in enumerate(zip(*blocks, strict=True))
    ]


def is_collection(given):
    """Whether something is a dask array or dataframe."""
    return hasattr(given, "__dask_graph__") and hasattr(given, "to_delayed")


def _whole_rows(collection, name):
    if not is_collection(collection):
        raise TypeError(
            f"{name} must be a dask array or dataframe, got "
            f"{type(collection).__name__}. Fit the estimator without Dask to it, or "
            "make a collection of it, for example with dask.array.from_array."
        )
    if getattr(collection, "ndim", 1) == 2 and hasattr(collection, "chunks"):
        if len(collection.chunks[1]) > 1:
            return collection.rechunk({1: -1})
    return collection


def _row_chunks(collection):
    """Rows of every partition, None where nobody knows them before."""
    chunks = getattr(collection, "chunks", None)
    if chunks is None or any(np.isnan(size) for size in chunks[0]):
        return None
    return chunks[0]


def _delayed(collection):
    return np.ravel(np.asarray(collection.to_delayed(), dtype=object)).tolist()


def _part(number, names, X, y, sample_weight):
    """A partition whose parts have one length."""
    for name, each in zip(names[1:], (y, sample_weight), strict=True):
        if each is not None and _length(each) != _length(X):
            raise ValueError(
                f"Partition {number} of {names[0]} has {_length(X)} rows, and that of "
                f"{name} has {_length(each)}."
            )
    return Part(X, y, sample_weight)


def _length(rows):
    return rows.shape[0] if hasattr(rows, "shape") else len(rows)


# What is in them ------------------------------------------------------------------


def find(part, is_classifier):
    """Look at a partition, where it lies; returns `Found`."""
    n_rows = _length(part.X)
    y = np.asarray(dense_target(part.y))
    width = y.shape[1] if y.ndim > 1 else 1
    widths = (part.X.shape[1] if len(part.X.shape) > 1 else 1), width
    if n_rows == 0:
        return Found(0, widths, None, None, np.zeros(0, np.int64))
    weight = np.ones(n_rows)
    if part.sample_weight is not None:
        weight = np.asarray(part.sample_weight, np.float64).reshape(-1)
    if not is_classifier:
        return Found(n_rows, widths, None, None, _extremes(y.reshape(n_rows, -1)))
    if width > 1:
        present = y != 0
        counts = weight @ present
        counts = np.stack([weight.sum() - counts, counts], axis=1)
        first = np.concatenate([present.argmax(axis=0), present.argmin(axis=0)])
        return Found(n_rows, widths, None, counts, np.unique(first))
    y = y.reshape(-1)
    try:
        classes, first, inverse = np.unique(y, return_index=True, return_inverse=True)
    except TypeError:  # texts and something else, which the first look refuses
        odd = [row for row, label in enumerate(y) if not isinstance(label, str)]
        return Found(n_rows, widths, y[:0], weight[:0], np.array([0, odd[0]]))
    counts = np.bincount(inverse.reshape(-1), weight, minlength=len(classes))
    return Found(n_rows, widths, classes, counts, np.sort(first))


def _extremes(y):
    """Rows of the smallest and largest number of every column."""
    y = y.astype(np.float64)
    if not np.isfinite(y).all():  # refused by the first look
        return np.flatnonzero(~np.isfinite(y).all(axis=1))[:1]
    return np.unique(np.concatenate([y.argmin(axis=0), y.argmax(axis=0)]))


def check_found(found):
    """See that partitions belong together; numbers of those that have rows.

    Parameters
    ----------
    found : list of Found

    Returns
    -------
    list of int
    """
    filled = [number for number, each in enumerate(found) if each.n_rows]
    if not filled:
        raise ValueError(f"X has no rows in any of its {len(found)} partitions.")
    first = filled[0]
    for number in filled:
        for name, own, other in zip(
            ("X", "y"), found[number].widths, found[first].widths, strict=True
        ):
            if own != other:
                raise ValueError(
                    f"Partition {number} of {name} has {own} columns, and partition "
                    f"{first} has {other}. All must have the same."
                )
    return filled


def balanced(found):
    """``class_weight="balanced"`` as dicts of weights, by all partitions."""
    counts = [each.counts for each in found]
    if found[0].classes is None:
        both = np.array([0, 1])
        weights = class_weights("balanced", both, MULTILABEL, sum(counts))
        return [dict(enumerate(each)) for each in weights.tolist()]
    classes = np.unique(np.concatenate([each.classes for each in found]))
    total = np.zeros(len(classes))
    for each in found:
        total[np.searchsorted(classes, each.classes)] += each.counts
    weights = class_weights("balanced", classes, MULTICLASS, total)
    return dict(zip(classes.tolist(), weights.tolist(), strict=True))


# Rows of several ------------------------------------------------------------------


def rows_to_look_at(found):
    """Which rows of each partition the client looks at, None for all.

    Evenly spaced, besides those that nobody may overlook.
    """
    step = -(-sum(each.n_rows for each in found) // LOOKED_AT)
    if step == 1:
        return [None] * len(found)
    return [np.union1d(np.arange(0, each.n_rows, step), each.first) for each in found]


def taken(part, rows):
    """Some rows of a partition, a `Part`."""
    return part if rows is None else Part(*(_rows(each, rows) for each in part))


def _rows(given, rows):
    if given is None:
        return None
    return given.iloc[rows] if hasattr(given, "iloc") else given[rows]


def joined(parts):
    """Rows of several partitions, one after the other, a `Part`."""
    return Part(*(_joined(each) for each in zip(*parts, strict=True)))


def _joined(blocks):
    if len(blocks) == 1 or blocks[0] is None:
        return blocks[0]
    if hasattr(blocks[0], "iloc"):
        return dask("pandas").concat(blocks)
    if any(map(sparse.issparse, blocks)):
        return sparse.vstack(blocks, format="csr")
    return np.concatenate([np.asarray(block) for block in blocks])


def shards_of(n_shards, n_parts, n_holders):
    """Numbers of the partitions of each shard: one for each shard in turn.

    Parameters
    ----------
    n_shards : int or None
        None stands for as many as there are holders.
    n_parts : int
        Partitions with rows.
    n_holders : int

    Returns
    -------
    list of list of int
    """
    if n_shards is None:
        n_shards = min(n_holders, n_parts)
    if n_shards > n_parts:
        raise ValueError(
            f"n_shards={n_shards} is more than X has partitions with rows, {n_parts}. "
            "Lower n_shards, or cut X into more partitions with rechunk or repartition."
        )
    return [list(range(shard, n_parts, n_shards)) for shard in range(n_shards)]
