"""The compiled kernels by themselves, on one thread: products, activations, updates.

Products are those of a dense layer's forward pass, in the blocks of rows that the
engine uses, and stand beside the peak of the processor: fused multiply-adds on
registers alone, measured in the same process.
"""

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from llvmlite import binding as llvm

from nnfit.cpu import compiling, machine_code
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import BATCH, PREDICTION
from nnfit.cpu.layout import Layout, aligned_zeros
from nnfit.cpu.plans import ROW_BLOCK, forward_plan
from nnfit.cpu.tables import Tables
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network import Network, Weights

from .brief import values

POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64

# rows x features x units: three cubes, then layers of the shapes that bench_fit has
PRODUCTS = ["64x64x64", "256x256x256", "512x512x512"]
PRODUCTS += ["32x10x32", "200x64x100", "256x54x256", "256x784x512"]


def products(target, dtype):
    """Kernel ``forward(table, layer, rows, repeats)``, products alone."""
    from numba.core import types as nb

    from nnfit.cpu.kernels.dense import make_product
    from nnfit.cpu.kernels.pointers import INT64_POINTER, offset

    product = make_product(target, dtype)

    def forward(table, layer, rows, repeats):
        for _ in range(repeats):
            for row in range(0, rows, ROW_BLOCK):
                product(table, offset(table, layer), row, min(ROW_BLOCK, rows - row))

    arguments = (INT64_POINTER, nb.int64, nb.int64, nb.int64)
    return {"forward": (forward, nb.void(*arguments))}


def peak_kernel(dtype):
    """Kernel ``peak(repeats, out)`` and the operations of one repeat.

    Twelve independent chains of multiply-adds: enough for two pipelines of a
    latency of five, few enough for sixteen registers.
    """
    target = targets.host()
    chains, lanes = 12, target.lanes(dtype)
    vector = f"<{lanes} x {'float' if dtype == 'float32' else 'double'}>"
    name = f"llvm.fma.v{lanes}f{32 if dtype == 'float32' else 64}"
    phis, fmas, total = [], [], "%b0"
    for i in range(chains):
        phis.append(f"%a{i} = phi {vector} [ %x, %entry ], [ %b{i}, %loop ]")
        fmas.append(
            f"%b{i} = call {vector} @{name}({vector} %a{i}, {vector} %x, {vector} %x)"
        )
    sums = []
    for i in range(1, chains):
        sums.append(f"%s{i} = fadd {vector} {total}, %b{i}")
        total = f"%s{i}"
    lines = [
        f"declare {vector} @{name}({vector}, {vector}, {vector})",
        f"define void @peak(i64 %repeats, {vector}* %out) {{",
        f"entry:\n %x = load {vector}, {vector}* %out, align 64\n br label %loop",
        "loop:\n %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *phis,
        *fmas,
        "%next = add i64 %i, 1",
        "%more = icmp slt i64 %next, %repeats",
        "br i1 %more, label %loop, label %exit",
        "exit:",
        *sums,
        f"store {vector} {total}, {vector}* %out, align 64",
        "ret void }",
    ]
    targets.initialize_llvm()
    module = llvm.parse_assembly("\n".join(lines))
    code = machine_code.target_machine(target).emit_object(module)
    kernel = machine_code.Kernel(bytes(code), target)
    return kernel, 2 * chains * lanes


