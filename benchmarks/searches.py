"""Searches on two workers against the ideal, half the time of one worker.

Candidates of a grid in three folds, in processes (joblib's "loky", Dask, Ray) and in
threads ("threading", and the trials of Optuna's search). One worker gives each fit one
thread; two workers leave the threads of a fit to nnfit (``n_jobs=None``). Prints the
wall time and the processor seconds of both, and the ratio of two workers' wall time to
the ideal. Needs psutil; leaves out what is not installed.
"""

import argparse
import importlib.util
import os
import platform
import time
import warnings
from contextlib import contextmanager, nullcontext

import joblib
import numpy as np
import sklearn
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import nnfit

GRID = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2], "learning_rate_init": [1e-3, 1e-2]}
#: Widths of networks, and rows. The larger gains from threads within a fit, which two
#: workers must not use.
SIZES = {"small": ((64,), 4000), "large": ((256, 256), 8000)}


def grid_search(model, n_workers):
    """A search that joblib's backend of the moment runs."""
    return GridSearchCV(model, GRID, cv=3, n_jobs=n_workers, refit=False)


def optuna_search(model, n_workers):
    """The same number of candidates; its trials are threads."""
    from optuna import logging
    from optuna.distributions import FloatDistribution
    from optuna_integration import OptunaSearchCV

    logging.disable_default_handler()
    space = {"alpha": FloatDistribution(1e-5, 1e-2, log=True)}
    return OptunaSearchCV(
        model, space, cv=3, n_jobs=n_workers, n_trials=8, random_state=0, refit=False
    )


@contextmanager
def dask(n_workers):
    """Workers that are processes, as on the machines of a cluster."""
    from distributed import Client, LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=n_workers, **options) as cluster, Client(cluster):
        with joblib.parallel_config("dask"):
            yield


@contextmanager
def ray(n_workers):
    """Ray's pool of actors."""
    import ray
    from ray.util.joblib import register_ray

    ray.init(num_cpus=n_workers, include_dashboard=False, log_to_driver=False)
    register_ray()
    try:
        with joblib.parallel_config("ray"):
            yield
    finally:
        ray.shutdown()


#: By name: the search, what it runs in, and the package that it needs.
WAYS = {
    "loky": (grid_search, lambda _: joblib.parallel_config("loky"), None),
    "threading": (grid_search, lambda _: joblib.parallel_config("threading"), None),
    "dask": (grid_search, dask, "distributed"),
    "ray": (grid_search, ray, "ray"),
    "optuna": (optuna_search, lambda _: nullcontext(), "optuna_integration"),
}


def processor_seconds():
    """Of this process and of those that it has started."""
    import psutil  # asv imports this file, and does not bring it

    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def measure(make, n_workers, size, max_iter):
    """Wall time and processor seconds of a search whose workers have started."""
    widths, n_rows = SIZES[size]
    X, y = make_classification(n_rows, 40, n_informative=20, random_state=0)
    X = X.astype(np.float32)
    of_a_fit = 1 if n_workers == 1 else None
    model = nnfit.MLPClassifier(
        widths, max_iter=max_iter, n_iter_no_change=max_iter, n_jobs=of_a_fit
    )
    first = nnfit.MLPClassifier(widths, max_iter=1, n_jobs=of_a_fit)
    make(first, n_workers).fit(X[:400], y[:400])  # workers load what is compiled
    before, started = processor_seconds(), time.perf_counter()
    make(model, n_workers).fit(X, y)
    return time.perf_counter() - started, processor_seconds() - before


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.searches", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("ways", nargs="*", default=list(WAYS), metavar="way")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-iter", type=int, default=20)
    options = parser.parse_args()
    print(
        f"nnfit {nnfit.__version__}, scikit-learn {sklearn.__version__}, joblib "
        f"{joblib.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors; medians of {options.repeats}\n\n"
        f"{'':20}{'wall time [s]':>30}{'processor seconds':>30}"
    )
    titles = "1 worker", "2", "to ideal", "1 worker", "2", "ratio"
    print(" " * 20 + "".join(f"{title:>10}" for title in titles))
    for way in options.ways:
        make, context, package = WAYS[way]
        if package is not None and importlib.util.find_spec(package) is None:
            continue
        for size in SIZES:
            turns = []
            for _ in range(options.repeats):
                turn = []
                for n_workers in (1, 2):
                    with context(n_workers):
                        turn += measure(make, n_workers, size, options.max_iter)
                turns.append(turn)
            one, cpu_one, two, cpu_two = np.median(turns, axis=0)
            to_ideal, ratio = np.median(
                [(2 * t[2] / t[0], t[3] / t[1]) for t in turns], 0
            )
            numbers = one, two, to_ideal, cpu_one, cpu_two, ratio
            row = "".join(f"{number:10.2f}" for number in numbers)
            print(f"{way:12}{size:8}{row}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of convergence, of Optuna and Ray themselves
    os.environ["PYTHONWARNINGS"] = "ignore"  # in workers that are processes
    main()
