"""A square block of a matrix, transposed in vector registers.

Of L vectors of L elements, L log2(L) shuffles of two vectors make the transposed block:
first within the 128 bits that every processor shuffles at once, then of those. Each is
one instruction of SSE2, AVX2, AVX-512 and NEON.
"""

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu.kernels.lowering import scalar_type
from nnfit.cpu.kernels.pointers import pointer_type

_INT64 = ir.IntType(64)


def make_transpose_block(target, dtype):
    """Make the copy of a block to its transposed place.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    transpose_block : intrinsic
        ``transpose_block(source, source_row, rows, goal, goal_row, goal_rows)``:
        ``goal[j, i] = source[i, j]`` for as many i and j as a vector has elements;
        zeros for i from `rows` on, and nothing is written for j from `goal_rows` on.
        Distances of rows are in elements, columns have unit stride.
    """
    pointer, lanes = pointer_type(dtype), target.lanes(dtype)
    signature = nb.void(pointer, nb.int64, nb.int64, pointer, nb.int64, nb.int64)

    @intrinsic
    def transpose_block(typingctx, source, source_row, rows, goal, goal_row, goal_rows):
        def codegen(context, builder, signature, arguments):
            source, source_row, rows, goal, goal_row, goal_rows = arguments
            kind = ir.VectorType(context.get_value_type(scalar_type(dtype)), lanes)
            lines = _load(builder, kind, source, source_row, rows)
            lines = _transposed(builder, lines, 4 if dtype == "float32" else 2)
            _store(builder, kind, lines, goal, goal_row, goal_rows)
            return context.get_dummy_value()

        return signature, codegen

    return transpose_block


def _vector_at(builder, kind, pointer, number, distance):
    at = builder.gep(pointer, [builder.mul(number, distance)])
    return builder.bitcast(at, kind.as_pointer())


def _align(kind):
    return 4 if isinstance(kind.element, ir.FloatType) else 8


def _up_to_last(builder, number, count):
    """Whether a number is below a count, and the number or the last below it."""
    is_inside = builder.icmp_signed("<", number, count)
    last = builder.sub(count, _INT64(1))
    return is_inside, builder.select(is_inside, number, last)


def _load(builder, kind, source, distance, rows):
    zero = ir.Constant(kind, [0.0] * kind.count)
    lines = []
    for i in range(kind.count):
        is_inside, row = _up_to_last(builder, _INT64(i), rows)
        at = _vector_at(builder, kind, source, row, distance)
        line = builder.load(at, align=_align(kind))
        lines.append(builder.select(is_inside, line, zero))
    return lines


def _store(builder, kind, lines, goal, distance, rows):
    """Lines from the last to the first: those beyond are written over by the last."""
    for j in reversed(range(kind.count)):
        _, row = _up_to_last(builder, _INT64(j), rows)
        at = _vector_at(builder, kind, goal, row, distance)
        builder.store(lines[j], at, align=_align(kind))


def _transposed(builder, lines, group):
    """Exchange numbers of lines and of elements, bit by bit.

    `group` elements are 128 bits. Of two lines whose numbers differ in a bit, the lower
    and the upper halves of groups are interleaved; then even and odd groups joined.
    """
    n = len(lines)
    halves = [e for e in range(n) if e % group < group // 2]
    low = [i for e in halves for i in (e, n + e)]  # of two lines, one after the other
    high = [i + group // 2 for i in low]
    bit = group // 2
    while bit:
        lines = _exchanged(builder, lines, bit, low, high)
        bit //= 2
    even = [e for e in range(2 * n) if e // group % 2 == 0]
    odd = [e + group for e in even]
    bit = group
    while bit < n:
        lines = _exchanged(builder, lines, bit, even, odd)
        bit *= 2
    return lines


def _exchanged(builder, lines, bit, low, high):
    exchanged = list(lines)
    for i in range(len(lines)):
        if not i & bit:
            pair = lines[i], lines[i + bit]
            for number, mask in ((i, low), (i + bit, high)):
                mask = ir.Constant(ir.VectorType(ir.IntType(32), len(mask)), mask)
                exchanged[number] = builder.shuffle_vector(*pair, mask)
    return exchanged
