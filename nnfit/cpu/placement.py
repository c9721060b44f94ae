"""Threads of one call on processors of their own, where the system puts them together.

A thread that wakes another waits for it soon, so systems like to leave both on one
processor, and some pack what is awake on few. Threads of nnfit then take turns: on a
virtual machine with two processors, both threads of every call of 'digits' began and
ended on the same one while the other was idle. A thread that may use one processor
only moves there at once, and stays when it may use all again.
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
        here = _processor()
        if here in self._taken and move:
            with suppress(OSError):  # a sandbox may forbid it
                usable = os.sched_getaffinity(0)
                free = usable - self._taken
                if free:
                    here = min(free)
                    self._taken.add(here)  # before others look, as moving takes a while
                    _move(here, usable)
        self._taken.add(here)


def _move(processor, usable):
    """Move the calling thread, and let it use all it could use before."""
    try:
        os.sched_setaffinity(0, {processor})
    finally:
        os.sched_setaffinity(0, usable)
