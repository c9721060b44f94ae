"""A column of a table as the checks read it, whatever library the table is of."""

import re
from functools import cached_property
from numbers import Number

import numpy as np
from scipy import sparse

from nnfit.tables import of_pyarrow
from nnfit.tables.column import CATEGORY, DATE, NUMBER, is_missing
from nnfit.tables.reading import matrix_table, table_of

#: Share of texts that are numbers from which a column is one of numbers. Of the tickets
#: of the Titanic, which are names, 74 % look like numbers.
NEARLY_ALL = 0.9
#: What programs and people write where a value is missing.
DISGUISES = frozenset(
    "|?|-|--|.|na|n/a|n.a.|#n/a|#na|<na>|nan|null|(null)|nil|#value!|#div/0!".split("|")
)
#: These are values in other columns: of "other debtors" "none" is an answer.
BESIDE_NUMBERS = DISGUISES | {"none", "unknown", "missing", "undefined"}

_AMOUNT = re.compile(
    r"[+-]?\s*[$€£¥]?\s*[+-]?"
    r"(\d+([.,]\d+)?|\d{1,3}([ ',.\u00a0]\d{3})+([.,]\d+)?|[.,]\d+)([eE][+-]?\d+)?"
    r"\s*[%$€£¥]?"
)


_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})"
    r"([ T]\d{1,2}:\d\d.*)?"
)


class CheckedColumn:
    """A column and what the checks ask of it.

    Parameters
    ----------
    name : hashable
        As messages call it: its name, or its number.
    column : Column

    Attributes
    ----------
    name : hashable
    kind : {"numbers", "dates", "categories"}
    values : list, or None for numbers and dates
        The different values that are not missing.
    codes : ndarray of int, or None for numbers and dates
        Places in `values`, -1 where missing.
    declared : bool
        Whether the table says that these are categories.
    floating : bool
        Whether the table holds the numbers as floating-point ones.
    """

    def __init__(self, name, column):
        self.name, self._numbers = name, column.numbers
        self.values = self.codes = None
        self.kind = {NUMBER: "numbers", DATE: "dates"}.get(column.kind, "categories")
        self.declared = column.kind == CATEGORY
        self.floating = column.numbers is not None and column.numbers.dtype.kind == "f"
        if column.values is not None:
            known = np.array([not is_missing(value) for value in column.values], bool)
            place_of = np.append(np.where(known, np.cumsum(known) - 1, -1), -1)
            self.codes = place_of[column.codes]
            self.values = [
                v for v, kept in zip(column.values, known, strict=True) if kept
            ]

    def __len__(self):
        return len(self.codes if self._numbers is None else self._numbers)

    @property
    def numbers(self):
        """Numbers in float64, NaN where missing; of dates the days since 1970."""
        # Not kept: a table of float32 is not held a second time.
        return None if self._numbers is None else self._numbers.astype(np.float64)

    def forget(self):
        """Let go what is as large as the column; it can be computed again."""
        for name in ("levels", "counts"):
            self.__dict__.pop(name, None)

    @cached_property
    def missing(self):
        """Mask of the missing values."""
        return self.codes < 0 if self._numbers is None else np.isnan(self._numbers)

    @cached_property
    def levels(self):
        """The different numbers in order, and how many rows have each."""
        return np.unique(self.numbers[~self.missing], return_counts=True)

    @cached_property
    def counts(self):
        """Rows of each value; of categories in the order of `values`."""
        if self.values is None:
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

    @property
    def counted(self):
        """Rows of each value that is there."""
        values = self.levels[0].tolist() if self.values is None else self.values
        counted = zip(values, self.counts.tolist(), strict=True)
        return {value: n for value, n in counted if n}

    @cached_property
    def texts(self):
        """Rows of each text."""
        return {text: n for text, n in self.counted.items() if isinstance(text, str)}

    @cached_property
    def amounts(self):
        """The texts that are numbers."""
        return {text: n for text, n in self.texts.items() if _is_amount(text)}

    @cached_property
    def of_numbers(self):
        """Whether nearly all values are numbers, be it as texts."""
        if self.values is None:
            return True
        amounts = sum(self.amounts.values())
        # Codes with zeros in front (01234) are names, and so are declared categories.
        if self.declared or any(
            re.match(r"0\d", each.strip()) for each in self.amounts
        ):
            return False
        numbers = (n for v, n in self.counted.items() if isinstance(v, Number))
        amounts += sum(numbers)
        disguised = sum(n for text, n in self.texts.items() if is_disguise(text, True))
        return amounts >= max(1, NEARLY_ALL * (self.n_present - disguised))

    @cached_property
    def of_dates(self):
        """Whether nearly all values are texts that are dates."""
        if self.values is None or self.declared:
            return False
        dates = sum(
            n for text, n in self.texts.items() if _DATE.fullmatch(text.strip())
        )
        return dates >= max(1, NEARLY_ALL * self.n_present)

    def take(self, rows):
        """Numbers that a tree can read, of these rows; categories as ordered codes."""
        if self.values is None:
            return self._numbers[rows].astype(np.float64)
        # Codes in order of appearance would tell the number of the row.
        order = np.argsort(np.argsort([str(value) for value in self.values]))
        codes = self.codes[rows]
        return np.where(codes < 0, np.nan, np.append(order, -1)[codes])


def read_columns(X, what="X"):
    """The columns of a table.

    Parameters
    ----------
    X : DataFrame, Series, table or array of pyarrow, array, or list
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
    if hasattr(X, "to_frame"):  # a column of pandas or polars
        X = X.to_frame()
    elif hasattr(X, "to_pylist") and not hasattr(X, "schema"):  # of pyarrow
        return [CheckedColumn(0, of_pyarrow.column_of(X))]
    names = X.schema.names if hasattr(X, "to_pylist") else getattr(X, "columns", None)
    if names is None:
        X = _as_rows(X, what)
        names = range(X.shape[1])
    table = table_of(X) or matrix_table(np.asarray(X))
    return [CheckedColumn(name, table.column(i)) for i, name in enumerate(names)]


def _as_rows(X, what):
    try:
        rows = np.asarray(X)
        if rows.dtype.kind in "US" and rows is not X:  # numbers have become texts
            rows = np.asarray(X, dtype=object)
    except ValueError:
        raise ValueError(f"The rows of {what} must be of the same length.") from None
    if rows.ndim not in (1, 2):
        raise ValueError(
            f"{what} must be a table, rows by columns, got {rows.ndim} dimensions."
        )
    rows = rows[:, None] if rows.ndim == 1 else rows
    return rows.astype(object) if rows.dtype.kind in "mM" else rows


def _is_amount(text):
    return bool(_AMOUNT.fullmatch(text.strip()))


def is_disguise(text, beside_numbers):
    """Whether a text stands for a missing value, in a column of numbers or another."""
    return text.strip().casefold() in (BESIDE_NUMBERS if beside_numbers else DISGUISES)
