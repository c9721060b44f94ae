"""Activations and losses that the user wrote, checked and turned into rows.

A user's function runs on a grid of points in plain Python before anything is
compiled, and its slope is compared with a numerical derivative, because a wrong
slope trains badly without any other sign.
"""

import builtins
import dis
import hashlib
import math
import numbers
import re
import types

import numpy as np

from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.functions.losses import Loss

ACTIVATION_FORM = """\
An activation takes one float and returns its value and its slope there, for example

    def swish(z):
        s = 1.0 / (1.0 + math.exp(-z))
        return z * s, s + z * s * (1.0 - s)
"""

LOSS_FORM = """\
A loss takes a raw prediction and a target, two floats, and returns its value and \
its derivative with respect to the raw prediction, for example

    def squared(raw_prediction, y):
        r = raw_prediction - y
        return 0.5 * r * r, r
"""

# 0 is in the grid because padding is 0, kinks are usually there, and a function that
# divides by z fails there.
GRID = tuple(k / 8.0 for k in range(-64, 65))
TARGETS = {"classification": (0.0, 1.0), "regression": (-2.0, 0.0, 0.3, 1.0, 4.0)}

# Central differences in float64 have an error of about 1e-10 at this step. The
# tolerance leaves room for users' own approximations of exp and the like.
STEP = 1e-5
TOLERANCE = 1e-3
MAX_KINKS = 8  # of the 129 points of the grid


def find_activation(activation):
    """Registry row of a name or of a user's function."""
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    if callable(activation):
        return custom_activation(activation)
    raise ValueError(
        f"activation must hold functions or names among {sorted(ACTIVATIONS)}, got "
        f"{activation!r}."
    )


def custom_activation(function):
    """Check a user's activation and make a registry row of it.

    Parameters
    ----------
    function : callable
        ``function(z) -> (value, slope)`` on floats; a plain Python function that
        numba can compile, or one already decorated with ``numba.njit``.

    Returns
    -------
    activation : Activation
        Its name is the function's, its ``function`` the user's.

    Raises
    ------
    TypeError
        If it is not a plain Python function.
    ValueError
        If it does not return a finite value and slope, or the slope is not the
        derivative of the value. A few kinks are accepted.
    """
    function = _plain_function(function, "activation", ACTIVATION_FORM)
    what = f"The activation {function.__name__!r}"
    _refuse_exceptions(function, what, ACTIVATION_FORM)
    try:
        _check(function, "z={:g}", what, "slope", ACTIVATION_FORM)
    except _OutsideDomain as failure:
        raise ValueError(str(failure)) from failure.__cause__
    name = function.__name__
    return Activation(name, function, rf"\text{{{name}}}(z)", "The user's own.")


def custom_loss(function, task):
    """Check a user's loss and make a registry row of it.

    Parameters
    ----------
    function : callable
        ``function(raw_prediction, y) -> (value, gradient)`` on floats.
    task : {"classification", "regression"}
        For classification ``y`` is 0 or 1 and predictions are the logistic function
        of the raw predictions; for regression they are the raw predictions.

    Returns
    -------
    loss : Loss
        Its ``function`` sums the user's over the outputs of a row.

    Raises
    ------
    TypeError
        If it is not a plain Python function.
    ValueError
        If it does not return a finite value and gradient, or the gradient is not
        the derivative of the value. Targets where it fails are taken to be
        outside its domain, as long as one works.
    """
    function = _plain_function(function, "loss", LOSS_FORM)
    what = f"The loss {function.__name__!r}"
    _refuse_exceptions(function, what, LOSS_FORM)
    failures = []
    for y in TARGETS[task]:
        place = f"raw_prediction={{:g}}, y={y:g}"
        try:
            _check(
                lambda raw, y=y: function(raw, y), place, what, "gradient", LOSS_FORM
            )
        except _OutsideDomain as failure:
            failures.append(failure)
    if failures and (task == "classification" or len(failures) == len(TARGETS[task])):
        raise ValueError(str(failures[-1])) from failures[-1].__cause__
    # Not a closure: compiling reads the functions that a kernel calls from its
    # globals, as for every function of the registries.
    row = types.FunctionType(
        _sum_over_outputs.__code__,
        {"__builtins__": builtins, "__name__": __name__, "elementwise": function},
        name=function.__name__,
    )
    name = function.__name__
    return Loss(
        name=name,
        function=row,
        task=task,
        link="logistic" if task == "classification" else "identity",
        formula=rf"\sum_j \text{{{name}}}(z_j, y_j)",
        reference="The user's own.",
    )


def _sum_over_outputs(raw, y, grad, n, params):
    total = 0.0
    for j in range(n):
        value, gradient = elementwise(raw[j], y[j])  # noqa: F821
        grad[j] = gradient
        total += value
    return total


