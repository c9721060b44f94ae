"""Stopping fits that run in other threads than the one that Ctrl-C reaches."""

from contextvars import ContextVar

#: A threading.Event in the context of a fit that somebody else may interrupt.
interrupted_by = ContextVar("interrupted_by", default=None)


def check_interruption():
    """Raise the KeyboardInterrupt that another thread has received for this one."""
    event = interrupted_by.get()
    if event is not None and event.is_set():
        raise KeyboardInterrupt
