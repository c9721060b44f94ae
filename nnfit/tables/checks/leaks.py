"""Columns that alone predict y almost perfectly: trees with cross-validation."""

import numpy as np
from sklearn.preprocessing import LabelEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from nnfit.tables.checks.columns import is_name
from nnfit.tables.report import Finding, percent, rows

#: Rows on which trees are trained and tested, in so many folds.
SAMPLE, FOLDS = 5000, 5
#: A first look at so many rows, or rows of each class, leaves out most columns.
FIRST, FIRST_OF_CLASS = 500, 20
#: Share of the error of a constant prediction (in regression, of the variance of the
#: ranks of y) that a column must take away. The best columns of sound tables take away
#: 0.94 (width of petals, species of iris) and 0.93 (carat, price of diamonds).
PERFECT = {True: 0.98, False: 0.99}
#: In the first look fewer rows are known, so that less is asked.
PROMISING = 0.85
#: The same for whether a value is missing, which nature seldom decides by y. The number
#: of the lifeboat of the Titanic's passengers takes away 0.94, their deck 0.2.
FILLED = 0.8
#: Rows from which a column may be found by chance with less than 2^-20.
FEWEST = 20


def leaks(columns, target, classes):
    """Columns that alone predict a target.

    Parameters
    ----------
    columns : list of CheckedColumn
    target : CheckedColumn
    classes : bool
        Whether it holds classes.
    """
    rng = np.random.default_rng(0)
    y, chosen = _sample(target, classes, rng)
    if len(y) < FEWEST or y.min() == y.max():
        return
    first = max(FIRST, FIRST_OF_CLASS * len(np.unique(y))) if classes else FIRST
    for column in columns:
        if is_name(column):
            continue
        if classes and (found := _by_missing(column, target)):
            yield found
            continue
        x = _finite(column.take(chosen))
        if _part(x[:first], y[:first], classes, 2) < PROMISING:
            continue
        part = _part(x, y, classes, FOLDS)
        if part >= PERFECT[classes]:
            yield _leak(column, target, len(y), part, classes)


def _sample(target, classes, rng):
    """Targets and numbers of rows; of each class at most its share of the sample."""
    if not classes:
        known = rng.permutation(np.flatnonzero(np.isfinite(target.numbers)))[:SAMPLE]
        ranks = np.unique(target.numbers[known], return_inverse=True)[1]
        return ranks.astype(np.float64), known
    known = rng.permutation(np.flatnonzero(~target.missing))
    y = LabelEncoder().fit_transform(_held(target)[known])
    counts = np.bincount(y)
    kept = counts >= FOLDS
    most = SAMPLE // max(1, kept.sum())
    place = np.empty(len(y), np.int64)
    order = np.argsort(y, kind="stable")
    place[order] = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = rng.permutation(np.flatnonzero((place < most) & kept[y]))
    return y[taken], known[taken]


def _finite(x):
    x = np.nan_to_num(x, nan=np.nan, posinf=1e30, neginf=-1e30)
    return x.astype(np.float32)[:, None]


def _part(x, y, classes, n_folds):
    """Part of the error of a constant prediction that a tree takes away."""
    tree = (DecisionTreeClassifier if classes else DecisionTreeRegressor)(
        random_state=0
    )
    predicted = np.empty_like(y)
    # The rows are in random order already.
    for fold in range(n_folds):
        tested = np.arange(len(y)) % n_folds == fold
        predicted[tested] = tree.fit(x[~tested], y[~tested]).predict(x[tested])
    if classes:
        error, constant = np.mean(predicted != y), 1 - np.bincount(y).max() / len(y)
    else:
        error, constant = np.mean((predicted - y) ** 2), np.var(y)
    return 1 - error / constant if constant else 0.0


def _by_missing(column, target):
    """A finding if whether the value is missing nearly tells the class, else None."""
    missing = column.missing
    if not FEWEST / 2 <= missing.sum() <= len(missing) - FEWEST / 2:
        return None
    held, known = _held(target), ~target.missing
    y = np.unique(held[known], return_inverse=True)[1]
    table = np.zeros((y.max() + 1, 2), np.int64)
    np.add.at(table, (y, missing[known].astype(int)), 1)
    errors = len(y) - table.max(axis=0).sum()
    constant = len(y) - table.sum(axis=1).max()
    if errors > (1 - FILLED) * constant:
        return None
    return Finding(
        "leak",
        (column.name,),
        f"Whether it is missing tells the {target.name}: a guess by that is wrong in "
        f"{rows(errors)}, always guessing one class in {rows(constant)}.",
        "Drop it if it is filled in after the outcome is known.",
    )


def _held(target):
    return target.numbers if target.values is None else target.codes


def _leak(column, target, n, part, classes):
    of_what = (
        "of the errors of always guessing one class"
        if classes
        else "of the variance of its ranks"
    )
    where = f"a sample of {rows(n)}" if n < target.n_present else rows(n)
    left = "no part" if part > 1 - 1e-6 else percent(1 - part)
    return Finding(
        "leak",
        (column.name,),
        f"It alone predicts the {target.name}: a tree that sees nothing else leaves "
        f"{left} {of_what} ({FOLDS}-fold cross-validation on {where}).",
        "Ask whether it is known before the outcome is: drop it if it is made from "
        "the outcome, or measured or filled in later.",
    )
