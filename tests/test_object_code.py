"""What LLVM made of the kernels: symbols, vector registers, other processors.

Kernels for other machines are assembled, not run. numba's front end runs on this
machine whatever the target, so what it decides by `sys.platform` (the name of the
function that yields the processor) is this machine's here.
"""

import dis
import importlib
import re
import struct
from dataclasses import replace
from functools import lru_cache
from itertools import cycle

import pytest
from llvmlite import binding as llvm
from numba.core import types as nb

from nnfit.cpu import compiling, kernels, machine_code, object_files, tile_choice
from nnfit.cpu import target as targets
from nnfit.cpu.graph import kernels_of_kinds
from nnfit.cpu.kernels import denormals, lowering
from nnfit.cpu.kernels.lowering import scalar_type
from nnfit.cpu.kernels.pointers import pointer_type
from nnfit.cpu.kernels.tile import make_tile
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS

DTYPES = ("float32", "float64")

#: Every kernel of the registries: builder's name and what it is built with.
ROWS = [
    *(("activation", name) for name in ACTIVATIONS),
    *(("loss", name) for name in LOSSES),
    *(("link", name) for name in LINKS),
    *(("optimizer", name) for name in OPTIMIZERS),
    ("gradient_sum",),
]


def builder(kind):
    return f"nnfit.cpu.kernels.elementwise:{kind}"


def tile_kernel(target, dtype):
    """The micro-kernel alone, two vectors wide."""
    tile, pointer = make_tile(target, dtype, 2), pointer_type(dtype)

    def product(k, rows, a, ar, ak, b, bk, c, cr, start, sr, scale, xr):
        tile(k, rows, a, ar, ak, b, bk, c, cr, start, sr, scale, xr)

    i64 = nb.int64
    signature = nb.void(
        i64, i64, pointer, i64, i64, pointer, i64, pointer, i64, pointer, i64,
        pointer, i64,
    )  # fmt: skip
    return {"product": (product, signature)}


def exports_of(name, target, *arguments):
    """The functions of a kernel, as `compiling` gets them."""
    own = {"tile": tile_kernel, "flushing": flushing_kernel}
    if name in own:
        return own[name](target, *arguments)
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)(target, *arguments)


@lru_cache(maxsize=200)
def optimised(name, *arguments, target=None):
    """Optimised module, as text, its object file and its assembly."""
    target = target or targets.host()
    targets.initialize_llvm()
    machine = machine_code.target_machine(target)
    exports = exports_of(name, target, *arguments)
    module = lowering.optimised_module(exports, target, machine)
    return str(module), machine.emit_object(module), machine.emit_assembly(module)


# --------------------------------------------------------------- object files


def describe_object(code):
    """Format, machine number, names defined and names needed of an object."""
    name, offset, layout, _ = object_files.file_format(code)
    (machine,) = struct.unpack_from(layout, code, offset)
    return name, machine, *object_files.symbols(code)


# -------------------------------------------------------------------- symbols

RUNTIME = re.compile(r"NRT_|numba_|Py[A-Z_]|_Py")


def check_symbols(code, entries):
    _, _, defined, undefined = describe_object(code)
    assert set(entries) <= defined
    assert undefined <= machine_code.C_LIBRARY
    return defined | undefined


#: Kernels of the engine, and of all kinds of layers.
ENGINE = [*((name,) for name in kernels.OF_DTYPE), *kernels_of_kinds()]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", ROWS, ids="-".join)
def test_a_kernel_needs_the_c_library_only(row, dtype):
    kind, *name = row
    kernel = compiling.load(builder(kind), *name, dtype)
    entries = exports_of(builder(kind), targets.host(), *name, dtype)
    symbols = check_symbols(kernel.code, entries)
    assert [s for s in symbols if RUNTIME.search(s)] == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ENGINE, ids=" ".join)
@pytest.mark.slow
def test_the_engine_needs_the_c_library_only(name, dtype):
    """Quick where the cache has the kernels; else it takes their compilation."""
    builder, *names = name
    kernel = compiling.load(builder, *names, dtype)
    entries = exports_of(builder, targets.host(), *names, dtype)
    symbols = check_symbols(kernel.code, entries)
    assert ("pow" in symbols) == (builder == kernels.TRAINING), "symbols are read"
    assert [s for s in symbols if RUNTIME.search(s)] == []


