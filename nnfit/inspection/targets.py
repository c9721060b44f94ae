"""Which number of a prediction is explained."""

import numpy as np
from sklearn.base import is_classifier

from nnfit.estimators.targets import BINARY, MULTICLASS
from nnfit.inspection.outputs import DECISION, PREDICTION, PROBABILITY, Output
from nnfit.network.fitted import sizes_of


def find_output(estimator, mixture, X, target, response_method):
    """Find what is explained.

    Parameters
    ----------
    estimator : estimator of nnfit
        Fitted.
    mixture : Mixture
        Its networks.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to explain.
    target : object
        A class of a classifier, else the number of a label, output or quantile. None
        for the second of two classes, the class that is predicted for a row, or the
        only output.
    response_method : {"auto", "decision_function", "predict_proba", "predict"}
        "auto" is the first of them that the estimator has.

    Returns
    -------
    output : Output
    index : ndarray of int of shape (n_samples,)
        Which column of raw outputs, or which of two classes, for each row.

    Raises
    ------
    ValueError
        If there is no such target or method, or if several outputs need one.
    """
    parts = mixture.networks
    kind = estimator._target_kind if is_classifier(estimator) else None
    method = _method(estimator, response_method)
    units = tuple(each._standard("targets") for each in parts)
    output = Output(
        method, kind, mixture.link, tuple(mixture.temperatures), units,
        tuple(mixture.weights), mixture.temperature,
    )  # fmt: skip
    shared = parts[0]._description().get("members")
    n_outputs = sizes_of(parts[0].coefs_, shared)[-1]
    index = _index(estimator, X, target, kind, n_outputs)
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    return output, np.broadcast_to(index, n_rows)


def name_of_output(estimator, target, response_method):
    """What a picture calls the number that is explained."""
    method = _method(estimator, response_method)
    name = {DECISION: "score", PROBABILITY: "probability"}.get(method, method + "ion")
    if target is None and is_classifier(estimator):
        if estimator._target_kind == MULTICLASS:
            return f"{name} of the predicted class"
        target = estimator.classes_[-1]
    return name if target is None else f"{name} of {target}"


def _method(estimator, response_method):
    """Name of the method whose result is explained."""
    known = (PREDICTION,)
    if is_classifier(estimator):
        known = [each for each in (DECISION, PROBABILITY) if hasattr(estimator, each)]
    if response_method == "auto":
        return known[0]
    if response_method not in known:
        raise ValueError(
            f"response_method must be 'auto' or one of {list(known)} for this "
            f"{type(estimator).__name__}, got {response_method!r}."
        )
    return response_method


def _index(estimator, X, target, kind, n_outputs):
    if kind in (BINARY, MULTICLASS):
        classes = estimator.classes_
        if target is not None:
            return _place(target, classes, "classes_")
        if kind == MULTICLASS:
            return np.searchsorted(classes, estimator.predict(X))
        return 1
    if target is None and n_outputs > 1:
        raise ValueError(
            f"target must say which of the {n_outputs} outputs of this "
            f"{type(estimator).__name__} to explain, a number from 0 to "
            f"{n_outputs - 1}, got None."
        )
    return 0 if target is None else _place(target, np.arange(n_outputs), "the outputs")


def _place(target, known, name):
    """Number of a target among those that there are."""
    found = [number for number, each in enumerate(known.tolist()) if each == target]
    if len(found) != 1:
        listed = ", ".join(map(repr, known[:10].tolist())) + ", ..." * (len(known) > 10)
        raise ValueError(f"target must be one of {name}, {listed}, got {target!r}.")
    return found[0]
