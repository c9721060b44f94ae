"""Numbers as cosines of learnt frequencies and phases, and themselves, on the CPU.

All is as in `nnfit.cpu.kinds.periodic_embedding`, but that sines have no part in the
products, and that a column's number follows its embedding.
"""

from nnfit.cpu.kinds.periodic_embedding import (
    BUILDER,
    add_units,
    lay_out,
    way_back,
    works_in_parts,
)

__all__ = ["BUILDER", "add_units", "lay_out", "way_back", "works_in_parts"]

NAMES = ("phases",)


def kernel_name(node):
    """What the builder takes besides target and dtype."""
    return "phases"
