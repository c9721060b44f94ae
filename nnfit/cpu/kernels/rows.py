"""Rows in and out: gathering a batch from dense or sparse data, and its losses."""

from collections import namedtuple

import numpy as np
from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import random
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import (
    edge_of,
    exports,
    make_deliver,
    make_line,
    position_of,
    weight_sum_of,
)
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    as_doubles,
    as_int32,
    as_int64,
    caller,
    make_copy,
    offset,
    pointer_from_address,
    pointer_type,
    prefetch,
)

#: Rows between one that is copied and one that is fetched into the cache meanwhile.
AHEAD = 16
#: Elements that are copied together, by vectors.
SEVERAL, MANY = 8, 32
#: Elements of a table that stays in the first-level cache.
IN_CACHE = 1 << 13
#: Bytes of a line of the cache, of the processors with the shortest ones.
CACHE_LINE = 64

Rows = namedtuple(
    "Rows", "copy_row add_row take value row_number row_of_line weight entries"
)


def loss_arguments(dtype):
    """Of the kernel of a loss, see `nnfit.cpu.kernels.elementwise.loss`."""
    pointer = pointer_type(dtype)
    return (
        pointer, nb.int64, pointer, nb.int64, pointer, FLOAT64_POINTER, pointer,
        nb.int64, nb.int64, pointer,
    )  # fmt: skip


