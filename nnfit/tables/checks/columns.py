"""Columns that are constant, nearly missing, identifiers, equal, or of rare values."""

import re

import numpy as np

from nnfit.tables.report import Finding, names, percent, rows, show

#: Beyond this share of missing values a column has next to nothing to learn from. The
#: cabin's deck of the Titanic's passengers, 77 % missing, still helps.
MOSTLY = 0.95
#: Share of different values from which texts are names rather than categories. On the
#: Titanic 100 % of the passengers' names differ and 76 % of their tickets.
NEARLY_ALL = 0.9
#: Values with fewer rows are rare: the mean of y over ten rows is known to a third of
#: y's deviation (1 / sqrt(10)), and 70/15/15 leaves one or two for validation.
RARE = 10
#: Below this share of the rows rare values are not worth a word.
FEW = 0.01
#: Repeats that chance would bring, from which different integers must be issued ones:
#: none is then rarer than exp(-9).
CHANCE = 9
#: Rows without the most frequent value that make equality of two columns no accident.
EVIDENCE = 5

_ID_NAME = re.compile(
    r"(?i:^(id|index|key|uuid|guid|unnamed: ?\d+)$|[_ .-](id|uuid|guid|key)$)"
    r"|[a-z]I[dD]$"
)


def empty(columns):
    """Constant columns and columns that are missing nearly everywhere."""
    constant = [c for c in columns if c.n_distinct == 1 and not c.missing.any()]
    if constant:
        held = names([_most(column) for column in constant])
        yield Finding(
            "constant",
            tuple(column.name for column in constant),
            f"All rows hold the same value, {held}.",
            "Drop it: a model can learn nothing from it."
            if len(constant) == 1
            else "Drop them: a model can learn nothing from them.",
        )
    for column in columns:
        n = len(column)
        if n and column.n_present <= (1 - MOSTLY) * n:
            filled = (
                "All its values are missing."
                if not column.n_present
                else f"{percent(1 - column.n_present / n)} of its values are missing; "
                f"{rows(column.n_present)} have one."
            )
            yield Finding(
                "mostly_missing",
                (column.name,),
                filled,
                "Drop it, or keep only whether it is filled, if that is known in time.",
            )


def identifiers(columns):
    """Columns that number or name the rows."""
    for column in columns:
        if seen := _of_identifier(column):
            yield Finding(
                "identifier",
                (column.name,),
                seen,
                "Drop it: new rows have values of their own, so that nothing learnt "
                "about these helps.",
            )


def is_name(column):
    """Whether nearly all values of a column of texts differ."""
    return (
        column.kind == "categories"
        and column.n_present >= 2 * RARE
        and column.n_distinct >= NEARLY_ALL * column.n_present
    )


def _of_identifier(column):
    n, distinct = column.n_present, column.n_distinct
    if is_name(column):
        which = "All" if n == distinct else percent(distinct / n)
        first = show(_most(column))
        return f"{which} of its {n:,} texts differ, for instance {first}."
    if n < 2 * RARE or distinct < n or not column.whole:
        return None
    low, high = column.levels[0][[0, -1]]
    span = f"{show(float(low))} to {show(float(high))}"
    if high - low + 1 == n:
        return f"It numbers the rows: every integer from {span} occurs once."
    if n * (n - 1) / 2 / (high - low + 1) >= CHANCE or _ID_NAME.search(
        str(column.name)
    ):
        return f"All its {n:,} integers differ, from {span}."
    return None


def rare_categories(columns):
    """Categories with few rows, where they are many rows together."""
    for column in columns:
        if column.kind != "categories" or is_name(column) or column.n_distinct < 2:
            continue
        counts = column.counts
        rare = np.flatnonzero((counts > 0) & (counts < RARE))
        share = counts[rare].sum() / len(column)
        if len(rare) < 2 or share < FEW:
            continue
        some = [column.values[i] for i in rare[np.argsort(counts[rare], kind="stable")]]
        yield Finding(
            "rare_category",
            (column.name,),
            f"{len(rare):,} of its {column.n_distinct:,} values have fewer than {RARE} "
            f"rows each, {percent(share)} of all rows, for instance {names(some[:3])}.",
            "Put rare values together under one name, or keep what they have in "
            "common (a prefix, a group) instead.",
        )


