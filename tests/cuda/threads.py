"""The threads of an emulated kernel, one running at a time.

Each is a thread of Python that holds a baton. It gives the baton away where threads of
a GPU meet or watch each other, `Threads.synchronize` and `Threads.pause`; who gets it
is drawn at random, from the same seed in every launch. So kernels are emulated without
races of Python's, faster than threads in competition would be; a missing barrier shows,
since some thread runs far ahead of the others; and a wait for nobody is an error.
"""

import random
import threading

import numpy as np

#: Turns in a row in which threads only watch, after which they watch in vain.
PATIENCE = 2_000
#: Threads of Python need little of their stack here, and there are many.
STACK_BYTES = 2**20


class Deadlock(AssertionError):
    """Threads wait for what cannot come."""


class Stopped(BaseException):
    """Ends a thread since another one failed."""


class Threads:
    """The threads of one launch, all alive at once.

    Parameters
    ----------
    works : list of callable
        What each does; called with this object.
    blocks : list of int
        The block of each.
    """

    def __init__(self, works, blocks):
        self.error = None
        self._random = random.Random(len(works))
        self._works = works
        self._blocks = blocks
        self._batons = [threading.Lock() for _ in works]
        self._end = threading.Lock()
        self._ready = list(range(len(works)))
        self._waiting = {block: [] for block in blocks}
        self._sizes = {block: blocks.count(block) for block in set(blocks)}
        self._current = None
        self._vain = 0

    def run(self):
        """Run all to their end; raises what one of them raised."""
        locks = [*self._batons, self._end]
        for lock in locks:
            lock.acquire()
        before = threading.stack_size(STACK_BYTES)
        try:
            threads = [
                threading.Thread(target=self._live, args=(number,), daemon=True)
                for number in range(len(self._works))
            ]
            for thread in threads:
                thread.start()
        finally:
            threading.stack_size(before)
        self._pass_on()
        self._end.acquire()
        for thread in threads:
            thread.join()
        if self.error is not None:
            raise self.error

    def synchronize(self):
        """Wait for all threads of the block."""
        number = self._current
        block = self._blocks[number]
        waiting = self._waiting[block]
        waiting.append(number)
        self._ready.remove(number)
        self._vain = 0
        if len(waiting) == self._sizes[block]:
            self._ready += waiting
            waiting.clear()
        self._give_away(number)

    def pause(self):
        """Let others run: the thread watches for something that they do."""
        self._vain += 1
        if self._vain > PATIENCE * len(self._works):
            raise Deadlock("All threads that still run watch for what does not come.")
        self._give_away(self._current)

    def progress(self):
        """Say that somebody may see now what it has watched for."""
        self._vain = 0

    def _live(self, number):
        self._batons[number].acquire()
        try:
            if self.error is None:
                with np.errstate(all="ignore"):
                    self._works[number](self)
        except Stopped:
            pass
        except BaseException as error:
            self.error = self.error or error
        self._leave(number)

    def _leave(self, number):
        self._ready.remove(number)
        self._vain = 0
        if self.error is not None:
            self._wake_all()
        self._pass_on()

    def _wake_all(self):
        """Let all others end, wherever they are."""
        for waiting in self._waiting.values():
            self._ready += waiting
            waiting.clear()

    def _give_away(self, number):
        self._pass_on()
        self._batons[number].acquire()
        if self.error is not None:
            raise Stopped

    def _pass_on(self):
        if not self._ready and any(self._waiting.values()):
            self.error = Deadlock(
                "Threads wait in syncthreads for others of their block, which have "
                "ended or will not come."
            )
            self._wake_all()
        if self._ready:
            self._current = self._random.choice(self._ready)
            self._batons[self._current].release()
        else:
            self._end.release()
