"""What gives rows batch by batch, again and again, and the files of some."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from nnfit.batches.rows import Batch

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Source(ABC):
    """Rows in parts that can be read in any order; base of the sources of files.

    Attributes
    ----------
    name : str
        As messages call it.
    reading_bytes : int
        Memory that a read takes beside the rows that it gives.
    """

    name: str
    reading_bytes: int = 0

    @abstractmethod
    def parts(self, n_rows: int) -> list[Any]:
        """What `read` takes, in the order of the rows; each some `n_rows` or more."""

    @abstractmethod
    def read(self, part: Any, n_rows: int) -> Iterator[Batch]:
        """The rows of a part in batches, of about `n_rows` where it can choose."""


def files_of(paths, suffix):
    """Files of a path, a folder, a pattern or a list of these, in order.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    if not isinstance(paths, str | os.PathLike):
        return [file for path in paths for file in files_of(path, suffix)]
    path = Path(paths)
    if path.is_dir():
        found = sorted(each for each in path.rglob(f"*{suffix}") if each.is_file())
        # Such as those of unfinished writes.
        found = [
            each
            for each in found
            if not any(
                part.startswith(("_", ".")) for part in each.relative_to(path).parts
            )
        ]
    elif path.exists():
        found = [path]
    else:
        pattern = path.relative_to(path.anchor) if path.anchor else path
        found = sorted(Path(path.anchor).glob(str(pattern)))
    if not found:
        raise FileNotFoundError(
            f"{str(paths)!r} must be a {suffix} file, a folder or a pattern of them, "
            "and none was found."
        )
    return found
