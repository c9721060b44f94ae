"""Rows of arrays, sparse matrices and tables, whichever they are."""

import sys
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse


class Batch(NamedTuple):
    """Some rows of a source.

    Attributes
    ----------
    X : ndarray, CSR matrix or table
    y : ndarray
    sample_weight : ndarray or None
    name : str
        Where they come from, as messages call it.
    """

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None
    name: str

    @property
    def n_rows(self):
        """How many there are."""
        return self.X.shape[0]

    @property
    def row_bytes(self):
        """Bytes of a row, on average."""
        return max(1, -(-sum(map(n_bytes, self[:3])) // max(1, self.n_rows)))

    def part(self, rows):
        """Some of them: a slice, or an array of their numbers."""
        weight = self.sample_weight
        return Batch(
            take(self.X, rows),
            self.y[rows],
            None if weight is None else weight[rows],
            self.name,
        )


def batch_of(given, name):
    """A `Batch` of what a user's function yields.

    Raises
    ------
    TypeError
        If it is not X, y and perhaps weights.
    ValueError
        If these have different numbers of rows.
    """
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise TypeError(
            f"{name} must be a tuple (X, y) or (X, y, sample_weight), got "
            f"{type(given).__name__}."
        )
    X, y, weight = (*given, None)[:3]
    if _is_of(X, "pyarrow", "RecordBatch"):
        X = sys.modules["pyarrow"].Table.from_batches([X])
    elif scipy.sparse.issparse(X):
        X = X.tocsr()
    elif getattr(X, "ndim", 0) != 2 and not hasattr(X, "columns"):
        X = np.asarray(X)
    y = y.toarray() if scipy.sparse.issparse(y) else np.asarray(y)
    if getattr(X, "ndim", 2) != 2:
        raise ValueError(f"{name} must hold X with two dimensions, got {X.ndim}.")
    weight = None if weight is None else np.asarray(weight, np.float64)
    for what, array in (("y", y), ("sample_weight", weight)):
        if array is not None and array.shape[:1] != (X.shape[0],):
            raise ValueError(
                f"{name} must hold as many entries of {what} as rows of X, "
                f"{X.shape[0]}, got the shape {array.shape}."
            )
    return Batch(X, y, weight, name)


def n_bytes(X):
    """Bytes that rows take."""
    if X is None:
        return 0
    if scipy.sparse.issparse(X):
        return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    if _is_of(X, "pandas", "DataFrame"):
        return int(X.memory_usage(index=False).sum())
    if _is_of(X, "polars", "DataFrame"):
        return int(X.estimated_size())
    return X.nbytes


def take(X, rows):
    """Some rows, a slice or an array of their numbers."""
    if _is_of(X, "pandas", "DataFrame"):
        return X.iloc[rows]
    if _is_of(X, "pyarrow", "Table"):
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(X.shape[0])
            return X.slice(start, stop - start)
        return X.take(rows)
    return X[rows]


def together(parts):
    """Rows of several parts of one kind."""
    first = parts[0]
    if len(parts) == 1 or first is None:
        return first
    if scipy.sparse.issparse(first):
        return scipy.sparse.vstack(parts, format="csr")
    if _is_of(first, "pandas", "DataFrame"):
        return sys.modules["pandas"].concat(parts, ignore_index=True)
    if _is_of(first, "polars", "DataFrame"):
        return sys.modules["polars"].concat(parts, how="vertical_relaxed")
    if _is_of(first, "pyarrow", "Table"):
        concat = sys.modules["pyarrow"].concat_tables
        return concat(parts, promote_options="permissive")
    return np.concatenate(parts)


def as_one(batches, name):
    """A `Batch` of several alike."""
    X, y, weights = (together([batch[i] for batch in batches]) for i in range(3))
    return Batch(X, y, weights, name)


def check_alike(batch, first):
    """Refuse a batch with other columns than the first one of its source.

    Raises
    ------
    ValueError
        That names both and says what was expected.
    """
    both = (
        (_columns(first.X), _columns(batch.X)),
        (_targets(first.y), _targets(batch.y)),
        (_weights(first), _weights(batch)),
    )
    for expected, got in both:
        if expected != got:
            raise ValueError(
                f"{batch.name} has {got}, and {expected} was expected as in "
                f"{first.name}."
            )


def _columns(X):
    names = names_of(X)
    kind = "sparse X" if scipy.sparse.issparse(X) else "X"
    return f"{kind} of {X.shape[1]} columns{'' if names is None else f' {names}'}"


def _targets(y):
    return "one target" if y.ndim == 1 else f"y of {y.shape[1]} columns"


def _weights(batch):
    return f"{'no ' if batch.sample_weight is None else ''}sample weights"


def names_of(X):
    """Names of the columns as a list; None where there are none."""
    if _is_of(X, "pyarrow", "Table"):
        return X.column_names
    return [*X.columns] if hasattr(X, "columns") else None


def _is_of(X, library, name):
    """Whether X is of a class of a library, which its user has loaded."""
    kind = getattr(sys.modules.get(library), name, None)
    return kind is not None and isinstance(X, kind)