def test_orders_for_a_gpu_need_the_c_library_only():
    kernel = compiling.load(kernels.ORDERS)
    entries = exports_of(kernels.ORDERS, targets.host())
    symbols = check_symbols(kernel.code, entries)
    assert [s for s in symbols if RUNTIME.search(s)] == []


def test_a_kernel_exports_its_entry_points_only():
    """Everything else is internal, so that LLVM can inline and drop it."""
    text, _, _ = optimised(builder("optimizer"), "adam", "float32")
    found = re.findall(r"^define ([^@]*)@\"?([\w.$]+)", text, flags=re.M)
    external = [name for linkage, name in found if "internal" not in linkage]
    assert sorted(external) == ["prepare", "update"]


def test_what_the_allow_list_is_for():
    """A scalar library call is found and refused."""
    import math

    def call_erf(z, out):
        out[0] = math.erf(z[0])

    pointer = pointer_type("float64")
    exports = {"call_erf": (call_erf, nb.void(pointer, pointer))}
    target = targets.host()
    code = lowering.emit_object(exports, target, machine_code.target_machine(target))
    with pytest.raises(AssertionError, match="erf"):
        check_symbols(code, exports)


# -------------------------------------------------------------------- vectors

OPERATION = r"= (?:f(?:add|sub|mul|div|neg|cmp)|select) [^\n]*?<%d x %s>"
ARITHMETIC = r"= f(?:add|sub|mul|div) [^\n]*?<%d x %s>"
#: They choose between numbers and compute none.
WITHOUT_ARITHMETIC = {
    name
    for name, row in ACTIVATIONS.items()
    if all(step.opname != "BINARY_OP" for step in dis.get_instructions(row.function))
}
#: It copies: z stays, the slope is one.
COPIES = {"identity"}


def count_vectors(pattern, text, dtype):
    """Instructions on whole vectors, of half a register's width or more.

    LLVM takes 32 bytes for loops on some processors whose registers have 64.
    """
    scalar = "float" if dtype == "float32" else "double"
    lanes = targets.host().lanes(dtype)
    widths = {lanes, max(lanes // 2, 16 // (4 if dtype == "float32" else 8))}
    return sum(len(re.findall(pattern % (n, scalar), text)) for n in widths)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in COPIES])
def test_activations_run_in_vector_registers(name, dtype):
    text, _, _ = optimised(builder("activation"), name, dtype)
    pattern = OPERATION if name in WITHOUT_ARITHMETIC else ARITHMETIC
    assert count_vectors(pattern, text, dtype) >= 1
    assert " call " not in re.sub(r"call [^\n]*@llvm\.", "", text)
    assert "llvm.masked.store" not in text, "8 times slower on some processors"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_activations_compute_in_float32(name):
    """One Python float left in would double the work of the whole loop."""
    text, _, _ = optimised(builder("activation"), name, "float32")
    body = text[text.index("define ") :]
    assert "float" in body
    assert not re.search(r"\bdouble\b|\.f64|fpext|fptrunc", body)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_run_in_vector_registers(name, dtype):
    text, _, _ = optimised(builder("optimizer"), name, dtype)
    update = re.search(r"^define [^\n]*@update\(.*?^}", text, re.M | re.S)[0]
    assert count_vectors(ARITHMETIC, update, dtype) >= 4
    if dtype == "float32":
        assert "double" not in update, "the update itself is in float32"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["logistic", "softmax", "exp"])
def test_links_run_in_vector_registers(name, dtype):
    text, _, _ = optimised(builder("link"), name, dtype)
    assert count_vectors(ARITHMETIC, text, dtype) >= 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_runs_in_vector_registers(dtype):
    text, _, _ = optimised(builder("loss"), "softmax", dtype)
    assert count_vectors(ARITHMETIC, text, dtype) >= 4


# ------------------------------------------------------------- the hot loop

LABEL = re.compile(r"^(\.?L?[\w.$]+):[^\n]*$", re.M)