def make_rows(dtype):
    """Build what reads rows of the data, for a precision.

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
    copy_several, copy_many = make_copy(dtype, SEVERAL), make_copy(dtype, MANY)
    zero = scalar(0.0)

    @helper
    def row_number(table, position):
        """Row of the data at a position of the epoch."""
        if table[at.ORDER] == 0:
            return position
        return as_int64(table[at.ORDER])[position]

    @helper
    def row_of_line(table, position, r, n_lines):
        """Row of the data of line r of a batch; `EngineSettings.own_rows`."""
        place, n_rows = position + r // n_lines, table[at.N_ROWS]
        if table[at.OWN_ROWS] != 0:
            place += r % n_lines * n_rows // n_lines
            if place >= n_rows:
                place -= n_rows
        return row_number(table, place)

    @helper
    def copy_dense(table, row, goal, n):
        source = offset(as_floats(table[at.X]), row * table[at.X_STRIDE])
        i = 0
        while i + MANY <= n:
            copy_many(offset(goal, i), offset(source, i))
            i += MANY
        while i + SEVERAL < n:
            copy_several(offset(goal, i), offset(source, i))
            i += SEVERAL
        if i < n and n >= SEVERAL:  # the last ones, some of them for the second time
            copy_several(offset(goal, n - SEVERAL), offset(source, n - SEVERAL))
        elif i < n:
            for j in range(n):
                goal[j] = source[j]

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
    def take_sparse(values, indices, begin, end, words, limit, goal, n):
        low, high = words
        for j in range(n):
            kept = goal[j]
            taken = np.uint64(random.bits(low, high, j)) >= limit
            goal[j] = zero if taken else kept
        for k in range(begin, end):
            j = nb.int64(indices[k])
            if np.uint64(random.bits(low, high, j)) >= limit:
                goal[j] += values[k]

    @helper
    def take(table, row, words, limit, goal, n):
        """Take those columns of a row of the data whose random bits reach a limit."""
        values = as_floats(table[at.X])
        if table[at.X_KIND] == at.DENSE:
            source, (low, high) = offset(values, row * table[at.X_STRIDE]), words
            for j in range(n):
                own, other = goal[j], source[j]
                taken = np.uint64(random.bits(low, high, j)) >= limit
                goal[j] = other if taken else own
            return
        begin, end = entries(table, row)
        indices = table[at.INDICES]
        if table[at.X_KIND] == at.CSR_INT32:
            indices_32 = as_int32(indices)
            take_sparse(values, indices_32, begin, end, words, limit, goal, n)
        else:
            take_sparse(values, as_int64(indices), begin, end, words, limit, goal, n)

    @helper
    def value_sparse(values, indices, begin, end, column):
        total = zero
        for k in range(begin, end):
            if indices[k] == column:
                total += values[k]
        return total

    @helper
    def value(table, row, column):
        """One entry of the data; of a sparse row it looks through all entries."""
        values = as_floats(table[at.X])
        if table[at.X_KIND] == at.DENSE:
            return values[row * table[at.X_STRIDE] + column]
        begin, end = entries(table, row)
        if table[at.X_KIND] == at.CSR_INT32:
            indices_32 = as_int32(table[at.INDICES])
            return value_sparse(values, indices_32, begin, end, column)
        return value_sparse(values, as_int64(table[at.INDICES]), begin, end, column)

    @helper
    def weight(address, number):
        """Weight of a row of the data, by the weights at an address."""
        if address == 0:
            return 1.0
        return as_doubles(address)[number]

    return Rows(
        copy_row, add_row, take, value, row_number, row_of_line, weight, entries
    )


def batch(target, dtype):
    """Kernel of what every batch begins and ends with.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `gather` and `gather_targets`, whose layer is the features, of the same for
        lines that have rows of their own, of `row_losses` and `add_gradient`.
    """
    scalar = scalar_type(dtype)
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    deliver = make_deliver(dtype)
    rows_of = make_rows(dtype)
    call_loss = caller(nb.void, *loss_arguments(dtype))
    of_line = CACHE_LINE // (4 if dtype == "float32" else 8)

    @helper
    def fetch(table, position, address, stride, n):
        """Fetch what a shuffled row has in a table of numbers into the cache."""
        if table[at.ORDER] != 0 and position < table[at.N_ROWS]:
            number = rows_of.row_number(table, position)
            values = offset(as_floats(address), number * stride)
            for i in range(0, n, of_line):
                prefetch(offset(values, i))

    def gather(table, row, now, begin, count):
        """Copy rows of X into the buffer of features."""
        position, n = position_of(now), row[at.N_OUT]
        size = table[at.N_ORDERED] * table[at.X_STRIDE]
        fetches = table[at.X_KIND] == at.DENSE and size > IN_CACHE
        for r in range(begin, begin + count):
            if fetches:
                ahead = position + r + AHEAD
                fetch(table, ahead, table[at.X], table[at.X_STRIDE], n)
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            number = rows_of.row_number(table, position + r)
            rows_of.copy_row(table, number, goal, row[at.N_OUT])

    def gather_lines(table, row, now, begin, count):
        """Copy a row of X for each line into the buffer of features."""
        position, n_lines = position_of(now), row[at.LINES]
        for r in range(begin, begin + count):
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            number = rows_of.row_of_line(table, position, r, n_lines)
            rows_of.copy_row(table, number, goal, row[at.N_OUT])

    def gather_targets_of_lines(table, row, now, begin, count):
        """Copy a row of y for each line, and its part of the weight."""
        position, n_lines = position_of(now), row[at.LINES]
        of_lines, n_targets = weight_sum_of(now) * n_lines, table[at.N_TARGETS]
        y, goal = as_floats(table[at.Y]), as_floats(table[at.BATCH_Y])
        loss_weights = as_floats(table[at.BATCH_LOSS_WEIGHT])
        of_loss = table[at.LOSS_WEIGHT]
        for r in range(begin, begin + count):
            number = rows_of.row_of_line(table, position, r, n_lines)
            for j in range(n_targets):
                goal[r * n_targets + j] = y[number * n_targets + j]
            loss_weights[r] = scalar(rows_of.weight(of_loss, number) / of_lines)

    def gather_targets(table, row, now, begin, count):
        """Copy rows of y, and both weights divided by the batch's sum.

        Each line of a raw prediction has the row's target, and its part of the weight.
        """
        position, weight_sum = position_of(now), weight_sum_of(now)
        n_targets, n_lines = table[at.N_TARGETS], table[at.RAW_LINES]
        of_lines = weight_sum * n_lines
        y = as_floats(table[at.Y])
        goal = as_floats(table[at.BATCH_Y])
        weights = as_floats(table[at.BATCH_WEIGHT])
        loss_weights = as_floats(table[at.BATCH_LOSS_WEIGHT])
        own, of_loss = table[at.SAMPLE_WEIGHT], table[at.LOSS_WEIGHT]
        for r in range(begin, begin + count):
            number = rows_of.row_number(table, position + r)
            weights[r] = scalar(rows_of.weight(own, number) / weight_sum)
            first = r * n_lines
            for j in range(n_targets):
                goal[first * n_targets + j] = y[number * n_targets + j]
            loss_weights[first] = scalar(rows_of.weight(of_loss, number) / of_lines)
            for i in range(first + 1, first + n_lines):
                for j in range(n_targets):
                    goal[i * n_targets + j] = goal[first * n_targets + j]
                loss_weights[i] = loss_weights[first]

    def row_losses(table, row, now, begin, count):
        """Losses of lines, and their gradient by the raw prediction."""
        stride, n_targets = table[at.RAW_STRIDE], table[at.N_TARGETS]
        call_loss(
            table[at.LOSS_KERNEL],
            (
                line(table[at.RAW], stride, begin),
                stride,
                line(table[at.BATCH_Y], n_targets, begin),
                n_targets,
                line(table[at.RAW_GRADIENT], stride, begin),
                offset(as_doubles(table[at.ROW_LOSS]), begin),
                offset(as_floats(table[at.BATCH_LOSS_WEIGHT]), begin),
                count,
                table[at.N_OUTPUTS],
                as_floats(table[at.LOSS_PARAMETERS]),
            ),
        )

    def add_gradient(table, row, now, begin, count):
        """Deliver a gradient that lies elsewhere, see `nnfit.network.graph`."""
        edge = edge_of(row, 0)
        for r in range(begin, begin + count):
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = gradient[j]
            deliver(edge, r, edge[at.N_IN])

    operations = (
        gather, gather_lines, gather_targets, gather_targets_of_lines, row_losses,
        add_gradient,
    )  # fmt: skip
    return exports(dtype, operations=operations)
