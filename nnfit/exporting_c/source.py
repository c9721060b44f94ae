"""C source that grows: arrays, functions that are needed, and statements."""

import json
import re
from typing import NamedTuple

import numpy as np

#: Functions of math.h that the texts call; those of float end with f.
OF_MATH = "exp|expm1|erf|tanh|log1p|fabs|sqrt|cos|sin|floor"
#: Numbers in the texts: they have a point, unlike places of arrays.
NUMBERS = r"\b\d+\.\d+(?:e[+-]?\d+)?"


class Values(NamedTuple):
    """An array of the function that is being written.

    Attributes
    ----------
    name : str
    width : int
    """

    name: str
    width: int


class Source:
    """A C file.

    Texts of statements have the type ``real`` and double's functions and numbers; they
    are written for the type of the network.

    Parameters
    ----------
    dtype : {"float32", "float64"}

    Attributes
    ----------
    real : {"float", "double"}
    """

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.real = {"float32": "float", "float64": "double"}[dtype]
        self._arrays, self._functions, self._lines, self._n_values = [], {}, [], 0

    def add(self, *lines):
        """Add statements to the function that is being written."""
        self._lines += lines

    def values(self, width):
        """A new array of the function, `Values`."""
        found = Values(f"v{self._n_values}", int(width))
        self._n_values += 1
        self.add(f"real {found.name}[{found.width}];")
        return found

    def array(self, values, dtype=None):
        """Name of a constant array.

        Parameters
        ----------
        values : array-like
        dtype : type, default=None
            None for that of the network; or int, or float64.

        Returns
        -------
        str
        """
        values = np.asarray(values, self.dtype if dtype is None else dtype).ravel()
        name = f"a{len(self._arrays)}"
        real = "float" if values.itemsize == 4 else "double"
        of_c = "int" if np.issubdtype(values.dtype, np.integer) else real
        texts = [number(each) for each in values]
        lines = [", ".join(texts[i : i + 6]) for i in range(0, len(texts), 6)]
        self._arrays.append(
            f"static const {of_c} {name}[{len(texts)}] = {{\n    "
            + ",\n    ".join(lines)
            + "\n};"
        )
        return name

    def function(self, head, *lines):
        """Have a function in the file, once."""
        self._functions.setdefault(head, lines)

    def end_function(self, head):
        """Make a function of the statements since the last one, and begin anew."""
        self.function(head, *self._lines)
        self._lines, self._n_values = [], 0

    def text(self):
        """Arrays, then functions, a str."""
        functions = [
            "\n".join([head, "{", *(f"    {line}" for line in lines), "}"])
            for head, lines in self._functions.items()
        ]
        return "\n\n".join([*self._arrays, *map(self._typed, functions)]) + "\n"

    def _typed(self, text):
        text = re.sub(r"\breal\b", self.real, text)
        if self.real == "double":
            return text
        text = re.sub(rf"\b({OF_MATH})\(", r"\1f(", text)
        return re.sub(rf"({NUMBERS})(?!\w)", r"\1f", text)


def add_product(source):
    """Have a function in the file that adds a product of a vector and a matrix."""
    source.function(
        "static void add_product(const real *x, int n, const real *w, real *y, int m)",
        "for (int i = 0; i < n; i++) {",
        "    for (int j = 0; j < m; j++) {",
        "        y[j] += x[i] * w[i * m + j];",
        "    }",
        "}",
    )


def number(value):
    """A NumPy number as C, to its last bit."""
    if value.dtype.kind == "i":
        return str(value)
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"{value:.8e}f" if value.itemsize == 4 else f"{value:.16e}"


def commented(text):
    """Text of users as a string of ASCII that no comment ends at."""
    text = json.dumps(str(text))
    for mark in ("*/", "/*", "??"):
        text = text.replace(mark, " ".join(mark))
    return text
