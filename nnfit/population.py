"""Fits of many threads wait for each other, and a GPU trains their networks together.

A small network fills one multiprocessor of a GPU and leaves the others idle. The fits
of a search or the members of an ensemble each run in a thread, as they would alone, and
each calls its engine's ``train`` for a tenth of a second at a time. Inside `population`
those calls wait for each other: one thread launches the networks of all that wait.

An engine takes part through what `join` returns, inside a population or not::

    class Engine:
        def __init__(self, ...):
            self._member = population.join()

        def train(self, max_epochs, seconds=math.inf):
            return self._member.train(self, run_together, max_epochs, seconds)

        def close(self):
            self._member.leave()

``begin(max_epochs, seconds)`` and ``finish()``, which returns the curves, are called in
the fit's own thread, ``run_together(engines)`` in that of one of them. It gets engines
whose ``group`` is equal, a hashable value that tells what can share a launch.
"""

import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from weakref import WeakValueDictionary

from nnfit.interruption import check_interruption

#: Engines that are there at once, each with weights, moments and activations on the
#: device, and a thread of its own. Further ones wait for one to leave.
MOST_AT_ONCE = 256
#: Seconds that the first call waits for the others. It is little of a launch's tenth
#: of a second, and tens of engines come back in it from the launch before. Engines that
#: are missing then predict or are being prepared; their launch runs beside this one.
PATIENCE = 0.005
#: The group of an engine that has not trained yet.
UNKNOWN = object()

_current = ContextVar("population", default=None)


@contextmanager
def population():
    """Let engines that are created inside share launches.

    This includes engines of threads that run in a copy of the context. Inside of
    another population it is that one.
    """
    token = _current.set(_current.get() or Population())
    try:
        yield
    finally:
        _current.reset(token)


def join():
    """Return what a new engine trains through: a member of the population, if any.

    In a population that is full it waits until a member leaves. A thread must have one
    engine at a time, or it might wait for itself.
    """
    current = _current.get()
    return Alone() if current is None else Member(current)


def shared_upload(array, upload, place=0):
    """Return a device's copy of an array, one for all equal arrays of a population.

    The fits of a fold have equal rows, each in an array of its own. Outside of a
    population every call makes a copy.

    Parameters
    ----------
    array : ndarray
        C-contiguous.
    upload : callable
        Takes the array and returns its copy on the device, when that is complete. The
        copy must allow weak references, for it lives as long as a fit holds it.
    place : hashable, default=0
        Of the copy: the number of the device.
    """
    current = _current.get()
    return upload(array) if current is None else current.upload(array, upload, place)


class Alone:
    """An engine outside of a population: every call is a launch."""

    def train(self, engine, run_together, max_epochs, seconds):
        """Begin, run and finish."""
        engine.begin(max_epochs, seconds)
        run_together([engine])
        return engine.finish()

    def leave(self):
        """Nobody waits."""


class Member:
    """An engine in a population, from its creation until `leave`."""

    def __init__(self, population):
        self.group = UNKNOWN
        self.is_awaited = False
        self._population = population
        population.admit(self)

    def train(self, engine, run_together, max_epochs, seconds):
        """Begin, wait for the others, run with them, and finish.

        Raises
        ------
        BaseException
            What ``begin``, ``finish`` or the launch has raised. After the error of an
            interruption of its fit the engine has begun and not run.
        """
        engine.begin(max_epochs, seconds)
        self._population.run_with_group(self, engine, run_together)
        return engine.finish()

    def leave(self):
        """Let the others no longer wait for it; a call of `train` brings it back."""
        self._population.exit(self)

    def __del__(self):
        # This may interrupt another member in the same thread, which may hold the lock.
        if self.is_awaited:
            self._population.lost.append(self.group)


