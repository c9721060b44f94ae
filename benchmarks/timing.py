"""Seconds per epoch, for the benchmarks and the comparison."""

import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from .shapes import SHAPES, parameters


def fit(estimator, name, max_iter, X, y):
    """Fit for exactly ``max_iter`` epochs; return the model and the seconds."""
    model = estimator(**parameters(name, max_iter))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - start
    if model.n_iter_ != max_iter:
        raise RuntimeError(f"{name}: {model.n_iter_} epochs instead of {max_iter}")
    return model, seconds


def seconds_per_epoch(estimator, name, X, y):
    """Difference of a long and a short fit over the difference of their epochs."""
    shape = SHAPES[name]
    _, short = fit(estimator, name, shape.short, X, y)
    _, long = fit(estimator, name, shape.long, X, y)
    return (long - short) / (shape.long - shape.short)
