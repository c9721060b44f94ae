"""Members that share weights: ``r * x``, with factors of each member's own.

A row becomes k lines, one for each member; or the lines that it has are multiplied.
These are the input adapters of BatchEnsemble (Wen et al. 2020, arXiv:2002.06715), the
first and the later ones, as TabM has them (Gorishniy et al. 2025, arXiv:2410.24210).
Members must differ before the first product with shared weights.

Options: the number of members; what the factors start from, "ones", "signs" (random
ones) or "normal", None for members that have begun, whose factors start from 1; and
the widths of blocks of inputs that start with one factor, None for blocks of 1.
"""

from dataclasses import replace

import numpy as np

from nnfit.network.kinds import Tensor

STARTS = ("ones", "signs", "normal", None)

#: Whether it belongs to the layer that it is, is before or is after.
place = "before"


def begins(node):
    """Whether a row becomes several lines here."""
    return node.options[1] is not None


def begun(node):
    """The same tensors, behind lines that there are already."""
    n_members, _, blocks = node.options
    return replace(node, options=(n_members, None, blocks))


def width(node, widths):
    """That of the input, which blocks must add up to."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    n_members, start, blocks = node.options
    if n_members < 1:
        raise ValueError(f"it needs at least one member, got {n_members}")
    if start not in STARTS:
        raise ValueError(f"factors start from one of {STARTS}, got {start!r}")
    if blocks is not None and sum(blocks) != widths[0]:
        raise ValueError(f"blocks must have all of its inputs, got {sum(blocks)}")
    return widths[0]


def lines(node, lines):
    """One for each member."""
    expected = 1 if begins(node) else node.options[0]
    if lines[0] != expected:
        raise ValueError(
            f"its input must have {expected} lines for each row, got {lines[0]}"
        )
    return node.options[0]


def sources(node, of_inputs):
    """Those of the input."""
    return of_inputs[0]


def tensors(node, widths):
    """The factors (n_members, n_out)."""
    return (Tensor("factors", "others", (node.options[0], widths[0])),)


def initial(node, widths, draw):
    """Factors of 1, or a random one for each member and block."""
    n_members, start, blocks = node.options
    blocks = (1,) * widths[0] if blocks is None else blocks
    shape = n_members, len(blocks)
    if start == "signs":
        drawn = 2.0 * draw.random_state.randint(2, size=shape) - 1.0
    elif start == "normal":
        drawn = draw.random_state.standard_normal(shape)
    else:
        drawn = np.ones(shape)
    return [np.repeat(drawn, blocks, axis=1)]


def forward(node, inputs, arrays, now):
    """Lines (n * n_members, n_out), those of a row one after the other."""
    n_members, n_out = arrays[0].shape
    x = np.repeat(inputs[0], n_members if begins(node) else 1, axis=0)
    x = x.reshape(-1, n_members, n_out)
    return (x * arrays[0]).reshape(-1, n_out), x


def backward(node, kept, gradient, arrays, now):
    """Gradients by the inputs, of a row that of all members, and by the factors."""
    gradient = gradient.reshape(kept.shape)
    of_x = gradient * arrays[0]
    of_x = of_x.sum(axis=1) if begins(node) else of_x.reshape(-1, kept.shape[2])
    return [of_x], [(gradient * kept).sum(axis=0)]


def multipliers(node, arrays):
    """What each input is multiplied by, (n_members, n_in)."""
    return arrays[0]


def details(node):
    """How many members there are."""
    return (f"{node.options[0]} members",)
