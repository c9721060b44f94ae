"""Columns of pyarrow."""

import sys

import numpy as np

from nnfit.tables import of_objects
from nnfit.tables.column import CATEGORY, NUMBER, TEXT, Column, days


def column_of(array):
    """A column of an Array or ChunkedArray.

    Returns
    -------
    Column
    """
    pyarrow = sys.modules["pyarrow"]
    types, own = pyarrow.types, array.type
    if types.is_dictionary(own):
        return _of_dictionary(array, CATEGORY)
    if types.is_string(own) or types.is_large_string(own):
        return _of_dictionary(array.dictionary_encode(), TEXT)
    if str(own) == "string_view":
        array = array.cast(pyarrow.large_string())
        return _of_dictionary(array.dictionary_encode(), TEXT)
    if types.is_date32(own):
        return days(_numbers(array.cast(pyarrow.int32())), "D")
    if types.is_date64(own):
        return days(_numbers(array.cast(pyarrow.int64())), "ms")
    if types.is_timestamp(own) or types.is_duration(own) or types.is_time(own):
        counted = pyarrow.int32() if types.is_time32(own) else pyarrow.int64()
        return days(_numbers(array.cast(counted)), own.unit)
    if types.is_boolean(own) or types.is_decimal(own) or types.is_null(own):
        if types.is_decimal(own) or array.null_count:
            array = array.cast(pyarrow.float64())
        return Column(NUMBER, _numbers(array))
    if types.is_integer(own) or types.is_floating(own):
        return Column(NUMBER, _numbers(array))
    return of_objects.column_of(np.array([*array.to_pylist(), None], object)[:-1])


def _numbers(array):
    """As an ndarray, integers as floats where one is missing."""
    if hasattr(array, "chunks"):
        return array.to_numpy()
    return array.to_numpy(zero_copy_only=False)


def _of_dictionary(array, kind):
    if hasattr(array, "chunks"):
        chunks = array.unify_dictionaries().chunks
        if not chunks:
            return Column(kind, codes=np.empty(0, np.int64), values=[])
        codes = np.concatenate([_codes(chunk) for chunk in chunks])
        array = chunks[-1]
    else:
        codes = _codes(array)
    return Column(kind, codes=codes, values=array.dictionary.to_pylist())


def _codes(array):
    indices = array.indices.cast(sys.modules["pyarrow"].int64())
    return indices.fill_null(-1).to_numpy(zero_copy_only=False)
