"""Weights as estimators keep them, (n_in, n_out) and C-contiguous.

They are copied into panels for many rows and read where they lie for a few:
copying takes as long as 16 rows or more (layers of 784, 512, 512 and 10: 0.3 ms).
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import (
    INT64_POINTER,
    layer_at,
    make_copy,
    offset,
    pointer_from_address,
)
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.tile import make_multiply_add

RowMajor = namedtuple("RowMajor", "product sparse_product")


def make_row_major(target, dtype, dense):
    """Make products with row-major weights, for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    dense : nnfit.cpu.kernels.dense.Dense

    Returns
    -------
    products : RowMajor
        Helpers for compiled code.
    """
    as_floats = pointer_from_address(dtype)
    as_int64 = pointer_from_address("int64")
    as_int32 = pointer_from_address("int32")
    rows_of = make_rows(dtype)
    multiply_add = make_multiply_add(target, dtype)
    zero = scalar_type(dtype)(0.0)

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

    @helper
    def begin(layer, rows):
        """z[:rows] = what the products are added to."""
        n_out, stride = layer[at.N_OUT], layer[at.STRIDE]
        bias, z = as_floats(layer[at.INTERCEPT]), as_floats(dense.z_of(layer))
        plain = layer[at.NORMALISE] == 0
        for r in range(rows):
            if plain:
                start = bias
            else:
                start = offset(as_floats(layer[at.START]), r * layer[at.START_STRIDE])
            for j in range(n_out):
                empty = not plain and layer[at.START] == 0
                z[r * stride + j] = zero if empty else start[j]

    @helper
    def product(layer, rows):
        """z[:rows] = inputs W + what it starts from, with the bits of `dense`."""
        n_in, n_out, stride = layer[at.N_IN], layer[at.N_OUT], layer[at.STRIDE]
        input_stride = layer[at.INPUT_STRIDE]
        inputs, weights = as_floats(layer[at.INPUT]), as_floats(layer[at.COEF])
        z = as_floats(dense.z_of(layer))
        begin(layer, rows)
        fours = n_in // 4 * 4
        for k in range(0, fours, 4):
            for r in range(rows):
                add_four(
                    offset(z, r * stride),
                    n_out,
                    offset(inputs, r * input_stride + k),
                    offset(weights, k * n_out),
                )
        for k in range(fours, n_in):
            for r in range(rows):
                add_one(
                    offset(z, r * stride),
                    n_out,
                    inputs[r * input_stride + k],
                    offset(weights, k * n_out),
                )

    @helper
    def add_entries(z, n_out, indices, values, count, weights):
        for k in range(count):
            add_one(z, n_out, values[k], offset(weights, indices[k] * n_out))

    @helper
    def sparse_product(table, layer, row, rows):
        """`product` with rows of a sparse X from `row` on, without their zeros."""
        n_out, weights = layer[at.N_OUT], as_floats(layer[at.COEF])
        z = as_floats(dense.z_of(layer))
        begin(layer, rows)
        for r in range(rows):
            first, end = rows_of.entries(table, row + r)
            line = offset(z, r * layer[at.STRIDE])
            values, count = offset(as_floats(table[at.X]), first), end - first
            if table[at.X_KIND] == at.CSR_INT32:
                columns_32 = offset(as_int32(table[at.INDICES]), first)
                add_entries(line, n_out, columns_32, values, count, weights)
            else:
                columns_64 = offset(as_int64(table[at.INDICES]), first)
                add_entries(line, n_out, columns_64, values, count, weights)

    return RowMajor(product, sparse_product)


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
    def move(layer, packing):
        """Copy weights and biases into panels, or back; padding becomes zero."""
        n_in, n_out, width = layer[at.N_IN], layer[at.N_OUT], layer[at.WIDTH]
        rows, panels = as_floats(layer[at.COEF]), as_floats(layer[at.WEIGHTS])
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
        bias = as_floats(layer[at.BIAS])
        move_line(as_floats(layer[at.INTERCEPT]), bias, n_out, width, packing)
        for i in range(layer[at.N_NORMS]):
            line = offset(as_floats(layer[at.OUTER_NORMS]), i * n_out)
            packed = offset(as_floats(layer[at.NORMS]), i * width)
            move_line(line, packed, n_out, width, packing)

    def move_weights(table, packing):
        """From the weights of an estimator to those of the engine, or back."""
        for index in range(table[at.N_LAYERS]):
            move(layer_at(table, index), packing)

    return {"move_weights": (move_weights, nb.void(INT64_POINTER, nb.int64))}
