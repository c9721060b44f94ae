"""Files of checkpoints: arrays and JSON in NumPy's npz format, written atomically.

Nothing in them is run: they are read without pickles. Their parts have check sums, so a
damaged file is noticed.
"""

import json
import os
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np

SUFFIX = ".npz"
#: Entry of the file that holds what is no array, as JSON.
HEADER = "nnfit"
#: Changes with what the files hold.
FORMAT = 1


class NotACheckpoint(ValueError):
    """A file that cannot be read as a checkpoint."""


def is_file_name(path):
    """Whether a path names a single file, and not a folder of them."""
    return Path(path).suffix == SUFFIX and not Path(path).is_dir()


def write(path, header, arrays):
    """Write a file that is at any moment the old one or the new one.

    Parameters
    ----------
    path : Path
    header : dict
        Of what JSON has.
    arrays : dict of ndarray

    Raises
    ------
    OSError
        If it cannot be written; the old file is still there.
    """
    text = json.dumps({"format": FORMAT, **header})
    entries = {HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    with replacing(path) as file:
        np.savez(file, **entries)


@contextmanager
def replacing(path):
    """Open a file for bytes that takes the place of another when it is whole.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        If it cannot be written; the old file is still there.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder):
    """Have the new name on the disk, where folders can be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(path):
    """Remove what processes left that were killed while they wrote a file."""
    for left in path.parent.glob(f"{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def read(path):
    """Header and arrays of a file.

    Raises
    ------
    NotACheckpoint
        If it is damaged or something else.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as entries:
            arrays = {name: entries[name] for name in entries.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
        version = header["format"]
    except Exception as error:  # whatever the bytes are
        raise NotACheckpoint(
            f"{path} is no checkpoint of nnfit, or a damaged one. Delete it to start "
            "anew, or pass the path that Checkpoint has written."
        ) from error
    if version != FORMAT:
        raise NotACheckpoint(
            f"{path} is a checkpoint of the format {version}, and this version of "
            f"nnfit reads the format {FORMAT}. Resume with the version that wrote it."
        )
    return header, arrays
