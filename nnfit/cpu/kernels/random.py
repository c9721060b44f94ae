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
def shuffle(order, n, seed, epoch):
    """Shuffle int64 `order` in place by Fisher-Yates, the same for equal keys."""
    start = stream(seed, epoch)
    for i in range(n - 1, 0, -1):
        j = below(start, i, i + 1)
        kept = order[i]
        order[i] = order[j]
        order[j] = kept
