"""Which source it is that a user gives."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from nnfit.batches.parquet import ParquetSource
from nnfit.batches.rows import batch_of
from nnfit.batches.sources import Source


class CallableSource(Source):
    """A function that returns a fresh iterator of ``(X, y[, sample_weight])``."""

    def __init__(self, function):
        self.function = function
        self.name = f"{getattr(function, '__qualname__', type(function).__name__)}()"

    def parts(self, n_rows):
        """One, since the function has the order."""
        return [None]

    def read(self, part, n_rows):
        """Batches as the function gives them."""
        given = self.function()
        if not isinstance(given, Iterable):
            raise TypeError(
                f"{self.name} must return an iterator of (X, y) or (X, y, "
                f"sample_weight), got {type(given).__name__}."
            )
        for number, batch in enumerate(given):
            yield batch_of(batch, f"batch {number} of {self.name}")


def as_source(given, target=None):
    """A `Source` of what a user passes.

    Parameters
    ----------
    given : Source, path or callable
    target : str, list of str or None
        Column of the targets, where `given` is a path.

    Raises
    ------
    TypeError
        If it can be read once only, or is something else.
    ValueError
        If `target` is missing, or has no meaning.
    """
    if isinstance(given, str | os.PathLike):
        if Path(given).suffix == ".npy":
            raise ValueError(
                f"source={str(given)!r} holds an array, and targets are needed too. "
                "Pass nnfit.batches.NpySource(X, y), of paths."
            )
        if target is None:
            raise ValueError(
                f"source={str(given)!r} needs target, the name of the column of y."
            )
        return ParquetSource(given, target)
    if target is not None:
        raise ValueError(
            f"target names a column of the Parquet files of a path, got {target!r} and "
            f"a source of the type {type(given).__name__}. Leave it out."
        )
    if isinstance(given, Source):
        return given
    if isinstance(given, Iterator):
        raise TypeError(
            f"source must be read in every epoch, got a {type(given).__name__}, which "
            "is used up after one. Pass the function that makes it, which is called "
            "without arguments."
        )
    if not callable(given):
        raise TypeError(
            "source must be a path, a source of nnfit.batches, or a callable that "
            f"returns an iterator of (X, y), got {type(given).__name__}."
        )
    return CallableSource(given)
