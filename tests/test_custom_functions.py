"""Activations and losses of the user's own: checks, rows and fingerprints."""

import math
import types

import numba
import numpy as np
import pytest

from nnfit.functions import custom
from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.functions.custom import custom_activation, custom_loss, fingerprint
from nnfit.functions.links import LINKS
from nnfit.functions.losses import Loss


def swish(z):
    s = 1.0 / (1.0 + math.exp(-z))
    return z * s, s + z * s * (1.0 - s)


def squared(raw_prediction, y):
    r = raw_prediction - y
    return 0.5 * r * r, r


def build(source, **names):
    namespace = dict(names)
    exec(source, namespace)
    return namespace["f"]


# ------------------------------------------------------------------ activations


def test_custom_activation():
    row = custom_activation(swish)
    assert isinstance(row, Activation)
    assert row.name == "swish"
    assert row.function is swish
    assert row.formula
    assert row.reference


def test_examples_of_the_messages_are_right():
    for form, make in (
        (custom.ACTIVATION_FORM, custom_activation),
        (custom.LOSS_FORM, lambda function: custom_loss(function, "regression")),
    ):
        namespace = {"math": math}
        lines = form.splitlines()[2:]
        exec("\n".join(line[4:] for line in lines), namespace)
        (function,) = (
            value
            for value in namespace.values()
            if isinstance(value, types.FunctionType)
        )
        make(function)


@pytest.mark.parametrize("row", ACTIVATIONS.values(), ids=lambda row: row.name)
def test_registered_activations_pass(row):
    custom_activation(row.function)


def test_numpy_functions_and_numba_functions_pass():
    assert custom_activation(lambda z: (np.sin(z), np.cos(z))).name == "<lambda>"
    jitted = numba.njit(swish)
    assert custom_activation(jitted).function is swish


def test_a_few_kinks_pass():
    def clip(z):
        return min(max(z, -1.0), 1.0), 1.0 if -1.0 < z < 1.0 else 0.0

    custom_activation(clip)


def wrong_slope(z):
    return z * z, z


def wrong_at_one_place(z):
    return z, 0.3 if z == 0.5 else 1.0


def staircase(z):
    return math.floor(16.0 * z), 1.0


def one_number(z):
    return z


def arrays(z):
    return np.array([z]), np.array([1.0])


def two_arguments(z, y):
    return z, 1.0


def one_over(z):
    return 1.0 / z, -1.0 / (z * z)


def not_a_number(z):
    return math.nan, 1.0


def misspelt(z):
    return maths.exp(z), 1.0  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (wrong_slope, r"slope at z=-8 was -8, numerical derivative -16"),
        (wrong_at_one_place, r"slope at z=0.5 was 0.3, numerical derivative 1"),
        (staircase, r"wrong slope: slope at z="),
        (one_number, r"must return two floats, got -8.0 at z=-8"),
        (arrays, r"must return two floats, got \(array"),
        (two_arguments, r"raised TypeError .*missing 1 required .* at z=-8"),
        (one_over, r"raised ZeroDivisionError .* at z=0"),
        (not_a_number, r"must be finite, got \(nan, 1.0\) at z=-8"),
        (misspelt, r"raised NameError"),
    ],
)
def test_refused_activations(function, message):
    with pytest.raises(ValueError, match=message) as caught:
        custom_activation(function)
    text = str(caught.value)
    assert text.startswith(f"The activation {function.__name__!r} ")
    assert "return z * s, s + z * s * (1.0 - s)" in text


def raises(z):
    if z > 1e6:
        raise ValueError("too large")
    return z, 1.0


def calls_one_that_raises(z):
    return raises(z)


def module_of(**names):
    module = types.ModuleType("of_a_user")
    vars(module).update(names)
    return module


def holds_one_that_raises(z):
    def f(z):
        assert z < 1e6
        return z

    return f(z), 1.0


