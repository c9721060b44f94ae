"""Elementary functions that LLVM vectorises: exp, log, tanh, erf, sine and relatives.

numba compiles ``math.exp`` and its like to one library call per element; these are
arithmetic without branches or calls, so a loop over them runs in vector registers
on every target, the baseline of x86-64 included (which has no rounding
instruction). :data:`IMPLEMENTATIONS` has them by dtype and by their name in
:mod:`nnfit.functions.maths`, whose semantics they share: overflow gives infinity,
``log(0)`` minus infinity, NaN gives NaN. Two differences: results of ``exp`` below
the smallest normal number are 0; and of 2^21 turns on, in float64 2^50, where
the distance of neighbouring floats nears a turn, there are sine and cosine of 0.

Largest error in ulp (float32: every 257th bit pattern; float64: 4 * 10^5 random
numbers; the larger of the figures with and without fused multiply-add), and
nanoseconds per element of 4096 on one core of an AMD EPYC with AVX2, with those of
numba's library call in brackets:

========  ===========  ==================  ===========  ==================
name      float32 ulp  float32 ns          float64 ulp  float64 ns
========  ===========  ==================  ===========  ==================
exp       1.0          0.40 (3.0)          1.0          1.2 (5.5)
expm1     1.7          0.46 (10.4)         2.1          1.2 (8.1)
log       0.9          0.62 (3.4)          0.9          1.7 (4.5)
log1p     1.5          0.63 (8.4)          1.5          1.6 (6.9)
tanh      2.6          0.66 (14.3)         2.4          1.8 (12.9)
erf       1.3          1.2 (14.9)          1.1          5.0 (15.5)
sigmoid   2.4          0.58                2.2          1.6
softplus  2.6          1.1                 2.4          4.0
sin       2.7          0.49                2.5          1.6
cos       2.8          0.39                2.4          1.0
========  ===========  ==================  ===========  ==================

The last two are of angles in turns: to take off the nearest integer is exact, and
takes one step where multiples of pi take five.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from nnfit.cpu.kernels.vector_formats import FORMATS

# forceinline: a loop around a call does not vectorise, and the longest of these
# exceed what LLVM inlines by itself.
_inlined = numba.njit(
    fastmath={"contract", "nsz"},
    error_model="numpy",
    forceinline=True,
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    _nrt=False,
)


_INTEGERS = {types.float32: (ir.IntType(32), 23), types.float64: (ir.IntType(64), 52)}


def _bits(value, dtype):
    """Bit pattern of a float as a Python integer."""
    kind = {types.float32: "f4", types.float64: "f8"}[dtype]
    return int(np.array(value, kind).view("i" + kind[1]))


@intrinsic
def _times_power_of_two(typingctx, y, shifted):
    """``y * 2**n`` for ``shifted = n + magic``, by adding n to y's exponent bits.

    The result must be a normal number.
    """

    def codegen(context, builder, signature, args):
        integer, fraction_bits = _INTEGERS[y]
        bits, n = (builder.bitcast(arg, integer) for arg in args)
        # The shift drops the upper bits, those of magic.
        n = builder.shl(n, ir.Constant(integer, fraction_bits))
        return builder.bitcast(builder.add(bits, n), args[0].type)

    return y(y, y), codegen


def _offset_bits(builder, x, dtype):
    """Bits of x > 0, shifted so that exponents step at sqrt(1/2) and not at 1."""
    integer, fraction_bits = _INTEGERS[dtype]
    offset = _bits(1.0, dtype) - _bits(math.sqrt(0.5), dtype)
    bits = builder.add(builder.bitcast(x, integer), ir.Constant(integer, offset))
    return bits, integer, fraction_bits


@intrinsic
def _mantissa(typingctx, x):
    """The m of ``x = m * 2**e`` with m in [sqrt(1/2), sqrt(2)), x normal."""

    def codegen(context, builder, signature, args):
        bits, integer, fraction_bits = _offset_bits(builder, args[0], x)
        bits = builder.and_(bits, ir.Constant(integer, 2**fraction_bits - 1))
        bits = builder.add(bits, ir.Constant(integer, _bits(math.sqrt(0.5), x)))
        return builder.bitcast(bits, args[0].type)

    return x(x), codegen


@intrinsic
def _exponent(typingctx, x):
    """The e of ``x = m * 2**e`` with m in [sqrt(1/2), sqrt(2)), x normal."""

    def codegen(context, builder, signature, args):
        bits, integer, fraction_bits = _offset_bits(builder, args[0], x)
        biased = builder.lshr(bits, ir.Constant(integer, fraction_bits))
        # Through the low bits of magic: AVX2 cannot convert 64-bit integers.
        magic = 1.5 * 2.0**fraction_bits
        shifted = builder.add(biased, ir.Constant(integer, _bits(magic, x)))
        bias = {23: 127.0, 52: 1023.0}[fraction_bits]
        value = builder.bitcast(shifted, args[0].type)
        return builder.fsub(value, ir.Constant(args[0].type, magic + bias))

    return x(x), codegen


@intrinsic
def _sqrt(typingctx, x):
    """The square root instruction; numba's math.sqrt may call the library."""

    def codegen(context, builder, signature, args):
        root = builder.module.declare_intrinsic("llvm.sqrt", [args[0].type])
        return builder.call(root, args)

    return x(x), codegen


