"""A column of a table as the checks read it, whatever library the table is of."""

import datetime
from functools import cached_property
from numbers import Number

import numpy as np
from scipy import sparse


class CheckedColumn:
    """A column: its numbers, or the codes of its values.

    Attributes
    ----------
    name : hashable
        As messages call it: its name, or its number.
    kind : {"numbers", "dates", "categories"}
    numbers : ndarray of float64, or None for categories
        NaN where missing; dates in days since 1970-01-01.
    values : list, or None for numbers and dates
        The different values.
    codes : ndarray of int64
        Places in `values`, -1 where missing.
    declared : bool
        Whether the table says that these are categories.
    floating : bool
        Whether the table holds the numbers as floating-point ones.
    """

    def __init__(self, name, numbers=None, kind="numbers", floating=False):
        self.name, self.kind, self.numbers = name, kind, numbers
        self.values, self.declared, self.floating = None, False, floating

    @classmethod
    def of_codes(cls, name, codes, values, declared):
        column = cls(name, kind="categories")
        column.codes, column.values = np.asarray(codes, np.int64), values
        column.declared = declared
        return column

    def __len__(self):
        return len(self.codes if self.numbers is None else self.numbers)

    @cached_property
    def missing(self):
        """Mask of the missing values."""
        return self.codes < 0 if self.numbers is None else np.isnan(self.numbers)

    @cached_property
    def levels(self):
        """The different numbers in order, and how many rows have each."""
        return np.unique(self.numbers[~self.missing], return_counts=True)

    @cached_property
    def counts(self):
        """Rows of each value; of categories in the order of `values`."""
        if self.numbers is not None:
            return self.levels[1]
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    @property
    def n_present(self):
        return int(self.counts.sum())

    @property
    def n_distinct(self):
        return int(np.count_nonzero(self.counts))

    @cached_property
    def whole(self):
        """Whether these are numbers without a fraction."""
        levels = self.levels[0] if self.kind == "numbers" else np.array([0.5])
        return bool(len(levels)) and bool(np.all(levels == np.floor(levels)))

    @property
    def ordered(self):
        """Whether the values have an order: numbers, dates or texts."""
        return self.values is None or all(isinstance(v, str) for v in self.values)

    def take(self, rows):
        """Numbers that a tree can read, of these rows; categories as ordered codes."""
        if self.numbers is not None:
            return self.numbers[rows]
        # Codes in order of appearance would tell the number of the row.
        order = np.argsort(np.argsort([str(value) for value in self.values]))
        codes = self.codes[rows]
        return np.where(codes < 0, np.nan, np.append(order, -1)[codes])


def read_columns(X, what="X"):
    """The columns of a table.

    Parameters
    ----------
    X : DataFrame, table of pyarrow, array or list of rows
    what : str
        The name of the argument.

    Returns
    -------
    list of CheckedColumn
    """
    if sparse.issparse(X):
        raise TypeError(
            f"{what} must be a table or a dense array, got a sparse matrix. Pass "
            f"{what}.toarray() of some of its columns."
        )
    if hasattr(X, "to_frame"):  # one column of pandas or polars
        X = X.to_frame()
    if hasattr(X, "schema") and hasattr(X, "to_pylist"):  # pyarrow
        named = zip(X.schema.names, X.columns, strict=True)
        return [_of_arrow(*each) for each in named]
    if hasattr(X, "get_columns"):  # polars
        return [_of_polars(each.name, each) for each in X.get_columns()]
    if hasattr(X, "iloc"):  # pandas
        return [_of_pandas(name, X.iloc[:, i]) for i, name in enumerate(X.columns)]
    if hasattr(X, "to_pylist"):
        return [_of_arrow(0, X)]
    array = X if isinstance(X, np.ndarray) else _as_objects(X)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{what} must be a table, rows by columns, got {array.ndim} dimensions."
        )
    array = array.reshape(len(array), -1)
    return [_of_array(i, array[:, i]) for i in range(array.shape[1])]


def _as_objects(X):
    # Of numbers and strings together, NumPy makes strings.
    array = np.asarray(X)
    return array if array.dtype.kind in "iufb" else np.array(X, dtype=object)


def _of_pandas(name, series):
    if hasattr(series, "cat"):
        codes, values = series.cat.codes.to_numpy(), series.cat.categories.tolist()
        return CheckedColumn.of_codes(name, codes, values, True)
    if series.dtype.kind in "iufb":
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return CheckedColumn(name, numbers, floating=series.dtype.kind == "f")
    if series.dtype.kind == "M":
        return _of_array(name, series.to_numpy(dtype="datetime64[ns]"))
    if series.dtype.kind == "m":
        return _of_array(name, series.to_numpy(dtype="timedelta64[ns]"))
    return _of_array(name, series.to_numpy(dtype=object))


def _of_polars(name, series):
    if series.dtype.is_numeric() or str(series.dtype) == "Boolean":
        floating = str(series.dtype).startswith("Float")
        return CheckedColumn(name, series.cast(float).to_numpy(), floating=floating)
    if series.dtype.is_temporal() and str(series.dtype) != "Time":
        return _of_array(name, series.to_numpy())
    column = _of_array(name, np.array([*series.to_list(), None], dtype=object)[:-1])
    column.declared = str(series.dtype).startswith(("Categorical", "Enum"))
    return column


def _of_arrow(name, array):
    declared = str(array.type).startswith("dictionary")
    if declared or str(array.type) in ("string", "large_string", "bool"):
        array = np.array([*array.to_pylist(), None], dtype=object)[:-1]
    else:
        array = array.to_numpy()
    column = _of_array(name, array)
    column.declared = declared
    return column


def _of_array(name, array):
    if array.dtype.kind in "iufb":
        return CheckedColumn(
            name, array.astype(np.float64), floating=array.dtype.kind == "f"
        )
    if array.dtype.kind in "mM":
        days = array.astype(f"{array.dtype.kind}8[us]")
        numbers = days.astype(np.int64) / 86_400e6
        return CheckedColumn(name, np.where(np.isnat(days), np.nan, numbers), "dates")
    return _of_objects(name, array.astype(object))


def _of_objects(name, array):
    try:
        kept = list(dict.fromkeys(array.tolist()))
    except TypeError:  # lists and dicts in the cells
        array = np.array([repr(value) for value in array], dtype=object)
        kept = list(dict.fromkeys(array.tolist()))
    values = [value for value in kept if not is_missing(value)]
    code_of = dict.fromkeys(kept, -1) | {value: i for i, value in enumerate(values)}
    codes = np.fromiter(map(code_of.__getitem__, array.tolist()), np.int64, len(array))
    numeric = all(isinstance(value, Number | np.bool_) for value in values)
    if numeric and not any(isinstance(value, complex) for value in values):
        numbers = np.append([float(value) for value in values], np.nan)[codes]
        floating = any(isinstance(value, float | np.floating) for value in values)
        return CheckedColumn(name, numbers, floating=floating)
    if all(isinstance(value, datetime.date) for value in values):
        stamps = np.array([_without_zone(value) for value in values], "M8[us]")
        return _of_array(name, np.append(stamps, np.datetime64("NaT"))[codes])
    return CheckedColumn.of_codes(name, codes, values, False)


def _without_zone(value):
    if getattr(value, "tzinfo", None) is not None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value


def is_missing(value):
    """Whether a value stands for a missing one: None, NaN, NaT or pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Number | np.generic) and bool(value != value)
