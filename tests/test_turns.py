"""Several processes that need the same kernels: one compiles, the others wait."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nnfit
from nnfit.cache import folder as folders
from nnfit.cache import turns
from nnfit.cache.folder import open_cache
from nnfit.cpu import compiling
from tests.small_kernels import RELU, check_relu, forget, kernel_files

pytestmark = [
    pytest.mark.skipif(turns.fcntl is None, reason="no locks on files that others see"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]

#: Compiles the ReLU slowly; says so before.
SLOW = """
import sys, time
from nnfit.cache import compiled
from nnfit.cpu import compiling
def compile_slowly(builder, arguments, target):
    print("compiling", flush=True)
    time.sleep(float(sys.argv[1]))
    return compile_object(builder, arguments, target)
compile_object, compiling.compile_object = compiling.compile_object, compile_slowly
compiled._announced.add("this machine")
compiling.load("nnfit.cpu.kernels.elementwise:activation", "relu", "float32")
"""


def start(cache, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(seconds)],
        env={
            **os.environ,
            "NUMBA_CACHE_DIR": str(cache.parent),
            "PYTHONPATH": str(Path(nnfit.__file__).parents[1]),
        },
        stdout=subprocess.PIPE,
    )


@pytest.fixture
def compiling_process(cache):
    """Function that starts a process and returns when it compiles."""
    processes = []

    def make(seconds):
        process = start(cache, seconds)
        processes.append(process)
        assert process.stdout.readline() == b"compiling\n"
        return process

    yield make
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(turns, "_gave_up", False)


def test_what_another_process_compiles_is_waited_for(compiling_process, compiled):
    process = compiling_process(0.3)
    check_relu(compiling.load(*RELU))
    assert compiled == []
    assert process.wait(60) == 0


def test_six_processes_compile_once(cache):
    processes = [start(cache, 0.1) for _ in range(6)]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 6
    assert sorted(said) == [b""] * 5 + [b"compiling\n"]
    assert [path.name for path in cache.iterdir()] == [
        path.name for path in kernel_files(cache)
    ], "no locks are left"


def test_a_killed_process_is_not_waited_for(compiling_process, compiled, cache):
    process = compiling_process(600)
    process.kill()
    process.wait(60)
    start = time.monotonic()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 1
    assert time.monotonic() - start < turns.PATIENCE / 2
    assert len(list(cache.iterdir())) == 1, "its lock is gone, too"


def test_a_stopped_process_is_waited_for_once(
    compiling_process, compiled, cache, monkeypatch
):
    process = compiling_process(600)
    process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(turns, "PATIENCE", 0.3)
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 1
    assert turns._gave_up
    forget()
    kernel_files(cache)[0].unlink()
    monkeypatch.setattr(turns, "PATIENCE", 600.0)
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 2


def test_patience_begins_anew_with_every_file(cache, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.3)
    monkeypatch.setattr(turns, "_try_to_lock", lambda folder, name: None)
    start = time.monotonic()

    def has(folder, name):
        return time.monotonic() > start + float(name)

    monkeypatch.setattr(folders.Folder, "has", has)
    wanted = ["0.1", "0.2", "0.3", "0.4", "0.5"]
    with open_cache() as folder, turns.turn(folder, "some", wanted) as is_alone:
        assert time.monotonic() > start + 0.5
        assert not is_alone
    assert not turns._gave_up


def test_a_turn_is_free_for_the_next(cache):
    with open_cache() as folder:
        for _ in range(2):
            with turns.turn(folder, "some", ["other"]) as is_alone:
                assert is_alone
                assert [path.name for path in cache.iterdir()] == ["some.lock"]
            assert list(cache.iterdir()) == []


def test_a_lock_that_is_removed_meanwhile_is_taken_anew(cache, monkeypatch):
    """Between the opening and the locking, by the process that had it."""
    lockf, removed = turns.fcntl.lockf, []

    def remove_first(handle, operation):
        if not removed:
            removed.append(cache / "some.lock")
            removed[0].unlink()
        return lockf(handle, operation)

    monkeypatch.setattr(turns.fcntl, "lockf", remove_first)
    with open_cache() as folder, turns.turn(folder, "some", ["other"]) as is_alone:
        assert is_alone
        assert removed[0].exists()


@pytest.mark.parametrize("owner", ["fcntl", "folder"])
def test_without_locks_nobody_waits(owner, cache, compiled, monkeypatch):
    """On Windows, in a folder that cannot be written, on some networks."""

    def refuse(*args):
        raise OSError(37, "No locks available")

    if owner == "fcntl":
        monkeypatch.setattr(turns.fcntl, "lockf", refuse)
    else:
        monkeypatch.setattr(turns, "fcntl", None)
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 1


def test_a_fork_does_not_keep_a_lock(cache):
    """A child that lives on would hold it for as long."""
    with open_cache() as folder:
        with turns.turn(folder, "some", ["other"]):
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
        try:
            process = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "from nnfit.cache import folder, turns\n"
                    "with folder.open_cache() as f:\n"
                    "    with turns.turn(f, 'some', ['other']) as is_alone:\n"
                    "        print(is_alone)\n",
                ],
                env={**os.environ, "PYTHONPATH": str(Path(nnfit.__file__).parents[1])},
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert process.stdout == "True\n", process.stderr