@pytest.mark.parametrize(
    "function",
    [
        raises,
        calls_one_that_raises,
        holds_one_that_raises,
        (lambda function: lambda z: function(z))(numba.njit(raises)),
        build("def f(z):\n    return m.f(z)\n", m=module_of(f=raises)),
        numba.njit(calls_one_that_raises),
        build("def f(z):\n    assert z < 1e6\n    return z, 1.0\n"),
    ],
)
def test_a_function_that_raises_is_refused(function):
    """Its kernel would stop in the middle of a batch and say nothing."""
    message = "must not raise, as '(raises|f)' does by raise or assert: kernels"
    with pytest.raises(ValueError, match=f"The activation .* {message}"):
        custom_activation(function)
    loss = build("def f(raw, y):\n    return function(raw - y)\n", function=function)
    with pytest.raises(ValueError, match=f"The loss 'f' {message}"):
        custom_loss(loss, "regression")


@pytest.mark.parametrize("value", [3, None, "relu", np.tanh, print, object])
def test_what_is_no_plain_function_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"activation must be .*, got .* of type"):
        custom_activation(value)
    with pytest.raises(TypeError, match=r"loss must be .*, got .* of type"):
        custom_loss(value, "regression")


# ----------------------------------------------------------------------- losses


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_custom_loss(task):
    row = custom_loss(squared, task)
    assert isinstance(row, Loss)
    assert (row.name, row.task) == ("squared", task)
    assert row.link in LINKS
    assert row.parameters == ()
    grad = [math.nan] * 3
    value = row.function([1.0, 2.0, 3.0], [0.0, 2.0, 5.0], grad, 3, ())
    assert value == 2.5
    assert grad == [1.0, 0.0, -2.0]


def test_two_custom_losses_do_not_mix():
    first = custom_loss(squared, "regression")
    second = custom_loss(lambda raw, y: (math.exp(raw - y),) * 2, "regression")
    grad = [0.0]
    assert first.function([2.0], [0.0], grad, 1, ()) == 2.0
    assert second.function([0.0], [0.0], grad, 1, ()) == 1.0
    assert fingerprint(first.function) != fingerprint(second.function)


def test_the_row_of_a_custom_loss_is_legal_numba():
    row = custom_loss(squared, "regression").function
    names = row.__globals__ | {
        "elementwise": numba.njit(row.__globals__["elementwise"])
    }
    compiled = numba.njit(types.FunctionType(row.__code__, names))
    raw, y, grad = np.array([1.0, 2.0]), np.array([0.0, 5.0]), np.zeros(2)
    assert compiled(raw, y, grad, 2, np.zeros(0)) == 5.0
    np.testing.assert_array_equal(grad, [1.0, -3.0])


def gamma_deviance(raw_prediction, y):
    return raw_prediction + y * math.exp(-raw_prediction) - math.log(y), (
        1.0 - y * math.exp(-raw_prediction)
    )


def test_targets_outside_the_domain_are_left_out():
    custom_loss(gamma_deviance, "regression")
    with pytest.raises(ValueError, match=r"raised ValueError .*raw_prediction=-8, y=0"):
        custom_loss(gamma_deviance, "classification")


def wrong_sign(raw_prediction, y):
    r = y - raw_prediction
    return 0.5 * r * r, r


def nowhere(raw_prediction, y):
    return math.log(-1.0), 0.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (wrong_sign, r"gradient at raw_prediction=-8, y=-2 was 6, numerical .* -6"),
        (swish, r"raised TypeError"),
        (nowhere, r"raised ValueError \("),
        (lambda raw, y: raw - y, r"must return two floats, got -6.0"),
    ],
)
def test_refused_losses(function, message):
    with pytest.raises(ValueError, match=message) as caught:
        custom_loss(function, "regression")
    assert "def squared(raw_prediction, y):" in str(caught.value)


# ----------------------------------------------------------------- fingerprints


