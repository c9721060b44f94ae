"""What tests share: the engine they run on, an empty cache."""

import gc
import os
import re
import signal
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from sklearn import ensemble  # noqa: F401  loads OpenMP
from threadpoolctl import threadpool_limits

from nnfit.cpu import compiling, training_plans
from nnfit.cpu import target as targets
from nnfit.training import device
from tests import many_threads, numpy_engine  # noqa: F401
from tests.small_kernels import BUILDER, RELU

#: A device on which the tests of `any_engine` run in the place of the CPU: "cuda".
DEVICE = os.environ.get("NNFIT_TEST_DEVICE", "cpu")

# What lands must not depend on which examples were drawn that day.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# Processes that share the processors: where their threads of OpenBLAS and OpenMP wait
# for one another, seven files of tests take 149 seconds, and 78 like this.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)) > 1:
    threadpool_limits(1)


def use_numpy_engine(patch):
    """Put the NumPy engine in the place of the compiled one."""
    patch.setattr(device, "load_engine", lambda device="cpu": numpy_engine)


def identify(value):
    """Name of a parametrised test without addresses, the same in every process."""
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"\1", str(value))


@contextmanager
def numpy_engine_everywhere():
    """Whatever device an estimator asks for."""
    with pytest.MonkeyPatch.context() as patch:
        use_numpy_engine(patch)
        yield


@pytest.fixture
def two_blas_threads():
    """For tests of the number of BLAS's threads, which is 1 in others."""
    with threadpool_limits(2, "blas"):
        yield


@contextmanager
def engine_of(name):
    """The engine of a GPU in the place of the CPU's."""
    engine = device.load_engine(device.resolve(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "load_engine", lambda device="cpu": engine)
        yield


@contextmanager
def emulated_gpu():
    """The same, where kernels run in Python."""
    from tests.cuda import tiles

    with tiles.small_gpu(), engine_of("cuda"):
        yield


#: Engines that `any_engine` runs a test on, in the place of the CPU's, whatever device
#: an estimator asks for.
ENGINES = {
    "compiled": nullcontext if DEVICE == "cpu" else partial(engine_of, DEVICE),
    "numpy": numpy_engine_everywhere,
    "emulated": emulated_gpu,
}


def pytest_addoption(parser):
    parser.addoption(
        "--cases", type=int, metavar="N",
        help="run N cases at most of each parametrised test, from its first to its "
        "last",
    )  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave out what --cases does, of the cases that are left after -m and -k."""
    most = config.getoption("cases")
    if most is None:
        return
    cases = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chosen = set()
    for each in cases.values():
        places = np.linspace(0, len(each) - 1, most).round().astype(int)
        chosen.update(each[place] for place in places)
    config.hook.pytest_deselected(items=[each for each in items if each not in chosen])
    items[:] = [each for each in items if each in chosen]


def pytest_configure(config):
    """Ctrl-C interrupts; a device that is asked for and cannot be used is an error."""
    # A shell lets its background jobs ignore Ctrl-C; the tests of it would hang.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if DEVICE != "cpu":
        try:
            device.resolve(DEVICE)
        except (ValueError, RuntimeError) as error:
            raise pytest.UsageError(f"NNFIT_TEST_DEVICE: {error}") from error


def pytest_collection_finish():
    """Keep what lives as long as the process from the collector.

    A collection took 0.1 seconds and more, most of it for modules and tests, and takes
    0.01; every emulated GPU ends with one.
    """
    # In its first test hypothesis 6.100 asks the collector who has NumPy's generator.
    given(strategies.none())(lambda value: None)()
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """Print the figures of tests.trials, whichever worker they come from."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports(
        "failed"
    )
    for report in reports:
        for name, value in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {value}")


def pytest_generate_tests(metafunc):
    """Run a test with `any_engine` on all, on the emulator if it is marked so.

    The quick part has the compiled engine alone: there the naive one is compared with
    it, feature by feature.
    """
    if "any_engine" in metafunc.fixturenames:
        is_emulated = metafunc.definition.get_closest_marker("emulated") is not None
        names = [
            pytest.param(name, marks=[pytest.mark.slow] * (name != "compiled"))
            for name in ENGINES
            if name != "emulated" or is_emulated
        ]
        metafunc.parametrize("any_engine", names, indirect=True)


@pytest.fixture
def any_engine(request):
    """Run a test on every engine; returns its name."""
    with ENGINES[request.param]():
        yield request.param


@pytest.fixture
def naive_engine(monkeypatch):
    """Run a test on the NumPy engine alone."""
    use_numpy_engine(monkeypatch)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache in a process that has loaded nothing; returns its folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling, "_loaded", {})
    monkeypatch.setattr("nnfit.cache.compiled._announced", {"this machine", "the GPU"})
    return tmp_path / "nnfit"


@pytest.fixture
def set_parts(monkeypatch):
    """Sets how many lines a part of a batch has: 0 for the fewest, None for all."""

    def set_parts(lines):
        for constant in ("WHOLE_LINES", "PART_LINES", "SHARED_PART_LINES"):
            monkeypatch.setattr(
                training_plans, constant, 1e9 if lines is None else lines
            )
        training_plans.training_plan.cache_clear()

    yield set_parts
    training_plans.training_plan.cache_clear()


@pytest.fixture(scope="session")
def relu_code():
    """The smallest kernel there is, compiled once for all tests."""
    return compiling.compile_object(BUILDER, RELU[1:], targets.host())


@pytest.fixture
def compiled(relu_code, monkeypatch):
    """Builders compiled since the start of the test; the code is the ReLU's."""
    calls = []

    def compile_object(builder, arguments, target):
        calls.append(builder)
        return relu_code

    monkeypatch.setattr(compiling, "compile_object", compile_object)
    return calls
