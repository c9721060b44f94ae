"""From the inputs of a model to the matrix that a network reads."""

from functools import partial
from typing import NamedTuple

import numpy as np

from nnfit.estimators.columns import category_columns, name_of
from nnfit.estimators.numeric_columns import fills_missing
from nnfit.onnx.graph import ML
from nnfit.onnx.pieces import counts_below


class Given(NamedTuple):
    """An input of a model.

    Attributes
    ----------
    name : str
    dtype : str
        Key of `nnfit.onnx.graph.ONNX_TYPES`.
    width : int
        Columns that it has.
    """

    name: str
    dtype: str
    width: int


def are_wide(given):
    """Whether an input has more digits than float32."""
    return any(each.dtype not in ("float32", "str", "bool") for each in given)


def matrix(graph, estimator, given, dtype):
    """Rows as networks take them: codes of categories, columns shifted and scaled.

    Parameters
    ----------
    graph : Graph
    estimator : BaseMLP or Tabular
    given : list of Given
    dtype : {"float32", "float64"}
        Of the result.

    Returns
    -------
    str
        (n, n_features)

    Raises
    ------
    ValueError
        If inputs do not fit what the estimator was trained on.
    """
    width = sum(each.width for each in given)
    if width != estimator.n_features_in_:
        raise ValueError(
            f"The inputs must have {estimator.n_features_in_} columns together, as X "
            f"in fit, got {width}."
        )
    wide = "float64" if are_wide(given) else "float32"
    parts, first = [], 0
    categories, named = estimator._standard("categories"), partial(name_of, estimator)
    for each in given:
        parts += columns_of(graph, categories or {}, named, each, first, wide)
        first += each.width
    x = graph.concatenated(parts)
    if estimator._standard("features") is not None:
        x = x if wide == "float64" else graph.cast(x, "float64")
        x = graph.op("Sub", x, _of_features(estimator, "shift", 0.0))
        x = graph.op("Div", x, _of_features(estimator, "scale", 1.0))
        wide = "float64"
    return x if wide == dtype else graph.cast(x, dtype)


def filled(graph, network, x):
    """Rows with means in the place of missing numbers, unless the network fills them.

    As `nnfit.estimators.numeric_columns.filled`.
    """
    means = network._standard("means")
    if means is None or fills_missing(network._standard("inputs")):
        return x
    fills = np.array(means, graph.dtype)
    fills[category_columns(network)] = np.nan
    return graph.op("Where", graph.op("IsNaN", x), fills, x)


def _of_features(estimator, name, otherwise):
    features = estimator._standard("features")
    values = np.full(estimator.n_features_in_, otherwise)
    values[features["columns"]] = features[name]
    return values


def columns_of(graph, categories, named, given, first, wide):
    """The columns of an input as numbers, codes in the place of categories.

    Parameters
    ----------
    graph : Graph
    categories : dict
        By the number of a column its categories, or None where X held codes.
    named : callable
        ``named(number)`` names a column in messages.
    given : Given
    first : int
        Number of its first column.
    wide : {"float32", "float64"}
        Of the result.

    Returns
    -------
    list of str
        Values of one column or more.
    """
    known = [categories.get(first + place) for place in range(given.width)]
    if given.dtype != "str" and all(own is None for own in known):
        is_wide = given.dtype == wide
        return [given.name if is_wide else graph.cast(given.name, wide)]
    found = []
    for place, own in enumerate(known):
        x = given.name if given.width == 1 else graph.columns(given.name, [place])
        name = named(first + place)
        if given.dtype == "str":
            x = _codes_of_texts(graph, x, own, name)
        elif own is not None:
            x = _codes_of_numbers(graph, x, own, name)
        found.append(graph.cast(x, wide))
    return found


def _codes_of_texts(graph, x, known, name):
    """Codes of strings, -1 of what is not known."""
    if known is None or not all(isinstance(value, str) for value in known):
        held = "numbers" if known is None else f"categories such as {known[0]!r}"
        raise ValueError(f"{name} holds {held}, got an input of strings for it.")
    if not known:
        return graph.op("Where", graph.op("Equal", x, np.array("", object)), -1.0, -1.0)
    return graph.op(
        "LabelEncoder", x, domain=ML, keys_strings=known,
        values_floats=[float(code) for code in range(len(known))], default_float=-1.0,
    )  # fmt: skip


def _codes_of_numbers(graph, x, known, name):
    if not all(isinstance(value, int | float) for value in known):
        raise ValueError(
            f"{name} holds categories such as {known[0]!r}, which must be all strings "
            "or all numbers to be converted to ONNX; got an input of numbers. Convert "
            "them to strings before fit, and give an input of strings."
        )
    with graph.computing_in("float64"):
        return places_of(graph, graph.cast(x, "float64"), known, -1.0)


def places_of(graph, x, known, otherwise):
    """Places of numbers (n, 1) among known ones in their order, of float64.

    Parameters
    ----------
    graph : Graph
        Computing in float64.
    x : str
    known : sequence of float
    otherwise : float
        In the place of a number that is not known.

    Returns
    -------
    str
    """
    known = np.array(known, np.float64)
    if not len(known):
        return graph.op("Where", graph.op("IsNaN", x), otherwise, otherwise)
    place = graph.op("Sub", counts_below(graph, x, [known]), 1)
    place = graph.op("Max", place, 0)
    is_known = graph.op("Equal", graph.op("Gather", known, place), x)
    return graph.op("Where", is_known, graph.cast(place, "float64"), otherwise)
