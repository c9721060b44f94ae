"""Processes that are killed: others go on, with the same bits, and nobody waits."""

import os
import shutil
import signal
import threading
import time
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from sklearn.model_selection import GridSearchCV

from nnfit import MLPClassifier
from nnfit.cache.folder import cache_folder
from tests.trials.fits import DENSE, FITS, LABELS, fit
from tests.trials.workers import Worker, group

#: Seconds until a process must have ended whose parent was killed.
GRACE = 10.0


def ends(leader):
    """Whether the processes that a killed one has started end by themselves."""
    end = time.monotonic() + GRACE
    while group(leader) and time.monotonic() < end:
        time.sleep(0.05)
    return not group(leader)


def forget_some(folder, rng):
    """Delete every second file of a cache."""
    for path in sorted(folder.glob("*/*.nnfit")):
        if rng.integers(2):
            path.unlink()


def test_kills_while_compiling(trial, tmp_path):
    """One of two processes that fill the same cache is killed at a random moment."""
    n_rounds, n_killed = trial.rounds(full=40, fewest=1), 0
    seconds, cache = 10.0, tmp_path / "cache"
    for number in range(n_rounds):
        name = FITS[number % len(FITS)]
        with Worker() as worker:
            expected = worker.call(fit, name).result()
        if number % 10 == 0:
            shutil.rmtree(cache, ignore_errors=True)
            if number == 0:  # half of the kernels are there already
                shutil.copytree(cache_folder(), cache / "nnfit")
        forget_some(cache, trial.rng)
        with (
            Worker(NUMBA_CACHE_DIR=cache) as doomed,
            Worker(NUMBA_CACHE_DIR=cache) as other,
            Worker(NUMBA_CACHE_DIR=cache) as later,
        ):
            started = time.monotonic()
            doomed.begin(fit, name)
            other.begin(fit, name)
            time.sleep(trial.rng.uniform(0.5, seconds))
            leader = doomed.process.pid
            doomed.process.kill()
            n_killed += doomed.end().kind == "died"
            assert ends(leader), "a process lives on"
            assert other.end().result() == expected
            seconds = time.monotonic() - started
            assert later.call(fit, name).result() == expected
    trial.figure(
        f"{n_killed} of {n_rounds} processes killed while they filled a cache; another "
        "beside it and a later one had the same bits"
    )


def kill_a_worker():
    """Kill one of the processes in which joblib runs a search of this process."""
    for process in group(os.getpgrp()):
        with suppress(OSError):
            if b"popen_loky" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
                return


def searches(moments):
    """How searches end of which a process is killed after some seconds, each."""
    model = MLPClassifier((20,), max_iter=400, tol=0, random_state=0, batch_size=20)
    search = GridSearchCV(model, {"alpha": [0.1, 0.5, 1.0, 2.0]}, cv=3, n_jobs=2)

    def scores():
        return search.fit(DENSE, LABELS).cv_results_["mean_test_score"].tolist()

    expected, ends = scores(), Counter()
    for moment in moments:
        timer = threading.Timer(moment, kill_a_worker)
        timer.start()
        try:
            assert scores() == expected
            ends["as ever"] += 1
        except BrokenProcessPool:
            ends["BrokenProcessPool"] += 1
        finally:
            timer.cancel()
        assert scores() == expected, "the next search"
    return dict(ends)


def test_kills_of_workers_in_a_search(trial):
    moments = trial.rng.uniform(0.1, 2.0, size=trial.rounds(full=30, fewest=2))
    with Worker() as worker:
        ends = worker.call(searches, moments.tolist(), limit=3600).result()
    trial.figure(
        f"searches with a worker killed: {ends}; the next one has the same scores"
    )
