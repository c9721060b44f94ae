"""Kernels become native images, without a GPU, of which registers and memory are known.

A function of a registry is compiled alone: in a kernel nothing depends on which of
them it is. What code is in a kernel at all is tested with kernels.
"""

import re
from itertools import cycle

import numpy as np
import pytest

from nnfit.cuda import modules, tables, toolkit
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.functions import (
    make_activate,
    make_link,
    make_loss,
    make_optimizer,
)
from nnfit.cuda.kernels.pointers import offset
from nnfit.cuda.kernels.threads import make_memory
from nnfit.cuda.modules import Kernels
from nnfit.engine_settings import Features
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LINKS, LOSSES
from nnfit.functions.optimizers import OPTIMIZERS

pytest.importorskip("numba_cuda")

#: Turing, which is the first, to Blackwell.
CAPABILITIES = [(7, 5), (8, 0), (9, 0), (12, 0)]
TRAINING = "nnfit.cuda.kernels.training:training"
PREDICTION = "nnfit.cuda.kernels.prediction:prediction"
#: Of each multiprocessor, and of a block without asking for more.
REGISTERS, SHARED_BYTES = 2**16, 48 * 2**10
REPORT = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\s+"
    r"ptxas info\s*: Used (\d+) registers, used \d+ barriers,(?:.*?(\d+) bytes smem)?"
)


def arguments_of(entry=None, **options):
    """Arguments of a builder for a kind of kernel, a plain one unless told."""
    plain = dict(
        dtype="float32", tile=tables.SMALL, activations=("relu",), normalization=None,
        is_staged=False, is_sparse=False,
    )  # fmt: skip
    text, _ = Kind(**{**plain, **options}).encoded()
    return (text,) if entry is None else (entry, text)


def in_turn(names):
    """Each name with a compute capability, one after the other."""
    return list(zip(names, cycle(CAPABILITIES), strict=False))


def check_native(builder, arguments, capability):
    """Compile as for a device of that compute capability."""
    image = modules.compile_module(builder, arguments, capability)
    _, kernels, code = modules.split_image(image)
    assert code.startswith(b"\x7fELF")
    assert all(symbol.encode() in code for symbol, _ in kernels.values())


def portable(builder, arguments):
    """PTX for the oldest devices, which all others take.

    There is no device of compute capability 7.6, so this is PTX for 7.5.
    """
    image = modules.compile_module(builder, arguments, (7, 6))
    return modules.split_image(image)[2]


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
    memory = make_memory(cuda, Kind(dtype, tables.SMALL, (), None, False, False))

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
    optimizers = call_optimizers((None, *OPTIMIZERS))

    def call_all(floats, doubles, longs, ints, place, n):
        m = memory(floats, doubles, longs, ints)
        for number in range(n_activations):
            value, slope = activate(number, floats[place])
            floats[place + number] = value * slope
        losses(m, place, n)
        links(m, place, n)
        optimizers(m, place, n)

    return Kernels(dtype, {"call_all": (call_all, 2)})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_function_of_the_registries(dtype):
    ptx = portable(f"{__name__}:registries", (dtype,))
    for capability in CAPABILITIES:
        code = modules._link([ptx], "PTX", capability)
        assert code.startswith(b"\x7fELF")


@pytest.mark.slow
@pytest.mark.parametrize(
    "capability, dtype", [((9, 0), "float32"), ((12, 0), "float64")]
)
def test_every_function_for_its_own_device(capability, dtype):
    check_native(f"{__name__}:registries", (dtype,), capability)


# ------------------------------------------------------------------- kernels


def plain_kernels():
    """Those of a network without anything particular, by name."""
    train = dict(loss="softmax", solver="adam")
    forward = dict(trains=False, gathers=False)
    evaluate = dict(trains=False, loss="softmax")
    kernels = {}
    for name, tile in (("small", tables.SMALL), ("large", tables.LARGE)):
        entry = "train" if name == "small" else "run_operation"
        arguments = arguments_of(entry, tile=tile, **train)
        kernels[f"{entry}, {name}"] = TRAINING, arguments
        arguments = arguments_of(tile=tile, link="softmax", **forward)
        kernels[f"predict, {name}"] = PREDICTION, arguments
        arguments = arguments_of(tile=tile, **evaluate)
        kernels[f"evaluate, {name}"] = PREDICTION, arguments
    return kernels


PLAIN = plain_kernels()


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


# What is compiled for its own device differs in the last steps alone, so kernels take
# turns; assembled for all devices are the plain ones above, and everything below.
@pytest.mark.slow
@pytest.mark.parametrize("name, capability", in_turn(PLAIN))
def test_plain_kernels(name, capability):
    check_native(*PLAIN[name], capability)


#: What puts other code into a training kernel.
STAGED = dict(is_staged=True)
EVERYTHING = dict(
    STAGED, is_sparse=True, drops=True, augments=True, mixes=True, penalises=True,
    updates_whole=True, averages=True,
)  # fmt: skip
SPECIAL = {
    "residual": STAGED,
    "layer normalisation": dict(STAGED, normalization="layer"),
    "batch normalisation": dict(STAGED, normalization="batch"),
    "sparse": dict(is_sparse=True),
    "dropout": dict(drops=True),
    "augmentation": dict(augments=True, mixes=True),
    "penalties": dict(penalises=True),
    "average": dict(averages=True),
    "whole updates": dict(updates_whole=True, penalises=True),
    "muon": dict(updates_whole=True, solver="muon"),
    "gradients": dict(solver=None),
    "everything": dict(EVERYTHING, normalization="batch", solver="muon"),
    "everything in double precision": dict(
        EVERYTHING, normalization="layer", solver="muon", dtype="float64"
    ),
}


def test_all_features_are_among_them():
    told = {key for options in SPECIAL.values() for key in options}
    assert told >= set(Features._fields) & set(Kind._fields)


SINGLE = [name for name in SPECIAL if not name.startswith("everything")]


def special_arguments(name):
    options = {"loss": "softmax", "solver": "adam", **SPECIAL[name]}
    entry, tile = "train", tables.SMALL
    if options.get("dtype") == "float64":
        entry, tile = "run_operation", tables.LARGE
    return arguments_of(entry, tile=tile, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SPECIAL if name not in SINGLE])
def test_everything_on_every_device(name):
    ptx = portable(TRAINING, special_arguments(name))
    for capability in CAPABILITIES:
        assert modules._link([ptx], "PTX", capability).startswith(b"\x7fELF")


@pytest.mark.slow
@pytest.mark.parametrize("name, capability", in_turn(SINGLE))
def test_special_kernels(name, capability):
    check_native(TRAINING, special_arguments(name), capability)


@pytest.mark.slow
@pytest.mark.parametrize(
    "normalization, tile", [("layer", tables.SMALL), ("batch", tables.LARGE)]
)
def test_special_predictions(normalization, tile):
    options = dict(
        normalization=normalization, is_staged=True, is_sparse=True, drops=True,
        augments=True, trains=False, tile=tile,
    )  # fmt: skip
    check_native(PREDICTION, arguments_of(link="softmax", **options), (9, 0))
    options["dtype"] = "float64"
    check_native(PREDICTION, arguments_of(loss="softmax", **options), (9, 0))
