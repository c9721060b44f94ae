"""`diagnose`: why a network does not learn, or does not hold what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnfit.diagnosis import data, fits, layers
from nnfit.diagnosis.report import Diagnosis
from nnfit.estimators import resuming
from nnfit.estimators.annotations import Rows
from nnfit.estimators.tracing import fitted_in, sample_of, training_network
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
        A fitted network of nnfit, an ensemble or a Tabular estimator too, of which
        every network is looked at, a Pipeline that ends with one, or a search for one.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows that it was trained on.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets.
    X_val, y_val : optional
        Rows that it was not trained on, and their targets. Without them those take
        their place that the fit has set aside, if `X` and `y` are what it was given;
        not those of a Tabular estimator, whose networks have set aside others each.

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
    ['unscaled_features', 'underfitting']
    """
    if (X_val is None) != (y_val is None):
        given, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise ValueError(f"{given} is provided, but {missing} was not provided.")
    fitted, transform, mixture = fitted_in(estimator, "diagnose")
    sample = sample_of(fitted, transform(X), y)
    findings: list[Any] = []
    if X_val is not None:
        names, tables = ("X", "X_val"), (X, X_val)
        val = sample_of(fitted, transform(X_val), y_val, ("X_val", "y_val"))
        parts = sample, val
    else:
        names = "the rows trained on", "those set aside"
        parts = _set_aside(mixture, sample)
        tables = tuple(part and part.X for part in parts)
    few = [_few(part) for part in parts if part is not None]
    for family in mixture.families:
        findings += _of_family(family, few, names)
    described, _ = training_network(mixture.networks[0], sample)
    findings += data.of_columns(fitted, described, sample.X)
    if fitted._task == "classification":
        findings += data.of_classes(sample.y, estimator.predict(X))
    if parts[1] is not None:
        findings += data.of_shared_rows(*tables, names[1])
    return Diagnosis(findings, type(fitted).__name__, len(sample.y))


def _set_aside(mixture, sample):
    """Rows trained on, and those set aside by the fit, None if that cannot be known.

    Of an ensemble those of its first member.
    """
    network = mixture.networks[0]
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


def _of_family(family, parts, names):
    """What the layers and the curves of networks alike say."""
    members = family.networks
    owners = [family.owner(number) for number in range(len(members))]
    seen = [[_for_member(member, part) for part in parts] for member in members]
    described = [
        training_network(member, own[0])
        for member, own in zip(members, seen, strict=True)
    ]
    traces = [
        trace(*network, own[0].X, own[0].target)
        for network, own in zip(described, seen, strict=True)
    ]
    constants = [
        fits.constant_loss(network, own[0].target)
        for (network, _), own in zip(described, seen, strict=True)
    ]
    skills = [
        [fits.skill(_loss(member, sample), constant) for sample in own]
        for member, own, constant in zip(members, seen, constants, strict=True)
    ]
    curves = [_curves(member) for member in members]
    yield from layers.of_layers(traces, owners)
    if members[0].solver != "lbfgs":
        yield from fits.of_rate(curves, constants, [own[0] for own in skills], owners)
    where = (family.name,) if family.name else ()
    yield from fits.of_fit(*zip(*skills, strict=True), names=names, where=where)
    if len(parts) == 1:
        yield from fits.of_curve(curves, constants, members[0]._keeps_best(), owners)


def _for_member(member, sample):
    """The same rows with targets in the units that a network has found."""
    target = member._encode(sample.y, sample.X.dtype.name)
    return sample._replace(target=target)


def _curves(network):
    """Curves of a single network, losses in its own units."""
    unit = loss_unit(network._loss_row()[0], network._standard("targets"))
    history = getattr(network, "history_", None) or empty_history()
    curves = {name: np.array(values, np.float64) for name, values in history.items()}
    return curves | {name: curves[name] / unit for name in ("loss", "val_loss")}
