"""Ctrl-C: whom it reaches, and what it must not come between."""

import signal
import threading
from contextlib import contextmanager
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


@contextmanager
def uninterrupted(when_asked=None):
    """Let Ctrl-C raise its error at the end of the block.

    Python raises it between any two steps of the main thread: between taking something
    and noting that it must be given back, too.

    Parameters
    ----------
    when_asked : callable, default=None
        Called at once, to bring the end nearer.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or (
        not callable(handler)  # ignored, or not Python's
    ):
        yield
        return
    received = []

    def receive(*arguments):
        received.append(arguments)
        if when_asked is not None:
            when_asked()

    signal.signal(signal.SIGINT, receive)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[0])


@contextmanager
def held(take, give):
    """Take something, and give it back at the end, whatever interrupts.

    Parameters
    ----------
    take, give : callable
        Called without arguments; what `take` returns is yielded.
    """
    holder = _Holder(give)
    try:
        with uninterrupted():
            taken, holder.holds = take(), True
        yield taken
    finally:
        holder.release()


class _Holder:
    """Gives back when it is told, or, where Ctrl-C came before that, when it goes."""

    holds = False

    def __init__(self, give):
        self._give = give

    def release(self):
        if not self.holds:
            return
        with uninterrupted():
            self.holds = False
            self._give()

    __del__ = release
