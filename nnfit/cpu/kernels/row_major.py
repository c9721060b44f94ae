"""Weights as estimators keep them, (n_in, n_out) and C-contiguous.

They are copied into panels for many rows and read where they lie for a few:
copying takes as long as 16 rows or more (layers of 784, 512, 512 and 10: 0.3 ms).
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_activate, make_start
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import (
    edge_of,
    exports,
    make_line,
    position_of,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import (
    INT64_POINTER,
    as_int32,
    as_int64,
    make_copy,
    offset,
    pointer_from_address,
)
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.tile import make_multiply_add
from nnfit.cpu.kinds import dense as own


def in_place(target, dtype):
    """Kernel of dense layers with row-major weights: `forward`, `forward_entries`.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    add_four, add_one = make_adding(target, dtype)
    begin_rows = make_begin(dtype)
    operations = (
        make_forward(dtype, begin_rows, add_four, add_one),
        make_forward_entries(dtype, begin_rows, add_one),
    )
    return exports(dtype, operations=operations)


def make_adding(target, dtype):
    """Make what adds products with four rows of weights, or with one, to a row of z."""
    multiply_add = make_multiply_add(target, dtype)

    @helper
    def add_four(z, n_out, inputs, weights):
        """z += inputs[:4] W[:4], added in this order, which is the tile's."""
        w_0, w_1 = weights, offset(weights, n_out)
        w_2, w_3 = offset(weights, 2 * n_out), offset(weights, 3 * n_out)
        x_0, x_1, x_2, x_3 = inputs[0], inputs[1], inputs[2], inputs[3]
        for j in range(n_out):
            total = multiply_add(x_0, w_0[j], z[j])
            total = multiply_add(x_1, w_1[j], total)
            total = multiply_add(x_2, w_2[j], total)
            z[j] = multiply_add(x_3, w_3[j], total)

    @helper
    def add_one(z, n_out, x, weights):
        for j in range(n_out):
            z[j] = multiply_add(x, weights[j], z[j])

    return add_four, add_one


def make_begin(dtype):
    """Make ``begin_rows(table, row, begin, count)``: z = what products are added to."""
    start_of, line = make_start(dtype), make_line(dtype)
    zero = scalar_type(dtype)(0.0)

    @helper
    def begin_rows(table, row, begin, count):
        start, stride, given = start_of(table, row, begin)
        for r in range(count):
            z = line(row[own.Z], row[at.STRIDE], begin + r)
            for j in range(row[at.N_OUT]):
                z[j] = start[r * stride + j] if given else zero

    return begin_rows


def make_forward(dtype, begin_rows, add_four, add_one):
    """Make ``forward``, with the bits of `nnfit.cpu.kinds.dense`."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    activate = make_activate(dtype)

    def forward(table, row, now, begin, count):
        edge, n_out = edge_of(row, 0), row[at.N_OUT]
        n_in, stride = edge[at.N_IN], row[at.STRIDE]
        weights = as_floats(tensor_of(table, row, 0)[at.ADDRESS])
        begin_rows(table, row, begin, count)
        fours = n_in // 4 * 4
        for k in range(0, fours, 4):
            for r in range(begin, begin + count):
                inputs = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
                add_four(
                    line(row[own.Z], stride, r), n_out, offset(inputs, k),
                    offset(weights, k * n_out),
                )  # fmt: skip
        for k in range(fours, n_in):
            for r in range(begin, begin + count):
                inputs = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
                add_one(
                    line(row[own.Z], stride, r), n_out, inputs[k],
                    offset(weights, k * n_out),
                )  # fmt: skip
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return forward


def make_forward_entries(dtype, begin_rows, add_one):
    """Make ``forward_entries``: `forward` with rows of a sparse X, without zeros."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    activate, rows_of = make_activate(dtype), make_rows(dtype)

    @helper
    def add_entries(z, n_out, indices, values, count, weights):
        for k in range(count):
            add_one(z, n_out, values[k], offset(weights, indices[k] * n_out))

    def forward_entries(table, row, now, begin, count):
        n_out, position = row[at.N_OUT], position_of(now)
        weights = as_floats(tensor_of(table, row, 0)[at.ADDRESS])
        begin_rows(table, row, begin, count)
        for r in range(begin, begin + count):
            number = rows_of.row_number(table, position + r)
            first, end = rows_of.entries(table, number)
            z = line(row[own.Z], row[at.STRIDE], r)
            values, n = offset(as_floats(table[at.X]), first), end - first
            if table[at.X_KIND] == at.CSR_INT32:
                columns_32 = offset(as_int32(table[at.INDICES]), first)
                add_entries(z, n_out, columns_32, values, n, weights)
            else:
                columns_64 = offset(as_int64(table[at.INDICES]), first)
                add_entries(z, n_out, columns_64, values, n, weights)
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return forward_entries


def weights(target, dtype):
    """Entry point ``move_weights(table, packing)`` for a processor and a precision."""
    zero = scalar_type(dtype)(0.0)
    as_floats = pointer_from_address(dtype)
    panel = target.panel(dtype)
    copy_panel = make_copy(dtype, panel)

    @helper
    def move_line(line, packed, valid, columns, packing):
        if packing != 0:
            for j in range(columns):
                packed[j] = line[j] if j < valid else zero
        else:
            for j in range(valid):
                line[j] = packed[j]

    @helper
    def move_panels(tensor, packing):
        """Copy a matrix into panels, or back; padding becomes zero."""
        n_in, n_out, width = tensor[at.N_LINES], tensor[at.N_COLUMNS], tensor[at.LINE]
        rows, panels = as_floats(tensor[at.OUTSIDE]), as_floats(tensor[at.ADDRESS])
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            valid = min(columns, n_out - column)
            for i in range(n_in):
                line = offset(rows, i * n_out + column)
                packed = offset(panels, column * n_in + i * columns)
                if valid < panel:
                    move_line(line, packed, valid, columns, packing)
                elif packing != 0:
                    copy_panel(packed, line)
                else:
                    copy_panel(line, packed)

    @helper
    def move_lines(tensor, packing):
        n_out, width = tensor[at.N_COLUMNS], tensor[at.LINE]
        for i in range(tensor[at.N_LINES]):
            line = offset(as_floats(tensor[at.OUTSIDE]), i * n_out)
            packed = offset(as_floats(tensor[at.ADDRESS]), i * width)
            move_line(line, packed, n_out, width, packing)

    def move_weights(table, packing):
        """From the weights of an estimator to those of the engine, or back."""
        for number in range(table[at.N_TENSORS]):
            tensor = offset(table, table[at.TENSORS] + number * at.TENSOR)
            if tensor[at.IN_PANELS] != 0:
                move_panels(tensor, packing)
            else:
                move_lines(tensor, packing)

    return {"move_weights": (move_weights, nb.void(INT64_POINTER, nb.int64))}
