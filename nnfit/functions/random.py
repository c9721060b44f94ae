"""Counter-based random numbers: a hash of where a number is used.

The same (seed, stream, element) gives the same number for any number of
threads, any vector width and any device. Integers are NumPy's, whose products wrap.
"""

import numpy as np

from nnfit.functions.maths import log, sqrt

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = (np.uint64(n) for n in (30, 27, 31, 32))
_LOW = np.uint64(0xFFFFFFFF)
_STEP, _THIRD, _FOURTH = (np.uint32(n) for n in (0x9E3779B9, 0x7FEB352D, 0x846CA68B))
_15, _16 = np.uint32(15), np.uint32(16)

#: What a stream of random numbers of a step is for; those of hidden layers follow.
INPUT_DROPOUT, INPUT_NOISE, MIXUP, HIDDEN_DROPOUT = range(4)
#: Of what layer i takes for missing, or draws: MASK + i, beyond those of dropout.
MASK = 1 << 32
#: Beyond those of layers: which entries are swapped, and which columns are cut out.
FEATURE_SWAP, CUTMIX = (1 << 33), (1 << 33) + 1


def mix(x):
    """Finaliser of splitmix64 (Steele, Lea and Flood 2014): uint64 to uint64."""
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


def stream(seed, number):
    """Start of an independent stream, uint64, for `mix(start + k * gamma)`."""
    return mix(np.uint64(seed) + mix(np.uint64(number) * _GAMMA + _GAMMA))


def below(start, element, bound):
    """A number in [0, bound) for one element of a stream; bound < 2**32.

    The high half of a product of 32 bits (Lemire 2019), whose bias of at most
    bound / 2**32 no shuffle can show.
    """
    bits = mix(start + np.uint64(element) * _GAMMA) >> _32
    return np.int64((bits * np.uint64(bound)) >> _32)


def stream_of(seed, step, purpose):
    """Start of the stream of one purpose in one step."""
    return stream(np.int64(stream(seed, step)), purpose)


def low_word(key):
    """The low 32 bits of a row's key."""
    return np.uint32(key & _LOW)


def high_word(key):
    """The high 32 bits of a row's key."""
    return np.uint32(key >> _32)


def bits(low, high, element):
    """32 random bits of an element, from the two words of its row's key.

    The finaliser of murmur3 with the constants of lowbias32 (Wellons 2018), the second
    word in its middle: 32 bits wide, so that a vector holds twice as many.
    """
    x = np.uint32(np.uint32(element) * _STEP + low)
    x = np.uint32(np.uint32((x ^ (x >> _16)) * _THIRD) ^ high)
    x = np.uint32((x ^ (x >> _15)) * _FOURTH)
    return np.uint32(x ^ (x >> _16))


def limit_of(probability):
    """32 random bits are below it with this probability, uint64."""
    return np.uint64(probability * 4294967296.0)


def shuffle(order, n, seed, epoch):
    """Shuffle int64 `order` in place by Fisher-Yates, the same for equal keys."""
    start = stream(seed, epoch)
    for i in range(n - 1, 0, -1):
        j = below(start, i, i + 1)
        kept = order[i]
        order[i] = order[j]
        order[j] = kept


def inverse_normal(p):
    """Quantile of the normal distribution, p in (0, 1).

    By Acklam's rational functions (2003), relative error 1.2e-9.
    """
    q = p - 0.5
    r = q * q
    centre = (
        (
            ((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687)
              * r + 138.3577518672690) * r - 30.66479806614716) * r
            + 2.506628277459239
        )
        * q
        / (
            ((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866)
              * r + 66.80131188771972) * r - 13.28068155288572) * r
            + 1.0
        )
    )  # fmt: skip
    t = sqrt(-2.0 * log(0.5 - abs(q)))
    tail = (
        ((((-0.007784894002430293 * t - 0.3223964580411365) * t - 2.400758277161838)
          * t - 2.549732539343734) * t + 4.374664141464968) * t
        + 2.938163982698783
    ) / (
        (((0.007784695709041462 * t + 0.3224671290700398) * t + 2.445134137142996)
         * t + 3.754408661907416) * t
        + 1.0
    )  # fmt: skip
    tail = tail if q < 0.0 else -tail
    return centre if abs(q) <= 0.47575 else tail
