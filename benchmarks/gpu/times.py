"""Times of what a user does on a GPU: a first fit, many networks, a search."""

import time
import warnings
from types import SimpleNamespace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import nnfit

from ..population import make_searches, networks_a_second
from ..shapes import SHAPES, make_data
from ..timing import fit
from .operations import make_engine

#: Networks that train together and one after the other, and epochs; in a quick run.
TOGETHER = {False: (1000, 20, 50), True: (64, 5, 10)}
#: Units of the networks that are searched, as digits has them.
HIDDEN = (100,)
#: Candidates, folds and epochs of a search: a thousand fits.
SEARCHED = {False: (334, 3, 20), True: (20, 3, 10)}


def first_fit(shape="digits"):
    """Seconds of a process's first fit, with compiling or loading, and of the next.

    Whether it compiles depends on the cache that the process finds.
    """
    X, y, *_ = make_data(shape)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        fit(nnfit, shape, SHAPES[shape].short, X, y, device="cuda")
        seconds.append(time.perf_counter() - started)
    return {"first": seconds[0], "next": min(seconds[1:])}


def train_together(engines, epochs):
    """Seconds in which engines train for some epochs, as many at once as are given."""
    from nnfit.cuda.engine import run_together

    started = time.perf_counter()
    left = list(engines)
    while left:
        for engine in left:
            engine.begin(epochs)
        run_together(left)
        for engine in left:
            engine.finish()
        left = [engine for engine in left if engine.progress.epoch < epochs]
    return time.perf_counter() - started


def together(quick=False, shape="digits"):
    """Networks a second: together in a launch, one after the other, on one CPU thread.

    Engines alone, without what an estimator does around a fit; all have rows of their
    own.
    """
    sizes, batch = SHAPES[shape].sizes, SHAPES[shape].batch_size
    n_networks, alone, epochs = TOGETHER[quick]
    rates = {}
    for n in sorted({1, alone, max(1, n_networks // 8), n_networks}):
        engines = [make_engine(sizes, batch) for _ in range(n)]
        train_together(engines, 1)
        rates[f"{n} together"] = n / train_together(engines, 1 + epochs)
        for engine in engines:
            engine.close()
    engines = [make_engine(sizes, batch) for _ in range(alone)]
    train_together(engines, 1)
    seconds = sum(train_together([engine], 1 + epochs) for engine in engines)
    rates["one after the other"] = alone / seconds
    rates["CPU, one thread"] = 1 / cpu_seconds(sizes, batch, epochs)
    return {"shape": shape, "epochs": epochs, "networks_a_second": rates}


def cpu_seconds(sizes, batch, epochs):
    """Of one network on one thread of the CPU."""
    from nnfit.cpu.engine import Engine

    engine = make_engine(sizes, batch, engine=Engine)

    def train(until):
        started = time.perf_counter()
        while engine.progress.epoch < until:
            engine.train(until)
        return time.perf_counter() - started

    train(1)
    return train(1 + epochs)


def searches(jobs, quick=False):
    """Networks a second of searches, with all that scikit-learn does around them."""
    X, y = load_digits(return_X_y=True)
    X, rates = (X / 16).astype(np.float32), {}
    candidates, folds, epochs = SEARCHED[quick]
    options = dict(folds=folds, hidden=list(HIDDEN), max_iter=epochs, jobs=jobs)

    def made(n):
        return make_searches(SimpleNamespace(candidates=n, device="cuda", **options))

    few, all_of_them = made(max(1, candidates // 16)), made(candidates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name in few:
            networks_a_second(few[name](), X, y)  # compiles, or loads
            # One after the other a few are enough to know.
            make = few if name.startswith("Grid") else all_of_them
            rates[name] = networks_a_second(make[name](), X, y)
    return {"candidates": candidates, "folds": folds, "networks_a_second": rates}
