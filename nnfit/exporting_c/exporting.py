"""A file of C for a fitted estimator: `export_c`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from nnfit import __version__
from nnfit.callbacks import files
from nnfit.estimators.columns import category_columns
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.numeric_columns import fills_missing
from nnfit.estimators.targets import BINARY, MULTICLASS, MULTILABEL
from nnfit.estimators.uncertainty import networks
from nnfit.exporting_c import links
from nnfit.exporting_c.kinds import WRITTEN
from nnfit.exporting_c.source import Source, Values, commented
from nnfit.functions.links import PROBABILITY_LINKS
from nnfit.network.passes import by_node

OTHERWISE = "Use nnfit.onnx.to_onnx."


def export_c(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted network as one file of C99, which needs ``math.h`` alone.

    The file ``NAME.c`` has the weights as constant arrays, the sizes as
    ``NAME_N_FEATURES`` and ``NAME_N_OUTPUTS``, and the function ::

        void NAME_predict(const float *x, float *out)

    for one row, in which a category is the number that the comment on top tells: `out`
    has the probabilities of the classes or labels, scores where the loss has no
    probabilities, or predictions. It computes in the type of the network; the types are
    double for one of float64. It allocates nothing, keeps nothing, and
    any number of threads may call it.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted; also an ensemble of them.
    path : str or os.PathLike
        The file. It is replaced as a whole if it exists. Its name without the suffix
        is NAME; characters that C does not have become underscores.

    Raises
    ------
    TypeError
        If the estimator is something else.
    NotFittedError
        Before `fit`.
    ValueError
        If it holds what cannot be written, such as members that share weights, or a
        Python function as its activation, which the message names.
    OSError
        If the file cannot be written; one that existed is as before.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnfit import MLPClassifier, export_c
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    >>> export_c(classifier, "iris.c")  # doctest: +SKIP
    """
    if not isinstance(estimator, BaseMLP):
        raise TypeError(
            "export_c takes an MLPClassifier or MLPRegressor of nnfit, got "
            f"{type(estimator).__name__}. {OTHERWISE}"
        )
    check_is_fitted(estimator)
    path = Path(path)
    _write(path, source_of(estimator, _identifier(path.stem)))


