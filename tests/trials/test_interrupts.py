"""Ctrl-C at any moment: an estimator as it was, or fitted; nothing is left behind."""

import signal
import sys
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from nnfit.training import threads
from tests.trials.fits import DENSE, FITS, digest, fit, prepare
from tests.trials.workers import Worker

#: Seconds until threads that have been told to end must have.
GRACE = 5.0


def control_c(frame):
    """What Python does when it sees Ctrl-C, which nnfit may be putting off."""
    signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)


class AtPlace:
    """Ctrl-C at one of the places where Python looks for it in a thread.

    These are the beginning of a Python function, the end of a compiled one, and the
    end of a loop's body, which is left out.

    Parameters
    ----------
    number : int

    Attributes
    ----------
    count : int
        Places that were passed.
    """

    def __init__(self, number):
        self.number, self.count = number, 0

    def __call__(self, frame, event, argument):
        if event in ("call", "c_return"):
            self.count += 1
            if self.count == self.number:
                sys.setprofile(None)
                control_c(frame)

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *exception):
        sys.setprofile(None)


class AtTime:
    """Ctrl-C after some seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        signal.signal(signal.SIGALRM, lambda number, frame: control_c(frame))
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *exception):
        signal.setitimer(signal.ITIMER_REAL, 0)


def count_places(*options):
    """Places and seconds of a fit, which has run before."""
    fit(*options)
    _, train = prepare(*options)
    started = time.perf_counter()
    train()
    seconds = time.perf_counter() - started
    _, train = prepare(*options)
    with AtPlace(0) as places:
        train()
    return places.count, seconds


def surroundings():
    """What a fit changes in its process and puts back."""
    return {
        "threads of BLAS": [info["num_threads"] for info in threadpool_info()],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "reserved threads": threads._taken,
        "filters of warnings": len(warnings.filters),
    }


def interrupt(interruption, moment, expected, *options):
    """How a fit ended that was interrupted, and what was wrong."""
    model, train = prepare(*options)
    before, state = surroundings(), joblib.hash(vars(model))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        how = "fitted"
        try:
            with interruption(moment):
                train()
        except KeyboardInterrupt:
            how = "interrupted"
    told = any("interrupted by user" in str(warning.message) for warning in caught)
    problems = []
    if how == "fitted" and told:
        how = "fitted, with a warning"
        if not np.isfinite(np.asarray(model.predict(DENSE), float)).all():
            problems.append("predictions are not finite")
    elif how == "fitted" or joblib.hash(vars(model)) != state:
        # Where Ctrl-C came when all was done, the fit is complete.
        try:
            assert digest(model) == expected
        except Exception as error:
            problems.append(f"half a fit: {error!r}")
    end = time.monotonic() + GRACE
    while (after := surroundings()) != before and time.monotonic() < end:
        time.sleep(0.01)
    problems += [
        f"{k}: {v} were {before[k]}" for k, v in after.items() if v != before[k]
    ]
    if fit(*options) != expected:
        problems.append("the next fit has other bits")
    return how, problems


def moments_of(kind, rng, places, seconds, count):
    """Random moments of a fit, the last ones perhaps after its end."""
    if kind is AtPlace:
        return [int(number) for number in rng.integers(1, places + 1, size=count)]
    return [float(moment) for moment in rng.uniform(1e-4, 1.1 * seconds, size=count)]


@pytest.mark.parametrize(
    ("interruption", "n_jobs", "epochs"),
    [(AtPlace, 2, 2), (AtTime, 2, 300)],
    ids=["place", "time"],
)
def test_interrupts(trial, interruption, n_jobs, epochs):
    count = trial.rounds(full=100, fewest=2)
    ends, failed = {}, []
    with Worker(OPENBLAS_NUM_THREADS=2) as worker:
        for name in FITS:
            options = name, n_jobs, epochs
            expected = worker.call(fit, *options).result()
            measured = worker.call(count_places, *options).result()
            for moment in moments_of(interruption, trial.rng, *measured, count):
                arguments = interruption, moment, expected, *options
                outcome = worker.call(interrupt, *arguments, limit=60)
                how, problems = outcome.kind, [outcome.text]
                if outcome.kind == "returned":
                    how, problems = outcome.value
                ends[how] = ends.get(how, 0) + 1
                if problems:
                    failed.append(f"{name}, {moment} of {measured}: {how} {problems}")
    trial.figure(
        f"Ctrl-C at {count} moments of each of {len(FITS)} fits: {ends}, "
        f"{len(failed)} of them wrong"
    )
    assert not failed, "\n".join(failed)
