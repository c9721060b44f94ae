"""Columns of the tables of any library as values, and tables like others.

None of the libraries is imported: who passes a table has loaded its library before.
"""

import sys

import numpy as np

from nnfit.tables.reading import table_of


def columns_of(X):
    """Values of each column, and whether they are categories.

    Parameters
    ----------
    X : array of numbers, or table of pandas, polars or pyarrow

    Returns
    -------
    list of tuple
        An ndarray of floats, NaN where one is missing, and False; or an ndarray of
        objects, None where one is missing, and True.
    """
    if hasattr(X, "iloc"):
        return [_of_pandas(X.iloc[:, j]) for j in range(X.shape[1])]
    if _library(X) == "polars" and table_of(X) is not None:
        return [_of_polars(series) for series in X.iter_columns()]
    if _library(X) == "pyarrow" and table_of(X) is not None:
        return [_of_pyarrow(column) for column in X.columns]
    X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        raise ValueError(
            "X must be an array of numbers with 2 dimensions or a table of pandas, "
            f"polars or pyarrow, got {X.ndim} dimensions and the type {X.dtype}."
        )
    return [(x, X.dtype.kind == "b") for x in X.T]


def rows_like(X, columns):
    """A table or array of new columns, as rows were given.

    Parameters
    ----------
    X : array or table
        As `columns_of` takes it.
    columns : list of ndarray
        As it returns them, of any length.

    Returns
    -------
    array or table
        Of the class of `X`, with its names and types.
    """
    if hasattr(X, "iloc"):
        names = range(len(columns))
        table = type(X)(dict(zip(names, columns, strict=True)))
        table = table.astype(dict(zip(names, X.dtypes, strict=True)))
        table.columns = X.columns
        return table
    if _library(X) == "polars":
        pairs = zip(X.iter_columns(), columns, strict=True)
        return type(X)([values_like(*pair) for pair in pairs])
    if _library(X) == "pyarrow":
        arrays = [values_like(*pair) for pair in zip(X.columns, columns, strict=True)]
        return type(X).from_arrays(arrays, schema=X.schema)
    return np.stack(columns, axis=1).astype(np.asarray(X).dtype)


def values_like(y, values):
    """New values in the container of others: a Series, a pyarrow Array or an ndarray.

    Parameters
    ----------
    y : array-like or column of a table
    values : ndarray
        Numbers, NaN where one is missing, or objects, None where one is.
    """
    if hasattr(y, "iloc"):
        return type(y)(values, name=y.name, dtype=y.dtype)
    library, is_number = _library(y), values.dtype.kind != "O"
    if library == "polars":
        if not is_number:
            return type(y)(y.name, values.tolist(), dtype=y.dtype)
        series = type(y)(y.name, values)
        return (series.fill_nan(None) if y.null_count() else series).cast(y.dtype)
    if library == "pyarrow":
        pyarrow = sys.modules["pyarrow"]
        if pyarrow.types.is_dictionary(y.type):  # older versions write only some types
            coded = pyarrow.array(
                values.tolist(), y.type.value_type
            ).dictionary_encode()
            return pyarrow.DictionaryArray.from_arrays(
                coded.indices.cast(y.type.index_type),
                coded.dictionary,
                ordered=y.type.ordered,
            )
        if not is_number:
            return pyarrow.array(values.tolist(), type=y.type)
        return pyarrow.array(values, from_pandas=y.null_count > 0).cast(y.type)
    return values


def _library(X):
    return type(X).__module__.partition(".")[0]


def _of_pandas(column):
    if getattr(column.dtype, "kind", "O") in "fiu":  # booleans are categories
        return np.asarray(column, float), False
    return np.asarray(column.astype(object).where(column.notna(), None)), True


def _of_polars(series):
    if series.dtype.is_numeric():
        return series.cast(sys.modules["polars"].Float64).to_numpy(), False
    return _objects(series.to_list()), True


def _of_pyarrow(array):
    pyarrow = sys.modules["pyarrow"]
    types, own = pyarrow.types, array.type
    if types.is_integer(own) or types.is_floating(own) or types.is_decimal(own):
        numbers = array.cast(pyarrow.float64())
        return np.asarray(numbers), False
    return _objects(array.to_pylist()), True


def _objects(values):
    return np.array([*values, None], object)[:-1]
