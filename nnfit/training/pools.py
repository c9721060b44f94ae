"""Threads that work off a queue, where there may be fewer than are asked for."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from nnfit.interruption import uninterrupted

#: What a thread that cannot be started raises.
NO_THREAD = (RuntimeError, MemoryError)
#: Seconds between attempts to start the first thread of a pool: that of
#: `can_start_threads` gives its stack back a little after it has ended, and under a
#: limit of memory there may be no other (1 in 60 fits of ensembles with 1 to 60 MB).
PAUSES = (0.001, 0.01, 0.1)


class Pool(ThreadPoolExecutor):
    """Its threads do the work of those that the system does not start."""

    def _adjust_thread_count(self):
        if self._threads:
            with suppress(*NO_THREAD):
                self._start_one()
            return
        for pause in PAUSES:
            with suppress(*NO_THREAD):
                return self._start_one()
            time.sleep(pause)
        self._start_one()

    def _start_one(self):
        """Start a thread and note it, or nobody would wait for its end."""
        with uninterrupted():
            super()._adjust_thread_count()


def can_start_threads():
    """Whether the system starts another thread for this process."""
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except NO_THREAD:
        return False
    thread.join()
    return True
