"""Products of numbers and vectors that are as long as a register of the processor.

A loop of a dozen steps costs more in its checks than in its sums: LLVM unrolls it for
longer ones, and must see first whether its operands overlap.
"""

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import offset, pointer_type
from nnfit.cpu.kernels.tile import multiply_add


def make_add_product(target, dtype):
    """Make ``add_product(goal, start, a, x, n)``: goal = start + a x, whole vectors.

    Goal, start and x have n elements, `a` is a number. They are read and written up to
    the next multiple of the register's lanes. The bits are those of
    `nnfit.cpu.kernels.tile.make_multiply_add`.
    """
    lanes, of_lanes = target.lanes(dtype), _make_of_lanes(target, dtype)

    @helper
    def add_product(goal, start, a, x, n):
        for j in range(0, n, lanes):
            of_lanes(offset(goal, j), offset(start, j), a, offset(x, j))

    return add_product


def _make_of_lanes(target, dtype):
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
