"""Pointers, calls and atomic counters for compiled kernels.

A kernel works on C pointers. Indexing one is what it is in C: no bounds, no
negative indices, hence plain vectorisable loads and stores.
"""

from llvmlite import ir
from numba.core import cgutils
from numba.core import types as nb
from numba.extending import intrinsic

INT64_POINTER = nb.CPointer(nb.int64)
FLOAT64_POINTER = nb.CPointer(nb.float64)


def pointer_type(dtype):
    """numba's pointer type to ``"float32"``, ``"float64"`` ... elements."""
    return nb.CPointer(getattr(nb, dtype))


def pointer_from_address(dtype):
    """Make a function that turns an address, an int64, into a typed pointer."""
    result = pointer_type(dtype)

    @intrinsic
    def as_pointer(typingctx, address):
        def codegen(context, builder, signature, arguments):
            return builder.inttoptr(
                arguments[0], context.get_value_type(signature.return_type)
            )

        return result(nb.int64), codegen

    return as_pointer


#: Addresses of int64, of int32 and of float64 as pointers.
as_int64 = pointer_from_address("int64")
as_int32 = pointer_from_address("int32")
as_doubles = pointer_from_address("float64")


@intrinsic
def offset(typingctx, pointer, elements):
    """The pointer `elements` further on."""

    def codegen(context, builder, signature, arguments):
        base, index = arguments
        return builder.gep(base, [index])

    return pointer(pointer, nb.int64), codegen


def make_copy(dtype, elements):
    """Make ``copy(goal, source)`` of a fixed number of elements, as vectors.

    A loop of 6 or 16 steps would cost more in its checks than in its copies.
    """
    pointer = pointer_type(dtype)

    @intrinsic
    def copy(typingctx, goal, source):
        def codegen(context, builder, signature, arguments):
            scalar = context.get_value_type(pointer.dtype)
            vector = ir.VectorType(scalar, elements).as_pointer()
            align = 4 if dtype == "float32" else 8
            goal, source = (builder.bitcast(a, vector) for a in arguments)
            builder.store(builder.load(source, align=align), goal, align=align)
            return context.get_dummy_value()

        return nb.void(pointer, pointer), codegen

    return copy


@intrinsic
def prefetch(typingctx, pointer):
    """Fetch the cache line that a pointer lies in, for reading."""

    def codegen(context, builder, signature, arguments):
        word, address = ir.IntType(32), ir.IntType(8).as_pointer()
        name, module = "llvm.prefetch.p0", builder.module
        if name not in module.globals:
            kind = ir.FunctionType(ir.VoidType(), [address] + [word] * 3)
            ir.Function(module, kind, name)
        place = builder.bitcast(arguments[0], address)
        read, keep, data = word(0), word(3), word(1)
        builder.call(module.globals[name], [place, read, keep, data])
        return context.get_dummy_value()

    return nb.void(pointer), codegen


def make_stack_array(dtype, elements):
    """Make ``stack_array()``: uninitialised memory of the function that calls it.

    LLVM knows that nothing else points there, so loops over it need no checks.
    """
    pointer = pointer_type(dtype)

    @intrinsic
    def stack_array(typingctx):
        def codegen(context, builder, signature, arguments):
            scalar = context.get_value_type(pointer.dtype)
            array = cgutils.alloca_once(builder, ir.ArrayType(scalar, elements))
            return builder.bitcast(array, scalar.as_pointer())

        return pointer(), codegen

    return stack_array


def caller(result, *arguments):
    """Make a function that calls compiled code by its address.

    Parameters
    ----------
    result : numba type
    *arguments : numba types
        Of the C function behind the address.

    Returns
    -------
    call : intrinsic
        ``call(address, (argument, ...))``.
    """

    @intrinsic
    def call(typingctx, address, values):
        signature = result(nb.int64, nb.Tuple(arguments))

        def codegen(context, builder, signature, lowered):
            address, packed = lowered
            types = [context.get_value_type(t) for t in arguments]
            restype = (
                ir.VoidType() if result == nb.void else context.get_value_type(result)
            )
            function_type = ir.FunctionType(restype, types)
            function = builder.inttoptr(address, function_type.as_pointer())
            unpacked = [builder.extract_value(packed, i) for i in range(len(arguments))]
            value = builder.call(function, unpacked)
            return context.get_dummy_value() if result == nb.void else value

        return signature, codegen

    return call


# ------------------------------------------------------------------- threads


@intrinsic
def atomic_add(typingctx, pointer, value):
    """Add to a shared counter; returns what it was before."""

    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw("add", arguments[0], arguments[1], "seq_cst")

    return nb.int64(INT64_POINTER, nb.int64), codegen


@intrinsic
def atomic_load(typingctx, pointer):
    """Read what another thread may write."""

    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(arguments[0], "seq_cst", 8)

    return nb.int64(INT64_POINTER), codegen


@intrinsic
def atomic_store(typingctx, pointer, value):
    """Write what another thread may read."""

    def codegen(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], arguments[0], "seq_cst", 8)
        return context.get_dummy_value()

    return nb.void(INT64_POINTER, nb.int64), codegen
