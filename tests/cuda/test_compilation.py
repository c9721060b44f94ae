"""Kernels become native images, without a GPU, of which registers and memory are known.

A function of a registry is compiled alone: in a kernel nothing depends on which of
them it is. What code is in a kernel at all is tested with kernels.
"""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from nnfit.cuda import modules, tables, toolkit
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.functions import (
    make_activate,
    make_link,
    make_loss,
    make_optimizer,
    make_pool,
)
from nnfit.cuda.kernels.pointers import offset
from nnfit.cuda.kernels.threads import make_memory, make_threads
from nnfit.cuda.modules import Kernels
from nnfit.cuda.operations import kinds_of
from nnfit.engine_settings import Features
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.functions.pools import POOLS
from tests.engines import make_network
from tests.graphs import GRAPHS, graph

pytest.importorskip("numba_cuda")

#: Turing, which is the first, and Blackwell; all have as many registers.
CAPABILITIES = [(7, 5), (12, 0)]
TRAINING = "nnfit.cuda.kernels.training:training"
PREDICTION = "nnfit.cuda.kernels.prediction:prediction"
#: Of each multiprocessor, and of a block without asking for more.
REGISTERS, SHARED_BYTES = 2**16, 48 * 2**10
REPORT = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\s+"
    r"ptxas info\s*: Used (\d+) registers, used \d+ barriers,(?:.*?(\d+) bytes smem)?"
)


def layers_of(normalization=None, residual=False):
    """Kinds of layers in a kernel for a multilayer perceptron."""
    structure = dict(normalization=normalization, residual=residual)
    return kinds_of(make_network((3, 4, 4, 5, 2), **structure))


def arguments_of(entry=None, **options):
    """Arguments of a builder for a kind of kernel, a plain one unless told."""
    plain = dict(
        dtype="float32", tile=tables.SMALL, activations=("relu",),
        layers=layers_of(), adds=False, drops_apart=False, is_sparse=False,
    )  # fmt: skip
    text, _ = Kind(**{**plain, **options}).encoded()
    return (text,) if entry is None else (entry, text)


@pytest.fixture
def check_code(monkeypatch):
    """Check what there is before a linker optimises and assembles, half of the time.

    Types and names are all right then, and the memory that the threads of a block share
    is known. From there on no function is like another to the toolkit.
    """
    link = modules._link

    def link_only(*arguments):
        return link(*arguments, "-O0")

    def check(builder, arguments):
        with monkeypatch.context() as patch:
            patch.setattr(modules, "_link", link_only)
            ptx = portable(builder, arguments).decode()
        sizes = re.findall(r"^\s*\.shared .*\[(\d+)\];", ptx, re.M)
        assert 0 < sum(map(int, sizes)) <= SHARED_BYTES

    return check


def portable(builder, arguments):
    """PTX for the oldest devices, which all others take.

    There is no device of compute capability 7.6, so this is PTX for 7.5.
    """
    image = modules.compile_module(builder, arguments, (7, 6))
    return modules.split_image(image)[2]


def test_kernels_compile_where_numpy_lacks_a_name(tmp_path):
    """In a process of its own, for numba-cuda looks names up once."""
    code = """
import numpy as np
if hasattr(np, "row_stack"):
    del np.row_stack
from nnfit.cuda import modules
image = modules.compile_module("tests.cuda.kernels:axpy", ("float32",), (8, 0))
print(len(image), hasattr(np, "row_stack"))
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    size, is_there = out.split()
    assert int(size) > 1000
    assert is_there == "False"


def barrier_alone(cuda):
    """A kernel whose blocks wait for each other once."""
    threads = make_threads(cuda, 32)
    barrier = threads.barrier

    def wait(floats, doubles, longs, ints, count, n_blocks):
        barrier(longs, count, n_blocks)

    return Kernels("float32", {"wait": (wait, 2)})


def test_a_barrier_asks_by_adding():
    """A sum of 1 to arrive, sums of 0 to look who has: one before the loop, one in it.

    As a plain load, which an optimiser may make of the latter, it could look at an old
    value for ever.
    """
    ptx = portable("tests.cuda.test_compilation:barrier_alone", ()).decode()
    sums = re.findall(r"\batom\.global\.add\.u64\s+\S+ \[\S+\], (\d+);", ptx)
    assert sorted(sums) == ["0", "0", "1"]
    assert len(re.findall(r"\bmembar\.gl;", ptx)) == 2
    assert not re.findall(r"\bld\.(?!param)", ptx)


def assemble(ptx, capability):
    """Registers, bytes of shared memory, of a thread's stack, and of its spills."""
    linker = toolkit.linker()
    options = ["-arch=sm_{}{}".format(*capability), "-verbose"]
    handle = linker.create(len(options), options)
    try:
        linker.add_data(handle, int(linker.InputType.PTX), ptx, len(ptx), "nnfit")
        linker.complete(handle)
        log = bytearray(linker.get_info_log_size(handle))
        linker.get_info_log(handle, log)
    finally:
        linker.destroy(handle)
    ((stack, stores, loads, registers, shared),) = REPORT.findall(log.decode())
    return int(registers), int(shared or 0), int(stack), int(stores) + int(loads)


