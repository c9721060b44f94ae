"""Loading and compiling kernels: once, for functions of users, beside forks."""

import builtins
import errno
import gc
import math
import os
import subprocess
import sys
import threading
import time
import types
import warnings
from contextlib import suppress
from pathlib import Path

import numba
import numpy as np
import pytest
import scipy.special
from llvmlite import binding as llvm
from llvmlite.binding import ffi
from numba.core import types as nb

from nnfit import fork_lock
from nnfit.cache import compiled
from nnfit.cache.folder import Folder
from nnfit.cpu import compiling, machine_code
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import lowering
from nnfit.functions.custom import fingerprint
from nnfit.running_numba import run_numba
from nnfit.training import device
from tests.small_kernels import (
    BUILDER,
    RELU,
    activate,
    check_relu,
    forget,
    kernel_files,
)
from tests.trials.test_interrupts import AtPlace


def test_a_kernel_is_compiled_once_and_read_by_the_next_process(cache, compiled):
    first = compiling.load(*RELU)
    assert compiling.load(*RELU) is first
    assert len(compiled) == 1
    forget()
    second = compiling.load(*RELU)
    assert len(compiled) == 1
    assert second is not first
    assert second.code == first.code
    check_relu(first)
    check_relu(second)


@pytest.mark.parametrize("enabled", [False, True], ids=["off", "on"])
def test_compiling_leaves_garbage_collection_as_it_was(cache, enabled, monkeypatch):
    seen = []

    def fail(*arguments):
        seen.append(gc.isenabled())
        raise ValueError("no code")

    monkeypatch.setattr(lowering, "emit_object", fail)
    was_enabled = gc.isenabled()
    gc.enable() if enabled else gc.disable()
    try:
        with pytest.raises(ValueError, match="no code"):
            compiling.load(*RELU)
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if was_enabled else gc.disable()
    assert seen == [False]


def test_a_helper_is_compiled_once_for_literals_and_numbers():
    """numba alone would compile it for 0, for 1 and for `n`."""

    @lowering.helper
    def add(a, b):
        return a + b

    def use(n):
        return add(n, 0) + add(n, 1) + add(n, n)

    target = targets.host()
    machine = machine_code.target_machine(target)
    exports = {"use": (use, nb.int64(nb.int64))}
    module = lowering.optimised_module(exports, target, machine)
    assert [str(function.name) for function in module.functions] == ["use"]
    assert add.signatures == [(nb.int64, nb.int64)]


def test_an_unknown_function_is_a_lookup_error(cache, compiled):
    with pytest.raises(LookupError, match="no function 'absent'"):
        compiling.load(*RELU).address("absent")


def test_arguments_that_are_equal_but_of_different_type(cache, compiled):
    compiling.load(BUILDER, "relu", 1)
    compiling.load(BUILDER, "relu", 1.0)
    assert len(compiled) == 2


