"""Kinds of layers that read columns of numbers and codes, as C: see `kinds`."""

import numpy as np

from nnfit.exporting_c.activations import activated
from nnfit.exporting_c.source import add_product
from nnfit.network.kinds import category_embedding as categories
from nnfit.network.kinds.periodic_embedding import (
    COLUMNS,
    IS_LITE,
    N_FREQUENCIES,
    SIZE,
    TWO_PI,
)


def _each_column(source, columns, *lines):
    """Add a loop over columns `c`, whose number is `value`, of an input."""
    x, numbers = columns
    source.add(
        f"for (int c = 0; c < {len(numbers)}; c++) {{",
        f"    const real value = {x.name}[{source.array(numbers, int)}[c]];",
        *(f"    {line}" for line in lines),
        "}",
    )


def _starts(source, sizes):
    """Where the parts of columns begin, a constant array."""
    return source.array(np.cumsum([0, *sizes[:-1]]), int)


# Waves -----------------------------------------------------------------------


def periodic_embedding(source, node, inputs, arrays, output):
    """A product of the cosines and sines of each column."""
    k, size = node.options[N_FREQUENCIES], node.options[SIZE]
    add_product(source)
    frequencies, weights, intercept = map(source.array, arrays)
    own = "0" if node.options[IS_LITE] else "c"
    _each_column(
        source,
        (inputs[0], node.options[COLUMNS]),
        f"real waves[{2 * k}];",
        f"real *z = {output.name} + c * {size};",
        f"for (int j = 0; j < {k}; j++) {{",
        f"    const real angle = value * {TWO_PI!r} * {frequencies}[c * {k} + j];",
        "    waves[j] = cos(angle);",
        f"    waves[{k} + j] = sin(angle);",
        "}",
        f"for (int j = 0; j < {size}; j++) {{",
        f"    z[j] = {intercept}[{own} * {size} + j];",
        "}",
        f"add_product(waves, {2 * k}, {weights} + {own} * {2 * k * size}, z, {size});",
    )
    activated(source, node.activation, output)


def pbld(source, node, inputs, arrays, output):
    """A product of the cosines of each column, and the column."""
    k, size = node.options[N_FREQUENCIES], node.options[SIZE]
    add_product(source)
    frequencies, phases, weights, intercept = map(source.array, arrays)
    angle = f"value * {TWO_PI!r} * {frequencies}[c * {k} + j]"
    _each_column(
        source,
        (inputs[0], node.options[COLUMNS]),
        f"real waves[{k}];",
        f"real *z = {output.name} + c * {size + 1};",
        f"for (int j = 0; j < {k}; j++) {{",
        f"    waves[j] = cos({angle} + {phases}[c * {k} + j]);",
        "}",
        f"for (int j = 0; j < {size}; j++) {{",
        f"    z[j] = {intercept}[c * {size} + j];",
        "}",
        f"add_product(waves, {k}, {weights} + c * {k * size}, z, {size});",
        f"z[{size}] = value;",
    )


# Bins ------------------------------------------------------------------------


def _add_part(source):
    """Have a function that says where in a bin a number is."""
    source.function(
        "static real part_of_bin(real x, const real *edges, int bin, int n)",
        "const real low = edges[bin];",
        "const real part = (x - low) / (edges[bin + 1] - low);",
        "if (bin > 0 && part < 0.0) {",
        "    return 0.0;",
        "}",
        "return bin < n - 1 && part > 1.0 ? 1.0 : part;",
    )


def piecewise_linear_embedding(source, node, inputs, arrays, output):
    """A line and a product of a column's encoding."""
    columns, n_bins, d = node.options
    edges, slope, intercept, weights = map(source.array, arrays)
    width, first = arrays[0].shape[1], _starts(source, n_bins)
    _add_part(source)
    _each_column(
        source,
        (inputs[0], columns),
        f"const int n = {source.array(n_bins, int)}[c];",
        f"real *z = {output.name} + c * {d};",
        f"for (int j = 0; j < {d}; j++) {{",
        f"    z[j] = {intercept}[c * {d} + j] + {slope}[c * {d} + j] * value;",
        "}",
        "for (int bin = 0; bin < n; bin++) {",
        f"    const real part = part_of_bin(value, {edges} + c * {width}, bin, n);",
        f"    for (int j = 0; j < {d}; j++) {{",
        f"        z[j] += part * {weights}[({first}[c] + bin) * {d} + j];",
        "    }",
        "}",
    )
    activated(source, node.activation, output)


def piecewise_linear_encoding(source, node, inputs, arrays, output):
    """Encodings times a factor, perhaps with the numbers themselves."""
    columns, n_bins, scale, keeps_input = node.options
    edges, width = source.array(arrays[0]), arrays[0].shape[1]
    first = _starts(source, [n + keeps_input for n in n_bins])
    _add_part(source)
    _each_column(
        source,
        (inputs[0], columns),
        f"const int n = {source.array(n_bins, int)}[c];",
        f"real *z = {output.name} + {first}[c];",
        *["*z++ = value;"] * keeps_input,
        "for (int bin = 0; bin < n; bin++) {",
        f"    const real part = part_of_bin(value, {edges} + c * {width}, bin, n);",
        f"    z[bin] = part * {float(scale)!r};",
        "}",
    )


def quantile_scaling(source, node, inputs, arrays, output):
    """A piecewise linear function of each column."""
    columns, n_knots = node.options
    (knots, values), width = map(source.array, arrays), arrays[0].shape[1]
    _each_column(
        source,
        (inputs[0], columns),
        f"const real *knots = {knots} + c * {width};",
        f"const real *values = {values} + c * {width};",
        "int k = 0;",
        f"while (k < {source.array(n_knots, int)}[c] - 2 && value >= knots[k + 1]) {{",
        "    k++;",
        "}",
        "real part = (value - knots[k]) / (knots[k + 1] - knots[k]);",
        "part = part < 0.0 ? 0.0 : part > 1.0 ? 1.0 : part;",
        f"{output.name}[c] = values[k] + part * (values[k + 1] - values[k]);",
    )


# Codes -----------------------------------------------------------------------


def category_embedding(source, node, inputs, arrays, output):
    """A line of each column's table, the last one of what is no code."""
    lines, *vectors = arrays
    first = 0
    for column in categories.columns_of(node):
        n = column.n_codes
        rows = categories.lines_of(column, np.arange(n + 1.0), lines)
        table = categories.table_of(column, vectors, lines.dtype)[rows]
        width, code = table.shape[1], f"{inputs[0].name}[{column.unit}]"
        is_code = f"{code} >= 0.0 && {code} < {float(n)!r} && {code} == floor({code})"
        source.add(
            "{",
            f"    const int line = {is_code} ? (int){code} : {n};",
            f"    for (int j = 0; j < {width}; j++) {{",
            f"        {output.name}[{first} + j] = "
            f"{source.array(table)}[line * {width} + j];",
            "    }",
            "}",
        )
        first += width


WRITTEN = {
    "periodic_embedding": periodic_embedding,
    "pbld": pbld,
    "piecewise_linear_embedding": piecewise_linear_embedding,
    "piecewise_linear_encoding": piecewise_linear_encoding,
    "quantile_scaling": quantile_scaling,
    "category_embedding": category_embedding,
}
