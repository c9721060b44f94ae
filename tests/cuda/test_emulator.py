"""The emulated GPU: what runs on it, and what it finds."""

import importlib
import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nnfit.cuda import modules
from nnfit.cuda.driver import open_device
from nnfit.cuda.modules import Kernels
from tests.cuda import emulator
from tests.cuda.scenarios import KERNELS, SCENARIOS
from tests.cuda.threads import Deadlock


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario, emulated_gpu):
    module, function = scenario.split(":")
    getattr(importlib.import_module(module), function)(emulated_gpu)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)
def test_scenarios_in_numbas_simulator():
    done = subprocess.run(
        [sys.executable, "-m", "tests.cuda.simulate", *SCENARIOS],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    launched = json.loads(done.stdout)
    assert list(launched) == list(SCENARIOS)
    assert {kernel for names in launched.values() for kernel in names} == KERNELS


def test_the_emulated_driver_has_only_what_the_real_one_has():
    real = pytest.importorskip("cuda.bindings.driver")
    for name in vars(emulator.EmulatedDriver):
        if name.startswith("_") and name[1:2].isupper():
            assert hasattr(real, "cu" + name[1:])
    for kind in (
        emulator.CUresult,
        emulator.CUdevice_attribute,
        emulator.CUstream_flags,
    ):
        for code in kind:
            assert int(getattr(getattr(real, kind.__name__), code.name)) == code


# --------------------------------------------------- what is wrong in a kernel


def faulty(cuda, which):
    """A kernel with a fault, one of those below."""

    def no_barrier(memory, doubles, longs, ints, at):
        shared = cuda.shared.array(8, np.float32)
        shared[cuda.threadIdx.x] = cuda.threadIdx.x
        memory[at + cuda.threadIdx.x] = shared[7 - cuda.threadIdx.x]

    def half_a_barrier(memory, doubles, longs, ints, at):
        if cuda.threadIdx.x < 3:
            cuda.syncthreads()

    def wait_in_vain(memory, doubles, longs, ints, at):
        longs[at // 2] = 0
        while cuda.atomic.add(longs, at // 2, 0) == 0:
            pass

    def write_beside(memory, doubles, longs, ints, at):
        if cuda.threadIdx.x == 0:
            memory[at + 100] = 0.0

    def write_to_null(memory, doubles, longs, ints, at):
        memory[cuda.threadIdx.x] = 0.0

    def write_below_null(memory, doubles, longs, ints, at):
        memory[-1 - cuda.threadIdx.x] = 0.0

    def fail(memory, doubles, longs, ints, at):
        if cuda.threadIdx.x == 5:
            raise ZeroDivisionError("in the sixth thread")
        cuda.syncthreads()

    return Kernels("float32", {which: (locals()[which], 1)})


@pytest.fixture
def run_faulty(emulated_gpu):
    def run(which):
        device = open_device(0)
        stream = device.stream()
        module = modules.load(device, f"{__name__}:faulty", which)
        buffer = stream.empty(100, "float32")
        module.launch(stream, which, 1, 8, (buffer.address // 4,))
        return buffer.get()

    return run


@pytest.mark.parametrize(
    "which, error, message",
    [
        ("half_a_barrier", Deadlock, "have ended or will not come"),
        ("wait_in_vain", Deadlock, "watch for what does not come"),
        ("write_beside", AssertionError, "beside the 400 bytes"),
        ("write_to_null", AssertionError, "written at address 0"),
        ("write_below_null", AssertionError, "written below address 0"),
        ("fail", ZeroDivisionError, "in the sixth thread"),
    ],
)
def test_a_fault_is_an_error(run_faulty, which, error, message):
    with pytest.raises(error, match=message):
        run_faulty(which)


def test_a_missing_barrier_shows(run_faulty):
    assert not np.array_equal(run_faulty("no_barrier")[:8], np.arange(8)[::-1])


def test_launches_of_several_threads(emulated_gpu):
    def work(number):
        stream = open_device(0).stream()
        module = modules.load(stream.device, "tests.cuda.kernels:axpy", "float64")
        y = stream.upload(np.full(100, float(number)))
        sums, total = stream.empty(2, "float64"), stream.empty(2, "float64")
        counter = stream.empty(1, "int64")
        places = (sums.address // 8, counter.address // 8, total.address // 8)
        for _ in range(5):
            counter.zero()
            integers = (y.address // 8, 100, *places)
            module.launch(stream, "sum_all", 2, 4, integers, cooperative=True)
            assert total.get(0, 1) == 100 * number

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))


def test_fresh_memory_is_not_a_number(emulated_gpu):
    stream = open_device(0).stream()
    assert np.isnan(stream.empty(10, "float32").get()).all()
    assert (stream.empty(10, "int64").get() == -1).all()