def functions(assembly):
    """Names of functions and what they consist of."""
    parts = re.split(r"^_?(?!L)([A-Za-z][\w.$]*):", assembly, flags=re.M)
    return zip(parts[1::2], parts[2::2], strict=True)


def loops(assembly):
    """Blocks that jump back to their begin, as lists of instructions."""
    parts = LABEL.split(assembly)
    for label, body in zip(parts[1::2], parts[2::2], strict=True):
        lines = [line.strip() for line in body.splitlines()]
        again = re.compile(rf"(j\w+|b\.\w+|cbn?z|tbn?z)\s.*(?<![\w.]){label}$")
        jumps = [i for i, line in enumerate(lines) if again.match(line)]
        if jumps:
            yield lines[: jumps[-1] + 1]


def multiplications(loop, target, dtype):
    """Vector multiplications, or multiply-adds, in whole registers."""
    precision = "s" if dtype == "float32" else "d"
    if target.triple.startswith(("aarch64", "arm64")):
        shape = rf"\.?{16 // (4 if dtype == 'float32' else 8)}{precision}"
        pattern = rf"fmla\S*\s.*{shape}|fmla{shape}"
    else:
        register = {64: "%zmm", 32: "%ymm", 16: "%xmm"}[target.vector_bytes]
        name = r"vfmadd\d+p" if target.fma else r"v?mulp"
        pattern = rf"{name}{precision}\s.*{register}\d+$"
    return sum(bool(re.match(pattern, line)) for line in loop)


def on_the_stack(loop, has_frame=True):
    """What a loop writes to the stack or reads from it; rbp is there in a frame."""
    stack = r"\(%rsp|\[sp" + (r"|\(%rbp\)" if has_frame else "")
    return [line for line in loop if re.search(stack, line)]


def spills(loop, has_frame=True):
    """Vectors on the stack."""
    vector = re.compile(r"%[xyz]mm|\s[qdv]\d")
    return [line for line in on_the_stack(loop, has_frame) if vector.search(line)]


def loads(loop):
    """Numbers and vectors read from memory; ``ldp`` reads two."""
    pairs = sum(line.startswith("ldp") for line in loop)
    memory = r"v?mov[au]p[sd]\s+[-\d]*\(|v?movs[sd]\s|vbroadcast|vmovddup|ldu?r\s"
    return 2 * pairs + sum(bool(re.match(memory, line)) for line in loop)


#: Instructions of a step beside loads and multiply-adds: two strides, a count, a jump,
#: where they are not one.
BESIDE = 5


def check_hot_loop(assembly, target, dtype):
    """A step is 2 loads of B, a load a row of A, and 2 multiply-adds a row.

    No instruction copies a number of A into a vector's lanes: x86 loads it so, NEON
    multiplies by a lane. Without FMA a product and its sum are two instructions, and
    copies are two more a row. Nothing is on the stack, but for two pointers of 12 rows
    on x86, which has 16 registers for them.
    """
    rows = target.tile_rows
    hot = [
        (loop, "%rsp, %rbp" in text)
        for name, text in functions(assembly)
        if name.startswith(f"nnfit_tile_{dtype}_2_")
        for loop in loops(text)
        if multiplications(loop, target, dtype) == 2 * rows
    ]
    assert hot, f"no loop of {2 * rows} multiply-adds a step"
    is_crowded = target.vector_bytes == 64 and rows > 10
    for loop, has_frame in hot:
        assert (spills if is_crowded else on_the_stack)(loop, has_frame) == []
        assert loads(loop) == rows + 2
        own = 2 * rows if target.fma else 6 * rows
        beside = BESIDE + 2 * is_crowded
        assert sum(map(bool, loop)) <= own + rows + 2 + beside


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tile_keeps_its_sums_in_registers(dtype):
    _, _, assembly = optimised("tile", dtype)
    check_hot_loop(assembly, targets.host(), dtype)


