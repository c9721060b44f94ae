"""Columns of pandas."""

import numpy as np

from nnfit.tables import of_objects, of_pyarrow
from nnfit.tables.column import CATEGORY, NUMBER, TEXT, Column, days_of_numpy


def column_of(series):
    """A column of a Series.

    Returns
    -------
    Column
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _of_numpy(series.to_numpy())
    name = type(dtype).__name__
    if name == "CategoricalDtype":
        values = series.cat.categories.tolist()
        return Column(CATEGORY, codes=series.cat.codes.to_numpy(), values=values)
    if name == "ArrowDtype":
        return of_pyarrow.column_of(series.array.__arrow_array__())
    if name == "StringDtype":
        codes, values = series.factorize()
        return Column(TEXT, codes=codes, values=values.tolist())
    if name == "DatetimeTZDtype":
        return days_of_numpy(series.dt.tz_convert(None).to_numpy())
    if name == "PeriodDtype":
        return days_of_numpy(series.dt.to_timestamp().to_numpy())
    if name == "SparseDtype":
        return _of_numpy(np.asarray(series))
    if dtype.kind in "biuf":
        kept = np.float32 if dtype.name == "Float32" else np.float64
        return Column(NUMBER, series.to_numpy(dtype=kept, na_value=np.nan))
    return of_objects.column_of(series.to_numpy(dtype=object))


def _of_numpy(values):
    kind = values.dtype.kind
    if kind in "biuf":
        return Column(NUMBER, values)
    if kind in "mM":
        return days_of_numpy(values)
    return of_objects.column_of(values.astype(object, copy=False))
