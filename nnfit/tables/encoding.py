"""A matrix of numbers from a table: columns as they are, and codes of categories.

Codes count from 0; -1 is a missing value, and one that was not seen before. Categories
are in their order, whichever table they come from, so that the same values make the
same network.
"""

import numpy as np

from nnfit.tables.column import CATEGORY, NUMBER, OBJECT, TEXT, is_missing

#: float32 holds all integers below it.
MOST_CODES = 2**24
#: Columns and rows that are written together, which a cache holds. To write one column
#: after the other takes five times as long.
COLUMNS, ROWS = 8, 4096
#: Of `categorical_features`: the columns that are no numbers.
FROM_DTYPE = "from_dtype"
#: What to do about values that are no numbers, in the first training rows and in later
#: ones: the parameter has been read by then.
CURE = (
    "Name the column in categorical_features, or set "
    f"categorical_features={FROM_DTYPE!r}, to take its values as categories, or "
    "encode it before."
)
LATER_CURE = "The training had numbers or dates there: convert it as it was there."


class Encoded:
    """What has become of a table.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        C-contiguous.
    categories : dict
        By number of a column of categories their values, in the order of the codes;
        None for a column of codes.
    is_single : bool
        Whether all columns were of float32.
    """

    def __init__(self, table, dtype, column, categories):
        self.X = np.empty(table.shape, dtype)
        self.categories = categories
        self.is_single = True
        n_rows, n_columns = table.shape
        for first in range(0, n_columns, COLUMNS):
            numbers = range(first, min(first + COLUMNS, n_columns))
            values = [column(number, table.column(number)) for number in numbers]
            self.is_single &= all(each.dtype == np.float32 for each in values)
            for start in range(0, n_rows, ROWS):
                rows = slice(start, start + ROWS)
                for number, own in zip(numbers, values, strict=True):
                    self.X[rows, number] = own[rows]


def encode(table, asked, dtype, named, keeps_codes=True):
    """Learn the categories of a table, and encode it.

    Parameters
    ----------
    table : Table
    asked : collection of int or "from_dtype"
        Columns of categories.
    dtype : str
        Of the matrix.
    named : callable
        A column by its number as messages call it.
    keeps_codes : bool, default=True
        Whether integers that are asked for stay as they are.

    Returns
    -------
    Encoded

    Raises
    ------
    ValueError
        If another column holds texts.
    TypeError
        If it holds objects that are no numbers.
    """
    categories = {}

    def values_of(number, column):
        if asked == FROM_DTYPE:
            is_asked = column.kind in (CATEGORY, TEXT, OBJECT)
        else:
            is_asked = number in asked
        if not is_asked:
            return numbers_of(column, named(number))
        stays = keeps_codes and _holds_codes(column)
        known = None if stays else categories_of(column)
        categories[number] = known
        return _codes(column, known, named(number))

    return Encoded(table, dtype, values_of, categories)


def encode_again(table, categories, dtype, named):
    """Encode a table by the categories of another.

    Parameters
    ----------
    table, dtype, named
        See `encode`.
    categories : dict
        As `Encoded` has it.

    Returns
    -------
    Encoded

    Raises
    ------
    ValueError, TypeError
        As `encode`; also if values are of another type than all known ones.
    """

    def values_of(number, column):
        if number in categories:
            return _codes(column, categories[number], named(number))
        return numbers_of(column, named(number), LATER_CURE)

    return Encoded(table, dtype, values_of, categories)


def numbers_of(column, name, cure=CURE):
    """A column as an array of numbers; texts that are numbers count as such.

    The `cure` ends the message of the error where they are none.
    """
    if column.numbers is not None:
        return column.numbers
    values = []
    for value in column.values:
        try:
            values.append(np.nan if is_missing(value) else float(value))
        except (TypeError, ValueError):
            if column.kind == OBJECT:
                raise TypeError(
                    f"{name} holds {value!r}: the argument must be a string or a real "
                    f"number. {cure}"
                ) from None
            raise ValueError(
                f"{name} holds {value!r}, which is no number. {cure}"
            ) from None
    return np.array([*values, np.nan])[column.codes]


# Categories ------------------------------------------------------------------


def categories_of(column):
    """The values that occur in a column, in their order, as a list.

    Values of several types are ordered by the names of these first.
    """
    if column.numbers is not None:
        return np.unique(column.numbers[~np.isnan(column.numbers)]).tolist()
    occurs = np.zeros(len(column.values) + 1, bool)  # -1 is the last one
    occurs[column.codes] = True
    found = [column.values[i] for i in np.flatnonzero(occurs[:-1])]
    found = {_plain(value) for value in found if not is_missing(value)}
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=lambda value: (type(value).__name__, str(value)))


def codes_of(column, known):
    """Codes of the values of a column, -1 where one is not known.

    Parameters
    ----------
    column : Column
    known : list
        Categories.

    Returns
    -------
    ndarray of int32 of shape (n_samples,)
    """
    if column.numbers is not None:
        values, places = np.unique(column.numbers, return_inverse=True)
        values = values.tolist()
    else:
        values, places = column.values, column.codes
    code_of = {value: code for code, value in enumerate(known)}
    codes = [-1 if is_missing(v) else code_of.get(_plain(v), -1) for v in values]
    return np.array([*codes, -1], np.int32)[places]  # -1 is the last one


def _codes(column, known, name):
    """Codes of a column, by its known values, or as it has them."""
    if known is None:
        return numbers_of(column, name, LATER_CURE)
    _check_types(column, known, name)
    return codes_of(column, known)


def _check_types(column, known, name):
    """Refuse a column of which no value can be among the known ones."""
    if column.numbers is not None:
        given = column.numbers[~np.isnan(column.numbers)][:1].tolist()
    else:
        given = [value for value in column.values if not is_missing(value)]
    kinds = {_kind(value) for value in known}
    if known and given and kinds.isdisjoint(map(_kind, given)):
        raise ValueError(
            f"{name} must hold categories as in the training, such as {known[0]!r}, "
            f"got {_plain(given[0])!r}. Convert it as it was there."
        )


def _kind(value):
    return "number" if isinstance(value, int | float | np.number) else type(value)


def _plain(value):
    """A value as Python has it; what has no hash as it is printed."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _holds_codes(column):
    """Whether a column of numbers holds codes: integers, the negative ones missing."""
    if column.kind != NUMBER:
        return False
    numbers = column.numbers
    if numbers.dtype.kind == "f":
        numbers = numbers[~np.isnan(numbers)]
        if not (numbers == np.rint(numbers)).all():
            return False
    return bool(numbers.max(initial=0) < MOST_CODES)
