"""Codes of categories as numbers: one-hot, or a learnt vector for each category.

Code c of a column belongs to one of its lines, ``lines[c]``. Line 0 is that of values
which are missing or were not seen before: NaN, fractions and codes that there are not.
Training takes some values for such at random. Columns of few categories become one-hot,
without line 0; of two categories +1 and -1 (RealMLP's, Holzmüller et al. 2024,
arXiv:2407.04491). Each line of the others has a vector. A code has no slope: the
gradient by the input is 0.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nnfit.network.kinds import Tensor

#: Options of a node: units of the input that it reads, and for each of them how many
#: codes and lines there are and whether it becomes one-hot; elements of a vector; the
#: share of values that training takes for missing.
COLUMNS, N_CODES, N_LINES, IS_ONE_HOT, SIZE, MASK = range(6)

#: Says that the output moves by jumps, from code to code.
has_no_slope = True


class Column(NamedTuple):
    """A column of codes, and what becomes of it.

    Attributes
    ----------
    unit : int
        Of the input.
    n_codes, first_code : int
        Where its codes begin in the tensor of lines.
    n_lines, first_line : int
        Where its lines begin in the tensor of vectors; -1 for a one-hot column.
    output, n_out : int
        Units of the output.
    """

    unit: int
    n_codes: int
    first_code: int
    n_lines: int
    first_line: int
    output: int
    n_out: int

    @property
    def is_embedded(self):
        """Whether it has vectors."""
        return self.first_line >= 0

    @property
    def is_sign(self):
        """Whether it is +1 or -1."""
        return not self.is_embedded and self.n_lines == 3


#: What readers call it.
title = "categories"


@lru_cache(maxsize=64)
def columns_of(node):
    """The columns of a layer, a tuple of `Column`."""
    found, first_code, first_line, output = [], 0, 0, 0
    for unit, n_codes, n_lines, is_one_hot in zip(*node.options[:SIZE], strict=True):
        n_out = node.options[SIZE]
        if is_one_hot:
            n_out = 1 if n_lines == 3 else n_lines - 1
        at_line = -1 if is_one_hot else first_line
        column = Column(unit, n_codes, first_code, n_lines, at_line, output, n_out)
        found.append(column)
        first_code += n_codes
        first_line += 0 if is_one_hot else n_lines
        output += n_out
    return tuple(found)


def width(node, widths):
    """A unit for each category that becomes one-hot, and the elements of vectors."""
    if len(widths) != 1:
        raise ValueError(f"it takes one input, got {len(widths)}")
    if len(node.options) != 6 or len({len(part) for part in node.options[:SIZE]}) > 1:
        raise ValueError(
            "its options must be columns, n_codes, n_lines, is_one_hot of equal "
            f"lengths, the size of a vector and the share masked, got {node.options}"
        )
    for column in columns_of(node):
        _check(column, widths[0])
    if not 0.0 <= node.options[MASK] < 1.0:
        raise ValueError(f"mask must be in [0, 1), got {node.options[MASK]}")
    n_out = sum(column.n_out for column in columns_of(node))
    if n_out < 1:
        raise ValueError("it needs a column with categories, got none")
    return n_out


def _check(column, n_in):
    if not 0 <= column.unit < n_in:
        raise ValueError(f"columns must be units 0 to {n_in - 1}, got {column.unit}")
    if column.n_codes < 1 or column.n_lines < 1:
        raise ValueError(
            f"column {column.unit} must have at least one code and one line, got "
            f"{column.n_codes} and {column.n_lines}"
        )
    if column.is_embedded and column.n_out < 1:
        raise ValueError(f"vectors must have at least one element, got {column.n_out}")


def sources(node, of_inputs):
    """That of a column for each of its indicators, or elements of its vector."""
    found = columns_of(node)
    units = [column.unit for column in found]
    return np.repeat(of_inputs[0][units], [column.n_out for column in found])


def tensors(node, widths):
    """The line of each code, and the vectors of all embedded columns, if any."""
    found = columns_of(node)
    n_codes = sum(column.n_codes for column in found)
    lines = Tensor("lines", "others", (n_codes,), n_trained=0)
    n_lines = sum(column.n_lines for column in found if column.is_embedded)
    if n_lines == 0:
        return (lines,)
    shape = n_lines, node.options[SIZE]
    return lines, Tensor("vectors", "others", shape, by_lines=True)


def initial(node, widths, draw):
    """Code c has the line c + 1, as long as there are such; vectors of N(0, 1)."""
    lines = []
    for column in columns_of(node):
        own = np.arange(1, column.n_codes + 1)
        lines.append(np.where(own < column.n_lines, own, 0))
    shapes = [each.shape for each in tensors(node, widths)[1:]]
    vectors = [draw.random_state.standard_normal(shape) for shape in shapes]
    return [np.concatenate(lines).astype(np.float64), *vectors]


def lines_of(column, codes, lines):
    """Lines of the codes (n,) of a column, an array of int."""
    own = lines[column.first_code : column.first_code + column.n_codes]
    with np.errstate(invalid="ignore"):
        is_code = (codes >= 0) & (codes < column.n_codes) & (codes == np.floor(codes))
    found = own[np.where(is_code, codes, 0).astype(np.int64)]
    is_line = is_code & (found >= 0) & (found < column.n_lines)
    return np.where(is_line, found, 0).astype(np.int64)


def forward(node, inputs, arrays, now):
    """Blocks of columns side by side, from codes (n, n_in); kept are their lines."""
    (codes,), (lines, *vectors) = inputs, arrays
    found = columns_of(node)
    own = [lines_of(column, codes[:, column.unit], lines) for column in found]
    own = np.stack(own, axis=1)
    if now.masked is not None:
        own[now.masked(node.options[MASK], own.shape)] = 0
    blocks = [
        table_of(column, vectors, lines.dtype)[own[:, number]]
        for number, column in enumerate(found)
    ]
    embedded = [number for number, column in enumerate(found) if column.is_embedded]
    first = np.array([found[number].first_line for number in embedded], np.int64)
    return np.hstack(blocks), (codes, own[:, embedded] + first)


def n_vectors(node):
    """Columns whose categories have learnt vectors, the others have indicators."""
    return sum(column.is_embedded for column in columns_of(node))


def indicators(column, codes, lines, dtype):
    """What the codes (n,) of a column without vectors become, (n, n_out)."""
    return table_of(column, (), dtype)[lines_of(column, codes, lines)]


def table_of(column, vectors, dtype):
    """What each line of a column becomes, (n_lines, n_out)."""
    if column.is_embedded:
        return vectors[0][column.first_line : column.first_line + column.n_lines]
    if column.is_sign:
        return np.array([[0], [1], [-1]], dtype)
    return np.eye(column.n_lines, dtype=dtype)[:, 1:]


def backward(node, kept, gradient, arrays, now):
    """0 by the codes and by lines; by a vector the sum over the rows that have it."""
    codes, rows = kept
    gradients = [np.zeros_like(array) for array in arrays]
    embedded = [column for column in columns_of(node) if column.is_embedded]
    for column, lines in zip(embedded, rows.T, strict=True):
        block = gradient[:, column.output : column.output + column.n_out]
        np.add.at(gradients[1], lines, block)
    return [np.zeros_like(codes)], gradients


def touched(kept):
    """Lines of the vectors that a batch has."""
    return np.unique(kept[1])