def best_seconds(call, repeats):
    """Shortest of several calls, per repeat inside a call."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) / repeats


def peak_gflops(dtype, n_threads=1):
    """Multiply-adds on registers, on several threads at the same time."""
    kernel, operations = peak_kernel(dtype)
    lanes = targets.host().lanes(dtype)
    repeats = 2_000_000
    peak = kernel.function("peak", None, INT64, POINTER)
    outs = [aligned_zeros(lanes, dtype) for _ in range(n_threads)]

    with ThreadPoolExecutor(n_threads) as pool:

        def run():
            list(pool.map(lambda out: peak(repeats, out.ctypes.data), outs))

        return n_threads * operations / best_seconds(run, repeats) / 1e9


def product_gflops(shape, dtype):
    rows, n_in, n_out = (int(size) for size in shape.split("x"))
    target = targets.host()
    network = Network.dense([n_in, n_out], [], LOSSES["squared_error"], (), dtype)
    layout = Layout(network, target)
    flat = aligned_zeros(layout.size, dtype)
    random = np.random.default_rng(0).standard_normal
    layout.pack(Weights([random((n_in, n_out))], [random(n_out)]), flat)
    plan = forward_plan(network, target, rows, PREDICTION, 0)
    tables, (features, layer) = Tables(plan, flat), plan.graph.rows
    X = random((rows, n_in)).astype(dtype)
    kept = tables.set_X(X)
    gather = compiling.load(BATCH, dtype).function(
        "gather", None, POINTER, POINTER, POINTER, INT64, INT64
    )
    now = np.array([0, rows, *[0] * (at.NOW_FIELDS - 2)])
    ints = tables.address
    gather(ints, ints + 8 * features, now.ctypes.data, 0, rows)

    code = compiling.compile_object(f"{__name__}:products", (dtype,), target)
    kernel = machine_code.Kernel(code, target)
    forward = kernel.function("forward", None, POINTER, INT64, INT64, INT64)
    operations = 2 * rows * n_in * n_out
    repeats = max(1, int(2e9 / operations))
    seconds = best_seconds(lambda: forward(ints, layer, rows, repeats), repeats)
    del kept
    return operations / seconds / 1e9


class Product:
    params = values(PRODUCTS, ["float32", "float64"])
    param_names = ["rows x features x units", "dtype"]

    def track_gflops(self, shape, dtype):
        return product_gflops(shape, dtype)

    track_gflops.unit = "GFLOP/s"

    def track_share_of_peak(self, shape, dtype):
        return 100 * product_gflops(shape, dtype) / peak_gflops(dtype)

    track_share_of_peak.unit = "%"


class Activation:
    """Values and slopes of 256 rows of 256 units, float32."""

    params = values(ACTIVATIONS)
    param_names = ["activation"]

    def setup(self, name):
        kernel = compiling.load(
            "nnfit.cpu.kernels.elementwise:activation", name, "float32"
        )
        self.activate = kernel.function(
            "activate", None, POINTER, POINTER, INT64, INT64, INT64
        )
        normal = np.random.default_rng(0).standard_normal(256 * 256)
        self.start = normal.astype(np.float32)
        self.z = aligned_zeros(256 * 256, "float32")
        self.value = aligned_zeros(256 * 256, "float32")

    def time_activation(self, name):
        self.z[:] = self.start  # the slopes overwrite it
        self.activate(self.z.ctypes.data, self.value.ctypes.data, 256, 256, 256)


class Update:
    """One step of an optimizer on 65536 weights, float32, with the L2 term."""

    params = values(OPTIMIZERS)
    param_names = ["optimizer"]

    def setup(self, name):
        self.kernel = compiling.load(
            "nnfit.cpu.kernels.elementwise:optimizer", name, "float32"
        )
        pointers = [POINTER] * 4
        single = ctypes.c_float
        self.update = self.kernel.function(
            "update", None, *pointers, INT64, POINTER, single, single
        )
        normal = np.random.default_rng(0).standard_normal(65536)
        self.arrays = [aligned_zeros(65536, "float32") for _ in range(4)]
        for array in self.arrays[:2]:
            array[:] = normal
        # Rates of a first step of Adam; any others take the same time.
        self.rates = np.array([1e-3, 0.9, 0.1, 0.999, 1e-3, 1e-8, 0, 0], np.float32)

    def time_update(self, name):
        addresses = [array.ctypes.data for array in self.arrays]
        self.update(*addresses, 65536, self.rates.ctypes.data, 1e-6, 1.0)
