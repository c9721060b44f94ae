"""How many threads the next call uses: all of them, or one where that is better.

Threads exchange weights and activations after every batch. Whether they gain
more than that costs depends on the network, on how near to one another the
processors are (between two that share no cache, an exchange took five times as
long) and on what else the machine does. So it is measured. Results do not depend
on the number of threads.
"""

import math
import time
from weakref import WeakKeyDictionary

#: Seconds of one call of compiled code.
CALL_SECONDS = 0.1
#: Least seconds and batches of a call that tries a number of threads. In that time
#: threads that get in each other's way leave one alone: after 2 ms of waiting, and in
#: large networks after that of four batches (`nnfit.cpu.kernels.threads`).
TRIAL_SECONDS, TRIAL_BATCHES = 0.005, 12
#: Pause before the slower number is tried again, in times of a trial: the first, and
#: the longest, as it doubles while the number stays slower. By whether several threads
#: are tried: they mostly lose by interruptions, which last milliseconds, and at most 3
#: percent of the time goes into trying them. One thread gains where several do not wait
#: for each other and yet lose, which comes and goes more slowly.
PAUSES = {True: (1, 32), False: (40, 640)}
#: Of trainings that go on from call to call: what the choice was for, and the choice.
_of_trainings = WeakKeyDictionary()


def choice_of(training, n_threads, worthwhile, work):
    """Return the choice of a training, with what its earlier calls have measured.

    A call of ``partial_fit`` may be over before both numbers of threads are tried.

    Parameters
    ----------
    training : object
        The same one in all calls.
    n_threads : int
    worthwhile : float
        Of `ThreadChoice`.
    work : tuple
        What is done; the choice begins anew where it changes.

    Returns
    -------
    ThreadChoice
    """
    key = n_threads, worthwhile, work
    known, choice = _of_trainings.get(training, (None, None))
    if known != key:
        choice = ThreadChoice(n_threads, worthwhile)
        _of_trainings[training] = key, choice
    return choice


class ThreadChoice:
    """Choice between all threads and one, from call to call.

    Parameters
    ----------
    n_threads : int
    worthwhile : float
        The share of one thread's time that several may take. With infinity it is one
        thread only for a time after several have got in each other's way.
    """

    def __init__(self, n_threads, worthwhile):
        self._has_choice = n_threads > 1
        self._worthwhile = worthwhile
        self._choose = worthwhile < math.inf
        # What is tried first: one thread, unless it is to be clearly the faster one.
        self._order = (False, True) if worthwhile < 1.0 else (True, False)
        # Seconds a batch by whether several threads ran; inf if they gave up. One
        # thread that shall not be chosen for its speed counts as infinitely slow.
        self._rates = {} if self._choose else {False: math.inf}
        self._preferred = None
        self._trial = TRIAL_SECONDS
        self._since = self._until = -math.inf  # it is preferred, and not questioned
        self._pauses = {False: 0.0, True: 0.0}  # seconds, by what is tried after them

    def next_call(self):
        """Decide on the next call.

        Returns
        -------
        several : bool
            Whether to use all threads.
        seconds : float
            How long the call should take.
        """
        if not self._has_choice:
            return False, CALL_SECONDS
        for several in self._order:
            if several not in self._rates:
                return several, self._trial
        if self._preferred and not self._choose:
            return True, CALL_SECONDS
        left = self._until - time.perf_counter()
        if left > 0:
            return self._preferred, min(max(left, TRIAL_SECONDS), CALL_SECONDS)
        return not self._preferred, self._trial

    def record(self, several, seconds, batches, gave_up):
        """Take account of a call.

        Parameters
        ----------
        several : bool
        seconds : float
        batches : int
            What it has taken and done.
        gave_up : bool
            Whether the threads left one of them alone, see
            `nnfit.cpu.kernels.threads`.
        """
        trial = max(TRIAL_SECONDS, TRIAL_BATCHES * seconds / batches)
        self._trial = min(trial, CALL_SECONDS)
        if several or self._choose:
            self._rates[several] = math.inf if gave_up else seconds / batches
        if len(self._rates) < 2:
            return
        preferred = self._rates[True] < self._worthwhile * self._rates[False]
        if preferred == self._preferred == several:
            return
        now, tried = time.perf_counter(), not preferred
        first, longest = PAUSES[tried]
        pause = self._pauses[tried]
        in_vain = preferred == self._preferred or now - self._since < pause
        if in_vain:
            pause = min(2 * max(pause, seconds), longest * seconds)
        else:
            pause = first * self._trial
        if preferred != self._preferred:
            self._preferred, self._since = preferred, now
        self._pauses[tried], self._until = pause, now + pause
