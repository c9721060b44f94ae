"""Turns between processes: one compiles, the others wait for its files.

A turn is a lock on a file in the cache's folder, which the system takes back when the
process ends, however it does. A process that waits looks for what it waits for, and
waits no longer than `PATIENCE` without anything coming: a process that is stopped, or
a lock on a network that is lost, costs that once, never a result. Where files cannot be
locked (Windows, a folder that cannot be written) nobody waits.
"""

import os
import time
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: Seconds to wait without a new file. The slowest kernel takes 2 on the CPU;
#: twelve processes on two processors that all compile made it 20.
PATIENCE = 20.0
#: Seconds between two looks; one takes some 50 microseconds.
POLL = 0.05

#: Whether this process has waited in vain; it waits no more.
_gave_up = False


@contextmanager
def turn(folder, name, wanted):
    """Wait until this process may compile, or need not.

    Parameters
    ----------
    folder : nnfit.cache.folder.Folder
    name : str
        Of what is compiled.
    wanted : list of str
        Files that are waited for.

    Yields
    ------
    is_alone : bool
        Whether no other process compiles this meanwhile.
    """
    handle = _acquired(folder, name + ".lock", wanted)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            with suppress(OSError):
                folder.remove(name + ".lock")
            os.close(handle)


def _acquired(folder, name, wanted):
    """Descriptor of the locked file; None if there is nothing to wait for any more."""
    global _gave_up
    missing, end = None, 0.0
    while True:
        try:
            handle = _try_to_lock(folder, name)
        except OSError:  # no such locks, or nothing can be written
            return None
        if handle is not None or _gave_up:
            return handle
        before, missing = missing, sum(not folder.has(file) for file in wanted)
        if not missing:
            return None
        if missing != before:
            end = time.monotonic() + PATIENCE
        elif time.monotonic() > end:
            _gave_up = True
            return None
        time.sleep(POLL)


def _try_to_lock(folder, name):
    """Descriptor of the locked file; None if another process has the lock."""
    if fcntl is None:
        raise OSError("no locks")
    while True:
        handle = folder.open(name, os.O_RDWR | os.O_CREAT)
        try:
            # Of the process: not inherited by a fork.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return handle
        except (BlockingIOError, PermissionError):  # held, as systems say it
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # removed by who had it; the next is another file
