"""Which objects are tables, and their columns."""

import sys

import numpy as np

from nnfit.tables import of_objects, of_pandas, of_polars, of_pyarrow
from nnfit.tables.column import NUMBER, Column

#: So many rows become a matrix at once, which takes a copy of the type that holds all
#: columns; more of them column by column, which takes 20 microseconds a column.
FEW_ROWS = 4096


class Table:
    """A table, of which a column is read at a time.

    Attributes
    ----------
    data : object
        The table itself, as scikit-learn's checks of names take it.
    shape : tuple of int
    is_matrix : bool
        Whether NumPy makes a matrix of numbers of it sooner, and it is small.
    """

    def __init__(self, data, shape, column, is_matrix=False):
        self.data, self.shape, self._column = data, shape, column
        self.is_matrix = is_matrix

    def column(self, number):
        """A column by its number, a `Column`."""
        return self._column(number)


def table_of(X):
    """A `Table` of pandas, polars, pyarrow, or of rows of objects or texts; else None.

    An array of numbers is none, nor is a sparse matrix.

    Raises
    ------
    ValueError
        For a table of polars that is still to be computed, and for one column or row
        of objects or texts.
    """
    is_series = _is(X, "pandas", "Series") or _is(X, "polars", "Series")
    if is_series or isinstance(X, np.ndarray | list | tuple):
        return _of_objects(X)
    if _is(X, "pandas", "DataFrame"):
        return _of_pandas(X)
    if _is(X, "polars", "DataFrame"):
        return Table(X, X.shape, lambda i: of_polars.column_of(X.to_series(int(i))))
    if _is(X, "polars", "LazyFrame"):
        raise ValueError(
            "Tables must hold their rows, got a LazyFrame of polars, which has none "
            "yet. Pass what its method collect() returns."
        )
    if _is(X, "pyarrow", "RecordBatch"):
        X = sys.modules["pyarrow"].Table.from_batches([X])
    if _is(X, "pyarrow", "Table"):
        return Table(X, X.shape, lambda i: of_pyarrow.column_of(X.column(int(i))))
    return None


def matrix_table(X):
    """An array of numbers as a table."""
    return Table(X, X.shape, lambda i: Column(NUMBER, X[:, i]), is_matrix=True)


def _is(X, library, name):
    """Whether X is of a class of a library, which its user has loaded."""
    kind = getattr(sys.modules.get(library), name, None)
    return kind is not None and isinstance(X, kind)


def _of_objects(X):
    try:
        rows = np.asarray(X)
        if rows.dtype.kind in "US" and rows is not X:  # numbers have become texts
            rows = np.asarray(X, dtype=object)
    except ValueError:  # of several lengths
        return None
    if rows.dtype.kind not in "OUST" or rows.ndim not in (1, 2):
        return None
    if rows.ndim == 1:
        raise ValueError(
            "Expected 2D array, got 1D array instead: one row or column, with texts or "
            "other objects. Pass a row of a table as a table, such as X.iloc[[0]] of "
            "pandas or X[:1] of polars, and rows that are dicts as pandas.DataFrame("
            "rows)."
        )
    return Table(rows, rows.shape, lambda i: of_objects.column_of(rows[:, i]))


def _of_pandas(X):
    dtypes = set(X.dtypes)
    if dtypes and all(type(each).__name__ == "SparseDtype" for each in dtypes):
        return None  # scikit-learn makes a sparse matrix of it
    are_numbers = all(
        isinstance(each, np.dtype) and each.kind in "biuf" for each in dtypes
    )
    is_matrix = len(X) <= FEW_ROWS and len(dtypes) > 0 and are_numbers
    return Table(X, X.shape, lambda i: of_pandas.column_of(X.iloc[:, i]), is_matrix)
