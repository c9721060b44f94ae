"""The random numbers of `nnfit.functions.random`, compiled for the processor."""

from nnfit.cpu.kernels.lowering import helper
from nnfit.functions import random
from nnfit.functions.specialising import specialise

_copies = {}


def _compiled(function):
    return specialise(function, "float64", {}, helper, _copies)


stream, stream_of = _compiled(random.stream), _compiled(random.stream_of)
low_word, high_word = _compiled(random.low_word), _compiled(random.high_word)
bits, below = _compiled(random.bits), _compiled(random.below)
limit_of = _compiled(random.limit_of)
shuffle = _compiled(random.shuffle)
