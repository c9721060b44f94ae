"""Accuracy and vectorisation of the CPU's elementary functions."""

import math
import os
import platform
import re

import numba
import numpy as np
import pytest
import scipy.special
from llvmlite import binding as llvm_binding

from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.functions import maths


def softplus(x):
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def sin_of_turns(x):
    """By as many digits of pi as the type has; one of the two is exact near zeros."""
    part = x - np.rint(x)
    folded = np.minimum(abs(part), 0.5 - abs(part))
    return np.sign(part) * np.sin(2 * np.arccos(x.dtype.type(-1)) * folded)


def cos_of_turns(x):
    part = abs(x - np.rint(x))
    return np.sin(2 * np.arccos(x.dtype.type(-1)) * (0.25 - part))


REFERENCES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "erf": scipy.special.erf,
    "sigmoid": scipy.special.expit,
    "softplus": softplus,
    "sin_of_turns": sin_of_turns,
    "cos_of_turns": cos_of_turns,
}

# Measured with and without fused multiply-add, rounded up.
LARGEST_ULP = {
    "exp": 1.1,
    "expm1": 2.2,
    "log": 1.0,
    "log1p": 1.6,
    "sqrt": 0.5001,
    "tanh": 3.0,
    "erf": 1.5,
    "sigmoid": 2.5,
    "softplus": 2.7,
    "sin_of_turns": 3.0,
    "cos_of_turns": 3.0,
}

#: Largest arguments that the figures are for.
TURNS = ("sin_of_turns", "cos_of_turns")
ENDS = dict.fromkeys(TURNS, 2.0**21)

# scipy's erf, the reference in float64, has itself errors of 2 ulp; against 60
# digits ours has at most 1.0.
LARGEST_ULP_FLOAT64 = LARGEST_ULP | {"erf": 3.5}


def compile_loop(function):
    @numba.njit(fastmath={"contract", "nsz"}, error_model="numpy")
    def loop(x, out):
        for i in range(x.shape[0]):
            out[i] = function(x[i])

    return loop


def apply(loop, x):
    out = np.empty_like(x)
    loop(x, out)
    return out


@pytest.fixture(scope="module")
def loops():
    return {
        (dtype, name): compile_loop(function)
        for dtype, table in IMPLEMENTATIONS.items()
        for name, function in table.items()
    }


@pytest.fixture(scope="module")
def sweep():
    """Every 257th bit pattern of float32: all exponents, both signs, NaNs."""
    bits = np.arange(0, 2**32, 257, dtype=np.uint64).astype(np.uint32)
    return bits.view(np.float32)


def check_accuracy(result, exact, largest_ulp):
    """`exact` has more digits than `result`."""
    dtype = result.dtype
    with np.errstate(over="ignore"):
        rounded = exact.astype(dtype)
    smallest = np.finfo(dtype).smallest_normal
    normal = np.isfinite(rounded) & (np.abs(rounded) >= smallest)
    exponent = np.frexp(rounded[normal])[1] - np.finfo(dtype).nmant - 1
    error = np.abs(result[normal].astype(exact.dtype) - exact[normal])
    assert np.max(np.ldexp(error, -exponent), initial=0.0) <= largest_ulp
    # below the smallest normal number results may be flushed to zero
    tiny = np.abs(rounded) < smallest
    assert np.all(np.abs(result[tiny]) <= smallest)
    special = ~normal & ~tiny
    np.testing.assert_array_equal(result[special], rounded[special])


@pytest.mark.parametrize("name", maths.NAMES)
def test_float32_accuracy_over_the_whole_range(name, loops, sweep):
    if name in ENDS:
        sweep = sweep[~(np.abs(sweep) > ENDS[name])]
    result = apply(loops["float32", name], sweep)
    # A million at a time: the references of 16 million would need gigabytes.
    for start in range(0, len(sweep), 2**20):
        part = slice(start, start + 2**20)
        with np.errstate(all="ignore"):
            exact = REFERENCES[name](sweep[part].astype(np.float64))
        check_accuracy(result[part], exact, LARGEST_ULP[name])


@pytest.mark.parametrize("name", maths.NAMES)
def test_float64_accuracy(name, loops):
    rng = np.random.default_rng(0)
    magnitudes = np.exp(rng.uniform(-700.0, 700.0, 50_000))
    x = np.concatenate(
        [
            rng.uniform(-20.0, 20.0, 100_000),
            rng.uniform(-1.5, 1.5, 100_000),
            rng.uniform(-745.0, 745.0, 50_000),
            magnitudes,
            -magnitudes,
        ]
    )
    x = x[np.abs(x) <= ENDS.get(name, np.inf)]
    wide = x.astype(np.longdouble)
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        # The reference is then itself wrong by up to an ulp or two.
        largest_ulp = LARGEST_ULP_FLOAT64[name] + 2.0
    else:
        largest_ulp = LARGEST_ULP_FLOAT64[name]
    with np.errstate(all="ignore"):
        if name == "erf":
            exact = scipy.special.erf(x).astype(np.longdouble)
        elif name == "sigmoid":
            exact = 1.0 / (1.0 + np.exp(-wide))
        else:
            exact = REFERENCES[name](wide)
    check_accuracy(apply(loops["float64", name], x), exact, largest_ulp)