def _identifier(stem):
    """A name that C has."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem)
    return name if name[:1].isalpha() else f"network_{name}"


def _write(path, text):
    """Write a file that is at any moment the old one or the new one."""
    try:
        with files.replacing(path) as file:
            file.write(text.encode("ascii"))
    except OSError as error:
        raise type(error)(
            error.errno,
            f"export_c cannot write the file ({error.strerror}); its folder must exist "
            "and be writable",
            str(path),
        ) from None


def source_of(estimator, name):
    """The text of the file.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    name : str
        What names in the file begin with.

    Returns
    -------
    str
    """
    own = networks(estimator)
    dtype = own[0]._fitted_network(estimator._link)[0].dtype
    source = Source(dtype)
    widths = [
        _network(source, estimator, each, f"network_{i}") for i, each in enumerate(own)
    ]
    n_features = estimator.n_features_in_
    _predict(source, len(own), widths[0], f"{name}_predict")
    return "\n".join(
        [
            _comment(estimator, name, source.real, widths[0]),
            "#include <math.h>",
            "",
            f"#define {name}_N_FEATURES {n_features}",
            f"#define {name}_N_OUTPUTS {widths[0]}",
            "",
            f"void {name}_predict(const {source.real} *x, {source.real} *out);",
            "",
            source.text(),
        ]
    )


def _predict(source, n_networks, width, name):
    """Add the function for users: the mean of what the networks predict."""
    source.add("network_0(x, out);")
    if n_networks > 1:
        source.add(f"real other[{width}];")
        for i in range(1, n_networks):
            source.add(f"network_{i}(x, other);", _loop(width, "out[i] += other[i];"))
        source.add(_loop(width, f"out[i] /= {float(n_networks)};"))
    source.end_function(f"void {name}(const real *x, real *out)")


def _loop(width, statement):
    return f"for (int i = 0; i < {width}; i++) {{ {statement} }}"


def _network(source, estimator, own, name):
    """Add a function for a single network; returns how many numbers it gives."""
    network, weights = own._fitted_network(estimator._link)
    values = [_inputs(source, own)]
    nodes = zip(
        network.nodes, by_node(network, weights), network.widths[1:], strict=True
    )
    for node, arrays, width in nodes:
        write = WRITTEN.get(node.kind)
        if write is None:
            raise ValueError(
                f"Layers of the kind {node.kind!r} cannot be written as C. {OTHERWISE}"
            )
        inputs, output = [values[value] for value in node.inputs], source.values(width)
        write(source, node, inputs, arrays, output)
        values.append(output)
    width = _outputs(source, estimator, own, values[-1])
    source.end_function(f"static void {name}(const real *x, real *out)")
    return width


def _inputs(source, own):
    """Columns filled and standardised as before a network, `Values`."""
    x = Values("x", own.n_features_in_)
    means, features = own._standard("means"), own._standard("features")
    if features is not None:
        # In double: float has too few digits where columns lie far from zero.
        found = source.values(x.width)
        shift, factor = (
            source.array(each, np.float64)
            for each in (own.feature_shifts_, own.feature_scales_)
        )
        value = f"({x.name}[i] - {shift}[i]) / {factor}[i]"
        source.add(_loop(x.width, f"{found.name}[i] = (real)({value});"))
        x = found
    if means is not None and not fills_missing(own._standard("inputs")):
        found, fills = source.values(x.width), np.array(means, np.float64)
        fills[category_columns(own)] = np.nan
        value = f"isnan({x.name}[i]) ? {source.array(fills)}[i] : {x.name}[i]"
        source.add(_loop(x.width, f"{found.name}[i] = {value};"))
        x = found
    return x


def _outputs(source, estimator, own, raw):
    """What is predicted of raw predictions, into ``out``; returns how many numbers."""
    n, link = raw.width, estimator._link
    kind = estimator._target_kind if estimator._task == "classification" else None
    temperature = float(getattr(own, "temperature_", 1.0))
    value = f"{raw.name}[i]" if temperature == 1.0 else f"{raw.name}[i] / {temperature}"
    source.add(_loop(n, f"out[i] = {value};"))
    if kind is None or link not in PROBABILITY_LINKS:
        if kind is None:
            links.linked(source, link, links.WRITTEN[link], Values("out", n))
        _in_units(source, own, n)
        return n
    if kind == BINARY:
        links.linked(source, "both", links.BOTH, Values("out", 2))
        return 2
    if kind == MULTICLASS and link == "logistic":
        links.linked(source, "shares", links.SHARES, Values("out", n))
        return n
    link = link if kind == MULTICLASS else "logistic"
    links.linked(source, link, links.WRITTEN[link], Values("out", n))
    return n


def _in_units(source, own, n):
    targets, bounds = own._standard("targets"), own._standard("range")
    if targets is not None:
        scale, shift = (
            source.array(np.broadcast_to(targets[each], n), np.float64)
            for each in ("scale", "shift")
        )
        source.add(_loop(n, f"out[i] = (real)(out[i] * {scale}[i] + {shift}[i]);"))
    if bounds is not None:
        low, high = (source.array(bounds[end]) for end in ("low", "high"))
        source.add(_loop(n, f"if (out[i] < {low}[i]) out[i] = {low}[i];"))
        source.add(_loop(n, f"if (out[i] > {high}[i]) out[i] = {high}[i];"))


def _comment(estimator, name, real, n_outputs):
    """What a reader of the file needs to know."""
    inputs = getattr(estimator, "feature_names_in_", None)
    if inputs is None:
        inputs = [f"x{i}" for i in range(estimator.n_features_in_)]
    lines = [f"{type(estimator).__name__}, written by nnfit {__version__}.", ""]
    lines += [f"void {name}_predict(const {real} *x, {real} *out) takes one row:", ""]
    known = estimator._standard("categories") or {}
    for i, each in enumerate(inputs):
        codes = known.get(i)
        what = "" if codes is None else ", the number of its category, or -1:"
        lines.append(f"    x[{i}]: {commented(each)}{what}")
        lines += [
            f"        {n}: {commented(each)}" for n, each in enumerate(codes or ())
        ]
    lines += ["", f"and gives {_meaning(estimator)}:", ""]
    if estimator._task == "classification" and n_outputs == len(estimator.classes_):
        told = [commented(each) for each in estimator.classes_.tolist()]
    elif estimator._task == "classification":
        first, last = (commented(estimator.classes_.tolist()[i]) for i in (0, -1))
        told = [f"above 0 for {last}, else {first}"]
    else:
        told = [f"output {i}" for i in range(n_outputs)]
    lines += [f"    out[{i}]: {each}" for i, each in enumerate(told)]
    return "\n".join(["/*", *(f" * {line}".rstrip() for line in lines), " */"])


def _meaning(estimator):
    if estimator._task == "regression":
        return "predictions"
    if estimator._link not in PROBABILITY_LINKS:
        return "scores, of which the largest is that of the class"
    if estimator._target_kind == MULTILABEL:
        return "the probability of each label"
    return "the probabilities of the classes"