def test_threads_share_one_compilation(cache, relu_code, monkeypatch):
    calls = []

    def compile_slowly(builder, arguments, target):
        calls.append(builder)
        time.sleep(0.1)
        return relu_code

    monkeypatch.setattr(compiling, "compile_object", compile_slowly)
    kernels = []
    threads = [
        threading.Thread(target=lambda: kernels.append(compiling.load(*RELU)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(kernels) == 4
    assert len(set(map(id, kernels))) == 1


@pytest.mark.parametrize(
    "stream", [None, "closed", "broken"], ids=["none", "closed", "broken"]
)
def test_the_notice_needs_no_working_stderr(stream, monkeypatch, tmp_path):
    """None under pythonw, closed by a daemon, a pipe whose reader has left."""
    if stream is not None:
        file = (tmp_path / "stderr").open("w")
        if stream == "closed":
            file.close()
        else:

            def write(text):
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")

            file.close()
            file = types.SimpleNamespace(write=write, flush=lambda: None)
        stream = file
    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    monkeypatch.setattr(sys, "stderr", stream)
    compiled.announce()
    assert compiled._announced == {"this machine"}


def test_the_notice_is_printed_once(cache, capsys, monkeypatch):
    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    compiling.load(*RELU)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nnfit: compiling kernels")
    assert err.count("\n") == 1
    forget()
    kernel_files(cache)[0].unlink()
    compiling.load(*RELU)
    assert capsys.readouterr() == ("", "")


def test_the_notice_says_why_the_next_process_compiles_again(
    cache, compiled, capsys, monkeypatch
):
    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    cache.write_text("a file in its place")
    compiling.load(*RELU)
    err = capsys.readouterr().err
    assert err.startswith(
        "nnfit: compiling kernels for this machine (a few seconds), in every process: "
        f"{cache} cannot be used for compiled kernels: "
    )
    assert err.endswith(
        "NUMBA_CACHE_DIR to a folder of your own, or change this one.\n"
    )


def test_the_notice_of_a_folder_that_cannot_be_written(
    cache, compiled, capsys, monkeypatch
):
    def refuse(folder, name, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    monkeypatch.setattr(Folder, "open", refuse)
    compiling.load(*RELU)
    err = capsys.readouterr().err
    assert "in every process: " in err
    assert f"{cache} cannot be used for compiled kernels: Permission denied. Set" in err


def test_the_notice_of_a_function_that_has_no_name(
    cache, compiled, capsys, monkeypatch
):
    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    load_own(scaled(2.0), None)
    err = capsys.readouterr().err
    assert "in every process: a function of your own refers to something whose" in err


def test_a_hit_prints_nothing(cache, compiled, capsys, monkeypatch):
    compiling.load(*RELU)
    forget()
    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    compiling.load(*RELU)
    assert capsys.readouterr() == ("", "")


# --------------------------------------------------------- functions of a user


def scaled(factor):
    def own(z):
        return factor * z, factor

    return own


def load_own(function, mark):
    return compiling.load(BUILDER, "", "float32", function, fingerprint=mark)


def test_a_function_without_fingerprint_is_compiled_each_time(cache, capsys):
    mutable = [2.0]

    def own(z):
        return mutable[0] * z, mutable[0]

    assert fingerprint(own) is None
    first = load_own(scaled(2.0), None)
    second = load_own(scaled(3.0), None)
    assert activate(first, [1.0]) == ([2.0], [2.0])
    assert activate(second, [1.0]) == ([3.0], [3.0])
    assert compiling._loaded == {}
    assert not cache.exists() or list(cache.iterdir()) == []


def test_an_edited_function_gets_another_kernel(cache):
    """Same name, same place, other constant: a key by name served the old code."""
    results = []
    for constant in ("2.0", "3.0"):
        namespace = {}
        exec(f"def own(z):\n    return {constant} * z, {constant}\n", namespace)
        own = namespace["own"]
        results.append(activate(load_own(own, fingerprint(own)), [1.0]))
    assert results == [([2.0], [2.0]), ([3.0], [3.0])]
    assert len(kernel_files(cache)) == 2


def test_an_equal_function_hits_the_cache(cache, monkeypatch):
    own = scaled(2.0)
    load_own(own, fingerprint(own))
    forget()
    monkeypatch.setattr(compiling, "compile_object", None)
    again = scaled(2.0)
    kernel = load_own(again, fingerprint(again))
    assert activate(kernel, [1.5]) == ([3.0], [2.0])


# ------------------------------------------- what functions of a user may need


def own_functions():
    """Those that need a helper of numba's in place of the C library's."""

    def gamma(z):
        return math.gamma(z * z + 1.0), 1.0

    def ldexp(z):
        return math.ldexp(z, 1), 2.0

    def power(z):
        return ((z + 1j) ** 2.0).real, 2.0 * z

    def random(z):
        return z + 0.0 * np.random.random(), 1.0  # noqa: NPY002

    def nextafter(z):
        return np.nextafter(z, z), 1.0

    def frexp(z):
        m, e = math.frexp(z)
        return m * 2.0**e, 1.0

    return gamma, ldexp, power, random, nextafter, frexp


def results_of_own_functions():
    values = [0.25, 1.5]
    return [
        activate(load_own(function, fingerprint(function)), values)
        for function in own_functions()
    ]


def test_helpers_of_numba_are_there_in_the_next_process(cache):
    """A hit imports numba where its code needs it: it ended the process."""
    results = results_of_own_functions()
    for function, (values, slopes) in zip(own_functions(), results, strict=True):
        expected = [function(z) for z in (0.25, 1.5)]
        np.testing.assert_allclose(values, [value for value, _ in expected], rtol=1e-5)
        np.testing.assert_allclose(slopes, [slope for _, slope in expected])
    before = [path.stat().st_mtime_ns for path in kernel_files(cache)]
    assert len(before) == len(results)
    code = (
        "from tests.test_compiling import results_of_own_functions\n"
        "import sys\n"
        "print(results_of_own_functions())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == repr(results)
    assert before == [path.stat().st_mtime_ns for path in kernel_files(cache)]


def prints(z):
    if z > 1e6:
        print(z)
    return z, 1.0


def lists(z):
    both = [z, 1.0]
    return both[0], both[1]


def arrays(z):
    both = np.zeros(2)
    both[0] = z
    return both[0], 1.0


def casts_a_bool(z):
    return max(z, 0.0), float(z > 0)


def calls_scipy(z):
    p = scipy.special.expit(z)
    return p, p * (1.0 - p)


def looks_up(z):
    return {1: z}[1], 1.0


def catches(z):
    try:
        return 1.0 / z, 0.0
    except ZeroDivisionError:
        return 0.0, 0.0


def formats(z):
    return z, 1.0 * len(f"{z}")


@pytest.mark.parametrize(
    "function",
    [prints, lists, arrays, casts_a_bool, calls_scipy, looks_up, catches, formats],
)
def test_what_numba_cannot_compile_is_said_in_a_sentence(function, cache):
    """And not in numba's thousand characters."""
    with pytest.raises(ValueError) as caught:
        load_own(function, fingerprint(function))
    text = str(caught.value)
    begin = f"numba cannot compile the function {function.__name__!r}: "
    assert text.startswith(begin)
    assert len(text) < 600  # it may name the file of a module
    assert "Failed in" not in text
    assert "\n" not in text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None, "nothing of numba is kept or shown"
    assert kernel_files(cache) == []


def test_code_that_needs_what_nobody_has(cache):
    code = lowering_of_an_unknown_symbol()
    with pytest.raises(machine_code.NeedsPython, match="needs nnfit_nowhere"):
        machine_code.Kernel(code, targets.host())


def lowering_of_an_unknown_symbol():
    target = targets.host()
    targets.initialize_llvm()
    module = llvm.parse_assembly(
        f"""
        target triple = "{target.triple}"
        declare void @nnfit_nowhere()
        define void @f() {{
            call void @nnfit_nowhere()
            ret void
        }}
        """
    )
    return bytes(machine_code.target_machine(target).emit_object(module))


def test_an_error_that_is_not_the_users_function_is_not_changed():
    def fail():
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        run_numba(fail, ("float32",))


def test_numba_that_may_not_compile(cache, monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT keeps numba from"):
        compiling.load(*RELU)


@pytest.mark.slow
def test_a_fit_where_numba_may_not_compile(tmp_path):
    code = (
        "from nnfit import MLPRegressor\nMLPRegressor().fit([[1.0]] * 20, [0.5] * 20)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "NUMBA_CACHE_DIR": str(tmp_path),
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stderr.splitlines()[-1].startswith("RuntimeError: nnfit must compile")


# ----------------------------------------------------------------------- Ctrl-C


# Python drops Ctrl-C where it comes while something is given back.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_leaves_no_lock(relu_code):
    """Of llvmlite's: another thread that loads a kernel would wait for ever."""

    def use():
        machine_code.Kernel(relu_code, targets.host()).address("activate")

    with AtPlace(0) as places:
        use()
    for number in range(1, places.count + 1):
        with suppress(KeyboardInterrupt), AtPlace(number):
            use()
    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


# ----------------------------------------------------------------------- forks


def fork_and_wait(work, seconds=60.0):
    """Exit status of a forked child that runs `work`; None if it hangs."""
    with warnings.catch_warnings():
        # Python warns of forking with threads, which is what is tested here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def lock_is_free():
    """Whether another thread gets the lock: this one may take its own again."""
    acquired = []

    def take():
        acquired.append(fork_lock._lock.acquire(timeout=1))
        if acquired[0]:
            fork_lock._lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return acquired[0]


needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork") or sys.platform == "darwin",
    reason="forking with threads is safe on Linux only",
)


@needs_fork
def test_a_child_renews_the_lock_that_a_thread_holds(cache, compiled, monkeypatch):
    """A thread that holds it for longer than a fork waits is not in the child."""
    monkeypatch.setattr(fork_lock, "_FORK_WAIT", 0.05)
    held, done = threading.Event(), threading.Event()

    def hold():
        with fork_lock._lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    try:
        assert fork_and_wait(lambda: check_relu(compiling.load(*RELU)), 20) == 0
    finally:
        done.set()
        thread.join()
    assert lock_is_free()


@needs_fork
def test_a_fork_waits_for_a_compilation(cache, monkeypatch):
    """Else the child inherits numba's lock, held by nobody, and its fit hangs."""
    emit, inside = lowering.emit_object, threading.Event()

    def emit_slowly(*arguments):
        with lowering.global_compiler_lock:
            inside.set()
            time.sleep(0.3)
            return emit(*arguments)

    monkeypatch.setattr(lowering, "emit_object", emit_slowly)
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(
            compiling.compile_object(BUILDER, ("selu", "float32"), targets.host())
        )
    )
    thread.start()
    inside.wait(60)
    status = fork_and_wait(lambda: check_relu(compiling.load(*RELU)), 20)
    thread.join()
    assert len(codes) == 1
    assert status == 0


@needs_fork
def test_a_fork_leaves_the_parents_lock_free():
    assert fork_and_wait(lambda: None) == 0
    assert lock_is_free()


@needs_fork
@pytest.mark.parametrize(
    "first",
    [
        device.load_engine,
        lambda: device.apply_link(np.zeros((1, 1)), "identity"),
    ],
)
def test_a_fork_waits_for_an_import(first, monkeypatch):
    """By a first fit or prediction: its child waited for the half of a module."""
    device._engine_of_cpu.cache_clear()
    device._links.cache_clear()
    inside, imported = threading.Event(), builtins.__import__

    def import_slowly(name, *args, **kwargs):
        if name == "nnfit.cpu":
            inside.set()
            time.sleep(0.3)
            done.append(name)
        return imported(name, *args, **kwargs)

    done = []
    monkeypatch.setattr(builtins, "__import__", import_slowly)
    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(60)
    assert fork_and_wait(lambda: done[0]) == 0, "it has come to its end in the child"
    thread.join()


@needs_fork
def test_a_fork_waits_for_the_smallest_use_of_llvm(cache, compiled, monkeypatch):
    """A look-up of an address holds llvmlite's own lock."""
    kernel, inside = compiling.load(*RELU), threading.Event()
    lookup = kernel._engine.get_function_address

    def look_up_slowly(name):
        with ffi.lib._lock:
            inside.set()
            time.sleep(0.3)
            return lookup(name)

    monkeypatch.setattr(kernel._engine, "get_function_address", look_up_slowly)
    thread = threading.Thread(target=lambda: kernel.address("activate"))
    thread.start()
    inside.wait(60)
    status = fork_and_wait(lambda: check_relu(compiling.load(BUILDER, "relu", 1)), 20)
    thread.join()
    assert status == 0


@needs_fork
@pytest.mark.slow
def test_forks_at_random_moments_of_a_cold_fit(tmp_path):
    """All children fit, whatever the thread beside them was doing."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS],
        env={
            **os.environ,
            "NUMBA_CACHE_DIR": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stdout) == (0, "{0: 25}\n"), done.stderr


FORKS = """
import collections, os, random, threading, time, warnings
import numpy as np
from nnfit import MLPClassifier
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(60, 4))
def fit():
    MLPClassifier((5,), max_iter=3).fit(X, X[:, 0] > 0).predict_proba(X)
thread = threading.Thread(target=fit)
thread.start()
children = []
draw = random.Random(0)
while len(children) < 25:
    time.sleep(draw.uniform(0.0, 0.3))
    child = os.fork()
    if child == 0:
        fit()
        os._exit(0)
    children.append(child)
thread.join()
print(dict(collections.Counter(os.waitpid(child, 0)[1] for child in children)))
"""