# ------------------------------------------------------------- the registries


def registries(cuda, dtype):
    """A kernel that calls every function of the registries."""
    device, scalar = cuda.jit(device=True), np.dtype(dtype).type
    zero, one = scalar(0.0), scalar(1.0)
    activate = make_activate(cuda, dtype, tuple(ACTIVATIONS))
    n_activations = len(ACTIVATIONS)
    memory = make_memory(cuda, Kind(dtype, tables.SMALL, (), (), False, False, False))

    @device
    def nothing(m, place, n):
        pass

    def call_losses(names):
        if not names:
            return nothing
        loss, rest = make_loss(cuda, dtype, names[0]), call_losses(names[1:])

        @device
        def run(m, place, n):
            raw = offset(m.floats, place)
            m.floats[place] = loss(raw, raw, raw, n, raw)
            rest(m, place + n, n)

        return run

    def call_links(names):
        if not names:
            return nothing
        link, rest = make_link(cuda, dtype, names[0]), call_links(names[1:])

        @device
        def run(m, place, n):
            link(offset(m.floats, place), offset(m.floats, place), n)
            rest(m, place + n, n)

        return run

    def call_pools(names):
        if not names:
            return nothing
        pool, rest = make_pool(cuda, dtype, names[0]), call_pools(names[1:])

        @device
        def run(m, place, n):
            raw = offset(m.floats, place)
            pool(raw, n, offset(m.floats, place + n), n, n)
            rest(m, place + n, n)

        return run

    def call_optimizers(names):
        if not names:
            return nothing
        _, update, prepare = make_optimizer(cuda, dtype, names[0])
        rest = call_optimizers(names[1:])

        @device
        def run(m, place, n):
            numbers = offset(m.doubles, place)
            rates = prepare(np.float64(n), 0.1, numbers, numbers)
            m.doubles[place] = rates[0]
            h = (one, one, one, one, one, one, one, one)
            update(m, place, n, one, h, zero, one)
            rest(m, place + n, n)

        return run

    losses, links = call_losses(tuple(LOSSES)), call_links(tuple(LINKS))
    pools = call_pools(tuple(POOLS))
    optimizers = call_optimizers((None, *OPTIMIZERS))

    def call_all(floats, doubles, longs, ints, place, n):
        m = memory(floats, doubles, longs, ints)
        for number in range(n_activations):
            value, slope = activate(number, floats[place])
            floats[place + number] = value * slope
        losses(m, place, n)
        links(m, place, n)
        pools(m, place, n)
        optimizers(m, place, n)

    return Kernels(dtype, {"call_all": (call_all, 2)})


@pytest.mark.slow
def test_every_function_of_the_registries():
    ptx = portable(f"{__name__}:registries", ("float32",))
    for capability in CAPABILITIES:
        code = modules._link([ptx], "PTX", capability)
        assert code.startswith(b"\x7fELF")


# ------------------------------------------------------------------- kernels


def plain_kernels():
    """Those of a network without anything particular, by name."""
    train = dict(loss="softmax", solver="adam")
    forward = dict(trains=False, gathers=False, link="softmax")
    evaluate = dict(trains=False, loss="softmax")
    small, large = dict(tile=tables.SMALL), dict(tile=tables.LARGE)
    return {
        "train, small": (TRAINING, arguments_of("train", **small, **train)),
        "run_operation, large": (
            TRAINING, arguments_of("run_operation", **large, **train)
        ),
        "predict, large": (PREDICTION, arguments_of(**large, **forward)),
        "evaluate, small": (PREDICTION, arguments_of(**small, **evaluate)),
    }  # fmt: skip


