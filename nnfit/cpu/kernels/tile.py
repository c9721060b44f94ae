"""The register-blocked micro-kernel under every matrix product.

One call computes one or two vectors of columns of C = start + A B, tile by tile of
``tile_rows`` rows, with every sum of a tile in a register:

    for k in range(K):
        for r in range(rows): acc[r] = fma(A[r, k], B[k, :], acc[r])

A has any strides (a transposed matrix is one with its strides exchanged), B and
C have unit stride along columns. Each row is summed in the order of k whatever
tile it lies in, so its bits do not depend on the rows around it.

The rows behind the last whole tile are done in shorter ones (`SHORT`), where rows
beyond the last valid one repeat it: they read and write the same numbers again, which
costs no branch and no mask.
"""

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import pointer_type

_INT64 = ir.IntType(64)
#: Rows of the tiles behind the last whole one, by the rows of that. At least four: two
#: pipelines with a latency of four steps need eight sums. All products of 'small' with
#: AVX2: 27.5 microseconds with tiles of 5 rows, 27.7 with 4, 28.4 with 3, 28.1 with 6.
SHORT = {6: 5, 8: 4, 12: 6}
#: Fewest rows of a tile of one vector, for the same reason: with 6 rows it reaches
#: three quarters of the peak.
SINGLE_ROWS = 8


def make_tile(target, dtype, vectors, most_rows=None):
    """Build the micro-kernel for a processor.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    vectors : int
        Width of the tile in vector registers: 1 or 2, more with few rows.
    most_rows : int, default=None
        Height of a tile; None for that of the processor.

    Returns
    -------
    tile : intrinsic
        ``tile(k, rows, a, a_row, a_k, b, b_k, c, c_row, start, start_row,
        scale, scale_row)``: any number of rows; sizes and strides in elements;
        `start` (added: a bias with row stride 0, C itself, or null) and `scale`
        (multiplied at the end, or null) are laid out like C.
    """
    pointer, height = pointer_type(dtype), most_rows or target.tile_rows
    if vectors == 1 and most_rows is None:
        height = max(height, SINGLE_ROWS)
    signature = nb.void(
        nb.int64, nb.int64,
        pointer, nb.int64, nb.int64,
        pointer, nb.int64,
        pointer, nb.int64,
        pointer, nb.int64,
        pointer, nb.int64,
    )  # fmt: skip

    @intrinsic
    def tile(typingctx, k, rows, a, ar, ak, b, bk, c, cr, start, sr, scale, xr):
        def codegen(context, builder, signature, arguments):
            function = _tile_function(
                builder.module, context, target, dtype, vectors, height
            )
            builder.call(function, arguments)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def make_panel_tile(target, dtype):
    """Make the tile of a panel, which is two vectors wide, or the last one of one.

    Its arguments are those of `make_tile`'s, with the panel's columns after `b`.
    """
    panel = target.panel(dtype)
    tile_2 = make_tile(target, dtype, 2)
    tile_1 = make_tile(target, dtype, 1)

    @helper
    def tile(k, rows, a, ar, ak, b, columns, bk, c, cr, start, sr, scale, xr):
        if columns == panel:
            tile_2(k, rows, a, ar, ak, b, bk, c, cr, start, sr, scale, xr)
        else:
            tile_1(k, rows, a, ar, ak, b, bk, c, cr, start, sr, scale, xr)

    return tile


def _tile_function(module, context, target, dtype, vectors, height):
    """The tile as an LLVM function, emitted once a module."""
    name = f"nnfit_tile_{dtype}_{vectors}_{height}"
    if name in module.globals:
        return module.globals[name]
    scalar = context.get_value_type(scalar_type(dtype))
    pointer, i64 = scalar.as_pointer(), _INT64
    function = ir.Function(
        module,
        ir.FunctionType(
            ir.VoidType(),
            [i64, i64, pointer, i64, i64, pointer, i64, pointer, i64]
            + [pointer, i64, pointer, i64],
        ),
        name,
    )
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")  # six call sites, 0.8 s of compiling
    _TileBody(function, target, dtype, scalar, vectors, height).emit()
    return function


