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
#: An isolated number is as many robust deviations from the median (1.4826 times the
#: median distance from it, of a normal distribution the standard deviation) ...
DEVIATIONS = 8
#: ... as many times farther from the rest as the rest is wide (true densities of wines
#: are at 2.1, a diamond 32 mm high at 3.4, an abalone higher than long at 3.5) ...
ISOLATED = 2.5
#: ... and its gap has at most this probability if the tail before it goes on: if that
#: is a power of x, the gaps of log(x), each times its place, are exponential. Of 4,560
#: columns of 30 to 10,000 rows of normal, lognormal, Pareto, Student and other
#: distributions, three have a finding.
UNLIKELY = 1e-4
#: Rows, or share of the rows, that tell how the tail goes on.
TAIL = 50, 0.1
#: Numbers with fewer different values are counts or codes, which may be apart.
LEVELS = 20
#: At most this many values are isolated.
MOST = 5


def infinite(column):
    """Infinite values of a column."""
    if column.kind != "numbers":
        return
    count = int(np.isinf(column.levels[0]) @ column.levels[1])
    if count:
        yield Finding(
            "infinite",
            (column.name,),
            f"{_hold(count)} an infinite value.",
            "Find out where they come from (a division by 0, the logarithm of 0) and "
            "put NaN or the right value in their place.",
        )


def impossible(column):
    """Numbers that cannot be, or that stand for a missing value."""
    if column.kind != "numbers":
        return
    levels, counts = column.levels
    finite = np.isfinite(levels)
    levels, counts = levels[finite], counts[finite]
    for find in (_stand_in, _odd_zero):
        while (place := find(levels, counts)) is not None:
            yield _sentinel(column.name, levels, counts, place)
            levels, counts = np.delete(levels, place), np.delete(counts, place)
    yield from _outliers(column.name, levels, counts)


def _stand_in(levels, counts):
    """Place of a repeated stand-in that is far from the other values, or None."""
    if len(levels) < 4:
        return None
    for place, rest in ((0, levels[1:]), (-1, levels[:-1])):
        if levels[place] in STAND_INS and counts[place] > 1:
            gap = np.abs(rest - levels[place]).min()
            if gap >= max(GAP * (rest[-1] - rest[0]), 1):
                return place % len(levels)
    return None


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
    for side, order in (("largest", slice(None, None, -1)), ("smallest", slice(None))):
        values, of_values = levels[order], counts[order]
        n = _n_isolated(values if side == "largest" else -values, of_values)
        median = _median(levels, counts)
        deviation = _deviation(levels, counts, median) if n else 0
        if deviation == 0 or abs(values[0] - median) < DEVIATIONS * deviation:
            continue
        which = ", ".join(number(value) for value in values[:n])
        score = (values[0] - median) / deviation
        yield Finding(
            "outlier",
            (name,),
            f"{_hold(int(of_values[:n].sum()))} {which}; the next {side} value is "
            f"{number(values[n])}, the median {number(median)} (robust z-score "
            f"{score:.0f}).",
            "Compare with the source: correct an error of typing or unit, or put NaN "
            "in its place; leave it if it is true.",
        )


def _n_isolated(values, counts):
    """How many of the first of descending values are far from the rest."""
    most = min(MOST, len(values) // 10)
    for n in range(most, 0, -1):
        # Isolated values at the other end do not make the rest wide.
        if values[0] - values[n] < ISOLATED * (values[n] - values[-1 - most]):
            continue
        n_tail = min(TAIL[0], int(TAIL[1] * counts.sum()))
        tail = np.repeat(values[n : n + n_tail + 1], counts[n : n + n_tail + 1])
        tail, gap = tail[: n_tail + 1], values[n - 1] - values[n]
        if tail[-1] > 0:
            tail, gap = np.log(tail), np.log(values[n - 1] / values[n])
        usual = np.mean(tail - tail[-1])
        # Of an exponential gap beside the mean of n_tail others.
        if (
            1 + counts[:n].sum() * gap / max(usual, 1e-300) / n_tail
        ) ** -n_tail < UNLIKELY:
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
