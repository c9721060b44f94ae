"""The random numbers of training, on whole arrays.

Every number is a hash of where it is used: of the seed, the optimizer's step, the
purpose, the row and the column.
"""

from functools import lru_cache

import numpy as np
from scipy.special import betaincinv, ndtri

from nnfit.functions.random import inverse_normal

GAMMA = 0x9E3779B97F4A7C15
#: What a number is for; hidden layer i, from 0, has the purpose FIRST_LAYER + i.
INPUT_DROPOUT, NOISE, MIXUP, FIRST_LAYER = range(4)
#: That of what layer i takes for missing is FIRST_MASK + i.
FIRST_MASK = 2**32
SWAP, CUTMIX = 2**33, 2**33 + 1


def mix(x):
    """Splitmix64's finaliser of an array of uint64."""
    x = np.asarray(x, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def stream(seed, number):
    """Start of stream `number`, an integer or an array of them."""
    with np.errstate(over="ignore"):
        number = np.asarray(number).astype(np.uint64)
        number = mix(number * np.uint64(GAMMA) + np.uint64(GAMMA))
        return mix(np.uint64(seed) + number)


def below(start, element, bound):
    """Number of a stream in [0, bound), for one element or an array of them."""
    with np.errstate(over="ignore"):
        element = np.asarray(element).astype(np.uint64)
        high = mix(start + element * np.uint64(GAMMA)) >> np.uint64(32)
        return ((high * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(
            np.int64
        )


def shuffled(n, seed, epoch):
    """Order of `n` rows in an epoch, by Fisher and Yates."""
    order = np.arange(n)
    last = np.arange(1, n)
    others = below(stream(seed, epoch), last, last + 1)
    for i in reversed(range(1, n)):
        j = others[i - 1]
        order[i], order[j] = order[j], order[i]
    return order


def bits(base, position, shape):
    """32 random bits for every row, from `position` on, and column."""
    keys = stream(base, position + np.arange(shape[0]))
    low = keys.astype(np.uint32)[:, None]
    high = (keys >> np.uint64(32)).astype(np.uint32)[:, None]
    x = np.arange(shape[1]).astype(np.uint32) * np.uint32(0x9E3779B9) + low
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= high
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


@lru_cache
def beta_quantiles(a):
    """Middles of 1024 parts of equal probability of Beta(a, a)."""
    return betaincinv(a, a, (np.arange(1024) + 0.5) / 1024)


class Draws:
    """The random numbers of one batch.

    Parameters
    ----------
    seed, step : int
        Of the fit, and the optimizer's steps before this batch.
    position : int
        Rows of this epoch before the batch.
    """

    def __init__(self, seed, step, position):
        self._start = stream(seed, step)
        self._position = position

    def _bits(self, purpose, shape, lines=1):
        return bits(stream(self._start, purpose), self._position * lines, shape)

    def dropout(self, purpose, rate, shape, dtype, lines=1):
        """Factors of every element: 0, or 1 / (1 - rate) where it is kept."""
        kept = self._bits(purpose, shape, lines) >= np.floor(rate * 2.0**32)
        return kept.astype(dtype) * np.dtype(dtype).type(1 / (1 - rate))

    def masked(self, purpose, rate, shape, lines=1):
        """Whether each element is taken for missing."""
        return self._bits(purpose, shape, lines) < np.floor(rate * 2.0**32)

    def noise(self, deviation, shape, lines=1):
        """Normal numbers."""
        return deviation * ndtri((self._bits(NOISE, shape, lines) + 0.5) / 2.0**32)

    def normal(self, purpose, shape, lines=1):
        """Standard normal numbers, by the function of the package."""
        uniform = (self._bits(purpose, shape, lines) + 0.5) / 2.0**32
        return np.vectorize(inverse_normal, otypes=[float])(uniform)

    def swapped(self, rate, shape, lines=1):
        """Whether each entry is swapped."""
        return self._bits(SWAP, shape, lines) < np.floor(rate * 2.0**32)

    def donors(self, shape, lines=1):
        """Line of the batch that each swapped entry has its value from."""
        n_lines, n = shape
        drawn = self._bits(SWAP, (n_lines, 2 * n), lines)[:, n:].astype(np.uint64)
        others = np.uint64(n_lines // lines - 1)
        shift = 1 + (drawn * others >> np.uint64(32)).astype(np.int64)
        return (np.arange(n_lines)[:, None] + shift * lines) % n_lines

    def kept(self, share, shape, lines=1):
        """Whether each entry is the row's own and not its partner's."""
        return self._bits(CUTMIX, shape, lines) < np.floor(share * 2.0**32)

    def mixup(self, a, n_rows, lines=1):
        """Share of the row itself, of Beta(a, a), and the number of its partner.

        Lines of a row have lines of one other row as theirs.
        """
        start = stream(self._start, MIXUP)
        shift = 1 + below(start, 0, n_rows - 1)
        n_lines = n_rows * lines
        partner = (np.arange(n_lines) + shift * lines) % n_lines
        return beta_quantiles(a)[below(start, 1, 1024)], partner
