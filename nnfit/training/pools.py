"""A pool of threads that also works if the system starts fewer than asked for."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from nnfit.interruption import uninterrupted

#: What a thread that cannot be started raises.
NO_THREAD = (RuntimeError, MemoryError)
#: Seconds between attempts to start the first thread of a pool. The thread of
#: `can_start_threads` gives its stack back a little after it has ended, and a limit of
#: memory may leave room for no other (in 1 of 60 fits of ensembles with 1 to 60 MB).
PAUSES = (0.001, 0.01, 0.1)


class Pool(ThreadPoolExecutor):
    """A pool whose threads do the work of threads that the system does not start."""

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
        """Start a thread and note it in one piece, or nobody would wait for its end."""
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
