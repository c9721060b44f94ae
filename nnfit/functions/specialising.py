"""Copies of scalar functions for one precision and one device."""

import types

import numba
import numpy as np


def specialise(function, dtype, maths, compiled, copies=None):
    """Compile-ready copy of a scalar function for one precision.

    Scalar functions are written once, with Python's numbers. A Python float
    is a double to numba and would drag float32 code to double precision, so
    the constants of the copy, its own and those of its module, have the
    compute dtype; other functions that it calls are treated likewise.

    Parameters
    ----------
    function : callable
        A plain Python function, or one that numba has decorated.
    dtype : {"float32", "float64"}
    maths : dict
        What takes the place of functions of `nnfit.functions.maths`, by name.
    compiled : callable
        Decorator of the copy.
    copies : dict, default=None
        Copies made before with the same arguments, by function; new ones are added.
        Functions that call the same others then share them.
    """
    copies = {} if copies is None else copies
    return _specialise(function, dtype, maths, compiled, copies)


def _specialise(function, dtype, maths, compiled, done):
    if isinstance(function, numba.core.dispatcher.Dispatcher):
        function = function.py_func
    if function in done:
        return done[function]
    scalar = np.dtype(dtype).type

    def convert(value):
        if type(value) is float:
            return scalar(value)
        if isinstance(value, numba.core.dispatcher.Dispatcher):
            value = value.py_func
        if isinstance(value, types.FunctionType) and value is not function:
            if value.__module__ == "nnfit.functions.maths" and value.__name__ in maths:
                return maths[value.__name__]
            return _specialise(value, dtype, maths, compiled, done)
        return value

    code = function.__code__
    names = set(code.co_names)
    namespace = {
        name: convert(value)
        for name, value in function.__globals__.items()
        if name in names
    }
    namespace["__builtins__"] = __builtins__
    namespace["__name__"] = function.__module__
    constants = tuple(convert(c) if type(c) is float else c for c in code.co_consts)
    cells = tuple(
        types.CellType(convert(cell.cell_contents))
        for cell in function.__closure__ or ()
    )
    copy = types.FunctionType(
        code.replace(co_consts=constants),
        namespace,
        function.__name__,
        function.__defaults__,
        cells,
    )
    copy.__qualname__ = f"{function.__qualname__}_{dtype}"
    done[function] = compiled(copy)
    return done[function]
