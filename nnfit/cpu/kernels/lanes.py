"""Products of vectors that are about as long as a register of the processor.

A loop of a dozen steps costs more in its checks than in its sums: LLVM unrolls it for
longer ones, and must see first whether its operands overlap.
"""

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import offset, pointer_type
from nnfit.cpu.kernels.tile import make_multiply_add, multiply_add


def make_add_product(target, dtype):
    """Make ``add_product(goal, start, a, x, n, in_lanes)``: goal = start + a x.

    Goal, start and x have n elements, a is a number. With `in_lanes` whole vectors are
    read and written, so that goal has what follows of the last one. The bits of the n
    elements are the same.
    """
    lanes = target.lanes(dtype)
    of_lanes, of_numbers = _make_lanes(target, dtype), make_multiply_add(target, dtype)

    @helper
    def add_product(goal, start, a, x, n, in_lanes):
        if in_lanes:
            for j in range(0, n, lanes):
                of_lanes(offset(goal, j), offset(start, j), a, offset(x, j))
        else:
            for j in range(n):
                goal[j] = of_numbers(a, x[j], start[j])

    return add_product


def _make_lanes(target, dtype):
    """`add_product` of one vector."""
    pointer, scalar = pointer_type(dtype), scalar_type(dtype)
    lanes, align = target.lanes(dtype), 4 if dtype == "float32" else 8

    @intrinsic
    def of_lanes(typingctx, goal, start, a, x):
        def codegen(context, builder, signature, arguments):
            goal, start, a, x = arguments
            vector = ir.VectorType(a.type, lanes)
            kind = vector.as_pointer()
            goal, start, x = (builder.bitcast(p, kind) for p in (goal, start, x))
            start, x = (builder.load(p, align=align) for p in (start, x))
            undefined = ir.Constant(vector, ir.Undefined)
            single = builder.insert_element(undefined, a, ir.IntType(32)(0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            a = builder.shuffle_vector(single, undefined, mask)
            total = multiply_add(builder, target, a, x, start)
            builder.store(total, goal, align=align)
            return context.get_dummy_value()

        return nb.void(pointer, pointer, scalar, pointer), codegen

    return of_lanes