class _OutsideDomain(Exception):
    """The function raised an arithmetic error or returned something not finite."""


def _plain_function(function, parameter, form):
    function = getattr(function, "py_func", function)
    if not isinstance(function, types.FunctionType):
        expected = "a name or a plain Python function (def or lambda)"
        raise TypeError(
            f"{parameter} must be {expected}, got {function!r} of type "
            f"{type(function).__name__}. {form}"
        )
    return function


def _refuse_exceptions(function, what, form, seen=()):
    """Kernels hand nothing on that a function raises: its loop would end half done."""
    seen = (function, *seen)
    names, closure = function.__globals__, _closure(function)
    for code in _with_nested(function.__code__):
        if any(step.opname == "RAISE_VARARGS" for step in dis.get_instructions(code)):
            raise ValueError(
                f"{what} must not raise, as {code.co_name!r} does by raise or "
                f"assert: kernels raise nothing. Let it return math.nan there. {form}"
            )
        for _, called in _references(code, names, closure):
            called = getattr(called, "py_func", called)
            if isinstance(called, types.FunctionType) and called not in seen:
                package = (called.__module__ or "").partition(".")[0]
                if package not in VERSIONED_MODULES:  # numba has its own for these
                    _refuse_exceptions(called, what, form, seen)


def _with_nested(code):
    """Code and that of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _with_nested(constant)


def _evaluate(call, x, place, what, form):
    """``(value, slope)`` of a user's function at x, or a sentence why not."""
    where = place.format(x)
    try:
        result = call(x)
    except (ArithmeticError, ValueError) as error:
        problem = f"raised {type(error).__name__} ({error}) at {where}"
        raise _OutsideDomain(f"{what} {problem}. {form}") from error
    except Exception as error:
        problem = f"raised {type(error).__name__} ({error}) at {where}"
        raise ValueError(f"{what} {problem}. {form}") from error
    if (
        not isinstance(result, tuple)
        or len(result) != 2
        or not all(isinstance(number, numbers.Real) for number in result)
    ):
        problem = f"must return two floats, got {result!r} at {where}"
        raise ValueError(f"{what} {problem}. {form}")
    value, slope = float(result[0]), float(result[1])
    if not (math.isfinite(value) and math.isfinite(slope)):
        problem = f"must be finite, got {(value, slope)} at {where}"
        raise _OutsideDomain(f"{what} {problem}. {form}")
    return value, slope


def _check(call, place, what, slope_name, form):
    """Compare the slope with a numerical derivative on the grid."""
    kinks = 0
    mismatch = None
    for x in GRID:
        value, slope = _evaluate(call, x, place, what, form)
        above = (_evaluate(call, x + STEP, place, what, form)[0] - value) / STEP
        below = (value - _evaluate(call, x - STEP, place, what, form)[0]) / STEP
        derivative = 0.5 * (above + below)
        tolerance = TOLERANCE * max(1.0, abs(slope), abs(derivative))
        if abs(slope - derivative) <= tolerance:
            continue
        kinks += abs(above - below) > tolerance
        if mismatch is None or abs(above - below) <= tolerance:
            mismatch = (
                f"{slope_name} at {place.format(x)} was {slope:.6g}, numerical "
                f"derivative {derivative:.6g}"
            )
        if abs(above - below) <= tolerance or kinks > MAX_KINKS:
            raise ValueError(f"{what} has a wrong {slope_name}: {mismatch}. {form}")


def is_same(activation, other):
    """Whether two are the same name or function, or one that was defined twice."""
    if activation == other or not (callable(activation) and callable(other)):
        return activation == other
    digest = fingerprint(activation)
    return digest is not None and digest == fingerprint(other)


# ----------------------------------------------------------------- what compiles

ALLOWED = (
    "It may compute with numbers: +, -, *, /, if, for, the functions of math, NumPy's "
    "functions of one number, and other functions of the same kind; no lists, arrays, "
    "texts or print. float(z > 0) is 1.0 if z > 0 else 0.0."
)


def why_not_compiled(functions, error):
    """Say in a sentence why functions of a user cannot be compiled.

    Parameters
    ----------
    functions : list of function
        One of which is to blame.
    error : Exception
        Of numba.
    """
    names = " or ".join(repr(function.__name__) for function in functions)
    return f"numba cannot compile the function {names}: {_reason(error)}. {ALLOWED}"


