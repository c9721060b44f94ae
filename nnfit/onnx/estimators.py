"""What fitted estimators predict, as ONNX operators.

All after the raw predictions of a network is computed in float64, as the estimators do
for rows of float64.
"""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from nnfit.estimators.predicting import FittedMLP
from nnfit.estimators.targets import BINARY, MULTICLASS, MULTILABEL
from nnfit.estimators.uncertainty import networks
from nnfit.functions.links import PROBABILITY_LINKS
from nnfit.onnx import trees
from nnfit.onnx.links import LINKS, log_expit
from nnfit.onnx.networks import raw_predictions
from nnfit.onnx.rows import are_wide, filled, matrix
from nnfit.tabular.base import Tabular
from nnfit.tabular.intervals import checked_levels
from nnfit.tabular.models import NetworkModel
from nnfit.tabular.regressor import TabularRegressor


class Predicted(NamedTuple):
    """Names of values that predict.

    Attributes
    ----------
    values : str
        (n, n_outputs): probabilities, scores where there are none, or predictions.
    scores : str or None
        Of a classifier what `decision_function` returns, (n, 1) for two classes.
    label : str or None
        Of a classifier the class, or a 0 or 1 for each label.
    quantiles : str or None
        As `TabularRegressor.predict_quantiles`, where levels were asked for.
    """

    values: str
    scores: str | None = None
    label: str | None = None
    quantiles: str | None = None


