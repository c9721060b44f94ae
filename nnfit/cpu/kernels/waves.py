"""Functions of `nnfit.cpu.kinds.periodic_embedding` and `nnfit.cpu.kinds.pbld`.

Columns come one after another and rows within a column, some at a time, so that all of
them is in the first-level cache: waves, products and gradients are read there once
more. Nothing is kept for the way back: cosines and sines of a batch do not fit into the
second-level cache, and to find them again takes less than to write and read them.
"""

import math

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_activate
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import (
    exports,
    make_line,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import offset, pointer_from_address
from nnfit.cpu.kernels.transposition import make_transpose_block
from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.cpu.kernels.wave_gradients import (
    make_backward,
    make_gradients,
    make_sum_columns,
    make_transpose,
)
from nnfit.cpu.kernels.wave_parts import (
    TURNS,
    make_block_width,
    make_find_numbers,
    make_parts,
    make_product,
    make_work,
)
from nnfit.cpu.kinds import periodic_embedding as own


def build(target, name, dtype):
    """Kernel of cosines and sines of learnt frequencies.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    name : {"sines", "phases"}
        What there is besides cosines of frequencies. Where there are phases, numbers
        are copied beside their embeddings.
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `pad_parameters`, `backward`, of `sum_columns`, which shares out
        columns, and for units `frequencies_gradient`, `phases_gradient`,
        `weights_gradient`, `intercept_gradient` and `transpose`.
    """
    has_phases = name == "phases"
    operations = (
        make_forward(target, has_phases, dtype),
        make_pad_parameters(target, dtype),
        make_backward(target, has_phases, dtype),
        make_sum_columns(target, has_phases, dtype),
    )
    return exports(
        dtype,
        operations=operations,
        gradients=make_gradients(has_phases, dtype),
        after=(make_transpose(target, dtype),),
    )


def make_pad_parameters(target, dtype):
    """Make ``pad_parameters``: copies of tensors with lines of whole vectors."""
    as_floats, lanes = pointer_from_address(dtype), target.lanes(dtype)
    zero = scalar_type(dtype)(0.0)

    @helper
    def pad(tensor, goal):
        n, source = tensor[at.N_COLUMNS], as_floats(tensor[at.ADDRESS])
        width = (n + lanes - 1) // lanes * lanes
        for i in range(tensor[at.N_LINES]):
            for j in range(width):
                goal[i * width + j] = source[i * n + j] if j < n else zero

    def pad_parameters(table, row, now, begin, count):
        number = 0
        while number < own.UNITS - own.PARAMETERS and row[own.PARAMETERS + number] != 0:
            goal = as_floats(row[own.PARAMETERS + number])
            pad(tensor_of(table, row, number), goal)
            number += 1

    return pad_parameters


def make_forward(target, has_phases, dtype):
    """Make ``forward``: embeddings of a block of rows, column by column.

    Vectors are of rows, and products those of the transposed weights with waves: there
    are more rows than elements of an embedding.
    """
    line, work_of, lanes = make_line(dtype), make_work(dtype), target.lanes(dtype)
    find_numbers, scalar = make_find_numbers(dtype), scalar_type(dtype)
    product, activate = make_product(target, dtype), make_activate(dtype)
    n_parts, part_of = make_parts(has_phases)
    block_width = make_block_width(has_phases)
    sin, cos = (IMPLEMENTATIONS[dtype][name] for name in TURNS)
    transpose_block = make_transpose_block(target, dtype)
    weights_at = own.PARAMETERS + (2 if has_phases else 1)
    zero, turn = scalar(0.0), scalar(0.5 / math.pi)

    @helper
    def find_waves(row, column, rows, work):
        """Cosines and perhaps sines (frequencies, rows), of angles in turns."""
        frequencies = line(row[own.PARAMETERS], row[own.ANGLE_WIDTH], column)
        phases = line(row[own.PARAMETERS + 1], row[own.ANGLE_WIDTH], column)
        x, cosines, sines = work.numbers, work.cosines, work.sines
        for j in range(row[own.N_WAVES]):
            goal, frequency = offset(cosines, j * rows), frequencies[j]
            phase = turn * phases[j] if has_phases else zero
            for r in range(rows):
                goal[r] = frequency * x[r] + phase
        if n_parts == 2:
            for i in range(row[own.N_WAVES] * rows):
                sines[i] = sin(cosines[i])
        for i in range(row[own.N_WAVES] * rows):
            cosines[i] = cos(cosines[i])

    @helper
    def multiply(row, column, rows, work):
        """Products (size, rows) of a column, and behind them its numbers."""
        k, size, size_width = row[own.N_WAVES], row[own.N_SIZE], row[own.SIZE_WIDTH]
        number = 0 if row[own.IS_SHARED] != 0 else column
        intercept = line(row[weights_at + 1], size_width, number)
        goal, waves = work.products, work.cosines
        for j in range(size):
            for r in range(rows):
                goal[j * rows + r] = intercept[j]
        for part in range(n_parts):
            weights = line(row[weights_at], k * size_width, part_of(row, column, part))
            product(
                k, size, weights, 1, size_width, waves, rows, rows,
                goal, rows, goal, rows, True,
            )  # fmt: skip
            waves = work.sines
        for r in range(rows):
            goal[size * rows + r] = work.numbers[r]

    @helper
    def place(row, column, begin, count, rows, products):
        """Copy a column's products, transposed, to where they belong.

        What follows of their last vector is the next column's, which comes later.
        """
        step, stride = block_width(row), row[at.STRIDE]
        first = column * step
        goal = offset(line(row[own.Z], stride, begin), first)
        for j in range(0, step, lanes):
            if first + j + lanes <= row[at.N_OUT]:
                for r in range(0, count, lanes):
                    transpose_block(
                        offset(products, j * rows + r), rows, step - j,
                        offset(goal, r * stride + j), stride, count - r,
                    )  # fmt: skip
            else:
                for r in range(count):
                    for i in range(j, min(j + lanes, step)):
                        goal[r * stride + i] = products[i * rows + r]

    def forward(table, row, now, begin, count):
        work, end = work_of(table, row, now), begin + count
        for column in range(row[own.N_COLUMNS]):
            for first in range(begin, end, own.WORK_ROWS):
                n = min(own.WORK_ROWS, end - first)
                rows = (n + lanes - 1) // lanes * lanes
                find_numbers(row, column, first, n, work.numbers)
                for r in range(n, rows):
                    work.numbers[r] = zero
                find_waves(row, column, rows, work)
                multiply(row, column, rows, work)
                place(row, column, first, n, rows, work.products)
        for r in range(begin, end):
            z = line(row[own.Z], row[at.STRIDE], r)
            for j in range(row[at.N_OUT], row[at.WIDTH]):
                z[j] = zero
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return forward
