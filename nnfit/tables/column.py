"""What a column holds, whichever kind of table it comes from."""

from typing import NamedTuple

import numpy as np

#: What a column is by its type, or by what it holds.
NUMBER, DATE, CATEGORY, TEXT, OBJECT = "number", "date", "category", "text", "object"
#: Units of dates and durations in a day.
PER_DAY = {
    "D": 1.0,
    "s": 86400.0,
    "ms": 86400e3,
    "us": 86400e6,
    "ns": 86400e9,
}


class Column(NamedTuple):
    """A column: numbers, or values of any kind, each of them once.

    Attributes
    ----------
    kind : str
        "number", "date" (a number of days), "category" (by its type), "text" (or text
        among others), or "object".
    numbers : ndarray of shape (n_samples,) or None
        Of bool, integers or floats; NaN where one is missing.
    codes : ndarray of int of shape (n_samples,) or None
        Place in `values`; -1 where there is none.
    values : list or None
        They may be more than there are in the rows, and missing themselves.
    """

    kind: str
    numbers: np.ndarray | None = None
    codes: np.ndarray | None = None
    values: list | None = None


def is_missing(value):
    """Whether an object is None, or one that is not equal to itself."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither true nor false
        return True
    except ValueError:  # an array
        return False


def days(counts, unit):
    """Dates or durations in a unit, as a column of numbers of days.

    Parameters
    ----------
    counts : ndarray of shape (n_samples,)
        Of the units since 1970, or of float with NaN.
    unit : str
        Key of `PER_DAY`.
    """
    return Column(DATE, np.asarray(counts, np.float64) / PER_DAY[unit])


def days_of_numpy(times):
    """The same of NumPy's datetime64 or timedelta64."""
    unit, step = np.datetime_data(times.dtype)
    if unit not in PER_DAY or step != 1:
        times, unit = times.astype(f"{times.dtype.kind}8[us]"), "us"
    counts = times.view(np.int64)
    is_known = counts != np.iinfo(np.int64).min  # NaT
    if not is_known.all():
        counts = np.where(is_known, counts, np.nan)
    return days(counts, unit)
