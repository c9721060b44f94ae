"""Fits on several threads: their gain, and what they cost beside other work."""

import statistics
import subprocess
import sys
import time
import warnings

import joblib
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier

from .brief import few, values
from .shapes import make_data, parameters

SPIN = "print(1, flush=True)\nwhile True: pass"
EPOCHS = {"tiny": 400, "digits": 60, "small": 20, "cover": 1}


def fit_seconds(name, n_jobs, X, y):
    model = MLPClassifier(**parameters(name, EPOCHS[name]), n_jobs=n_jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        model.fit(X, y)
        return time.perf_counter() - start


def medians(name, numbers):
    """Median seconds of a fit for each of some `n_jobs`, taken in turns."""
    X, y, *_ = make_data(name)
    for n_jobs in numbers:
        fit_seconds(name, n_jobs, X, y)
    times = [[fit_seconds(name, n, X, y) for n in numbers] for _ in range(few(7))]
    return [statistics.median(column) for column in zip(*times, strict=True)]


class Busy:
    """Milliseconds by which a fit exceeds 1.5 times its time on one thread.

    On an idle machine and beside as many spinning processes as processors. It shall
    be below 10.
    """

    params = values(EPOCHS, ["None", "processors"], [0, 1])
    param_names = ["shape", "n_jobs", "spinning processes a processor"]
    unit = "ms"
    timeout = 120

    def track_excess_over_one_thread(self, shape, n_jobs, spinning):
        processors = joblib.cpu_count()
        number = {"None": None, "processors": processors}[n_jobs]
        others = [
            subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE)
            for _ in range(spinning * processors)
        ]
        try:
            for process in others:
                process.stdout.readline()
            one, several = medians(shape, [1, number])
        finally:
            for process in others:
                process.kill()
                process.wait()
                process.stdout.close()
        return 1e3 * (several - 1.5 * one)

    track_excess_over_one_thread.unit = unit


class Gain:
    """One thread's time over that of all processors."""

    params = values(EPOCHS)
    param_names = ["shape"]

    def track_gain(self, shape):
        one, several = medians(shape, [1, None])
        return one / several

    track_gain.unit = "times"


if __name__ == "__main__":
    for spinning in Busy.params[2]:
        for shape in Busy.params[0]:
            for n_jobs in Busy.params[1]:
                excess = Busy().track_excess_over_one_thread(shape, n_jobs, spinning)
                print(
                    f"{spinning} spinning a processor, {shape}, n_jobs={n_jobs}: "
                    f"{excess:.1f} ms over 1.5 x one thread"
                )
