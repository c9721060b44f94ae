"""The first pass over a source: what a fit must know of all rows before it begins.

Rows are counted, and so are classes. Of the rows a uniform sample is kept, with all
rows of a small table. To it come rows that show what few rows do: of every column one
with a missing value, those with the smallest and largest number, and one of every
category; of the targets one of every class, or the smallest and largest number. What a
fit learns of the data before it trains it learns from these.

The share of a table's rows below a quantile of n rows of a uniform sample is off by
more than e with a probability of at most 2 exp(-2 n e^2) (Massart 1990, "The tight
constant in the Dvoretzky-Kiefer-Wolfowitz inequality", Annals of Probability 18).
"""

from collections import defaultdict

import numpy as np
import scipy.sparse

from nnfit.batches.rows import as_one
from nnfit.tables.reading import matrix_table, table_of


class Sample:
    """Some of the rows that are added, each with the same probability, in their order.

    Those that must be kept come besides.

    Parameters
    ----------
    size : int
        Rows of the sample.
    """

    def __init__(self, size):
        self._size, self._bound = size, 1.0
        self._rng = np.random.default_rng(0)
        self._batches, self._keys, self._n_more = [], [], 0
        self.n_kept = 0

    def add(self, batch, kept):
        """Take rows into account.

        Parameters
        ----------
        batch : Batch
        kept : ndarray of int
            Rows that must stay.
        """
        keys = self._rng.random(batch.n_rows)
        keys[kept] = -1.0
        self.n_kept += len(kept)
        rows = np.flatnonzero(keys < self._bound)
        if len(rows) == 0:
            return
        self._batches.append(batch.part(rows))
        self._keys.append(keys[rows])
        self._n_more += len(rows)
        if self._n_more > self._size:
            self._shrink()

    def _shrink(self):
        """Leave out what can no longer be in the sample."""
        keys = np.concatenate(self._keys)
        drawn = keys[keys >= 0.0]
        if len(drawn) > self._size:
            self._bound = np.partition(drawn, self._size)[self._size]
        rows = np.flatnonzero(keys < self._bound)
        self._batches = [as_one(self._batches, self._batches[0].name).part(rows)]
        self._keys, self._n_more = [keys[rows]], 0

    def rows(self):
        """The sample, a `Batch`."""
        self._shrink()
        return self._batches[0]


class Witnesses:
    """Finds rows that show what the rows before did not.

    Parameters
    ----------
    categories : collection of int
        Columns of categories.
    has_labels : bool
        Whether y holds classes.
    """

    def __init__(self, categories, has_labels):
        self._values = {column: set() for column in categories}
        self._low = self._high = self._is_missing = None
        self._labels = set() if has_labels else None
        self._y_low = self._y_high = None

    def find(self, batch):
        """Their numbers in a batch, an array of int."""
        found = [*self._of_features(batch), *self._of_targets(batch.y)]
        return np.unique(np.array(found, np.int64))

    def _of_features(self, batch):
        X = batch.X
        if scipy.sparse.issparse(X):
            return []
        table = table_of(X)
        numbers, found = X, []
        if table is None:
            table = matrix_table(X)
        columns = range(X.shape[1])
        if not (isinstance(X, np.ndarray) and X.dtype.kind in "biuf"):
            numbers = [self._numbers_of(table.column(number)) for number in columns]
            numbers = np.column_stack(numbers)
        for number, seen in self._values.items():
            found += _new_values(table.column(number), seen)
        is_missing = np.isnan(numbers)
        if self._is_missing is None:
            self._is_missing = np.zeros(numbers.shape[1], bool)
            self._low = np.full(numbers.shape[1], np.inf)
            self._high = -self._low
        new = is_missing.any(axis=0) & ~self._is_missing
        self._is_missing |= new
        found += is_missing[:, new].argmax(axis=0).tolist()
        low, high = np.fmin.reduce(numbers, axis=0), np.fmax.reduce(numbers, axis=0)
        infinite = np.flatnonzero(np.isinf(low) | np.isinf(high))
        if len(infinite):
            raise ValueError(
                f"{batch.name} holds infinity in column {infinite[0]} of X, and finite "
                "numbers were expected. Replace it, by NaN if it is not known."
            )
        lower, higher = low < self._low, high > self._high
        found += (numbers[:, lower] == low[lower]).argmax(axis=0).tolist()
        found += (numbers[:, higher] == high[higher]).argmax(axis=0).tolist()
        self._low[lower], self._high[higher] = low[lower], high[higher]
        return found

    @staticmethod
    def _numbers_of(column):
        if column.numbers is not None:
            return np.asarray(column.numbers, np.float64)
        return np.where(column.codes < 0, np.nan, 0.0)

    def _of_targets(self, y):
        if self._labels is not None and y.ndim == 1:
            values, rows = np.unique(y, return_index=True)
            pairs = zip(values.tolist(), rows.tolist(), strict=True)
            new = {value: row for value, row in pairs if value not in self._labels}
            self._labels |= new.keys()
            return list(new.values())
        y = y.reshape(len(y), -1)
        low, high = y.min(axis=0), y.max(axis=0)
        found = []
        if self._y_low is None or (low < self._y_low).any():
            found += y.argmin(axis=0).tolist()
        if self._y_high is None or (high > self._y_high).any():
            found += y.argmax(axis=0).tolist()
        self._y_low = low if self._y_low is None else np.minimum(low, self._y_low)
        self._y_high = high if self._y_high is None else np.maximum(high, self._y_high)
        return found


def _new_values(column, seen):
    """First rows of values of a column that were not seen before; they are then."""
    if column.numbers is not None:
        values, rows = np.unique(column.numbers, return_index=True)
        values = values.tolist()
    else:
        codes, rows = np.unique(column.codes, return_index=True)
        values = [None if code < 0 else column.values[code] for code in codes.tolist()]
    found = []
    for value, row in zip(values, rows.tolist(), strict=True):
        value = value if value == value else None
        key = repr(value) if getattr(value, "__hash__", None) is None else value
        if key not in seen:
            seen.add(key)
            found.append(row)
    return found


class Survey:
    """What the first pass finds.

    Parameters
    ----------
    batches : iterable of Batch
    size : int
        Rows of the sample, and as many that may come to it.
    categories : collection of int
        Columns of categories.
    has_labels : bool
        Whether y holds classes.

    Attributes
    ----------
    n_rows : int
    sample : Batch or None
        None of no rows.
    class_counts : dict
        By class the sum of the weights of its rows, if there is a vector of classes.

    Raises
    ------
    MemoryError
        If more rows must be kept.
    """

    def __init__(self, batches, size, categories, has_labels):
        self.n_rows, self._counts = 0, defaultdict(float)
        witnesses, sample = Witnesses(categories, has_labels), Sample(size)
        for batch in batches:
            kept = witnesses.find(batch)
            sample.add(batch, kept)
            self.n_rows += batch.n_rows
            if has_labels and batch.y.ndim == 1:
                self._count(batch)
            if sample.n_kept > size:
                raise MemoryError(
                    f"memory has room for a sample of {size} rows, and more rows are "
                    f"needed to show every category and class, as of {batch.name}. "
                    "Raise memory, or leave out columns of so many categories."
                )
        self.class_counts = dict(self._counts)
        self.sample = sample.rows() if self.n_rows else None

    def _count(self, batch):
        values, places = np.unique(batch.y, return_inverse=True)
        sums = np.bincount(places, batch.sample_weight, len(values))
        for value, total in zip(values.tolist(), sums.tolist(), strict=True):
            self._counts[value] += total