def test_a_spill_is_found():
    """The check of the check."""
    vectors = ["vmovups\t%ymm3, -32(%rsp)", "vmovaps\t64(%rsp), %zmm3"]
    vectors += ["str\tq3, [sp, #16]", "stp\tq1, q2, [sp]"]
    pointers = ["movq\t%rax, (%rsp)", "addq\t8(%rsp), %rdx", "ldr\tx0, [sp, #144]"]
    elsewhere = ["vmovups\t(%rax), %ymm3", "ldr\tq3, [x0]"]
    elsewhere += ["vbroadcastss\t(%rdx,%rbp,4), %ymm14"]
    assert on_the_stack([*vectors, *elsewhere, *pointers]) == [*vectors, *pointers]
    assert spills([*vectors, *elsewhere, *pointers]) == vectors


def test_loads_are_counted():
    x86 = ["vmovups\t-32(%r9), %ymm1", "vbroadcastss\t(%rdx,%rbx,4), %ymm14"]
    assert loads([*x86, "movss\t(%rdx,%rbx,4), %xmm14", "movaps\t%xmm13, %xmm15"]) == 3
    assert loads(["ldp\tq9, q8, [x5, #-16]", "ldr\ts10, [x2, x3, lsl #2]"]) == 3


# ---------------------------------------------------------- other processors

AVX512 = "+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq"
#: Format, machine number and registers by target.
TARGETS = {
    "linux-avx2": (
        targets.describe("x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma"),
        ("ELF", 62, r"%ymm\d"),
    ),
    "linux-avx512": (
        targets.describe("x86_64-unknown-linux-gnu", "skylake-avx512", AVX512),
        ("ELF", 62, r"%zmm\d"),
    ),
    "linux-plain": (
        targets.describe("x86_64-unknown-linux-gnu", "x86-64", ""),
        ("ELF", 62, r"%xmm\d"),
    ),
    "linux-aarch64": (
        targets.describe("aarch64-unknown-linux-gnu", "generic", ""),
        ("ELF", 183, r"\bv\d+\.4s|\bv\d+\.2d"),
    ),
    "macos-arm64": (
        targets.describe("arm64-apple-macosx", "apple-m1", ""),
        ("Mach-O", 0x0100000C, r"\.4s\s+v\d+|\.2d\s+v\d+"),
    ),
    "windows-avx2": (
        targets.describe("x86_64-pc-windows-msvc", "haswell", "+avx2,+fma"),
        ("COFF", 0x8664, r"%ymm\d"),
    ),
}

#: Registers wider than a target has, which its code must not name.
WIDER = {
    "linux-avx2": "%zmm",
    "linux-plain": r"%[yz]mm|\tv\w+\t",
    "windows-avx2": "%zmm",
}


#: Kernels that call and copy.
CALLERS = (
    kernels.BATCH,
    kernels.PREDICTION,
    kernels.EVALUATION,
    kernels.WEIGHTS,
    "nnfit.cpu.kinds.concatenation:build",
)
#: Kernels of products by tiles.
WITH_TILES = (kernels.DENSE, kernels.MUON)
#: Each for one processor in turn; tiles alone are above for all.
ELSEWHERE = list(zip(ENGINE, cycle(TARGETS), strict=False))


