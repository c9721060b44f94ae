"""`diagnose`: why a network does not learn, or does not hold what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfit.diagnosis import data, fits, layers
from nnfit.diagnosis.report import Diagnosis
from nnfit.estimators import resuming
from nnfit.estimators.annotations import Rows
from nnfit.estimators.tracing import network_in, sample_of, training_network
from nnfit.estimators.uncertainty import networks
from nnfit.estimators.watching import split_rows
from nnfit.network.fitted import loss_unit
from nnfit.numpy_errors import without_numpy_errors
from nnfit.training.history import empty_history
from nnfit.training.tracing import mean_loss, trace

#: Rows, evenly spaced, that pass through the layers.
N_ROWS = 500
#: Distance of a loss from the recorded one that says that rows are those set aside.
SAME_LOSS = 1e-3


@without_numpy_errors
def diagnose(
    estimator: Any,
    X: Rows,
    y: npt.ArrayLike,
    *,
    X_val: Rows | None = None,
    y_val: npt.ArrayLike | None = None,
) -> Diagnosis:
    """Look for what is wrong with a fitted network.

    Each finding names the layer, the columns or the classes, what was measured, from
    where on that is a finding, and what to do. A sound network has none. The user guide
    has all kinds with their thresholds.

    Parameters
    ----------
    estimator : estimator object
        A fitted network of nnfit, an ensemble too, a Pipeline that ends with one, or a
        search for one.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows that it was trained on.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets.
    X_val, y_val : optional
        Rows that it was not trained on, and their targets. Without them those take
        their place that the fit has set aside, if `X` and `y` are what it was given.

    Returns
    -------
    Diagnosis
        A sequence of :class:`nnfit.Symptom`, causes before their consequences, which is
        false where there are none; ``print`` it.

    Raises
    ------
    TypeError
        If the estimator is none of nnfit's.
    NotFittedError
        Before `fit`.
    ValueError
        If rows or targets do not fit the network, or of `X_val` and `y_val` one is
        missing.

    Notes
    -----
    Layers are looked at on at most 500 rows, by NumPy, whatever the device of the fit.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from nnfit import MLPClassifier, diagnose
    >>> X, y = load_wine(return_X_y=True)
    >>> model = MLPClassifier((20,), max_iter=300, random_state=0).fit(X, y)
    >>> [finding.kind for finding in diagnose(model, X, y)]
    ['unscaled_features']
    """
    if (X_val is None) != (y_val is None):
        given, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise ValueError(f"{given} is provided, but {missing} was not provided.")
    network, transform = network_in(estimator, "diagnose")
    sample = sample_of(network, transform(X), y)
    findings: list[Any] = []
    if X_val is not None:
        names, tables = ("X", "X_val"), (X, X_val)
        val = sample_of(network, transform(X_val), y_val, ("X_val", "y_val"))
        parts = sample, val
    else:
        names = "the rows trained on", "those set aside"
        parts = _set_aside(network, sample)
        tables = tuple(part and part.X for part in parts)
    findings += _of_networks(network, parts, names)
    described, _ = training_network(networks(network)[0], sample)
    findings += data.of_columns(network, described, sample.X)
    if network._task == "classification":
        findings += data.of_classes(sample.y, estimator.predict(X))
    if parts[1] is not None:
        findings += data.of_shared_rows(*tables, names[1])
    return Diagnosis(findings, type(network).__name__, len(sample.y))


def _set_aside(estimator, sample):
    """Rows trained on, and those set aside by the fit, None if that cannot be known.

    Of an ensemble those of its first member.
    """
    network = networks(estimator)[0]
    state = vars(network).get(resuming.STATE, {})
    if "split" not in state or not network._keeps_best():
        return sample, None
    data = (*sample, None, None)
    try:
        train, aside = split_rows(network, data, None, None)
    except ValueError:  # too few rows: not those of the fit
        return sample, None
    aside = sample.some(aside)
    recorded, loss = _curves(network)["val_loss"], _loss(network, aside)
    if not np.abs(recorded - loss).min(initial=np.inf) <= SAME_LOSS * abs(loss):
        return sample, None
    return sample.some(train), aside


def _few(sample, n_rows=N_ROWS):
    """Evenly spaced ones of some rows."""
    n = len(sample.y)
    return sample.some(np.arange(0, n, -(-n // n_rows)))


def _loss(network, sample):
    """Mean loss of a single network, whose shared members predict as one."""
    described, _ = training_network(network, sample)
    raw = network._compute(network, sample.X, True, None, None)
    return mean_loss(described, raw, sample.target)[0]


def _of_networks(estimator, parts, names):
    """What the layers and the curves of all members say."""
    members = networks(estimator)
    parts = [_few(part) for part in parts if part is not None]
    traces = [
        trace(*training_network(member, parts[0]), parts[0].X, parts[0].target)
        for member in members
    ]
    described, _ = training_network(members[0], parts[0])
    constant = fits.constant_loss(described, parts[0].target)
    skills = [
        [fits.skill(_loss(member, part), constant) for member in members]
        for part in parts
    ]
    histories = [_curves(member) for member in members]
    yield from layers.of_layers(traces)
    if estimator.solver != "lbfgs":
        yield from fits.of_rate(histories, constant, skills[0])
    yield from fits.of_fit(*skills, names=names)
    if len(parts) == 1:
        yield from fits.of_curve(histories, constant, estimator._keeps_best())


def _curves(network):
    """Curves of a single network, losses in its own units."""
    unit = loss_unit(network._loss_row()[0], network._standard("targets"))
    history = getattr(network, "history_", None) or empty_history()
    curves = {name: np.array(values, np.float64) for name, values in history.items()}
    return curves | {name: curves[name] / unit for name in ("loss", "val_loss")}
