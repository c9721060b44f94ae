"""Numbers as cosines of learnt frequencies and phases, and themselves, on a GPU.

All is as in `nnfit.cuda.kinds.periodic_embedding`, but that sines have no part in the
products, and that a column's number follows its embedding.
"""

from nnfit.cuda.kernels import waves
from nnfit.cuda.kinds.periodic_embedding import (
    DROPS,
    OPERATIONS,
    add_units,
    lay_out,
    make_sizes,
    way_back,
)

__all__ = ["DROPS", "OPERATIONS", "add_units", "lay_out", "make_sizes", "way_back"]

GRADIENTS = ("frequencies", "phases", "weights", "intercept")


def traits(node):
    """Columns have weights of their own."""
    return ("own",)


def make(build, traits):
    """Device functions of `OPERATIONS`."""
    return waves.make(build, has_phases=True)


def make_gradients(build, traits, store):
    """Device functions of `GRADIENTS`."""
    return waves.make_gradients(build, traits, store, has_phases=True)
