"""Rows in Parquet files, by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from nnfit.batches.rows import Batch
from nnfit.batches.sources import Paths, Source, files_of

#: Memory that pyarrow takes to read a row group, over its size without compression: 2.5
#: of 65,536 rows of 20 numbers. It decodes pages and dictionaries of all columns.
DECODING = 3


class ParquetSource(Source):
    """Rows in Parquet files, which are read some rows at a time.

    Needs the extra ``nnfit[parquet]``.

    Parameters
    ----------
    path : path or list of paths
        A file, a folder, a pattern such as ``"sales/2026-*.parquet"``, or several of
        these, whose files are taken in the order of their names.
    target : str or list of str
        Column of the targets, or columns.
    sample_weight : str, default=None
        Column of the weights.
    columns : list of str, default=None
        Columns of X; None for all others.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    ImportError
        If pyarrow is not installed.
    ValueError
        If a file cannot be read, lacks a column, or has other columns than the first.
    """

    def __init__(
        self,
        path: Paths,
        target: str | Sequence[str],
        *,
        sample_weight: str | None = None,
        columns: Sequence[str] | None = None,
    ):
        self.name = str(path)
        self._files = files_of(path, ".parquet")
        self._target = [target] if isinstance(target, str) else list(target)
        self._is_vector = isinstance(target, str)
        self._weight = [] if sample_weight is None else [sample_weight]
        first = self._schema(self._files[0])
        self._takes_all = columns is None
        if columns is None:
            others = {*self._target, *self._weight}
            columns = [name for name in first if name not in others]
        self._columns = list(columns)
        wanted = [*self._columns, *self._target, *self._weight]
        missing = [name for name in wanted if name not in first]
        if missing:
            raise ValueError(
                f"{self._files[0]} lacks the columns {missing}; it has {[*first]}."
            )
        self._parts = []
        expected = {name: first[name] for name in wanted}
        for number, file in enumerate(self._files):
            self._check(file, expected)
            metadata = self._open(file).metadata
            for group in range(metadata.num_row_groups):
                self._parts.append((number, group))
                size = DECODING * metadata.row_group(group).total_byte_size
                self.reading_bytes = max(self.reading_bytes, size)

    def parts(self, n_rows: int) -> list[Any]:
        """Number of a file and of a row group."""
        return self._parts

    def read(self, part: Any, n_rows: int) -> Iterator[Batch]:
        """Rows of a row group, a part of it at a time."""
        number, group = part
        file = self._files[number]
        names = [*self._columns, *self._target, *self._weight]
        pyarrow = _pyarrow()
        for some in self._open(file).iter_batches(
            n_rows, row_groups=[group], columns=names
        ):
            table = pyarrow.Table.from_batches([some])
            y = [_values(table.column(name)) for name in self._target]
            weight = [_values(table.column(name)) for name in self._weight]
            yield Batch(
                table.select(self._columns),
                y[0] if self._is_vector else np.stack(y, axis=1),
                np.asarray(weight[0], np.float64) if weight else None,
                str(file),
            )

    def _open(self, file):
        _pyarrow()
        try:
            return import_module("pyarrow.parquet").ParquetFile(file)
        except Exception as error:  # whatever the bytes are
            raise ValueError(f"{file} must be a Parquet file: {error}") from error

    def _schema(self, file):
        """Columns of a file: by name what they hold."""
        schema = self._open(file).schema_arrow
        types = _pyarrow().types
        return {field.name: _kind(types, field.type) for field in schema}

    def _check(self, file, expected):
        """Refuse a file without the columns of the first one, or with others."""
        found, first = self._schema(file), self._files[0]
        missing = [name for name in expected if name not in found]
        if missing:
            raise ValueError(
                f"{file} lacks the columns {missing}, and {[*expected]} were expected "
                f"as in {first}."
            )
        more = [name for name in found if name not in expected]
        if more and self._takes_all:
            raise ValueError(
                f"{file} has the columns {more} too, and only {[*expected]} were "
                f"expected as in {first}."
            )
        for name, kind in expected.items():
            if found[name] != kind and "null" not in (found[name], kind):
                raise ValueError(
                    f"Column {name!r} of {file} must hold {kind} as in {first}, got "
                    f"{found[name]}."
                )


def _kind(types, own):
    """What values of a type are: files may have integers where others have floats."""
    if types.is_integer(own) or types.is_floating(own) or types.is_boolean(own):
        return "numbers"
    if types.is_dictionary(own):
        own = own.value_type
    return "texts" if "string" in str(own) else str(own)


def _values(column):
    """A column as an array; texts as objects."""
    if _pyarrow().types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.to_numpy()


def _pyarrow():
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise ImportError(
            "Parquet files need the package pyarrow. Install it with: "
            "pip install nnfit[parquet]"
        ) from error
