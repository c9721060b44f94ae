"""Columns of polars."""

import sys

import numpy as np

from nnfit.tables import of_objects
from nnfit.tables.column import CATEGORY, NUMBER, TEXT, Column, days


def column_of(series):
    """A column of a Series.

    Returns
    -------
    Column
    """
    polars, dtype = sys.modules["polars"], series.dtype
    if dtype in (polars.Categorical, polars.Enum):
        return _of_categories(series, CATEGORY)
    if dtype == polars.String:
        return _of_categories(series.cast(polars.Categorical), TEXT)
    if dtype == polars.Date:
        return days(_numbers(series.to_physical()), "D")
    if dtype == polars.Time:
        return days(_numbers(series.to_physical()), "ns")
    if dtype in (polars.Datetime, polars.Duration):
        return days(_numbers(series.to_physical()), dtype.time_unit or "us")
    if dtype.is_numeric() or dtype in (polars.Boolean, polars.Null):
        return Column(NUMBER, _numbers(series))
    return of_objects.column_of(np.array([*series.to_list(), None], object)[:-1])


def _numbers(series):
    polars, dtype = sys.modules["polars"], series.dtype
    plain = dtype.is_integer() or dtype in (polars.Float32, polars.Float64)
    has_missing = series.null_count() > 0
    if not plain or (has_missing and dtype.is_integer()):
        is_bool = dtype == polars.Boolean and not has_missing
        series = series if is_bool else series.cast(polars.Float64)
    return series.to_numpy()


def _of_categories(series, kind):
    """By the numbers that polars has for them, of which there may be many others."""
    polars = sys.modules["polars"]
    numbers = series.to_physical().cast(polars.Int64).fill_null(-1).to_numpy()
    first = np.full(numbers.max(initial=-1) + 2, -1)  # the last one is for -1
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    first[-1] = -1
    occurs = first >= 0
    codes = np.where(occurs, np.cumsum(occurs) - 1, -1)[numbers]
    values = series.gather(first[occurs]).to_list()
    return Column(kind, codes=codes, values=values)
