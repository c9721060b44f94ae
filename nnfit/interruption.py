"""Stopping fits that run in other threads than the one that Ctrl-C reaches."""

import threading
from contextvars import ContextVar


class Abandoned(BaseException):
    """Ends a fit whose outcome nobody waits for any more; only threads see it."""


class Interruption(threading.Event):
    """What one thread sets to interrupt fits in others.

    Parameters
    ----------
    error : type, default=KeyboardInterrupt
        What they raise: a `KeyboardInterrupt`, which keeps what they have learnt, or
        `Abandoned`, which ends them without a word.
    """

    def __init__(self, error=KeyboardInterrupt):
        super().__init__()
        self.error = error


#: The Interruption in the context of a fit that somebody else may interrupt.
interrupted_by = ContextVar("interrupted_by", default=None)


def check_interruption():
    """Raise the error of the interruption that another thread has received."""
    interruption = interrupted_by.get()
    if interruption is not None and interruption.is_set():
        raise interruption.error