def test_fingerprint_is_stable():
    source = "def f(z):\n    return z * 2.0, 2.0\n"
    assert fingerprint(build(source)) == fingerprint(build(source))
    assert isinstance(fingerprint(build(source)), bytes)


GLOBALS = "def f(z):\n    return z * k, k\n"
HELPER = "def g(z):\n    return {} * z\ndef f(z):\n    return g(z), 1.0\n"
MODULE = "def f(z):\n    return m.k * z, m.k\n"
NESTED = "def f(z):\n    g = lambda x: {} * x\n    return g(z), 1.0\n"


def module(**names):
    result = types.ModuleType("settings")
    result.__dict__.update(names)
    return result


def closure(value):
    def f(z):
        return value * z, value

    return f


def default(value):
    def f(z, k=value):
        return k * z, k

    return f


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (build("def f(z):\n    return z, 1.0"), build("def f(z):\n    return z, 2.0")),
        (
            build("def f(z):\n    return z+z, 1."),
            build("def f(z):\n    return z-z, 1."),
        ),
        (build(GLOBALS, k=1.0), build(GLOBALS, k=2.0)),
        (build(GLOBALS, k=1.0), build(GLOBALS, k=1)),
        (build(GLOBALS, k=1.0), build(GLOBALS, k=np.float64(1.0))),
        (build(GLOBALS, k=(1.0, 2)), build(GLOBALS, k=(1.0, 3))),
        (build(GLOBALS, k=np.arange(3)), build(GLOBALS, k=np.arange(3)[::-1])),
        (build(HELPER.format(1.0)), build(HELPER.format(2.0))),
        (build(MODULE, m=module(k=1.0)), build(MODULE, m=module(k=2.0))),
        (build(NESTED.format(1.0)), build(NESTED.format(2.0))),
        (closure(1.0), closure(2.0)),
        (closure(closure(1.0)), closure(closure(2.0))),
        (default(1.0), default(2.0)),
        (build(GLOBALS, k=math.exp), build(GLOBALS, k=math.log)),
        (build(GLOBALS, k=np.exp), build(GLOBALS, k=np.log)),
        (
            build(GLOBALS, k=numba.njit(closure(1.0))),
            build(GLOBALS, k=numba.njit(closure(2.0))),
        ),
    ],
)
def test_fingerprint_covers(first, second):
    assert fingerprint(first) is not None
    assert fingerprint(second) is not None
    assert fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize(
    "function",
    [
        build(GLOBALS, k=[1.0]),
        build(GLOBALS, k={"a": 1.0}),
        build(GLOBALS, k=object()),
        build(GLOBALS, k=np.array([object()])),
        build(GLOBALS),  # an undefined name
        build("def f(z):\n    return g(m), 1.0", g=math.exp, m=module()),
        build(MODULE, m=module()),
        build("def f(z):\n    import settings\n    return z, 1.0"),
        closure([1.0]),
    ],
)
def test_what_cannot_be_hashed_has_no_fingerprint(function):
    assert fingerprint(function) is None


def test_a_callback_of_numba_has_no_fingerprint():
    """Its address would be in the code, and another function there tomorrow."""
    callback = numba.cfunc("float64(float64)")(lambda x: 2.0 * x)
    assert fingerprint(build("def f(z):\n    return g(z), 1.0", g=callback)) is None


def test_fingerprint_of_recursion():
    source = "def f(z):\n    return f(z - 1.0) if z > {} else (z, 1.0)\n"
    assert fingerprint(build(source.format(0.0))) is not None
    assert fingerprint(build(source.format(0.0))) != fingerprint(
        build(source.format(1.0))
    )


def test_fingerprint_of_an_empty_cell():
    def outer():
        def f(z):
            return later * z, 1.0

        first = fingerprint(f)
        later = 2.0
        return first, fingerprint(f)

    empty, filled = outer()
    assert empty is None
    assert filled is not None
