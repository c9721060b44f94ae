"""Rows in `.npy` files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nnfit.batches.rows import Batch
from nnfit.batches.sources import Paths, Source, files_of


class NpySource(Source):
    """Rows in `.npy` files, which are read a stretch at a time.

    Parameters
    ----------
    X : path or list of paths
        A file, a folder, a pattern such as ``"shards/X_*.npy"``, or several of these,
        whose files are taken in the order of their names. Arrays of shape
        (n_samples, n_features).
    y : path or list of paths
        Their targets, as many files.
    sample_weight : path or list of paths, default=None
        Their weights, as many files.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    ValueError
        If a file is no array, or does not fit to the others.
    """

    def __init__(self, X: Paths, y: Paths, sample_weight: Paths | None = None):
        given = [X, y] if sample_weight is None else [X, y, sample_weight]
        columns = [files_of(paths, ".npy") for paths in given]
        self.name = str(X) if isinstance(X, str | os.PathLike) else str(columns[0][0])
        for name, files in zip(("y", "sample_weight"), columns[1:], strict=False):
            if len(files) != len(columns[0]):
                raise ValueError(
                    f"{name} must have a file for each of the {len(columns[0])} of X, "
                    f"got {len(files)}: {', '.join(file.name for file in files)}."
                )
        self._files = list(zip(*columns, strict=True))
        self._n_rows = [_check(files, self._files[0]) for files in self._files]

    def parts(self, n_rows: int) -> list[Any]:
        """Number of a file, and the first and last row of a stretch."""
        return [
            (number, start, min(start + n_rows, count))
            for number, count in enumerate(self._n_rows)
            for start in range(0, count, n_rows)
        ]

    def read(self, part: Any, n_rows: int) -> Iterator[Batch]:
        """The rows of a stretch, which the file still holds."""
        number, start, stop = part
        X, y, *more = (_open(file)[start:stop] for file in self._files[number])
        weight = np.asarray(more[0], np.float64) if more else None
        yield Batch(X, y, weight, str(self._files[number][0]))


def _open(file: Path) -> np.ndarray:
    """An array that stays in its file.

    Raises
    ------
    ValueError
        If there is none in it.
    """
    try:
        return np.load(file, mmap_mode="r")
    except Exception as error:  # whatever the bytes are
        raise ValueError(
            f"{file} must hold an array of numbers as numpy.save writes it: {error}"
        ) from error


def _check(files, first):
    """See that files fit together, and to the first ones; returns their rows."""
    arrays = [_open(file) for file in files]
    X = arrays[0]
    if X.ndim != 2:
        raise ValueError(f"{files[0]} must have two dimensions, got {X.ndim}.")
    for file, array in zip(files[1:], arrays[1:], strict=True):
        if array.shape[:1] != X.shape[:1]:
            raise ValueError(
                f"{file} must have an entry for each of the {X.shape[0]} rows of "
                f"{files[0]}, got the shape {array.shape}."
            )
    for file, array, other in zip(files, arrays, first, strict=True):
        expected = _open(other).shape[1:]
        if array.shape[1:] != expected:
            raise ValueError(
                f"{file} has rows of the shape {array.shape[1:]}, and {expected} was "
                f"expected as in {other}."
            )
    return X.shape[0]