class Population:
    """Networks that train at the same time, and the copies of data they share.

    Attributes
    ----------
    lost : deque
        Groups of members that have been forgotten without leaving.
    """

    def __init__(self):
        self.lost = deque()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._n_awaited = Counter()  # members that are not in a launch, by group
        self._n_running = 0  # those that are
        self._next_launches = {}
        self._buffers = WeakValueDictionary()
        self._uploading = {}

    # ------------------------------------------------------------- who is there

    def admit(self, member):
        """Let the others wait for a new member, as soon as there is room for it."""
        with self._lock:
            while self._n_awaited.total() + self._n_running >= MOST_AT_ONCE:
                self._room.wait(0.1)
                self._forget_lost()
                check_interruption()
            self._expect(member, UNKNOWN)

    def exit(self, member):
        """Let the others no longer wait for a member."""
        with self._lock:
            self._expect(member, None)
            self._room.notify()

    def _forget_lost(self):
        while self.lost:
            self._n_awaited[self.lost.popleft()] -= 1

    def _expect(self, member, group):
        """Let only this group wait for a member; None for no group."""
        if member.is_awaited:
            if member.group == group:
                return
            member.is_awaited = False
            self._n_awaited[member.group] -= 1
            # All groups have waited for a member whose group was unknown.
            wakes = [member.group]
            if member.group is UNKNOWN:
                wakes = list(self._next_launches)
            for key in wakes:
                self._wake_if_complete(key)
        if group is not None:
            member.group, member.is_awaited = group, True
            self._n_awaited[group] += 1

    def _is_complete(self, group):
        self._forget_lost()
        awaited = self._n_awaited[group] + self._n_awaited[UNKNOWN]
        return len(self._next_launches[group].calls) >= awaited

    def _wake_if_complete(self, group):
        if group in self._next_launches and self._is_complete(group):
            self._next_launches[group].changed.notify()

    # ---------------------------------------------------------------- launching

    def run_with_group(self, member, engine, run_together):
        """Wait for the group's other calls; one of their threads then runs them all."""
        call, group = _Call(member, engine), engine.group
        with self._lock:
            self._expect(member, group)
            if group not in self._next_launches:
                self._next_launches[group] = _NextLaunch(self._lock)
            launch = self._next_launches[group]
            launch.add(call)
            self._wake_if_complete(group)
        try:
            call.woken.wait()
        except BaseException:  # Ctrl-C, in the main thread
            if not self._withdraw(launch, call):
                call.woken.wait()
            raise
        if call.keeps_time:
            self._launch(launch, group, call, run_together)
        call.raise_error()

    def _withdraw(self, launch, call):
        """Take a call back; False if it has been launched."""
        with self._lock:
            return launch.remove(call)

    def _launch(self, launch, group, call, run_together):
        """Wait for the others, then run all."""
        try:
            with self._lock:
                while (left := launch.seconds_left()) > 0:
                    if self._is_complete(group):
                        break
                    launch.changed.wait(left)
            check_interruption()
        except BaseException:
            self._withdraw(launch, call)
            raise
        with self._lock:
            calls, launch.calls = launch.calls, []
            for each in calls:
                self._expect(each.member, None)
            self._n_running += len(calls)
        try:
            run_together([each.engine for each in calls])
        except BaseException as error:
            for each in calls:
                each.error = error
        with self._lock:
            self._n_running -= len(calls)
            for each in calls:
                self._expect(each.member, group)
        for each in calls:
            each.woken.set()

    # --------------------------------------------------------------- their data

    def upload(self, array, upload, place):
        """See `shared_upload`."""
        digest = blake2b(array, digest_size=16).digest()
        key = (place, array.shape, array.dtype.str, digest)
        with self._lock:
            uploading = self._uploading.setdefault(key, threading.Lock())
        with uploading:  # others that need the same copy wait for the first
            buffer = self._buffers.get(key)
            if buffer is None:
                buffer = self._buffers[key] = upload(array)
        return buffer


class _Call:
    """One call of ``train`` that waits for its launch."""

    def __init__(self, member, engine):
        self.member = member
        self.engine = engine
        self.error = None
        self.keeps_time = False
        self.woken = threading.Event()

    def raise_error(self):
        """Raise the launch's error, if there is one, and forget it.

        An error holds the frames that it has passed. If one of them held the error,
        their arrays would stay until Python's collector comes.
        """
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error


class _NextLaunch:
    """Calls of one group that wait to be launched together.

    All of it is used under the lock. The first call keeps the time for all: if hundreds
    of threads woke up every few milliseconds, they would leave no time to the fits that
    are still on their way.
    """

    def __init__(self, lock):
        self.changed = threading.Condition(lock)
        self.calls = []
        self._deadline = 0.0

    def add(self, call):
        """Add a call; the first of them keeps the time."""
        self.calls.append(call)
        if len(self.calls) == 1:
            self._deadline = time.perf_counter() + PATIENCE
            self._let_keep_time(call)

    def remove(self, call):
        """Remove a call, and let another keep the time; False if it was launched."""
        if call not in self.calls:
            return False
        self.calls.remove(call)
        if call.keeps_time and self.calls:
            self._let_keep_time(self.calls[0])
        return True

    def seconds_left(self):
        """Until a launch without those that are missing."""
        return self._deadline - time.perf_counter()

    @staticmethod
    def _let_keep_time(call):
        call.keeps_time = True
        call.woken.set()
