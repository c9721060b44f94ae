"""Rows that occur several times, in a table or in training and validation."""

import numpy as np

from nnfit.tables.report import Finding, percent, rows

#: Repeats below this share of the rows change a score by less than chance does: that of
#: 80 % right of 1,000 rows has a standard error of 1.3 %.
FEW = 0.02
#: Repeats are copies where they are so many times more than independent columns would
#: bring. Copies are there 10^8 (letters) and 10^12 (wines) times as often as expected.
UNLIKELY = 50
#: Columns do depend on each other: 12 % of the Titanic's passengers repeat another, 30
#: times as many as expected, and are different people. Leaving out one column makes 3.4
#: times as many of them, 1.4 times as many letters and 1.02 times as many wines; of
#: copies it makes at most this.
GROWTH = 2


def repeated(columns):
    """Rows that equal an earlier row; of columns of X, and of y if there is one."""
    keys = row_keys(columns)
    n, n_repeats = len(keys), _n_repeats(keys)
    if n_repeats < max(1, FEW * n):
        return
    if n_repeats < UNLIKELY * n * (n - 1) / 2 * _chance(columns):
        return
    if any(
        _n_repeats(less) > GROWTH * n_repeats for less in _keys_without(columns, keys)
    ):
        return
    yield Finding(
        "duplicate_rows",
        (),
        f"{rows(n_repeats)} ({percent(n_repeats / n)}) repeat an earlier row.",
        "Drop copies, or keep them in one part of a split (groups): a model is tested "
        "on rows that it has seen otherwise.",
    )


def _n_repeats(keys):
    return len(keys) - len(np.unique(keys))


def _keys_without(columns, keys):
    """Keys of the rows without each of the columns in turn."""
    if len(columns) > 1:
        for place, column in enumerate(columns):
            yield keys - _column_keys(column, place)


def shared(columns, others):
    """Rows of the validation table that are in the training table as well."""
    known, asked = row_keys(columns), row_keys(others)
    n_shared = int(np.isin(asked, known).sum())
    if n_shared < max(1, FEW * len(asked)):
        return
    if n_shared < UNLIKELY * len(known) * len(asked) * _chance(columns):
        return
    yield Finding(
        "shared_rows",
        (),
        f"{rows(n_shared)} of X_val ({percent(n_shared / len(asked))}) "
        f"{'is' if n_shared == 1 else 'are'} in X as well.",
        "Take them out of one of the two: the score on X_val is too good otherwise.",
    )


def row_keys(columns):
    """A number of 64 bits for each row, equal for equal rows."""
    keys = np.zeros(len(columns[0]), np.uint64)
    for place, column in enumerate(columns):
        keys += _column_keys(column, place)
    return keys


def _column_keys(column, place):
    """What a column adds to the keys of the rows."""
    if column.values is not None:
        codes = [hash(value) & (2**64 - 1) for value in column.values]
        keys = np.array([*codes, 1], np.uint64)[column.codes]
    else:
        # Adding 0 makes 0 of -0; all kinds of NaN become one.
        numbers = np.where(column.missing, np.nan, column.numbers) + 0.0
        keys = numbers.view(np.uint64)
    # The steps of splitmix64, from another number for each column.
    keys = keys + np.uint64((place + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))


def _chance(columns):
    """Probability that two rows are equal if columns are independent."""
    chance = 1.0
    for column in columns:
        n = len(column)
        counts = np.append(column.counts, n - column.n_present).astype(np.float64)
        column.forget()
        chance *= counts @ (counts - 1) / max(1, n * (n - 1))
    return chance