def duplicates(columns):
    """Columns that hold the same in other words."""
    groups = {}
    for place, column in enumerate(columns):
        if (key := _signature(column)) is not None:
            groups.setdefault(key, []).append(place)
    for places in groups.values():
        while len(places) > 1:
            first, *others = places
            same = [i for i in others if _equal(columns[first], columns[i])]
            if same:
                yield _duplicate([columns[i] for i in (first, *same)])
            places = [i for i in others if i not in same]


def _duplicate(columns):
    first, *others = columns
    if all(_same_values(first, column) for column in others):
        how = "They hold the same values in every row."
    else:
        how = (
            "Each value of one goes with one value of the other in every row "
            f"({_pairs(first, others[0])}): they say the same."
        )
    return Finding(
        "duplicate_columns",
        tuple(column.name for column in columns),
        how,
        "Keep the one that reads best and drop the rest.",
    )


def _same_values(one, other):
    if one.numbers is not None and other.numbers is not None:
        return np.array_equal(one.numbers, other.numbers, equal_nan=True)
    if one.values is None or other.values is None:
        return False
    first, second = (np.array([*c.values, None], object)[c.codes] for c in (one, other))
    return bool(np.all(first == second))


def _pairs(first, other):
    """The values of some rows in both columns."""
    shown = {}
    for row in np.flatnonzero(~first.missing & ~other.missing):
        shown.setdefault(_at(first, row), _at(other, row))
        if len(shown) == 3:
            break
    return ", ".join(f"{show(a)} with {show(b)}" for a, b in shown.items())


def _at(column, row):
    if column.values is None:
        return float(column.numbers[row])
    return column.values[column.codes[row]]


def _signature(column, n_numbers=64, n_codes=1000):
    """What some rows of equal columns have in common, or None."""
    if not column.n_present or column.n_present - column.counts.max() < EVIDENCE:
        return None
    if not _continuous(column):
        return _appearance(_codes(column)[:: max(1, len(column) // n_codes)]).tobytes()
    if column.numbers is None:
        return None
    # Their order is the same where rounding makes the numbers differ a little.
    some = _scaled(column.numbers)[:: max(1, len(column) // n_numbers)]
    return np.argsort(some, kind="stable").tobytes()


def _continuous(column):
    """Whether values seldom repeat: any two such columns have values in pairs."""
    return column.n_distinct > column.n_present / 2


def _equal(one, other):
    if _continuous(one):
        first, second = _scaled(one.numbers), _scaled(other.numbers)
        return np.allclose(first, second, rtol=0, atol=1e-4, equal_nan=True)
    return np.array_equal(_appearance(_codes(one)), _appearance(_codes(other)))


def _codes(column):
    if column.numbers is None:
        return column.codes
    codes = np.searchsorted(column.levels[0], column.numbers)
    return np.where(column.missing, -1, codes)


def _appearance(codes):
    """Codes in the order in which they appear, -1 where missing."""
    levels, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    first = np.where(levels < 0, -1, first)
    return (np.argsort(np.argsort(first)) - (levels[0] < 0))[inverse]


def _scaled(numbers):
    """Numbers without unit and origin: of equal columns, inches and cm, the same."""
    finite = np.where(np.isfinite(numbers), numbers, np.nan)
    scale = np.nanstd(finite)
    scaled = (finite - np.nanmean(finite)) / (scale if scale > 0 else 1.0)
    # The first row that is off the mean gives the sign.
    off = np.flatnonzero(np.abs(scaled) > 0.1)
    return scaled * np.sign(scaled[off[0]]) if len(off) else scaled


def _most(column):
    """The most frequent value."""
    place = int(np.argmax(column.counts))
    return (
        column.levels[0].item(place) if column.values is None else column.values[place]
    )
