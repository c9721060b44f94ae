"""The first layer on sparse rows, without ever writing out their zeros.

Forward, a row of the output is a weighted sum of the rows of W that the row has
entries for. Backward, a row of the weight gradient is a weighted sum of the
gradient by z over the rows that have an entry in its column; for that the entries
of a batch are sorted by column. Both sums run in the order of the dense products,
which would only add zeros: the bits are the same.

A kernel of its own, which the engine calls by address: dense data compile none of it.
"""

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_activate, make_gradient_columns, make_start
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import (
    batch_of,
    edge_of,
    exports,
    make_line,
    position_of,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import (
    as_int32,
    as_int64,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.rows import make_rows
from nnfit.cpu.kernels.tile import multiply_add
from nnfit.cpu.kinds import dense as own

_INT64 = ir.IntType(64)


def build(target, dtype):
    """Entry points of a dense layer on sparse rows for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `sort_batch` and `weights_gradient`.
    """
    forward, sort_batch = make_forward(target, dtype), make_sort_batch(dtype)
    return exports(
        dtype,
        operations=(forward, sort_batch),
        gradients=(make_weights_gradient(target, dtype),),
    )


def make_any_sum(target, dtype):
    """Make ``weighted_sum`` of one or two vectors of columns, see below."""
    panel = target.panel(dtype)
    sum_2 = make_weighted_sum(target, dtype, 2)
    sum_1 = make_weighted_sum(target, dtype, 1)

    @helper
    def weighted_sum(count, indices, values, matrix, distance, columns, c, start):
        if columns == panel:
            sum_2(count, indices, values, matrix, distance, c, start)
        else:
            sum_1(count, indices, values, matrix, distance, c, start)

    return weighted_sum


def make_forward(target, dtype):
    """Make ``forward``: z of rows from the entries of X, then output and slope."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    panel, rows_of = target.panel(dtype), make_rows(dtype)
    weighted_sum = make_any_sum(target, dtype)
    start_of, activate = make_start(dtype), make_activate(dtype)

    @helper
    def forward_row(table, row, r, indices, values, count):
        n_in, width = edge_of(row, 0)[at.N_IN], row[at.WIDTH]
        weights = as_floats(tensor_of(table, row, 0)[at.ADDRESS])
        z, null = line(row[own.Z], row[at.STRIDE], r), as_floats(0)
        start, _, given = start_of(table, row, r)
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            weighted_sum(
                count, indices, values, offset(weights, column * n_in), columns,
                columns, offset(z, column), offset(start, column) if given else null,
            )  # fmt: skip

    def forward(table, row, now, begin, count):
        position, values = position_of(now), as_floats(table[at.X])
        for r in range(begin, begin + count):
            number = rows_of.row_number(table, position + r)
            first, end = rows_of.entries(table, number)
            here = offset(values, first)
            if table[at.X_KIND] == at.CSR_INT32:
                columns_32 = offset(as_int32(table[at.INDICES]), first)
                forward_row(table, row, r, columns_32, here, end - first)
            else:
                columns_64 = offset(as_int64(table[at.INDICES]), first)
                forward_row(table, row, r, columns_64, here, end - first)
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return forward


def make_sort_batch(dtype):
    """Make ``sort_batch``: the entries of a batch by column, and by row within one.

    After it, the entries of column k are those from ``starts[k]`` up to
    ``starts[k + 1]``.
    """
    as_floats, rows_of = pointer_from_address(dtype), make_rows(dtype)

    @helper
    def column_of(table, k):
        if table[at.X_KIND] == at.CSR_INT32:
            return nb.int64(as_int32(table[at.INDICES])[k])
        return as_int64(table[at.INDICES])[k]

    def sort_batch(table, row, now, begin, count):
        n_in, batch, position = (
            edge_of(row, 0)[at.N_IN],
            batch_of(now),
            position_of(now),
        )
        starts = as_int64(table[at.COLUMN_STARTS])
        sorted_rows = as_int64(table[at.COLUMN_ROWS])
        sorted_values = as_floats(table[at.COLUMN_VALUES])
        values = as_floats(table[at.X])
        for k in range(n_in + 2):
            starts[k] = 0
        # Counted two places up: the second pass moves each start one place up.
        for r in range(batch):
            first, end = rows_of.entries(table, rows_of.row_number(table, position + r))
            for k in range(first, end):
                starts[column_of(table, k) + 2] += 1
        for k in range(n_in):
            starts[k + 2] += starts[k + 1]
        for r in range(batch):
            first, end = rows_of.entries(table, rows_of.row_number(table, position + r))
            for k in range(first, end):
                column = column_of(table, k) + 1
                goal = starts[column]
                starts[column] = goal + 1
                sorted_rows[goal] = r
                sorted_values[goal] = values[k]

    return sort_batch


def make_weights_gradient(target, dtype):
    """Make ``weights_gradient`` of a strip, from the entries that were sorted."""
    as_floats, panel = pointer_from_address(dtype), target.panel(dtype)
    weighted_sum = make_any_sum(target, dtype)
    gradient_columns = make_gradient_columns(target, dtype)

    def weights_gradient(table, row, unit, batch, goal):
        column, first, rows = unit[at.U_COLUMN], unit[at.U_FIRST], unit[at.U_ROWS]
        columns = min(panel, row[at.WIDTH] - column)
        by_z, distance = gradient_columns(row, batch, column)
        starts = as_int64(table[at.COLUMN_STARTS])
        null = as_floats(0)
        for i in range(rows):
            begin, end = starts[first + i], starts[first + i + 1]
            weighted_sum(
                end - begin,
                offset(as_int64(table[at.COLUMN_ROWS]), begin),
                offset(as_floats(table[at.COLUMN_VALUES]), begin),
                by_z, distance, columns, offset(goal, i * columns), null,
            )  # fmt: skip

    return weights_gradient


def make_weighted_sum(target, dtype, vectors):
    """Build ``weighted_sum(count, indices, values, matrix, distance, c, start)``.

    ``c = start + sum of values[i] * matrix[indices[i]]`` over `count` entries, for
    one or two vectors of columns; rows of the matrix are `distance` elements apart,
    `indices` are int32 or int64, and a null `start` stands for zeros.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    vectors : {1, 2}
    """
    pointer = pointer_type(dtype)
    lanes = target.lanes(dtype)
    align = 4 if dtype == "float32" else 8

    @intrinsic
    def weighted_sum(typingctx, count, indices, values, matrix, distance, c, start):
        signature = nb.void(
            nb.int64, indices, pointer, pointer, nb.int64, pointer, pointer
        )

        def codegen(context, builder, signature, arguments):
            count, indices, values, matrix, distance, c, start = arguments
            vector = ir.VectorType(context.get_value_type(scalar_type(dtype)), lanes)

            def part(base, v):
                at_v = builder.gep(base, [_INT64(v * lanes)])
                return builder.bitcast(at_v, vector.as_pointer())

            zeros = [ir.Constant(vector, [0.0] * lanes)] * vectors
            origin = builder.block
            given = builder.icmp_unsigned("!=", start, start.type(None))
            with builder.if_then(given):
                loaded = [
                    builder.load(part(start, v), align=align) for v in range(vectors)
                ]
                from_start = builder.block
            firsts = []
            for value, zero in zip(loaded, zeros, strict=True):
                first = builder.phi(vector)
                first.add_incoming(value, from_start)
                first.add_incoming(zero, origin)
                firsts.append(first)

            before = builder.block
            head = builder.append_basic_block("entries")
            done = builder.append_basic_block("summed")
            builder.cbranch(builder.icmp_signed(">", count, _INT64(0)), head, done)
            builder.position_at_end(head)
            i = builder.phi(_INT64)
            sums = [builder.phi(vector) for _ in range(vectors)]
            index = builder.load(builder.gep(indices, [i]))
            if index.type != _INT64:
                index = builder.sext(index, _INT64)
            row = builder.gep(matrix, [builder.mul(index, distance)])
            weight = builder.load(builder.gep(values, [i]))
            single = builder.insert_element(
                ir.Constant(vector, ir.Undefined), weight, ir.IntType(32)(0)
            )
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            weight = builder.shuffle_vector(single, single, mask)
            added = [
                multiply_add(
                    builder, target, weight, builder.load(part(row, v), align=align), s
                )
                for v, s in enumerate(sums)
            ]
            following = builder.add(i, _INT64(1))
            builder.cbranch(builder.icmp_signed("<", following, count), head, done)
            i.add_incoming(_INT64(0), before)
            i.add_incoming(following, head)
            for s, first, new in zip(sums, firsts, added, strict=True):
                s.add_incoming(first, before)
                s.add_incoming(new, head)
            builder.position_at_end(done)
            for v, (first, new) in enumerate(zip(firsts, added, strict=True)):
                total = builder.phi(vector)
                total.add_incoming(first, before)
                total.add_incoming(new, head)
                firsts[v] = total
            for v, total in enumerate(firsts):
                builder.store(total, part(c, v), align=align)
            return context.get_dummy_value()

        return signature, codegen

    return weighted_sum