def _reason(error):
    """What numba means, from a text of up to some thousand characters."""
    text = re.sub(r"Failed in \w+ mode pipeline \(step: .*?\)", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    calls = [line[4:] for line in lines if line.startswith(">>> ")]
    if calls:
        reason = f"numba has no {calls[0]}"
    elif "NRT required" in reason:
        reason = "it makes an object, such as a list or an array"
    places = re.findall(r'at (\S+) \((\d+)\)|File "([^"]+)", line (\d+)', text)
    place = next((p for p in places if "site-packages" not in p[0] + p[2]), None)
    if place:
        reason += f" ({place[0] or place[2]}, line {place[1] or place[3]})"
    return reason[:400]


# ------------------------------------------------------------------ fingerprints


def fingerprint(function):
    """Hash of a function's code and of everything that the code refers to.

    Parameters
    ----------
    function : function
        A plain Python function.

    Returns
    -------
    digest : bytes or None
        None if something it refers to has no reliable hash (a list, an instance, a
        module used as a value); what is compiled from it must then not be cached.
        Covered are bytecode, constants, default arguments, and the closure and
        global values used: functions recursively, numbers, strings, tuples, arrays,
        and names of modules whose version stands for their contents.
    """
    digest = hashlib.sha256()
    try:
        _hash_value(function, digest.update, {})
    except _NoFingerprint:
        return None
    return digest.digest()


class _NoFingerprint(Exception):
    pass


# Modules whose version (or the interpreter's) stands for their contents. Other
# modules are followed to the attribute that is used.
VERSIONED_MODULES = {"builtins", "math", "cmath", "operator", "numpy", "numba"}


def _hash_value(value, update, seen):
    kind = type(value)
    value = getattr(value, "py_func", value)
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        update(f"{kind.__name__}:{value!r};".encode())
    elif isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        array = np.asarray(value)
        update(f"array:{kind.__name__}{array.dtype.str}{array.shape}:".encode())
        update(array.tobytes())
    elif isinstance(value, (tuple, frozenset)):
        update(f"{kind.__name__}{len(value)}:".encode())
        for item in sorted(value, key=repr) if kind is frozenset else value:
            _hash_value(item, update, seen)
    elif isinstance(value, types.CodeType):
        raise _NoFingerprint
    elif isinstance(value, types.FunctionType):
        _hash_function(value, update, seen)
    else:
        _hash_named(value, update)


def _hash_named(value, update):
    """A class, built-in function or ufunc, by name and version of its package."""
    module = getattr(value, "__module__", None) or ""
    if isinstance(value, np.ufunc):
        module = "numpy"
    package = module.partition(".")[0]
    if type(value).__module__.partition(".")[0] == "numba":
        # Such as a compiled callback, whose address the code would keep.
        raise _NoFingerprint
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if package not in VERSIONED_MODULES or not name:
        raise _NoFingerprint
    version = getattr(__import__(package), "__version__", "")
    update(f"{module}.{name}={version};".encode())


def _hash_function(function, update, seen):
    if function in seen:  # recursion, or a function used twice
        update(f"seen:{seen[function]};".encode())
        return
    seen[function] = len(seen)
    _hash_value(function.__defaults__, update, seen)
    _hash_value(tuple(sorted((function.__kwdefaults__ or {}).items())), update, seen)
    closure = _closure(function)
    _hash_code(function.__code__, function.__globals__, closure, update, seen)


def _hash_code(code, names, closure, update, seen):
    update(f"code:{len(code.co_code)}:".encode() + code.co_code)
    signature = (code.co_argcount, code.co_kwonlyargcount, code.co_flags)
    update(repr((signature, code.co_names, code.co_varnames)).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):  # a nested function
            _hash_code(constant, names, closure, update, seen)
        else:
            _hash_value(constant, update, seen)
    for name, value in _references(code, names, closure):
        if value is _UNKNOWN:
            raise _NoFingerprint
        update(f"{name}=".encode())
        if not isinstance(value, types.ModuleType):
            _hash_value(value, update, seen)


# --------------------------------------------------------------- what code refers to

#: A value that cannot be told before the function runs.
_UNKNOWN = object()


def _closure(function):
    """Values of the variables around a function, by name."""
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    closure = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            closure[name] = cell.cell_contents
        except ValueError:  # an empty cell
            closure[name] = _UNKNOWN
    return closure


def _references(code, names, closure):
    """Names outside of a function that its code uses, and their values.

    A module is followed by the attribute that is used.

    Parameters
    ----------
    code : types.CodeType
    names, closure : dict
        Global variables, and those of the functions around it.

    Yields
    ------
    name : str
    value : object
        `_UNKNOWN` where it cannot be told.
    """
    module = None
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if module is not None:
            is_attribute = instruction.opname in ("LOAD_ATTR", "LOAD_METHOD")
            value = getattr(module, name, _UNKNOWN) if is_attribute else _UNKNOWN
        elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = names.get(name, getattr(builtins, name, _UNKNOWN))
        elif instruction.opname == "LOAD_DEREF" and name in closure:
            value = closure[name]
        elif instruction.opname == "IMPORT_NAME":
            value = _UNKNOWN
        else:
            continue
        module = value if isinstance(value, types.ModuleType) else None
        yield name, value