class _TileBody:
    """Emits the instructions of one tile function."""

    def __init__(self, function, target, dtype, scalar, vectors, height):
        self.function = function
        self.rows = height
        self.vectors = vectors
        self.lanes = target.lanes(dtype)
        self.scalar = scalar
        self.vector = ir.VectorType(scalar, self.lanes)
        self.bytes = 4 if dtype == "float32" else 8
        self.target = target
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))

    def emit(self):
        """Whole tiles first, then short ones."""
        k, rows, a, a_row, a_k, b, b_k, c, c_row = self.function.args[:9]
        start, start_row, scale, scale_row = self.function.args[9:]
        self.k, self.a_k, self.b, self.b_k = k, a_k, b, b_k
        self.has_start, self.has_scale = map(self._is_given, (start, scale))
        self.strides = a_row, c_row, start_row, scale_row
        heights = [self.rows, SHORT[self.rows]] if self.rows in SHORT else [self.rows]
        pointers = a, c, start, scale
        for height in heights:
            rows, pointers = self._loop(height, rows, pointers, height == heights[-1])
        self.builder.ret_void()

    def _loop(self, height, rows, pointers, is_last):
        """Tiles of one height for as many rows as they have, or all if it is the last.

        It returns the rows that are left, and pointers to them.
        """
        builder, before = self.builder, self.builder.block
        head, body, done = map(builder.append_basic_block, ("rows", "tile", "left"))
        builder.branch(head)
        builder.position_at_end(head)
        left = builder.phi(_INT64)
        places = [builder.phi(pointer.type) for pointer in pointers]
        least = _INT64(1 if is_last else height)
        builder.cbranch(builder.icmp_signed(">=", left, least), body, done)
        builder.position_at_end(body)
        self._tile(self._row_numbers(height, left, is_last), places)
        following = [builder.sub(left, _INT64(height))]
        following += [
            builder.gep(place, [builder.mul(stride, _INT64(height))])
            for place, stride in zip(places, self.strides, strict=True)
        ]
        for phi, first, next_ in zip(
            [left, *places], [rows, *pointers], following, strict=True
        ):
            phi.add_incoming(first, before)
            phi.add_incoming(next_, builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return left, places

    def _row_numbers(self, height, rows, is_last):
        """Row numbers 0, 1, ... with those beyond the last valid one equal to it."""
        numbers = [_INT64(r) for r in range(height)]
        if not is_last or height == 1:
            return numbers
        last = self.builder.sub(rows, _INT64(1))
        return [
            self.builder.select(self.builder.icmp_signed("<", r, last), r, last)
            for r in numbers
        ]

    def _tile(self, valid, pointers):
        a, c, start, scale = pointers
        a_row, c_row, start_row, scale_row = self.strides
        sums = self._starting_values(valid, start, start_row)
        a_rows = [
            self._unrelated(self.builder.gep(a, [self.builder.mul(i, a_row)]))
            for i in valid
        ]
        sums = self._sum_over_k(self.k, a_rows, self.a_k, self.b, self.b_k, sums)
        sums = self._scaled(valid, sums, scale, scale_row)
        for index, row_sums in zip(valid, sums, strict=True):
            at = self.builder.gep(c, [self.builder.mul(index, c_row)])
            for v, value in enumerate(row_sums):
                self._store(value, at, v)

    def _unrelated(self, pointer):
        """The pointer, of which LLVM knows nothing.

        Of rows at equal distances it would keep one pointer, and go from each to the
        next by an addition: 28 instructions a step of 6 rows, not 24, which takes
        longer than the multiply-adds where a processor takes 4 a cycle.
        """
        kind = ir.FunctionType(pointer.type, [pointer.type])
        return self.builder.call(ir.InlineAsm(kind, "", "=r,0"), [pointer])

    def _vector_pointer(self, pointer, v):
        at = self.builder.gep(pointer, [_INT64(v * self.lanes)]) if v else pointer
        return self.builder.bitcast(at, self.vector.as_pointer())

    def _load(self, pointer, v):
        return self.builder.load(self._vector_pointer(pointer, v), align=self.bytes)

    def _store(self, value, pointer, v):
        self.builder.store(value, self._vector_pointer(pointer, v), align=self.bytes)

    def _broadcast(self, value):
        undefined = ir.Constant(self.vector, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, undefined, mask)

    def _starting_values(self, valid, start, start_row):
        builder = self.builder
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        origin = builder.block
        with builder.if_then(self.has_start):
            loaded = []
            for index in valid:
                at = builder.gep(start, [builder.mul(index, start_row)])
                loaded.append([self._load(at, v) for v in range(self.vectors)])
            given = builder.block
        return self._merge(loaded, given, [[zero] * self.vectors] * len(valid), origin)

    def _scaled(self, valid, sums, scale, scale_row):
        builder = self.builder
        origin = builder.block
        with builder.if_then(self.has_scale):
            products = []
            for index, row_sums in zip(valid, sums, strict=True):
                at = builder.gep(scale, [builder.mul(index, scale_row)])
                products.append(
                    [
                        builder.fmul(value, self._load(at, v))
                        for v, value in enumerate(row_sums)
                    ]
                )
            given = builder.block
        return self._merge(products, given, sums, origin)

    def _is_given(self, pointer):
        return self.builder.icmp_unsigned("!=", pointer, pointer.type(None))

    def _merge(self, values, block, others, other_block):
        merged = []
        for row, other_row in zip(values, others, strict=True):
            phis = []
            for value, other in zip(row, other_row, strict=True):
                phi = self.builder.phi(self.vector)
                phi.add_incoming(value, block)
                phi.add_incoming(other, other_block)
                phis.append(phi)
            merged.append(phis)
        return merged

    def _sum_over_k(self, k, a_rows, a_k, b, b_k, sums):
        """The hot loop: per step, 2 loads of B, a broadcast and 2 FMAs a row."""
        builder = self.builder
        before = builder.block
        head = builder.append_basic_block("sum")
        done = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", k, _INT64(0)), head, done)
        builder.position_at_end(head)
        step = builder.phi(_INT64)
        a_offset = builder.phi(_INT64)
        b_at = builder.phi(b.type)
        accumulators = [
            [builder.phi(self.vector) for _ in range(self.vectors)] for _ in sums
        ]
        b_values = [self._load(b_at, v) for v in range(self.vectors)]
        updated = []
        for a_row, row in zip(a_rows, accumulators, strict=True):
            a_value = builder.load(builder.gep(a_row, [a_offset]), align=self.bytes)
            a_value = self._broadcast(a_value)
            updated.append(
                [
                    multiply_add(builder, self.target, a_value, b_value, acc)
                    for b_value, acc in zip(b_values, row, strict=True)
                ]
            )
        next_step = builder.add(step, _INT64(1))
        advanced = {
            step: (_INT64(0), next_step),
            a_offset: (_INT64(0), builder.add(a_offset, a_k)),
            b_at: (b, builder.gep(b_at, [b_k])),
        }
        again = builder.cbranch(builder.icmp_signed("<", next_step, k), head, done)
        again.set_metadata("llvm.loop", not_unrolled(builder.module))
        for phi, (first, following) in advanced.items():
            phi.add_incoming(first, before)
            phi.add_incoming(following, head)
        for row, old_row, new_row in zip(accumulators, sums, updated, strict=True):
            for phi, old, new in zip(row, old_row, new_row, strict=True):
                phi.add_incoming(old, before)
                phi.add_incoming(new, head)
        builder.position_at_end(done)
        return self._merge(updated, head, sums, before)


def not_unrolled(module):
    """Metadata of a loop that LLVM leaves as it is."""
    disable = ir.MetaDataString(module, "llvm.loop.unroll.disable")
    option = module.add_metadata([disable])
    loop = module.add_metadata([option, option])
    loop.operands = (loop, option)  # it names itself, so that LLVM takes it for one
    return loop


def make_multiply_add(target, dtype):
    """Make ``multiply_add(a, b, c)`` of numbers, with the bits of the tile's."""
    scalar = scalar_type(dtype)

    @intrinsic
    def of_numbers(typingctx, a, b, c):
        def codegen(context, builder, signature, arguments):
            return multiply_add(builder, target, *arguments)

        return scalar(scalar, scalar, scalar), codegen

    return of_numbers


def multiply_add(builder, target, a, b, c):
    """Emit a * b + c, fused where the processor has the instruction.

    Without it, `llvm.fma` would be a slow library call an element.
    """
    if not target.fma:
        return builder.fadd(builder.fmul(a, b), c)
    kind, module = a.type, builder.module
    is_vector = isinstance(kind, ir.VectorType)
    element = kind.element if is_vector else kind
    bits = 32 if isinstance(element, ir.FloatType) else 64
    name = f"llvm.fma.{f'v{kind.count}' if is_vector else ''}f{bits}"
    if name not in module.globals:
        ir.Function(module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(module.globals[name], [a, b, c])
