"""Rows in and out: gathering a batch, from dense or sparse data."""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import offset, pointer_from_address

Rows = namedtuple("Rows", "gather gather_targets add_row row_number weight entries")


def make_rows(dtype):
    """Build the gathering functions for a precision.

    Parameters
    ----------
    dtype : {"float32", "float64"}

    Returns
    -------
    rows : Rows
        Helpers for compiled code.
    """
    scalar = scalar_type(dtype)
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    as_int64 = pointer_from_address("int64")
    as_int32 = pointer_from_address("int32")
    zero = scalar(0.0)

    @helper
    def row_number(table, position):
        """Row of the data at a position of the epoch."""
        if table[at.ORDER] == 0:
            return position
        return as_int64(table[at.ORDER])[position]

    @helper
    def copy_dense(table, row, goal, n):
        source = offset(as_floats(table[at.X]), row * table[at.X_STRIDE])
        for i in range(n):
            goal[i] = source[i]

    @helper
    def copy_sparse(values, indices, begin, end, goal, n):
        # Adding, since a row may hold a column twice.
        for i in range(n):
            goal[i] = zero
        for k in range(begin, end):
            goal[indices[k]] += values[k]

    @helper
    def entries(table, row):
        """Where the entries of a row of a sparse X begin and end."""
        if table[at.X_KIND] == at.CSR_INT32:
            indptr_32 = as_int32(table[at.INDPTR])
            return nb.int64(indptr_32[row]), nb.int64(indptr_32[row + 1])
        indptr_64 = as_int64(table[at.INDPTR])
        return indptr_64[row], indptr_64[row + 1]

    @helper
    def copy_row(table, row, goal, n):
        kind = table[at.X_KIND]
        if kind == at.DENSE:
            copy_dense(table, row, goal, n)
            return
        begin, end = entries(table, row)
        values = as_floats(table[at.X])
        if kind == at.CSR_INT32:
            copy_sparse(values, as_int32(table[at.INDICES]), begin, end, goal, n)
        else:
            copy_sparse(values, as_int64(table[at.INDICES]), begin, end, goal, n)

    @helper
    def add_sparse(values, indices, begin, end, factor, goal):
        for k in range(begin, end):
            goal[indices[k]] += factor * values[k]

    @helper
    def add_row(table, row, factor, goal, n):
        """goal += factor * row of the data, without writing out a sparse one."""
        values = as_floats(table[at.X])
        if table[at.X_KIND] == at.DENSE:
            source = offset(values, row * table[at.X_STRIDE])
            for j in range(n):
                goal[j] += factor * source[j]
            return
        begin, end = entries(table, row)
        if table[at.X_KIND] == at.CSR_INT32:
            add_sparse(values, as_int32(table[at.INDICES]), begin, end, factor, goal)
        else:
            add_sparse(values, as_int64(table[at.INDICES]), begin, end, factor, goal)

    @helper
    def gather(table, first, n_features, position, row, rows):
        """Copy rows of X into the input buffer of the first layer.

        Parameters
        ----------
        table, first : int64 pointers
            The header and the first layer's row.
        n_features : int
        position : int
            Where the batch begins in the epoch's order.
        row, rows : int
            Rows of the batch to copy.
        """
        stride = first[at.INPUT_STRIDE]
        goal = as_floats(first[at.INPUT])
        for r in range(row, row + rows):
            number = row_number(table, position + r)
            copy_row(table, number, offset(goal, r * stride), n_features)

    @helper
    def weight(address, number):
        """Weight of a row of the data, by the weights at an address."""
        if address == 0:
            return 1.0
        return as_doubles(address)[number]

    @helper
    def gather_targets(table, position, row, rows, weight_sum):
        """Copy rows of y, and both weights divided by the batch's sum."""
        n_targets = table[at.N_TARGETS]
        y = as_floats(table[at.Y])
        goal = as_floats(table[at.BATCH_Y])
        weights = as_floats(table[at.BATCH_WEIGHT])
        loss_weights = as_floats(table[at.BATCH_LOSS_WEIGHT])
        own, of_loss = table[at.SAMPLE_WEIGHT], table[at.LOSS_WEIGHT]
        for r in range(row, row + rows):
            number = row_number(table, position + r)
            for j in range(n_targets):
                goal[r * n_targets + j] = y[number * n_targets + j]
            weights[r] = scalar(weight(own, number) / weight_sum)
            loss_weights[r] = scalar(weight(of_loss, number) / weight_sum)

    return Rows(gather, gather_targets, add_row, row_number, weight, entries)
