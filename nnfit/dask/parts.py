"""Collections of Dask as partitions of rows, what is found in them, and shards."""

from typing import NamedTuple

import numpy as np

from nnfit.batches.rows import Batch, batch_of, check_alike
from nnfit.batches.survey import Witnesses
from nnfit.dask.packages import dask
from nnfit.estimators.streams import categories_asked_for, naming
from nnfit.estimators.targets import class_weights
from nnfit.estimators.validation import check_objects
from nnfit.functions.losses import MULTICLASS, MULTILABEL

#: Most rows that the client looks at before the training. Means, scales and bins are
#: those of a fit where there are no more, else those of a sample.
LOOKED_AT = 100_000


class Found(NamedTuple):
    """What a partition holds.

    Attributes
    ----------
    n_rows : int
    like : Batch
        No rows of it, with its columns.
    classes, counts : ndarray or None
        Of a classification: labels and the sums of their weights; of a matrix of
        labels, None and rows without and with each label.
    first : ndarray of int
        Rows that nobody may overlook, see `nnfit.batches.survey.Witnesses`.
    """

    n_rows: int
    like: Batch
    classes: np.ndarray | None
    counts: np.ndarray | None
    first: np.ndarray


def partitions(X, y, sample_weight=None):
    """Partitions of collections that belong together.

    Parameters
    ----------
    X, y, sample_weight : dask array, dataframe or series

    Returns
    -------
    list of Delayed
        Each makes a `Batch`.
    """
    X = _whole_rows(X, "X")
    chunks, blocks = _row_chunks(X), [_delayed(X)]
    for collection, name in ((y, "y"), (sample_weight, "sample_weight")):
        if collection is None and name == "sample_weight":
            blocks.append([None] * len(blocks[0]))
            continue
        collection = _whole_rows(collection, name)
        own = _row_chunks(collection)
        if None not in (chunks, own) and chunks != own:
            if sum(chunks) != sum(own):
                raise ValueError(
                    f"{name} must have as many rows as X, {sum(chunks)}, got "
                    f"{sum(own)}."
                )
            collection = collection.rechunk({0: chunks})
        blocks.append(_delayed(collection))
        if len(blocks[-1]) != len(blocks[0]):
            raise ValueError(
                f"{name} must have as many partitions as X, {len(blocks[0])}, got "
                f"{len(blocks[-1])}. Repartition one of them, or make both of one "
                "collection."
            )
    batch = dask().delayed(batch_of, pure=True)
    return [
        batch(each, f"partition {number}")
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


# What is in them ------------------------------------------------------------------


def find(batch, estimator):
    """Look at a partition, where it lies; returns `Found`.

    Parameters
    ----------
    batch : Batch
    estimator : BaseMLP
        Not fitted.
    """
    n_rows, y, has_labels = batch.n_rows, batch.y, not estimator._y_numeric
    like, first = batch.part(slice(0)), np.zeros(0, np.int64)
    if n_rows == 0:
        return Found(0, like, None, None, first)
    with naming(batch.name):
        check_objects(y, "y", estimator._y_numeric)
    categories = categories_asked_for(estimator, batch.X)
    first = Witnesses(categories, has_labels).find(batch)
    if not has_labels:
        return Found(n_rows, like, None, None, first)
    weight = batch.sample_weight
    weight = np.ones(n_rows) if weight is None else weight.reshape(-1)
    if y.ndim == 2 and y.shape[1] > 1:
        present = y != 0
        counts = weight @ present
        counts = np.stack([weight.sum() - counts, counts], axis=1)
        return Found(n_rows, like, None, counts, first)
    classes, inverse = np.unique(y.reshape(-1), return_inverse=True)
    counts = np.bincount(inverse.reshape(-1), weight, minlength=len(classes))
    return Found(n_rows, like, classes, counts, first)


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
    for number in filled:
        check_alike(found[number].like, found[filled[0]].like)
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


def rows_to_look_at(found):
    """Which rows of each partition the client looks at, None for all.

    Evenly spaced, besides those that nobody may overlook.
    """
    step = -(-sum(each.n_rows for each in found) // LOOKED_AT)
    if step == 1:
        return [None] * len(found)
    return [np.union1d(np.arange(0, each.n_rows, step), each.first) for each in found]


def taken(batch, rows):
    """Some rows of a partition, a `Batch`."""
    return batch if rows is None else batch.part(rows)


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