INF, NAN = math.inf, math.nan
LIMITS = {  # at inf, -inf, 0
    "exp": (INF, 0.0, 1.0),
    "expm1": (INF, -1.0, 0.0),
    "log": (INF, NAN, -INF),
    "log1p": (INF, NAN, 0.0),
    "sqrt": (INF, NAN, 0.0),
    "tanh": (1.0, -1.0, 0.0),
    "erf": (1.0, -1.0, 0.0),
    "sigmoid": (1.0, 0.0, 0.5),
    "softplus": (INF, 0.0, math.log(2.0)),
    "sin_of_turns": (NAN, NAN, 0.0),
    "cos_of_turns": (NAN, NAN, 1.0),
}


@pytest.mark.parametrize("dtype", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", maths.NAMES)
def test_limits(name, dtype, loops):
    x = np.array([INF, -INF, 0.0, NAN, -NAN], dtype)
    result = apply(loops[dtype, name], x)
    expected = np.array([*LIMITS[name], NAN, NAN], dtype)
    np.testing.assert_array_equal(result, expected)
    python = [getattr(maths, name)(float(value)) for value in x]
    np.testing.assert_array_equal(np.array(python, dtype), expected)


@pytest.mark.parametrize("dtype", IMPLEMENTATIONS)
def test_subnormal_and_extreme_arguments(dtype, loops):
    info = np.finfo(dtype)
    tiny = np.array([info.smallest_subnormal, info.smallest_normal / 3], dtype)
    log = apply(loops[dtype, "log"], tiny)
    np.testing.assert_allclose(log, [math.log(value) for value in tiny], rtol=1e-6)
    for name in ("expm1", "log1p", "tanh"):
        result = apply(loops[dtype, name], tiny)
        assert np.all(np.abs(result - tiny) <= info.smallest_subnormal)
    large = np.array([info.max, -info.max], dtype)
    np.testing.assert_array_equal(apply(loops[dtype, "tanh"], large), [1.0, -1.0])
    np.testing.assert_array_equal(apply(loops[dtype, "exp"], large), [INF, 0.0])
    np.testing.assert_array_equal(apply(loops[dtype, "sigmoid"], large), [1.0, 0.0])
    minus_one = np.array([-1.0], dtype)
    np.testing.assert_array_equal(apply(loops[dtype, "log1p"], minus_one), [-INF])


@pytest.mark.parametrize("dtype", IMPLEMENTATIONS)
def test_angles_of_any_size_have_a_sine_and_a_cosine(dtype, loops):
    """Those of 0 where the distance of floats nears a turn."""
    info = np.finfo(dtype)
    x = np.exp(np.linspace(0.0, np.log(info.max / 2), 20_001)).astype(dtype)
    x = np.concatenate([x, -x])
    sine, cosine = (apply(loops[dtype, name], x) for name in TURNS)
    assert np.max(np.abs(np.hypot(sine, cosine) - 1)) < 4 * info.eps
    far = np.abs(x) > 0.5 / info.eps
    assert far.any()
    np.testing.assert_array_equal(sine[far], 0.0)
    np.testing.assert_array_equal(cosine[far], 1.0)


@pytest.mark.parametrize("dtype", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", maths.NAMES)
def test_bits_do_not_depend_on_the_position(name, dtype, loops):
    # The scalar remainder of a vectorised loop gives what its vectors give.
    x = np.linspace(-9.0, 9.0, 1003).astype(dtype)
    whole = apply(loops[dtype, name], x)
    for start, stop in ((0, 1), (1, 8), (3, 20), (5, 70), (17, 1002)):
        part = apply(loops[dtype, name], x[start:stop].copy())
        np.testing.assert_array_equal(part, whole[start:stop])


def test_every_name_is_implemented():
    for table in IMPLEMENTATIONS.values():
        assert set(table) == set(maths.NAMES)


LIBRARY = {
    "exp",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "erf",
    "sqrt",
    "rint",
    "floor",
    "sin",
    "cos",
}


def wide_registers():
    """Whether numba compiles for AVX2; its variables can force the baseline."""
    if {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"} & set(os.environ):
        return False
    return llvm_binding.get_host_cpu_features().get("avx2", False)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"),
    reason="the names of vector instructions are those of x86-64",
)
@pytest.mark.parametrize("dtype", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", maths.NAMES)
def test_loops_use_vector_registers(name, dtype, loops):
    loop = loops[dtype, name]
    apply(loop, np.ones(1, dtype))
    (assembly,) = loop.inspect_asm().values()
    packed = {"float32": "ps", "float64": "pd"}[dtype]
    arithmetic = "sqrt" if name == "sqrt" else r"(?:mul|add|fn?m(?:add|sub)\d+)"
    registers = set(re.findall(rf"\bv?{arithmetic}{packed}\s.*%([xyz])mm", assembly))
    if wide_registers():
        assert registers & {"y", "z"}
    elif name != "sqrt":  # alone in a loop, LLVM finds it not worth it on SSE2
        assert registers
    (llvm,) = loop.inspect_llvm().values()
    calls = set(re.findall(r"call [^@\n]*@\"?([\w.]+)", llvm))
    assert not calls & (LIBRARY | {f"{function}f" for function in LIBRARY})
