"""Impossible numbers: infinite ones, stand-ins such as -999, and isolated ones."""

import numpy as np

from nnfit.tables.report import Finding, number, rows

#: Stand-ins for missing values: 99, 999, ... with both signs, and limits of integers.
STAND_INS = {sign * (10**k - 1) for sign in (1, -1) for k in range(2, 10)}
STAND_INS |= {-(2**31), 2**31 - 1, -(2**15), 2**15 - 1}
#: A stand-in is as far from the other values as this share of their range.
GAP = 0.5
#: Zeros are suspected up to this share; more often they mean that there is none of it.
ZEROS = 0.05
#: An isolated number is as many robust deviations (1.4826 times the median distance from
#: the median; of a normal distribution the standard deviation) from the median ...
DEVIATIONS = 8
#: ... as many times farther from the rest as the rest is wide (1.24 is a true density of
#: a wine, 2.9 a diamond of 32 mm, 3.5 an abalone higher than long) ...
ISOLATED = 2
#: ... and its gap is as many times what the tail before it makes likely. If the tail is
#: a power of x, gaps of log(x) are exponential: exp(-12) is less than one in 10^5.
TAIL = 12
#: Numbers with fewer different values are counts or codes, which may be apart.
LEVELS = 20
#: At most this many values are isolated.
MOST = 5


def infinite(columns):
    """Columns that hold infinite values."""
    for column in columns:
        if column.kind != "numbers":
            continue
        count = int(np.isinf(column.levels[0]) @ column.levels[1])
        if count:
            yield Finding(
                "infinite",
                (column.name,),
                f"{_hold(count)} an infinite value.",
                "Find out where they come from (a division by 0, the logarithm of 0) "
                "and put NaN or the right value in their place.",
            )


def impossible(columns):
    """Numbers that cannot be, or that stand for a missing value."""
    for column in columns:
        if column.kind != "numbers":
            continue
        levels, counts = column.levels
        finite = np.isfinite(levels)
        levels, counts = levels[finite], counts[finite]
        while len(found := _stand_in(levels, counts)):
            yield _sentinel(column.name, levels, counts, found[0])
            levels, counts = np.delete(levels, found), np.delete(counts, found)
        if (place := _odd_zero(levels, counts)) is not None:
            yield _sentinel(column.name, levels, counts, place)
            levels, counts = np.delete(levels, place), np.delete(counts, place)
        yield from _outliers(column.name, levels, counts)


def _stand_in(levels, counts):
    """Place of a repeated stand-in that is far from the other values, or none."""
    if len(levels) < 4:
        return []
    for place, rest in ((0, levels[1:]), (-1, levels[:-1])):
        value = levels[place]
        gap = np.abs(rest - value).min()
        if (
            value in STAND_INS
            and counts[place] > 1
            and gap >= max(GAP * (rest[-1] - rest[0]), 1)
        ):
            return [place % len(levels)]
    return []


def _odd_zero(levels, counts):
    """Place of the zero, if all others are far above and it is seldom; else None."""
    if len(levels) < LEVELS or levels[0] != 0:
        return None
    others = levels[1:]
    median = _median(others, counts[1:])
    few = counts[0] <= ZEROS * counts.sum()
    return 0 if few and others[0] >= median - others[0] else None


def _sentinel(name, levels, counts, place):
    rest = np.delete(levels, place)
    return Finding(
        "sentinel",
        (name,),
        f"{_hold(int(counts[place]))} {number(levels[place])}; all other "
        f"values lie from {number(rest[0])} to {number(rest[-1])}.",
        "If it stands for a missing value, put NaN in its place; if it is a "
        "limit or an error, correct it.",
    )


def _outliers(name, levels, counts):
    """Isolated values at both ends."""
    if len(levels) < LEVELS:
        return
    for side, ordered in (("largest", levels[::-1]), ("smallest", -levels)):
        n_isolated = _n_isolated(ordered)
        if n_isolated == 0:
            continue
        median = _median(levels, counts)
        deviation = _deviation(levels, counts, median)
        down = side == "smallest"
        values = levels[:n_isolated] if down else levels[::-1][:n_isolated]
        following = levels[n_isolated] if down else levels[-1 - n_isolated]
        count = (counts if down else counts[::-1])[:n_isolated].sum()
        if abs(values[0] - median) < DEVIATIONS * deviation or deviation == 0:
            continue
        score = (values[0] - median) / deviation
        which = ", ".join(number(value) for value in values)
        yield Finding(
            "outlier",
            (name,),
            f"{_hold(int(count))} {which}; the next {side} value is "
            f"{number(following)}, the median {number(median)} (robust z-score "
            f"{score:.0f}).",
            "Compare with the source: correct an error of typing or unit, or put NaN "
            "in its place; leave it if it is true.",
        )


def _n_isolated(values):
    """How many of the first of descending values are far from the rest."""
    for n in range(min(MOST, len(values) // 10), 0, -1):
        if values[0] - values[n] < ISOLATED * (values[n] - values[-1]):
            continue
        gap = values[n - 1] - values[n]
        tail = values[n : n + max(5, min(50, len(values) // 10)) + 1]
        if tail[-1] > 0:
            tail, gap = np.log(tail), np.log(values[n - 1] / values[n])
        if n * gap >= TAIL * np.mean(tail[:-1] - tail[-1]):
            return n
    return 0


def _median(levels, counts):
    """Median of values in order, each as often as counted."""
    return levels[np.searchsorted(np.cumsum(counts), counts.sum() / 2)]


def _deviation(levels, counts, median):
    distances = np.abs(levels - median)
    order = np.argsort(distances)
    return 1.4826 * _median(distances[order], counts[order])


def _hold(count):
    return f"{rows(count)} {'holds' if count == 1 else 'hold'}"
