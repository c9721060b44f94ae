"""Columns of Python's objects."""

import datetime
import math
from collections import defaultdict
from decimal import Decimal
from itertools import count
from numbers import Real

import numpy as np

from nnfit.tables.column import (
    DATE,
    NUMBER,
    OBJECT,
    TEXT,
    Column,
    days_of_numpy,
    is_missing,
)

NUMBERS = (Real, np.bool_, Decimal)
DATES = (datetime.date, np.datetime64)
DURATIONS = (datetime.timedelta, np.timedelta64)
#: Name of the type of pandas.NA.
NA = "NAType"


def column_of(objects):
    """A column of a NumPy array of objects or texts.

    Numbers, dates and durations are such if all that are not missing are.

    Parameters
    ----------
    objects : ndarray of shape (n_samples,)

    Returns
    -------
    Column
    """
    objects = objects.tolist()
    types = set(map(type, objects))
    if all(map(_is_number, types)):
        return Column(NUMBER, _numbers(objects, types))
    codes, values = numbered(objects)
    present = {type(value) for value in values if not is_missing(value)}
    for kinds in (DATES, DURATIONS):
        if all(issubclass(each, kinds) for each in present):
            return Column(DATE, _days(values)[codes])
    kind = TEXT if any(issubclass(each, str) for each in types) else OBJECT
    return Column(kind, codes=codes, values=values)


def numbered(objects):
    """Codes and values of a list, in the order of their first appearance."""
    seen = defaultdict(count().__next__)
    try:
        codes = np.fromiter(map(seen.__getitem__, objects), np.int64, len(objects))
    except TypeError:  # what has no hash is as it is printed
        seen = defaultdict(count().__next__)
        objects = map(_with_hash, objects)
        codes = np.fromiter(map(seen.__getitem__, objects), np.int64)
    return codes, list(seen)


def _with_hash(value):
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _is_number(kind):
    """Whether a type is of numbers, or of what stands for a missing one."""
    if kind is type(None) or kind.__name__ == NA:
        return True
    return issubclass(kind, NUMBERS) and not issubclass(kind, DURATIONS)


def _numbers(objects, types):
    if any(kind.__name__ == NA for kind in types):
        objects = [None if is_missing(value) else value for value in objects]
    try:
        return np.array(objects, np.float64)  # None becomes NaN
    except OverflowError:  # integers of Python have no end
        return np.array([_float(value) for value in objects])


def _float(value):
    try:
        return np.nan if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _days(values):
    """Days of single dates or durations."""
    return np.array([_day(value) for value in values], np.float64)


def _day(value):
    if is_missing(value):
        return np.nan
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    time = np.array(value, "m8" if isinstance(value, DURATIONS) else "M8")
    return days_of_numpy(time.reshape(1)).numbers[0]
