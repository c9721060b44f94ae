"""The values of the benchmarks' parameters, or the first of each, and few rounds.

``NNFIT_BENCHMARKS=brief asv run --python=same --quick`` runs every benchmark once, to
see that it works: each value takes a process and a compilation or two, minutes in all.
"""

import os

BRIEF = os.environ.get("NNFIT_BENCHMARKS") == "brief"


def values(*parameters):
    """The `params` of a benchmark.

    Parameters
    ----------
    *parameters : iterable
        Values of each parameter; the fastest or most common first.
    """
    return [list(each)[: 1 if BRIEF else None] for each in parameters]


def few(number, brief=1):
    """A number of rounds, rows or seconds, or the smaller one of brief benchmarks."""
    return brief if BRIEF else number