@pytest.fixture(scope="module", params=TARGETS)
def other(request):
    """Name, target and expectations of a machine that kernels are assembled for."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return request.param, *TARGETS[request.param]


def test_the_tile_of_a_target(other):
    _, target, _ = other
    sizes = (target.vector_bytes, target.tile_rows, target.fma)
    assert sizes in {(64, 8, True), (32, 6, True), (16, 12, True), (16, 6, False)}
    registers = 16 if target.tile_rows == 6 else 32
    first, *_ = candidates = tile_choice.CANDIDATES[target.tile_rows]
    assert first == target.tile_rows and len(set(candidates)) == 3
    assert 2 * max(candidates) + 3 <= registers


def check_object(other, code, assembly, entries):
    name, _, (file_format, machine, registers) = other
    assert describe_object(code)[:2] == (file_format, machine)
    check_symbols(code, entries)
    assert re.search(registers, assembly)
    if name in WIDER:
        assert not re.search(WIDER[name], assembly)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tile_for_another_processor(other, dtype):
    _, target, _ = other
    _, code, assembly = optimised("tile", dtype, target=target)
    check_object(other, code, assembly, ["product"])
    check_hot_loop(assembly, target, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_tiles_to_choose_among_keep_their_sums_in_registers(other, number):
    _, target, _ = other
    rows = tile_choice.CANDIDATES[target.tile_rows][number]
    target = replace(target, tile_rows=rows)
    _, _, assembly = optimised("tile", "float32", target=target)
    check_hot_loop(assembly, target, "float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "entries"),
    [
        (("activation", "gelu"), ["activate"]),
        (("loss", "softmax"), ["loss"]),
        (("optimizer", "adam"), ["update", "prepare"]),
    ],
    ids=["gelu", "softmax", "adam"],
)
def test_small_kernels_for_another_processor(other, row, entries):
    name, target, expected = other
    kind, key = row
    _, code, assembly = optimised(builder(kind), key, "float32", target=target)
    if name == "linux-avx512":
        # Skylake's AVX-512 slows its clock; LLVM takes half of it for loops.
        expected = (*expected[:2], r"%[yz]mm\d")
    check_object((name, target, expected), code, assembly, entries)


#: What an entry point does that flushes denormal numbers, see
#: `nnfit.cpu.kernels.denormals`.
FLUSHING = {
    "x86_64": r"v?stmxcsr.* orl\s+\$32832,.* v?ldmxcsr.* callq.* v?ldmxcsr",
    "aarch64": r"mrs\s+(x\d+), FPCR .*orr\s+(x\d+), \1, #0x1000000 .*"
    r"msr\s+FPCR, \2 .*bl.* msr\s+FPCR, \1 ",
}
FLUSHING["arm64"] = FLUSHING["aarch64"]


def check_flushing(assembly, target, exports):
    """Flushing begins before the call of what an entry point does and ends after it."""
    pattern = FLUSHING[target.triple.split("-")[0]]
    for name, (function, _) in exports.items():
        if not denormals.flushes(function):
            continue
        start = re.search(rf"^_?{name}:", assembly, re.M).end()
        lines = [" ".join(line.split()) for line in assembly[start:].splitlines()]
        body = " ; ".join(lines).partition("; ret")[0]
        assert re.search(pattern, body), body


def flushing_kernel(target, dtype):
    """A function that may be inlined, but for its mode."""
    half = scalar_type(dtype)(0.5)

    @denormals.flushing
    def halve(x):
        x[0] *= half

    return {"halve": (halve, nb.void(pointer_type(dtype)))}


def test_flushing_on_another_processor(other):
    _, target, _ = other
    _, code, assembly = optimised("flushing", "float32", target=target)
    check_flushing(assembly, target, flushing_kernel(target, "float32"))
    check_symbols(code, ["halve"])


def test_operations_leave_the_mode_of_the_thread(other):
    """They are called once for a block of rows or a unit."""
    _, target, _ = other
    _, _, assembly = optimised(builder("loss"), "softmax", "float32", target=target)
    assert not re.search("mxcsr|FPCR", assembly)


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "other"), ELSEWHERE, indirect=["other"])
def test_the_engine_for_another_processor(kernel, other):
    """Float32 only.

    The symbols show that no frame on Windows needs a stack probe (``__chkstk``).
    """
    name, target, expected = other
    kernel, *names = kernel
    _, code, assembly = optimised(kernel, *names, "float32", target=target)
    if kernel in WITH_TILES:
        check_hot_loop(assembly, target, "float32")
    elif kernel in CALLERS:
        expected = (*expected[:2], "")
    elif name == "linux-avx512":
        # Skylake's AVX-512 slows its clock; LLVM takes half of it for loops.
        expected = (*expected[:2], r"%[yz]mm\d")
    entries = exports_of(kernel, target, *names, "float32")
    check_object((name, target, expected), code, assembly, entries)
    check_flushing(assembly, target, entries)
    _, _, _, undefined = describe_object(code)
    system = {"sched_yield", "clock_gettime"}
    windows = {"SwitchToThread", "QueryPerformanceCounter"}
    used = {name.lstrip("_") for name in undefined} & (system | windows)
    needed = windows if "windows" in target.triple else system
    assert used == (needed if kernel == kernels.TRAINING else set())
