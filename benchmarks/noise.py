"""Training beside a process that takes a processor now and then: does the number of
threads follow?

Fits of the same time take turns: on one thread, on two that never leave one alone, with
``n_jobs=None`` and with numbers such as ``n_jobs=2``, where threads may leave and come
back. Prints the milliseconds of an epoch over the whole fit and the 90th percentile of
windows of 100 ms (medians of all turns), and those of fits that choose over the better
of one and two threads. What else the machine does counts as well. In a container with
``--cpus=1.5`` or the like it shows what a quota does.
"""

import argparse
import contextlib
import subprocess
import sys
import threading
import time
import warnings
from unittest import mock

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import nnfit
from nnfit.cpu import engine as cpu
from nnfit.cpu import fields as at
from nnfit.training.threads import WORTHWHILE

from .shapes import SHAPES, make_data, parameters

WINDOW = 0.1
#: Seconds that the other process spins and sleeps, in turns; the last spins once.
NOISES = {
    "none": None,
    "5 ms in 50": (0.005, 0.045),
    "1 s in 3": (1.0, 2.0),
    "20 ms once": (0.02, 1e6),
}
SPIN = """
import sys, time
spin, sleep = map(float, sys.argv[1:])
print(flush=True)
time.sleep(min(sleep, 0.5))
while True:
    end = time.perf_counter() + spin
    while time.perf_counter() < end:
        pass
    time.sleep(sleep)
"""
#: `n_jobs` of fits whose threads never leave.
FIXED = {"one": 1, "two": 2}


@contextlib.contextmanager
def noise(name):
    """Another process that spins as `NOISES` says."""
    if NOISES[name] is None:
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "-c", SPIN, *map(str, NOISES[name])], stdout=subprocess.PIPE
    )
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def steps_over_time(model, X, y):
    """Fit, and look every window how many batches are done.

    Returns
    -------
    samples : ndarray of shape (n_windows + 1, 2)
        Seconds and batches.
    """
    samples, ints, done = [], [], threading.Event()
    configure = cpu.Engine.configure

    def remember(engine, settings):
        configure(engine, settings)
        ints.append(engine._tables.ints)

    def look():
        while not done.wait(WINDOW):
            if ints:
                samples.append((time.perf_counter(), int(ints[-1][at.STEP])))

    observer = threading.Thread(target=look)
    with mock.patch.object(cpu.Engine, "configure", remember):
        observer.start()
        try:
            model.fit(X, y)
        finally:
            done.set()
            observer.join()
    return np.array([sample for sample in samples if sample[1] > 0])


@contextlib.contextmanager
def obeyed():
    """Threads that neither leave because they wait nor because one is faster."""
    forever = dict.fromkeys(WORTHWHILE, np.inf)
    with mock.patch.object(cpu, "PATIENCE", 1e6), mock.patch.dict(WORTHWHILE, forever):
        yield


def estimator(name, max_iter, **changes):
    """An estimator of nnfit for a shape."""
    make = getattr(nnfit, SHAPES[name].estimator)
    return make(**parameters(name, max_iter), **changes)


def epoch_ms(name, n_jobs, is_fixed, seconds, data):
    """Milliseconds of an epoch: over a fit, and the 90th percentile of windows."""
    model = estimator(name, 10**7, n_jobs=n_jobs, max_time=seconds + 2 * WINDOW)
    with obeyed() if is_fixed else contextlib.nullcontext():
        samples = steps_over_time(model, *data)
    shape = SHAPES[name]
    batches = -(-shape.n_samples // shape.batch_size)
    seconds, steps = np.diff(samples, axis=0).T
    windows = seconds / np.maximum(steps, 0.5)
    overall = seconds.sum() / steps.sum()
    return [1e3 * batches * t for t in (overall, np.quantile(windows, 0.9))]


def measure(name, noise_name, seconds, turns, numbers=(None, 2)):
    """Medians over turns, for one and two threads and for each `n_jobs` that chooses.

    Returns
    -------
    medians : dict of str to ndarray of shape (2,)
        By "one", "two", "None", "2" and so on.
    """
    data = make_data(name)[:2]
    ways = {way: (n_jobs, True) for way, n_jobs in FIXED.items()}
    ways |= {str(n_jobs): (n_jobs, False) for n_jobs in numbers}
    times = {way: [] for way in ways}
    for _ in range(turns):
        for way, (n_jobs, is_fixed) in ways.items():
            with noise(noise_name):
                times[way].append(epoch_ms(name, n_jobs, is_fixed, seconds, data))
    return {way: np.median(rows, axis=0) for way, rows in times.items()}


def over_the_better(medians):
    """Time of those that choose over the better of those that do not, by way."""
    best = np.minimum(*(medians[way] for way in FIXED))
    return {way: own / best for way, own in medians.items() if way not in FIXED}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--shapes", nargs="+", choices=SHAPES, default=["digits", "cover", "wide"]
    )
    parser.add_argument("--noises", nargs="+", default=list(NOISES), choices=NOISES)
    parser.add_argument("--seconds", type=float, default=9.0, help="of each fit")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--n-jobs", nargs="+", type=int, default=[2], help="of fits")
    options = parser.parse_args()
    numbers = [None, *options.n_jobs]
    warnings.simplefilter("ignore", ConvergenceWarning)
    names = [*FIXED, *map(str, numbers)]
    heads = "".join(f"{way:>18}" for way in names)
    choosing = ", ".join(map(str, numbers))
    print(f"{'ms an epoch, 90 % of windows':30}{heads}   over the better: {choosing}")
    for name in options.shapes:
        estimator(name, 2).fit(*make_data(name)[:2])
        for noise_name in options.noises:
            how = options.seconds, options.turns, numbers
            medians = measure(name, noise_name, *how)
            cells = "".join(f"{a:9.2f}{b:9.2f}" for a, b in medians.values())
            ratios = over_the_better(medians).values()
            over = "".join(f"{a:7.2f}{b:6.2f}" for a, b in ratios)
            print(f"{name + ', ' + noise_name:30}{cells}   {over}", flush=True)


if __name__ == "__main__":
    main()
