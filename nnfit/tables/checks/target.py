"""The target: missing, constant, rare classes, one class nearly alone, skewed."""

import numpy as np

from nnfit.tables.checks.columns import RARE
from nnfit.tables.report import Finding, names, percent, rows, show

#: Integers are classes up to this many different ones.
CLASSES = 30
#: Share of the largest class from which accuracy says little.
NEARLY_ALL = 0.95
#: y is skewed where its largest 5 % make this share of its variance (23 % of a normal
#: distribution, 50 % of an exponential one). MLPRegressor with the logarithm of y had a
#: mean absolute error 1 % to 5 % below that without it at shares of 0.3 to 0.45, 7 % to
#: 14 % below at 0.5 to 0.6 and 36 % below at 0.86; the squared error was less too from
#: 0.5 on, and 10 % more for the diamonds' price, at 0.44.
SKEWED = 0.5
#: ... and where its logarithm brings that below this share.
STRAIGHT = 0.35


def is_classes(target):
    """Whether a target holds classes rather than amounts.

    Texts and booleans are classes, and so are two whole numbers, and up to `CLASSES`
    integers with `RARE` rows each on average; other numbers are amounts.
    """
    if target.kind != "numbers":
        return target.kind == "categories"
    n = target.n_distinct
    few = n <= CLASSES and n * RARE <= target.n_present and not target.floating
    return target.whole and (n <= 2 or few)


def target(column, classes):
    """Findings about y, which holds classes or amounts."""
    n_missing = int(column.missing.sum())
    if n_missing:
        yield Finding(
            "missing_target",
            (column.name,),
            f"{rows(n_missing)} ({percent(n_missing / len(column))}) "
            f"{'has' if n_missing == 1 else 'have'} no target.",
            "Leave these rows out: nothing can be learnt or tested on them.",
        )
    if column.n_distinct < 2:
        yield Finding(
            "constant_target",
            (column.name,),
            "All rows have the same target.",
            "Check how y was made; there is nothing to predict.",
        )
    elif classes:
        yield from _of_classes(column)
    else:
        yield from _of_amounts(column)


def unseen(columns, others):
    """Classes of the validation targets that the training targets lack."""
    for column, other in zip(columns, others, strict=True):
        known = column.counted
        new = {value: n for value, n in other.counted.items() if value not in known}
        if new:
            count = sum(new.values())
            yield Finding(
                "unseen_class",
                (column.name,),
                f"{rows(count)} of y_val {'has' if count == 1 else 'have'} a class "
                f"that y lacks: {names(list(new))}.",
                "Split with stratify=y, or leave these rows out; a classifier cannot "
                "predict a class that it has not seen.",
            )


def _of_classes(column):
    counted = sorted(column.counted.items(), key=lambda each: each[1])
    rare = [(value, count) for value, count in counted if count < RARE]
    if rare:
        value, count = rare[0]
        yield Finding(
            "rare_class",
            (column.name,),
            f"{len(rare)} of its {len(counted)} classes "
            f"{'has' if len(rare) == 1 else 'have'} fewer than {RARE} rows: "
            f"{names([value for value, _ in rare])}; the rarest, {show(value)}, has "
            f"{count}.",
            "Collect more rows, or put rare classes together or aside; training, "
            "validation and test need at least three rows of each.",
        )
    value, count = counted[-1]
    share = count / column.n_present
    if share >= NEARLY_ALL:
        yield Finding(
            "imbalance",
            (column.name,),
            f"{percent(share)} of the rows are of the class {show(value)}; who always "
            "predicts it has this accuracy.",
            "Split with stratify=y, judge by average precision or balanced accuracy "
            "instead of accuracy, and try class_weight='balanced'.",
        )


def _of_amounts(column):
    y = column.numbers[np.isfinite(column.numbers)]
    if not len(y) or y.min() <= 0 or column.n_distinct < RARE:
        return
    share = _share_of_largest(y)
    if share >= SKEWED and _share_of_largest(np.log(y)) < STRAIGHT:
        yield Finding(
            "skewed_target",
            (column.name,),
            f"The largest 5 % of y make {percent(share)} of its variance (23 % if it "
            "were normal), so that the squared error is about them.",
            "Try the logarithm: TransformedTargetRegressor(model, func=np.log, "
            "inverse_func=np.exp).",
        )


def _share_of_largest(y):
    squares = np.square(y - y.mean())
    return squares[y >= np.quantile(y, 0.95)].sum() / squares.sum()
