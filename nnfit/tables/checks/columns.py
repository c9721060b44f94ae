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
#: Fewer rare values, or a smaller share of the rows with one, are not worth a word.
MANY, FEW = 10, 0.05
#: Repeats that chance would bring, from which different integers must be issued ones:
#: none is then rarer than exp(-9).
CHANCE = 9
#: Rows without the most frequent value that make equality of two columns no accident.
EVIDENCE = 5

_ID_NAME = re.compile(
    r"(?i:^(id|index|key|uuid|guid|unnamed: ?\d+)$|[_ .-](id|uuid|guid|key)$)"
    r"|[a-z]I[dD]$"
)


def is_constant(column):
    """Whether all rows hold the same value."""
    return column.n_distinct == 1 and not column.missing.any()


def constant(columns):
    """One finding for all constant columns, which may be many."""
    if columns:
        several = len(columns) > 1
        held = names([_most(column) for column in columns])
        yield Finding(
            "constant",
            tuple(column.name for column in columns),
            f"In each of them all rows hold the same value: {held}."
            if several
            else f"All rows hold the same value, {held}.",
            "Drop {0}: a model can learn nothing from {0}.".format(
                "them" if several else "it"
            ),
        )


def mostly_missing(column):
    """A column that is missing nearly everywhere."""
    n, n_present = len(column), column.n_present
    if n_present > (1 - MOSTLY) * n:
        return
    seen = "All its values are missing."
    if n_present:
        has = "has" if n_present == 1 else "have"
        seen = f"{percent(1 - n_present / n)} of its values are missing; "
        seen += f"{rows(n_present)} {has} one."
    yield Finding(
        "mostly_missing",
        (column.name,),
        seen,
        "Drop it, or keep only whether it is filled, if that is known in time.",
    )


def identifier(column):
    """A column that numbers or names the rows."""
    if seen := _of_identifier(column):
        yield Finding(
            "identifier",
            (column.name,),
            seen,
            "Drop it: new rows have values of their own, so that nothing learnt about "
            "these helps.",
        )


def is_plain(column):
    """Whether a column holds texts that are neither numbers nor dates."""
    return not column.of_numbers and not column.of_dates


def is_name(column):
    """Whether nearly all values of a column of texts differ."""
    return (
        is_plain(column)
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


def rare_categories(column):
    """Categories with few rows, where they are many rows together."""
    if not is_plain(column) or is_name(column):
        return
    counts = column.counts
    rare = np.flatnonzero((counts > 0) & (counts < RARE))
    share = counts[rare].sum() / len(column)
    if len(rare) < MANY or share < FEW:
        return
    some = [column.values[i] for i in rare[np.argsort(counts[rare], kind="stable")]]
    yield Finding(
        "rare_category",
        (column.name,),
        f"{len(rare):,} of its {column.n_distinct:,} values have fewer than {RARE} "
        f"rows each, {percent(share)} of all rows, for instance {names(some[:3])}.",
        "Put rare values together under one name, or keep what they have in common "
        "(a prefix, a group) instead.",
    )


def duplicates(columns, signatures):
    """Columns that hold the same in other words.

    Parameters
    ----------
    columns : list of CheckedColumn
    signatures : list of bytes or None
        The `signature` of each.
    """
    groups = {}
    for place, key in enumerate(signatures):
        if key is not None:
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
    if one.values is None and other.values is None:
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


def signature(column, n_numbers=64, n_codes=1000):
    """What some rows of equal columns have in common, or None."""
    if not column.n_present or column.n_present - column.counts.max() < EVIDENCE:
        return None
    if not _continuous(column):
        return _appearance(_codes(column)[:: max(1, len(column) // n_codes)]).tobytes()
    if column.values is not None:
        return None
    # Their order is the same where rounding makes the numbers differ a little.
    finite = column.numbers[np.isfinite(column.numbers)]
    some = finite[:: max(1, len(finite) // n_numbers)]
    return np.argsort(_scaled(some), kind="stable").tobytes()


def _continuous(column):
    """Whether values seldom repeat: any two such columns have values in pairs."""
    return column.n_distinct > column.n_present / 2


def _equal(one, other):
    if _continuous(one):
        first, second = _scaled(one.numbers), _scaled(other.numbers)
        return np.allclose(first, second, rtol=0, atol=1e-4, equal_nan=True)
    return np.array_equal(_appearance(_codes(one)), _appearance(_codes(other)))


def _codes(column):
    if column.values is not None:
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
