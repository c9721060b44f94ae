"""Threads of one call on processors of their own, where the system puts them together.

A thread that wakes another waits for it soon, so systems like to leave both on one
processor, and some pack what is awake on few. Threads of nnfit then take turns: on a
virtual machine with two processors, both threads of every call of 'digits' began and
ended on the same one while the other was idle. A thread that may not use its processor
leaves it at once, and does not come back when it may use all again.
"""

import ctypes
import os
from contextlib import suppress


def _find_processor():
    """The C library's ``sched_getcpu``, or None where a thread cannot be moved."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    # PyDLL, which keeps Python's lock: the call takes less than giving the lock away.
    return getattr(ctypes.PyDLL(None), "sched_getcpu", None)


_processor = _find_processor()


class Places:
    """The processors on which the threads of one call begin."""

    def __init__(self):
        self._taken = set()

    def take(self, move=True):
        """Note the calling thread's processor; if another has it, move to a free one.

        Parameters
        ----------
        move : bool
            Whether the thread may be moved. Its affinity is as before afterwards, but a
            signal's exception could come in between in Python's main thread.
        """
        if _processor is None:
            return
        if move and _processor() in self._taken:
            with suppress(OSError):  # a sandbox may forbid it
                _leave(self._taken)
        self._taken.add(_processor())


def _leave(processors):
    """Move the calling thread to others, and let it use all it could use before."""
    usable = os.sched_getaffinity(0)
    others = usable - processors
    if others:
        try:
            os.sched_setaffinity(0, others)
        finally:
            os.sched_setaffinity(0, usable)
