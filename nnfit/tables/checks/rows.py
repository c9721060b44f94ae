"""Rows that occur several times, in a table or in training and validation."""

import numpy as np

from nnfit.tables.report import Finding, percent, rows

#: Repeats below this share of the rows change a score by less than chance does: that of
#: 80 % right of 1,000 rows has a standard error of 1.3 %.
FEW = 0.02
#: Repeats are copies where they are so many times more than independent columns would
#: bring. Columns do depend on each other: 13 % of the Titanic's passengers repeat
#: another in eight features, 16 times as many as expected, and are different people.
#: Copies are there 10^8 (letters) and 10^12 (wines) times as often as expected.
UNLIKELY = 1000


def repeated(columns, targets=()):
    """Rows that equal an earlier row."""
    keys = row_keys(columns)
    first = np.unique(keys, return_index=True)[1]
    n, n_repeats = len(keys), len(keys) - len(first)
    if n_repeats < max(1, FEW * n):
        return
    if n_repeats < UNLIKELY * n * (n - 1) / 2 * _chance(columns):
        return
    seen = f"{rows(n_repeats)} ({percent(n_repeats / n)}) repeat an earlier row of X"
    if targets:
        with_target = len(np.unique(row_keys([*columns, *targets])))
        seen += f", {n - with_target:,} of them with the same y"
    yield Finding(
        "duplicate_rows",
        (),
        f"{seen}.",
        "Drop copies, or keep them in one part of a split (groups): a model is tested "
        "on rows that it has seen otherwise.",
    )


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
    for column in columns:
        if column.numbers is None:
            codes = [hash(value) & (2**64 - 1) for value in column.values]
            bits = np.array([*codes, 1], np.uint64)[column.codes]
        else:
            # Adding 0 makes 0 of -0; all kinds of NaN become one.
            numbers = np.where(column.missing, np.nan, column.numbers) + 0.0
            bits = numbers.view(np.uint64)
        keys = (keys + bits) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(32)
    return keys


def _chance(columns):
    """Probability that two rows are equal if columns are independent."""
    chance = 1.0
    for column in columns:
        n_missing = len(column) - column.n_present
        counts = np.append(column.counts, n_missing) / len(column)
        chance *= counts @ counts
    return chance
