"""Counter-based random numbers: a hash of where a number is used.

The same (seed, stream, element) gives the same number for any number of
threads, any vector width and any device.
"""

import numpy as np

from nnfit.cpu.kernels.lowering import helper

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = (np.uint64(n) for n in (30, 27, 31, 32))
_LOW = np.uint64(0xFFFFFFFF)
_STEP, _THIRD, _FOURTH = (np.uint32(n) for n in (0x9E3779B9, 0x7FEB352D, 0x846CA68B))
_15, _16 = np.uint32(15), np.uint32(16)

#: What a stream of random numbers of a step is for; those of hidden layers follow.
INPUT_DROPOUT, INPUT_NOISE, MIXUP, HIDDEN_DROPOUT = range(4)


@helper
def mix(x):
    """Finaliser of splitmix64 (Steele, Lea and Flood 2014): uint64 to uint64."""
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


@helper
def stream(seed, number):
    """Start of an independent stream, uint64, for `mix(start + k * gamma)`."""
    return mix(np.uint64(seed) + mix(np.uint64(number) * _GAMMA + _GAMMA))


@helper
def below(start, element, bound):
    """A number in [0, bound) for one element of a stream; bound < 2**32.

    The high half of a product of 32 bits (Lemire 2019), whose bias of at most
    bound / 2**32 no shuffle can show.
    """
    bits = mix(start + np.uint64(element) * _GAMMA) >> _32
    return np.int64((bits * np.uint64(bound)) >> _32)


@helper
def stream_of(seed, step, purpose):
    """Start of the stream of one purpose in one step."""
    return stream(np.int64(stream(seed, step)), purpose)


@helper
def low_word(key):
    """The low 32 bits of a row's key."""
    return np.uint32(key & _LOW)


@helper
def high_word(key):
    """The high 32 bits of a row's key."""
    return np.uint32(key >> _32)


@helper
def bits(low, high, element):
    """32 random bits of an element, from the two words of its row's key.

    The finaliser of murmur3 with the constants of lowbias32 (Wellons 2018), the second
    word in its middle: 32 bits wide, so that a vector holds twice as many.
    """
    x = np.uint32(np.uint32(element) * _STEP + low)
    x = np.uint32(np.uint32((x ^ (x >> _16)) * _THIRD) ^ high)
    x = np.uint32((x ^ (x >> _15)) * _FOURTH)
    return np.uint32(x ^ (x >> _16))


@helper
def shuffle(order, n, seed, epoch):
    """Shuffle int64 `order` in place by Fisher-Yates, the same for equal keys."""
    start = stream(seed, epoch)
    for i in range(n - 1, 0, -1):
        j = below(start, i, i + 1)
        kept = order[i]
        order[i] = order[j]
        order[j] = kept