def _polynomial(coefficients):
    """An intrinsic that evaluates a polynomial by Horner's rule, unrolled."""

    @intrinsic
    def polynomial(typingctx, x):
        def codegen(context, builder, signature, args):
            kind = args[0].type
            value = ir.Constant(kind, coefficients[-1])
            for coefficient in coefficients[-2::-1]:
                value = builder.fmul(value, args[0])
                value = builder.fadd(value, ir.Constant(kind, coefficient))
            return value

        return x(x), codegen

    return polynomial


def _implement(form):
    """Build the functions of one format; float constants must have its type."""
    real = form.real
    zero, half, one, two = real(0.0), real(0.5), real(1.0), real(2.0)
    infinity, nan = real(math.inf), real(math.nan)

    exp_tail = _polynomial(form.exp)
    magic = real(form.magic)
    inverse_ln2 = real(1.0 / math.log(2.0))
    ln2_high, ln2_low = real(form.ln2_high), real(form.ln2_low)
    exp_low, exp_high = real(form.exp_low), real(form.exp_high)
    expm1_low = real(-40.0)  # expm1 rounds to -1 from -37.4 on

    @_inlined
    def exp(x):
        shifted = x * inverse_ln2 + magic
        n = shifted - magic
        r = (x - n * ln2_high) - n * ln2_low
        y = _times_power_of_two(one + (r + r * r * exp_tail(r)), shifted)
        y = y if x <= exp_high else x + infinity  # NaN stays NaN
        return zero if x < exp_low else y

    @_inlined
    def expm1_in_range(x):
        shifted = x * inverse_ln2 + magic
        n = shifted - magic
        r = (x - n * ln2_high) - n * ln2_low
        # 2^n (e^r - 1) + 2^n - 1 with halved powers, since 2^n itself may overflow.
        scale = _times_power_of_two(one, shifted - one)
        return two * (scale * (r + r * r * exp_tail(r)) + (scale - half))

    @_inlined
    def expm1(x):
        y = expm1_in_range(expm1_low if x < expm1_low else x)
        return y if x <= exp_high else x + infinity

    tanh_end = real(20.0)  # tanh rounds to 1 from 19.1 on

    @_inlined
    def tanh(x):
        a = abs(x)
        e = expm1_in_range(two * (tanh_end if a > tanh_end else a))
        t = e / (e + two)
        return -t if x < zero else t

    @_inlined
    def sigmoid(x):
        e = exp(-abs(x))
        return (e if x < zero else one) / (one + e)

    log_tail = _polynomial(form.log)
    smallest_normal = real(form.smallest_normal)
    subnormal_scale = real(form.subnormal_scale)
    subnormal_exponent = real(form.fraction_bits)

    @_inlined
    def log_of_normal(x, exponent_offset):
        e = _exponent(x) - exponent_offset
        f = _mantissa(x) - one
        # log(1 + f) = 2 atanh(s) with s = f / (2 + f), and 2 s = f - s f.
        s = f / (two + f)
        z = s * s
        return e * ln2_high + (f - (s * (f - z * log_tail(z)) - e * ln2_low))

    @_inlined
    def log(x):
        scaled = x * subnormal_scale if x < smallest_normal else x
        y = log_of_normal(scaled, subnormal_exponent if x < smallest_normal else zero)
        y = y if x < infinity else x  # infinity and NaN
        return y if not x <= zero else (-infinity if x == zero else nan)

    @_inlined
    def log1p(x):
        u = one + x
        # What rounding to u lost, times the derivative of log.
        y = log_of_normal(u, zero) + (x - (u - one)) / u
        y = y if x < infinity else x
        return y if not x <= -one else (-infinity if x == -one else nan)

    log1p_ratio = _polynomial(form.log1p)

    @_inlined
    def softplus(x):
        e = exp(-abs(x))
        return (zero if x <= zero else x) + e * log1p_ratio(e)

    erf_ratio = _polynomial(form.erf)
    log_erfc = _polynomial(form.log_erfc)
    erf_end = real(form.erf_end)

    @_inlined
    def erf(x):
        a = abs(x)
        a = erf_end if a > erf_end else a
        z = x * x
        tail = one - exp(log_erfc(a - one))
        tail = -tail if x < zero else tail
        return x + x * erf_ratio(z) if a < one else tail

    sine_ratio = _polynomial(form.turns)
    quarter, last_turn = real(0.25), real(2.0 ** (form.fraction_bits - 2))

    @_inlined
    def part_of_turn(x):
        """What x is beyond the nearest integer."""
        x = x if abs(x) <= last_turn else x * zero  # infinity becomes NaN
        return x - ((x + magic) - magic)

    @_inlined
    def sin_of_turns(x):
        r = part_of_turn(x)
        a = abs(r)
        b = half - a
        a = b if b < a else a
        y = a * sine_ratio(a * a)
        return -y if r < zero else y

    @_inlined
    def cos_of_turns(x):
        a = quarter - abs(part_of_turn(x))
        return a * sine_ratio(a * a)

    @_inlined
    def sqrt(x):
        return _sqrt(x)

    return {
        "exp": exp,
        "expm1": expm1,
        "log": log,
        "log1p": log1p,
        "sqrt": sqrt,
        "tanh": tanh,
        "erf": erf,
        "sigmoid": sigmoid,
        "softplus": softplus,
        "sin_of_turns": sin_of_turns,
        "cos_of_turns": cos_of_turns,
    }


#: ``{dtype: {name: numba function}}``, one for each name of `nnfit.functions.maths`.
IMPLEMENTATIONS = {dtype: _implement(form) for dtype, form in FORMATS.items()}
