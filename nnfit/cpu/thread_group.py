"""Python threads that run compiled code together, for the time of one fit."""

import threading
from queue import SimpleQueue

from nnfit.cpu.placement import Places
from nnfit.interruption import uninterrupted


class ThreadGroup:
    """Threads that call the same function at the same time.

    They start at the first call and sleep between two. In a call they begin on
    processors of their own, if there are enough. A group must be closed. A thread that
    cannot be started makes the group smaller, for good.

    Parameters
    ----------
    size : int
        Number of threads, the calling one included.

    Attributes
    ----------
    size : int
    """

    def __init__(self, size):
        self.size = size
        self._members = None

    def start(self):
        """Start the threads if they do not run yet; return how many there are."""
        if self._members and not all(m.thread.is_alive() for m in self._members):
            self._members = None  # this process is a fork, which has no other thread
        if self._members is None:
            self._members = []
            try:
                while len(self._members) + 1 < self.size:
                    with uninterrupted():
                        self._members.append(_Member())
            except (RuntimeError, MemoryError):  # "can't start new thread"
                self.size = len(self._members) + 1
        return self.size

    def run(self, function, abort):
        """Call ``function(number)`` on every thread and wait for all.

        Parameters
        ----------
        function : callable
            Takes the number of the thread, 0 for the calling one. Its calls may
            wait for each other. It keeps alive what it works on.
        abort : callable
            Takes nothing; makes calls return that wait for one that never comes.
        """
        places = Places()
        places.take(move=False)  # the caller's affinity is not ours to touch

        def begin(number):
            places.take()
            function(number)

        try:
            # All begin, or some would wait for the others for ever.
            with uninterrupted(abort):
                for number, member in enumerate(self._members, start=1):
                    member.work.put((begin, number, abort))
                function(0)
                for member in self._members:
                    member.raise_result()
        except BaseException:  # Ctrl-C at any point, an error of a thread
            abort()
            self.close()
            raise

    def close(self):
        """End the threads, as soon as they have returned."""
        members, self._members = self._members or (), None
        for member in members:
            member.end()
        for member in members:
            member.thread.join()


class _Member:
    """A thread that does what comes through `work` and says so in `results`.

    The thread does not hold the member, so that it ends with it: also where Ctrl-C came
    before anybody could tell it to.
    """

    def __init__(self):
        self.work, self.results = SimpleQueue(), SimpleQueue()
        # A daemon: nobody's fit shall keep a process from ending.
        self.thread = threading.Thread(
            target=_serve, args=(self.work, self.results), name="nnfit", daemon=True
        )
        self.thread.start()

    def end(self):
        """Let the thread end when it has done what it was given."""
        self.work.put(None)

    __del__ = end

    def raise_result(self):
        """Wait for the end of the work, and raise its error if it has failed."""
        error = self.results.get()
        try:
            if error is not None:
                raise error
        finally:
            del error  # which holds this frame


def _serve(work, results):
    while (item := work.get()) is not None:
        function, number, abort = item
        error = None
        try:
            function(number)
        except BaseException as raised:
            abort()
            # Without the frames of this thread, which hold the queue that it is in.
            error = raised.with_traceback(raised.__traceback__.tb_next)
        results.put(error)
        del item, function, abort, error  # and with them the arrays of the last call
