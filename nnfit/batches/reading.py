"""A thread that reads ahead of the one that computes."""

import contextvars
import queue
import threading

from sklearn import config_context, get_config

from nnfit.interruption import check_interruption
from nnfit.training.pools import NO_THREAD


class Ahead:
    """An iterator whose next item is made by a thread, while the last one is in use.

    It is begun when `go_on` is called, so that the user of the last two can give one of
    them up before. Where no thread can be started, items are made when they are asked
    for.

    Parameters
    ----------
    items : generator
        Closed by `close`, or at its end, in the thread.
    """

    def __init__(self, items):
        self._items, self._made = items, queue.SimpleQueue()
        self._wanted, self._is_closed = threading.Semaphore(1), False
        run, config = contextvars.copy_context().run, get_config()
        self._thread = threading.Thread(
            target=run, args=(self._work, config), name="nnfit-reader", daemon=True
        )
        try:
            self._thread.start()
        except NO_THREAD:
            self._thread = None

    def _work(self, config):
        try:
            with config_context(**config):  # each thread has its own
                while self._is_wanted():
                    self._made.put((next(self._items), None))
                self._items.close()
        except BaseException as error:  # the other thread raises it, StopIteration too
            self._made.put((None, error))

    def _is_wanted(self):
        """Wait until there is room for an item."""
        self._wanted.acquire()
        return not self._is_closed

    def __iter__(self):
        return self

    def __next__(self):
        if self._thread is None:
            return next(self._items)
        while True:
            try:
                # In Windows Ctrl-C does not end a wait without a time limit.
                item, error = self._made.get(timeout=0.1)
                break
            except queue.Empty:
                check_interruption()
        if error is not None:
            try:
                raise error
            finally:  # an error must not hold the frame that holds it
                del error
        return item

    def go_on(self):
        """Let the next item be made."""
        self._wanted.release()

    def close(self):
        """End the thread when its item is made, which is thrown away."""
        self._is_closed = True
        self._wanted.release()
        if self._thread is None:
            self._items.close()
        else:
            self._thread.join()
        self._made = queue.SimpleQueue()
