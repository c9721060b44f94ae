"""Kinds of layers as C.

``WRITTEN[kind](source, node, inputs, arrays, output)`` adds the statements that fill
`output`, `Values` of the kind's width, for one row. They compute what ``forward`` of
the kind's NumPy functions (`nnfit.network.kinds`) computes for a prediction.
"""

import numpy as np

from nnfit.exporting_c import embeddings
from nnfit.exporting_c.activations import activated
from nnfit.exporting_c.source import add_product
from nnfit.functions.normalization import EPSILON
from nnfit.network.kinds.dense import has_intercept
from nnfit.network.kinds.scaling import LARGEST


def _each(source, output, *lines, at=0):
    """Add a loop over units `i` of an output."""
    source.add(
        f"for (int i = 0; i < {output.width - at}; i++) {{",
        *(f"    {line}" for line in lines),
        "}",
    )


def dense(source, node, inputs, arrays, output):
    """A product and a sum, then the activation."""
    x, *start = inputs
    y = output.name
    if has_intercept(node):
        _each(source, output, f"{y}[i] = {source.array(arrays[1])}[i];")
    elif start:
        _each(source, output, f"{y}[i] = {start[0].name}[i];")
    else:
        _each(source, output, f"{y}[i] = 0.0;")
    add_product(source)
    w = source.array(arrays[0])
    source.add(f"add_product({x.name}, {x.width}, {w}, {y}, {output.width});")
    activated(source, node.activation, output)


def ntp(source, node, inputs, arrays, output):
    """Divided by the root of how many there are."""
    factor = source.array([1.0 / np.sqrt(output.width)])
    _each(source, output, f"{output.name}[i] = {inputs[0].name}[i] * {factor}[0];")


def normalization(source, node, inputs, arrays, output):
    """By statistics of the row, or by running ones."""
    (z,), (intercept, *norms) = inputs, arrays
    kind, y = node.options[0], output.name
    if kind == "batch":
        scale, mean, variance = np.asarray(norms[0], np.float64)
        factor = source.array(scale / np.sqrt(variance + EPSILON))
        value = f"({z.name}[i] - {source.array(mean)}[i]) * {factor}[i]"
    elif kind == "layer":
        source.function(
            "static void normalize(const real *z, real *y, int n)",
            "double mean = 0, variance = 0;",
            "for (int i = 0; i < n; i++) {",
            "    mean += z[i];",
            "}",
            "mean /= n;",
            "for (int i = 0; i < n; i++) {",
            "    variance += (z[i] - mean) * (z[i] - mean);",
            "}",
            f"const real factor = 1.0 / sqrt((real)(variance / n) + {EPSILON:.1e});",
            "for (int i = 0; i < n; i++) {",
            "    y[i] = (real)(z[i] - mean) * factor;",
            "}",
        )
        source.add(f"normalize({z.name}, {y}, {output.width});")
        value = f"{y}[i] * {source.array(norms[0][0])}[i]"
    else:
        value = f"{z.name}[i]"
    _each(source, output, f"{y}[i] = {value} + {source.array(intercept)}[i];")
    activated(source, node.activation, output)


def concatenation(source, node, inputs, arrays, output):
    """The inputs beside one another."""
    first = 0
    for x in inputs:
        _each(source, x, f"{output.name}[{first} + i] = {x.name}[i];")
        first += x.width


def selection(source, node, inputs, arrays, output):
    """Some of the input's columns."""
    columns = source.array(node.options[0], int)
    _each(source, output, f"{output.name}[i] = {inputs[0].name}[{columns}[i]];")


def scale(source, node, inputs, arrays, output):
    """A learnt factor for each input."""
    factor = source.array(arrays[0])
    _each(source, output, f"{output.name}[i] = {inputs[0].name}[i] * {factor}[i];")


def parametric_activation(source, node, inputs, arrays, output):
    """``(1 - a) x + a f(x)``."""
    x, y, share = inputs[0].name, output.name, source.array(arrays[0])
    _each(source, output, f"{y}[i] = {x}[i];")
    activated(source, node.activation, output)
    _each(source, output, f"{y}[i] = {x}[i] + {share}[i] * ({y}[i] - {x}[i]);")


def imputation(source, node, inputs, arrays, output):
    """Filled columns, then indicators."""
    x, (columns, indicated) = inputs[0].name, node.options
    n = len(indicated)
    if columns:
        places, fills = source.array(columns, int), source.array(arrays[0])
        value = f"{x}[{places}[i]]"
        value = f"isnan({value}) ? {fills}[i] : {value}"
        _each(source, output, f"{output.name}[i] = {value};", at=n)
    if indicated:
        value = f"isnan({x}[{source.array(indicated, int)}[i]]) ? 1.0 : 0.0"
        place = f"{output.name}[{len(columns)} + i]"
        _each(source, output, f"{place} = {value};", at=len(columns))


def scaling(source, node, inputs, arrays, output):
    """``z / sqrt(1 + (c z)^2)``, ``z = s (x - m)``."""
    shift, factor, cut = arrays[0]
    columns = source.array(node.options[0], int)
    value = f"({inputs[0].name}[{columns}[i]] - {source.array(shift)}[i])"
    end = f"{LARGEST:.1e}"
    lines = [
        f"real z = {value} * {source.array(factor)}[i];",
        f"z = z < -{end} ? -{end} : z > {end} ? {end} : z;",
    ]
    if np.any(cut):
        lines.append(f"const real part = z * {source.array(cut)}[i];")
        lines.append("z /= sqrt(1.0 + part * part);")
    _each(source, output, *lines, f"{output.name}[i] = z;")


WRITTEN = {
    "dense": dense,
    "normalization": normalization,
    "concatenation": concatenation,
    "selection": selection,
    "scale": scale,
    "parametric_activation": parametric_activation,
    "imputation": imputation,
    "scaling": scaling,
    "ntp": ntp,
    **embeddings.WRITTEN,
}
