"""Threads that work off a queue, where there may be fewer than are asked for."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

#: What a thread that cannot be started raises.
NO_THREAD = (RuntimeError, MemoryError)


class Pool(ThreadPoolExecutor):
    """Its threads do the work of those that the system does not start."""

    def _adjust_thread_count(self):
        if not self._threads:
            super()._adjust_thread_count()
            return
        with suppress(*NO_THREAD):
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
