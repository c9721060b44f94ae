"""Parametrisations of tests that are fewer than all combinations of values."""

from itertools import cycle

import pytest
from allpairspy import AllPairs


def pairs(**factors):
    """Return cases in which any two values meet.

    What breaks a combination is mostly the meeting of two of its values (Kuhn, Wallace
    and Gallo (2004), "Software fault interactions and implications for software
    testing", IEEE Transactions on Software Engineering 30: 70 to 97 % of the failures
    of four programs). Six factors of two values and one of 36 are 72 cases, not 2304.

    Parameters
    ----------
    **factors
        ``name=values``, two or more of them.

    Returns
    -------
    cases : list of dict
    """
    # Of those with most values first, each gets the cases it needs and no more.
    names = sorted(factors, key=lambda name: -len(list(factors[name])))
    cases = AllPairs([list(factors[name]) for name in names])
    return [dict(zip(names, case, strict=True)) for case in cases]


def pairwise(is_slow=lambda case: False, /, **factors):
    """Parametrise a test by `pairs`, some of which are for the slow part alone."""
    cases = pairs(**factors)
    values = [
        pytest.param(*case.values(), marks=[pytest.mark.slow] * is_slow(case))
        for case in cases
    ]
    return pytest.mark.parametrize(list(cases[0]), values)


def quick_every(n, values):
    """Values for a parametrisation: every n-th, the others in the slow part alone."""
    return [
        value if i % n == 0 else pytest.param(value, marks=pytest.mark.slow)
        for i, value in enumerate(values)
    ]


def in_turn(**factors):
    """Parametrise a test by the first values, each with the next of the others."""
    (name, values), *others = factors.items()
    turns = [cycle(of_other) for _, of_other in others]
    cases = []
    for value in values:
        marks = getattr(value, "marks", ())
        first = value.values if marks else (value,)
        cases.append(pytest.param(*first, *map(next, turns), marks=marks))
    return pytest.mark.parametrize([name, *(other for other, _ in others)], cases)
