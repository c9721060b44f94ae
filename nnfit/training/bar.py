"""A bar that shows how many of some tasks are done."""

import sys
import threading
import time

from nnfit.training.reporting import SPACING, duration

WIDTH = 30
#: Parts of the whole, each of which is a line where lines cannot be overwritten.
LINES = 10


class Bar:
    """Prints how many tasks are done, and the time that the others will take.

    On a terminal a line is overwritten, at most five times a second; in a notebook or a
    file a line is added for every tenth of the tasks, at most five a second.

    Parameters
    ----------
    what : str
        Of which there are several, "fits".
    total : int or None, default=None
        How many, if it is known.
    """

    def __init__(self, what, total=None):
        self.what, self.total = what, total
        self._done, self._told, self._next = 0, -1, 0.0
        self._lock, self._started = threading.Lock(), time.perf_counter()
        self._overwrites = sys.stdout.isatty()

    def advance(self):
        """Count a task that is done, in any thread."""
        with self._lock:
            self._done += 1
            now = time.perf_counter()
            if now >= self._next and self._is_news():
                self._next = now + SPACING
                self._print(now)

    def end(self):
        """Leave the last state on the screen."""
        with self._lock:
            if self._told != self._done:
                self._print(time.perf_counter())
            if self._overwrites:
                print(flush=True)

    def _is_news(self):
        if self._overwrites or self.total is None:
            return True
        return self._done * LINES // self.total > self._told * LINES // self.total

    def _print(self, now):
        self._told, spent = self._done, now - self._started
        text = f"{self._done} {self.what} in {duration(spent)}"
        if self.total is not None:
            full = min(WIDTH, WIDTH * self._done // self.total)
            left = spent / max(1, self._done) * (self.total - self._done)
            text = (
                f"[{'#' * full}{'.' * (WIDTH - full)}] {self._done} of {self.total} "
                f"{self.what}, {duration(left)} left"
            )
        end = "" if self._overwrites else "\n"
        print(f"\r{text:<75}" if self._overwrites else text, end=end, flush=True)