def check_estimator(estimator):
    """See that an object can be converted.

    Raises
    ------
    TypeError
        If it is no estimator of nnfit that predicts.
    NotFittedError
    """
    task = getattr(estimator, "_task", None)
    if not isinstance(estimator, FittedMLP | Tabular) or task not in TASKS:
        raise TypeError(
            "A classifier or regressor of nnfit can be converted to ONNX, got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)


def compute_dtype(estimator):
    """In which type the networks of an estimator compute."""
    if isinstance(estimator, Tabular):
        return estimator._dtype()
    network, _ = networks(estimator)[0]._fitted_network(estimator._link)
    return network.dtype


def output_dtype(estimator, given):
    """Type of the values that a model predicts.

    float32 is enough for probabilities; predictions of targets that were standardised
    may lie close together and far from zero.

    Parameters
    ----------
    estimator : BaseMLP or Tabular
    given : list of nnfit.onnx.rows.Given

    Returns
    -------
    {"float32", "float64"}
    """
    if are_wide(given):
        return "float64"
    if estimator._task == "classification":
        return "float32"
    if isinstance(estimator, Tabular) or compute_dtype(estimator) == "float64":
        return "float64"
    own = networks(estimator)
    is_plain = all(network._standard("targets") is None for network in own)
    return "float32" if is_plain else "float64"


def predicted(graph, estimator, given, quantiles=None):
    """Add all that an estimator computes.

    Parameters
    ----------
    graph : Graph
    estimator : BaseMLP or Tabular
        Fitted.
    given : list of nnfit.onnx.rows.Given
    quantiles : array-like of float, default=None
        Levels of quantiles.

    Returns
    -------
    Predicted
        Of float64.

    Raises
    ------
    ValueError
        If something cannot be converted, which the message names.
    """
    dtype = compute_dtype(estimator)
    with graph.computing_in(dtype):
        x = matrix(graph, estimator, given, dtype)
    with graph.computing_in("float64"):
        found = TASKS[estimator._task](graph, estimator, x)
        if quantiles is None:
            return found
        own = _quantiles(graph, estimator, x, found.values, quantiles)
        return found._replace(quantiles=own)


# Networks --------------------------------------------------------------------


def outputs(graph, estimator, link, x, raw):
    """Outputs of a single network, as its ``_outputs``, of float64."""
    network, weights = estimator._fitted_network(link)
    with graph.computing_in(network.dtype):
        x = filled(graph, estimator, x)
    values = raw_predictions(graph, network, weights, x)
    if network.dtype != "float64":
        values = graph.cast(values, "float64")
    if not raw:
        values = LINKS[link](graph, values, network.n_outputs)
    targets, bounds = estimator._standard("targets"), estimator._standard("range")
    if targets is not None:
        values = graph.op("Mul", values, targets["scale"])
        values = graph.op("Add", values, np.asarray(targets["shift"], np.float64))
    return values if bounds is None else _within(graph, values, bounds)


def _within(graph, values, bounds):
    low, high = (np.asarray(bounds[end], np.float64) for end in ("low", "high"))
    return graph.op("Min", graph.op("Max", values, low), high)


def _mean(graph, values):
    if len(values) == 1:
        return values[0]
    return graph.op("Div", graph.op("Sum", *values), float(len(values)))


def _regression_values(graph, estimator, x):
    if isinstance(estimator, Tabular):
        return _mixture(graph, estimator, x, _clipped)
    link = estimator._link
    own = [outputs(graph, each, link, x, False) for each in networks(estimator)]
    return _mean(graph, own)


def _regression(graph, estimator, x):
    return Predicted(_regression_values(graph, estimator, x))


# Classes ---------------------------------------------------------------------


def _classification(graph, estimator, x):
    if isinstance(estimator, Tabular):
        return _tabular_classes(graph, estimator, x)
    kind, link = estimator._target_kind, estimator._link
    raws = [_scaled(graph, each, link, x) for each in networks(estimator)]
    if link not in PROBABILITY_LINKS:
        scores = _mean(graph, raws)
        return Predicted(scores, scores, _label(graph, estimator, scores))
    own = [_probabilities(graph, raw, kind, link) for raw in raws]
    scores = raws[0] if len(raws) == 1 else _pooled(graph, raws, kind, link)
    return Predicted(_mean(graph, own), scores, _label(graph, estimator, scores))


def _scaled(graph, network, link, x):
    raw = outputs(graph, network, link, x, True)
    temperature = getattr(network, "temperature_", None)
    return raw if temperature is None else graph.op("Div", raw, float(temperature))


def _probabilities(graph, raw, kind, link):
    """As `nnfit.estimators.probabilities.probabilities`."""
    if kind == BINARY:
        both = graph.concatenated([graph.op("Neg", raw), raw])
        return graph.op("Sigmoid", both)
    if kind == MULTICLASS:
        logits = raw if link == "softmax" else log_expit(graph, raw)
        return graph.op("Softmax", logits, axis=1)
    return graph.op("Sigmoid", raw)


def _pooled(graph, raws, kind, link):
    """As `nnfit.estimators.probabilities.pooled`."""

    def log_mean(values):
        lines = [graph.op("Unsqueeze", value, [1]) for value in values]
        total = graph.concatenated(lines)
        total = graph.op("ReduceLogSumExp", total, [1], keepdims=0)
        return graph.op("Sub", total, float(np.log(len(values))))

    if kind == MULTICLASS:
        logits = raws if link == "softmax" else [log_expit(graph, raw) for raw in raws]
        return log_mean([graph.op("LogSoftmax", each, axis=1) for each in logits])
    for_it = log_mean([log_expit(graph, raw) for raw in raws])
    against = [log_expit(graph, graph.op("Neg", raw)) for raw in raws]
    return graph.op("Sub", for_it, log_mean(against))


def _label(graph, estimator, scores):
    """Classes from raw predictions, as `nnfit.estimators.targets.decode`."""
    kind, classes = estimator._target_kind, estimator.classes_
    if kind == MULTICLASS:
        number = graph.op("ArgMax", scores, axis=1, keepdims=0)
    else:
        number = graph.cast(graph.op("Greater", scores, 0.0), "int64")
        if kind == MULTILABEL:
            return number
        number = graph.reshaped(number, -1)
        if len(classes) == 1:
            number = graph.op("Mul", number, 0)
    return graph.op("Gather", _plain_classes(classes), number)


def _plain_classes(classes):
    """Classes as ONNX has them: strings, int64, float64 or truth values."""
    kind = classes.dtype.kind
    if kind in "OUS" and all(isinstance(each, str) for each in classes.tolist()):
        return classes.astype(object)
    if kind not in "iufb":
        raise ValueError(
            "Classes must be strings or numbers to be converted to ONNX, got "
            f"{classes.tolist()[:3]}. Convert y before fit."
        )
    return classes.astype({"b": "bool", "f": "float64"}.get(kind, "int64"))


# Mixtures --------------------------------------------------------------------


def _mixture(graph, estimator, x, values_of):
    """As ``_mixture`` of the estimator; `values_of` takes raw values, and a part's."""
    parts = []
    for part in estimator._parts:
        values = [
            values_of(graph, estimator, _raw(graph, model, x), part.temperature)
            for model in part.models
        ]
        mean = _mean(graph, values)
        parts.append(mean if part.weight == 1 else graph.op("Mul", mean, part.weight))
    return parts[0] if len(parts) == 1 else graph.op("Sum", *parts)


def _raw(graph, model, x):
    if isinstance(model, NetworkModel):
        network = model.estimator
        return outputs(graph, network, network._link, x, True)
    return trees.raw_predictions(graph, model, x)


def _clipped(graph, estimator, raw, temperature):
    low, high = estimator._range
    return _within(graph, raw, {"low": low, "high": high})


def _quantiles(graph, estimator, x, values, quantiles):
    """As `TabularRegressor.predict_quantiles`."""
    if not isinstance(estimator, TabularRegressor):
        name = type(estimator).__name__
        raise ValueError(f"quantiles are those of a TabularRegressor, got {name}.")
    levels, found = checked_levels(quantiles), []
    for output, intervals in enumerate(estimator._known_intervals()):
        added = intervals.of_errors(levels)[None]
        if intervals._sizes:
            models = intervals._sizes
            sizes = [trees.raw_predictions(graph, model, x) for model in models]
            sizes = graph.op("Max", _mean(graph, sizes), float(intervals._low))
            added = graph.op("Mul", sizes, added)
        found.append(graph.op("Add", graph.columns(values, [output]), added))
    if estimator._is_vector:
        return found[0]
    return graph.concatenated([graph.op("Unsqueeze", each, [1]) for each in found])


def _tempered(graph, estimator, raw, temperature):
    if temperature is not None:
        raw = graph.op("Div", raw, float(temperature))
    return _inside(
        graph, _probabilities(graph, raw, estimator._target_kind, estimator._link)
    )


def _inside(graph, probabilities):
    """As `nnfit.estimators.probabilities.inside`."""
    limits = np.finfo(np.float64).tiny, np.nextafter(1.0, 0.0)
    return graph.op("Clip", probabilities, *map(float, limits))


def _tabular_classes(graph, estimator, x):
    kind = estimator._target_kind
    values = _inside(graph, _mixture(graph, estimator, x, _tempered))
    if kind == MULTICLASS:
        raw = graph.op("Log", values)
    else:
        ones = graph.columns(values, [1]) if kind == BINARY else values
        others = graph.op("Sub", 1.0, ones)
        raw = graph.op("Sub", graph.op("Log", ones), graph.op("Log", others))
    values = _tempered(graph, estimator, raw, estimator._temperature)
    return Predicted(values, None, _label(graph, estimator, raw))


TASKS = {"classification": _classification, "regression": _regression}
