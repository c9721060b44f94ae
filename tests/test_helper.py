"""Compiling in two processes at once, and what happens when the second one fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nnfit
from nnfit import warming
from nnfit.cpu import compiling, helper, kernels
from nnfit.cpu.graph import kernels_of_kinds

RELU = (kernels.ACTIVATION, "relu", "float32")
TANH = (kernels.ACTIVATION, "tanh", "float32")


@pytest.fixture
def compiled(monkeypatch):
    """Kernels that this process compiles."""
    names, compile_object = [], compiling.compile_object

    def record(builder, arguments, target):
        names.append((builder, *arguments))
        return compile_object(builder, arguments, target)

    monkeypatch.setattr(compiling, "compile_object", record)
    return names


@pytest.fixture
def eager(monkeypatch):
    """A second process for the smallest kernels, on any machine."""
    monkeypatch.setattr(helper, "can_help", lambda is_alone: True)
    monkeypatch.setattr(helper, "START_SECONDS", 0.0)
    monkeypatch.setattr(helper, "WORTHWHILE", 0.0)
    monkeypatch.setattr(helper, "MIN_WAIT", 120.0)


def test_two_processes_share_the_work(cache, compiled, eager):
    compiling.load_all([RELU, TANH])
    assert compiled == [RELU]
    assert len(list(cache.glob("*.nnfit"))) == 2
    compiling.load(*TANH)
    assert compiled == [RELU], "the other one is read from the cache"
    assert not list(cache.glob("*.tmp"))


@pytest.mark.parametrize(
    "program",
    ["raise SystemExit(1)", "import os; os.abort()", "import time; time.sleep(600)"],
    ids=["fails", "crashes", "hangs"],
)
def test_a_failing_process_costs_time_only(
    program, cache, compiled, eager, monkeypatch
):
    monkeypatch.setattr(helper, "_PROGRAM", program)
    monkeypatch.setattr(helper, "MIN_WAIT", 0.1)
    compiling.load_all([RELU, TANH])
    compiling.load(*TANH)
    assert compiled == [RELU, TANH]


def test_a_process_that_writes_garbage_costs_time_only(
    cache, compiled, eager, monkeypatch
):
    (_, *_), (path, *_) = compiling.missing([RELU, TANH])
    program = f"open({str(path)!r}, 'wb').write(b'garbage')"
    monkeypatch.setattr(helper, "_PROGRAM", program)
    compiling.load_all([RELU, TANH])
    assert path.read_bytes() == b"garbage"
    compiling.load(*TANH)
    assert compiled == [RELU, TANH]


def test_a_process_that_cannot_be_started(cache, compiled, eager, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(cache / "absent"))
    compiling.load_all([RELU, TANH])
    compiling.load(*TANH)
    assert compiled == [RELU, TANH]


def test_what_is_there_starts_nothing(cache, compiled, eager, monkeypatch):
    compiling.load_all([RELU, TANH])
    monkeypatch.setattr(helper.subprocess, "Popen", None)
    compiling.load_all([RELU, TANH])
    compiling._loaded.clear()
    compiling.load_all([RELU, TANH])
    assert compiled == [RELU]


def test_an_interrupt_ends_the_process(cache, eager, monkeypatch):
    started = []
    popen = subprocess.Popen

    def record(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[0]

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(helper.subprocess, "Popen", record)
    monkeypatch.setattr(compiling, "compile_object", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compiling.load_all([RELU, TANH])
    assert started[0].poll() is not None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_killed_parent_leaves_no_process(tmp_path):
    """The second process reads the end of its input and ends."""
    code = """
import os, subprocess
from nnfit.cpu import helper
popen = subprocess.Popen
def record(*arguments, **options):
    process = popen(*arguments, **options)
    print(process.pid, flush=True)
    return process
subprocess.Popen = record
work = [("nnfit.cpu.kernels.engine:training", "float32")] * 20
with helper.helped_with(work):
    os.read(0, 1)
    os.kill(os.getpid(), 9)
"""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(Path(nnfit.__file__).parents[1]),
    }
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child = int(parent.stdout.readline())
    parent.communicate(b"x", timeout=60)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if _is_zombie(child):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the second process lives on")


def _is_zombie(pid):
    """Ended, and not waited for by a process 1 that waits for nobody."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


# ------------------------------------------------------------- when it may start


@pytest.fixture
def possible(monkeypatch):
    """A machine and a process where nothing stands against a second one."""
    monkeypatch.setattr(helper.joblib, "cpu_count", lambda: 2)
    monkeypatch.setattr(helper.multiprocessing, "parent_process", lambda: None)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert helper.can_help(False)


def test_one_processor_needs_no_second_process(possible, monkeypatch):
    monkeypatch.setattr(helper.joblib, "cpu_count", lambda: 1)
    assert not helper.can_help(True)


def test_no_second_process_in_a_worker(possible, monkeypatch):
    """Unless the other workers wait for what this one compiles."""
    monkeypatch.setattr(helper.multiprocessing, "parent_process", lambda: "main")
    assert not helper.can_help(False)
    assert helper.can_help(True)


def test_no_second_process_of_a_frozen_program(possible, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not helper.can_help(True)


@pytest.mark.parametrize("name", ["", None, "/opt/app/blender"])
def test_no_second_process_without_a_python(possible, monkeypatch, name):
    monkeypatch.setattr(sys, "executable", name)
    assert not helper.can_help(True)


@pytest.mark.parametrize("name", ["python", "python3.11", "pythonw.exe", "Python"])
def test_names_of_python(possible, monkeypatch, name):
    monkeypatch.setattr(sys, "executable", f"/somewhere/{name}")
    assert helper.can_help(False)


def test_an_unusable_cache_starts_nothing(cache, compiled, eager, monkeypatch):
    cache.write_text("a file in its place")
    monkeypatch.setattr(helper.subprocess, "Popen", None)
    compiling.load_all([RELU, TANH])
    compiling.load(*RELU)
    assert compiled == [RELU]


def test_work_is_divided_by_its_costs(possible):
    costs = {"a": 1.6, "b": 1.0, "c": 0.4, "d": 0.3, "e": 0.2}
    own, others = helper.divide(list("edcba"), costs.get)
    assert (own, others) == (["a", "d"], ["b", "c", "e"])
    assert helper.divide(["d", "e"], costs.get) == (["d", "e"], [])


def test_every_kernel_has_a_cost():
    """Kinds of layers that have a module of their own may do without."""
    builders = {builder for builder, *_ in warming.builtin_kernels(["float32"])}
    assert set(kernels.COSTS) <= builders
    of_kinds = {builder for builder, *_ in kernels_of_kinds()}
    assert builders - set(kernels.COSTS) <= of_kinds


def test_the_second_process_writes_bytecode_where_this_one_does(monkeypatch):
    """It is isolated, and so blind for the variables that say so."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    assert list(helper._bytecode_options()) == []
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", "/else/where")
    options = list(helper._bytecode_options())
    code = "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"
    out = subprocess.check_output([sys.executable, "-I", *options, "-c", code])
    assert out.split() == [b"True", b"/else/where"]
