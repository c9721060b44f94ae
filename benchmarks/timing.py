"""Seconds per epoch, for the benchmarks and the comparison."""

import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from .shapes import SHAPES, parameters


def fit(library, name, max_iter, X, y, **changes):
    """Fit for exactly ``max_iter`` epochs.

    Parameters
    ----------
    library : module
        ``nnfit`` or ``sklearn.neural_network``.
    name : str
        Of a shape.
    max_iter : int
    X, y : ndarray
    **changes
        Constructor arguments beside `shapes.parameters`.

    Returns
    -------
    model : the fitted estimator
    """
    estimator = getattr(library, SHAPES[name].estimator)
    model = estimator(**{**parameters(name, max_iter), **changes})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    if model.n_iter_ != max_iter:
        raise RuntimeError(f"{name}: {model.n_iter_} epochs instead of {max_iter}")
    return model


def seconds_per_epoch(train, shape, clock=time.perf_counter):
    """Difference of a long and a short fit over the difference of their epochs.

    ``train(epochs)`` fits once.
    """
    times = [clock()]
    for epochs in (shape.short, shape.long):
        train(epochs)
        times.append(clock())
    short, long = times[1] - times[0], times[2] - times[1]
    return (long - short) / (shape.long - shape.short)