PLAIN = plain_kernels()


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_plain_kernels_fit_into_every_multiprocessor(name):
    """A block has the registers it needs; of a thread's sums there is one copy."""
    tile = tables.LARGE if name.endswith("large") else tables.SMALL
    ptx = portable(*PLAIN[name])
    for capability in CAPABILITIES:
        registers, shared, stack, spilled = assemble(ptx, capability)
        assert spilled == 0, f"{spilled} bytes on {capability}"
        assert stack <= 4 * tile.thread_rows * tile.thread_columns
        assert shared <= SHARED_BYTES
        assert registers * tile.n_threads <= REGISTERS


#: What puts other code into a training kernel. What has no flag of its own changes
#: numbers and no code.
FLAGS = [
    name
    for name in Features._fields
    if name in Kind._fields and name != "updates_whole"  # of Muon, below
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "normalization", "flags", "options"),
    [
        ("train", "layer", FLAGS, dict(adds=True, is_sparse=True, solver="adam")),
        ("run_operation", "batch", FLAGS[::2], dict(solver="adam")),
        ("train", None, (), dict(dtype="float64", solver=None)),
    ],
    ids=["all", "every other", "none"],
)
def test_training_kernels(entry, normalization, flags, options, check_code):
    """All code at once, half of it and the least.

    Where it runs, on the emulator, any two features meet. What a compiler alone refuses
    are types, which differ in float32: the numbers of float64 are all of one type.
    """
    options = dict(
        layers=layers_of(normalization, residual=options.get("adds", False)),
        tile=tables.SMALL if entry == "train" else tables.LARGE,
        loss="softmax", **options, **dict.fromkeys(flags, True),
    )  # fmt: skip
    check_code(TRAINING, arguments_of(entry, **options))


@pytest.mark.slow
def test_special_predictions(check_code):
    options = dict(
        layers=layers_of("batch"), is_sparse=True, drops=True, drops_inputs=True,
        trains=False, loss="softmax",
    )  # fmt: skip
    check_code(PREDICTION, arguments_of(**options))


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        [
            "readers that do not multiply", "factors", "numbers by bins",
            "embeddings of numbers and of a hidden layer",
        ],
        [
            "embedded numbers", "codes beside numbers", "members beside members",
            "contrast",
        ],
    ],
)  # fmt: skip
def test_kernels_of_every_kind_of_layer(names, check_code):
    """Of several networks in one kernel, most of whose code is that of all kernels."""
    networks = [graph(5, *GRAPHS[name]) for name in names]
    nodes = [node for network in networks for node in network.nodes]
    options = dict(
        layers=kinds_of(SimpleNamespace(nodes=nodes)), adds=True, drops_apart=True,
        drops=True,
        has_lines=any(network.most_lines > 1 for network in networks),
    )  # fmt: skip
    train = arguments_of("train", loss="squared_error", solver="adam", **options)
    check_code(TRAINING, train)


@pytest.mark.slow
def test_predictions_of_members(check_code):
    """A training has the same functions of kinds, with the same types."""
    layers = kinds_of(graph(5, *GRAPHS["members beside members"]))
    predict = arguments_of(
        layers=layers, adds=True, drops_apart=True, drops=True, has_lines=True,
        trains=False, link="identity", pool="softmax",
    )  # fmt: skip
    check_code(PREDICTION, predict)


@pytest.mark.slow
def test_whole_updates_of_lines_that_a_batch_has(check_code):
    layers = kinds_of(graph(5, *GRAPHS["codes beside numbers"]))
    train = arguments_of(
        "run_operation", layers=layers, loss="squared_error",
        solver="muon", penalises=True, updates_whole=True, averages=True,
    )  # fmt: skip
    check_code(TRAINING, train)


@pytest.mark.slow
def test_members_with_rows_of_their_own(check_code):
    """With all that changes rows when they are gathered."""
    layers = kinds_of(graph(5, *GRAPHS["members"]).with_own_rows)
    train = arguments_of(
        "train", layers=layers, has_lines=True, own_rows=True, mixes=True, cuts=True,
        swaps=True, marks_swaps=True, adds_noise=True, drops_inputs=True,
        is_sparse=True, loss="softmax", solver="adam",
    )  # fmt: skip
    check_code(TRAINING, train)
