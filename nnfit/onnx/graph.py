"""A graph of ONNX operators that grows, for a model of its own or as part of another.

Operators are those of opset `OPSET`, which all later ones have too.
"""

from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import numpy as np

#: Version of the operators, of ONNX 1.13 and onnxruntime 1.14 (2023).
OPSET = 18
#: Domain of the operators of classical models, and its version.
ML, ML_VERSION = "ai.onnx.ml", 3


class Operator(NamedTuple):
    """A node of the graph."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    domain: str
    attributes: dict[str, Any]


class Graph:
    """Operators and constants.

    Parameters
    ----------
    named : callable, default=None
        ``named(word)`` is a name that nothing else has; None counts.

    Attributes
    ----------
    operators : list of Operator
    constants : dict of ndarray
        By name.
    dtype : {"float32", "float64"}
        Type of numbers that are given as Python has them.
    """

    def __init__(self, named=None):
        numbers = count()
        self._named = named or (lambda word: f"{word}_{next(numbers)}")
        self.operators, self.constants = [], {}
        self.dtype = "float32"

    @contextmanager
    def computing_in(self, dtype):
        """Numbers have this type inside of the block."""
        before, self.dtype = self.dtype, dtype
        try:
            yield
        finally:
            self.dtype = before

    def op(self, kind, *inputs, n_outputs=1, output=None, domain="", **attributes):
        """Add an operator.

        Parameters
        ----------
        kind : str
            As ONNX calls it.
        *inputs : str, ndarray, float, int, or list or tuple of int
            Names of values, or constants.
        n_outputs : int, default=1
        output : str or None, default=None
            Name of the only output; None for a new one.
        domain : str, default=""
        **attributes
            Of the operator.

        Returns
        -------
        str or list of str
            Name of the output, or names of several.
        """
        names = [
            each if isinstance(each, str) else self.constant(each) for each in inputs
        ]
        outputs = [output or self._named(kind) for _ in range(n_outputs)]
        self.operators.append(Operator(kind, names, outputs, domain, attributes))
        return outputs[0] if n_outputs == 1 else outputs

    def constant(self, value):
        """Name of a constant."""
        if isinstance(value, float):
            value = np.array(value, self.dtype)
        elif isinstance(value, int | list | tuple):
            value = np.array(value, np.int64)
        name = self._named("constant")
        self.constants[name] = np.asarray(value)
        return name

    def cast(self, value, dtype):
        """A value in another type, such as "float64"."""
        return self.op("Cast", value, to=ONNX_TYPES[dtype])

    def columns(self, value, columns):
        """Some columns of a value, in an order of their own."""
        return self.op("Gather", value, list(columns), axis=1)

    def concatenated(self, values, axis=1):
        """Values beside one another."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def reshaped(self, value, *shape):
        """A value in another shape, of which one length may be -1."""
        return self.op("Reshape", value, shape)

    def batched(self, value, matrices, intercept):
        """``value[:, i] @ matrices[i] + intercept[i]``, (n, k, m).

        Parameters
        ----------
        value : str
            (n, k, l)
        matrices : ndarray of shape (k, l, m)
        intercept : ndarray of shape (k, m)
        """
        turned = self.op("Transpose", value, perm=[1, 0, 2])
        product = self.op("MatMul", turned, matrices)
        return self.op("Add", self.op("Transpose", product, perm=[1, 0, 2]), intercept)


#: Numbers of types in ONNX's files (TensorProto.DataType).
ONNX_TYPES = {
    "float32": 1, "int64": 7, "str": 8, "bool": 9, "float64": 11,
    "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "uint32": 12,
    "uint64": 13,
}  # fmt: skip
