"""What nnfit's transformers of columns give, as ONNX operators for skl2onnx."""

from functools import partial

import numpy as np

from nnfit.estimators.columns import name_of
from nnfit.onnx.kinds.scaling import scaled
from nnfit.onnx.pieces import Bins
from nnfit.onnx.rows import are_wide, columns_of

#: Public classes of which `WRITTEN` has the rest.
TRANSFORMERS = ("RobustSmoothScaler", "PiecewiseLinearEncoder", "CategoryEncoder")


def dtype_of(transformer, given):
    """Type of the columns that a transformer gives, for inputs of a model."""
    own = getattr(transformer, "dtype", None)  # of codes
    return own or ("float64" if are_wide(given) else "float32")


def transformed(graph, transformer, given):
    """Add what a transformer computes.

    Parameters
    ----------
    graph : Graph
    transformer : RobustSmoothScaler, PiecewiseLinearEncoder or CategoryEncoder
        Fitted.
    given : list of nnfit.onnx.rows.Given

    Returns
    -------
    str
        (n_samples, n_columns), of the type that `dtype_of` tells.
    """
    dtype = dtype_of(transformer, given)
    categories, parts = getattr(transformer, "categories_", {}), []
    with graph.computing_in(dtype):
        first, named = 0, partial(name_of, transformer)
        for each in given:
            parts += columns_of(graph, categories, named, each, first, dtype)
            first += each.width
        x = graph.concatenated(parts)
        return WRITTEN[type(transformer).__name__](graph, transformer, x)


def _robust_smooth(graph, transformer, x):
    own = transformer.center_, transformer.scale_, transformer._cuts
    return scaled(graph, x, np.array(own, graph.dtype))


def _piecewise_linear(graph, transformer, x):
    bins = Bins(graph.dtype)
    for column, edges in enumerate(transformer.bins_):
        if transformer.keep_input:
            bins.add_number(column)
        bins.add_bins(column, edges)
    return bins.encoded(graph, x)


def _categories(graph, transformer, x):
    """Columns as they are, and of few categories indicators."""
    blocks = []
    for number in range(transformer.n_features_in_):
        column = graph.columns(x, [number])
        indicators = transformer._indicators(number)
        if indicators is not None:
            place = graph.reshaped(graph.cast(column, "int64"), -1)
            column = graph.op("Gather", indicators, place, axis=0)
        blocks.append(column)
    return graph.concatenated(blocks)


WRITTEN = {
    "RobustSmoothScaler": _robust_smooth,
    "PiecewiseLinearEncoder": _piecewise_linear,
    "CategoryEncoder": _categories,
}
