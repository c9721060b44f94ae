"""The same bits in every process, for any number of threads, on a busy machine."""

import os
import subprocess
import sys

import joblib
import pytest

from tests.trials.fits import FITS, fit
from tests.trials.workers import Worker

N_JOBS = (1, 2, 3, 5)
SPIN = "print(1, flush=True)\nwhile True: pass"


@pytest.fixture
def busy_machine():
    """As many spinning processes as processors."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE)
        for _ in range(joblib.cpu_count())
    ]
    for process in spinning:
        process.stdout.readline()  # it spins now
    yield
    for process in spinning:
        process.kill()
        process.wait()
        process.stdout.close()


def digests(n_processors):
    """Of every kind of fit with so many processors, on one thread and on several."""
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, usable[:n_processors])
    return [[fit(name, n_jobs, epochs=6) for name in FITS] for n_jobs in N_JOBS]


def test_equal_bits_under_load(trial, busy_machine):
    n_processes, found = trial.rounds(full=25, fewest=2), set()
    for number in range(n_processes):
        with Worker(PYTHONHASHSEED=number) as worker:
            n_processors = 1 + number % joblib.cpu_count()
            runs = worker.call(digests, n_processors).result()
        found.update(map(tuple, runs))
    n_runs = n_processes * len(N_JOBS)
    trial.figure(
        f"{len(found)} hash in {n_runs} runs of {len(FITS)} fits, in {n_processes} "
        "processes beside others that spin"
    )
    assert len(found) == 1
