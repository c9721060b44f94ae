"""The cache of compiled kernels: keys, folders, damaged files, forks."""

import ast
import ctypes
import errno
import gc
import hashlib
import os
import stat
import sys
import threading
import time
import types
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numba.core import types as nb

from nnfit import compiling
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import lowering
from nnfit.functions.custom import fingerprint

BUILDER = "nnfit.cpu.kernels.elementwise:activation"
RELU = (BUILDER, "relu", "float32")

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX owners")


@pytest.fixture(scope="module")
def relu_code():
    """The smallest kernel there is, compiled once for all tests."""
    return compiling.compile_object(BUILDER, ("relu", "float32"), targets.host())


@pytest.fixture
def compiled(relu_code, monkeypatch):
    """Builders compiled since the start of the test; the code is the ReLU's."""
    calls = []

    def compile_object(builder, arguments, target):
        calls.append(builder)
        return relu_code

    monkeypatch.setattr(compiling, "compile_object", compile_object)
    return calls


def forget():
    """Do as a new process does, which finds kernels on disk only."""
    compiling._loaded.clear()


def activate(kernel, values):
    """Run an activation kernel on a row of float32; returns values and slopes."""
    z = np.array(values, np.float32)
    value = np.full_like(z, np.nan)
    pointer, int64 = ctypes.c_void_p, ctypes.c_int64
    function = kernel.function("activate", None, pointer, pointer, int64, int64, int64)
    function(z.ctypes.data, value.ctypes.data, 1, len(z), len(z))
    return value.tolist(), z.tolist()  # the slope is in the place of z


def check_relu(kernel):
    assert activate(kernel, [-2.0, 3.0]) == ([0.0, 3.0], [0.0, 1.0])


def kernel_files(folder):
    return sorted(folder.glob("*.nnfit"))


# ---------------------------------------------------------------------- keys


def key(builder=BUILDER, arguments=("relu", "float32"), own=b"", target=None):
    return compiling._key(builder, arguments, own, target or targets.host())


def test_a_key_is_the_same_for_the_same_kernel():
    assert key() == key(own=b"")


@pytest.mark.parametrize(
    "change",
    [
        {"builder": "nnfit.cpu.kernels.elementwise:link"},
        {"arguments": ("tanh", "float32")},
        {"arguments": ("relu", "float64")},
        {"arguments": ("relu", "float32", 1)},
        {"arguments": ("relu", "float32", 1.0)},
        {"arguments": ("relufloat32",)},
        {"own": b"other"},
    ],
    ids=str,
)
def test_a_key_covers_what_the_kernel_is_built_from(change):
    assert key(**change) != key()


def test_numbers_of_different_type_have_different_keys():
    """1 and 1.0 are equal in Python and different code."""
    assert key(arguments=(1,)) != key(arguments=(1.0,))


@pytest.mark.parametrize(
    "change",
    [
        {"triple": "x86_64-pc-windows-msvc"},
        {"cpu": "another"},
        {"features": "+one-more"},
        {"vector_bytes": 128},
        {"tile_rows": 7},
        {"fma": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_key_covers_the_processor(change):
    assert key(target=replace(targets.host(), **change)) != key()


@pytest.fixture
def copied_package(tmp_path, monkeypatch):
    """A package of two files that stands for nnfit in its own fingerprint."""
    package = tmp_path / "package"
    (package / "sub").mkdir(parents=True)
    (package / "compiling.py").write_text("one = 1\n")
    (package / "sub" / "kernel.py").write_text("two = 2\n")
    monkeypatch.setattr(compiling, "__file__", str(package / "compiling.py"))
    compiling.environment_fingerprint.cache_clear()
    yield package
    compiling.environment_fingerprint.cache_clear()


def changed_fingerprint():
    before = compiling.environment_fingerprint()
    compiling.environment_fingerprint.cache_clear()
    return before, compiling.environment_fingerprint()


def test_a_key_holds_the_sources_of_the_package(copied_package):
    before = key()
    (copied_package / "sub" / "kernel.py").write_text("two = 3\n")
    compiling.environment_fingerprint.cache_clear()
    assert key() != before


def test_kernels_outlive_a_change_of_estimators(copied_package):
    before = key()
    for folder in compiling._ABOVE_KERNELS:
        (copied_package / folder).mkdir()
        (copied_package / folder / "fit.py").write_text("three = 3\n")
    compiling.environment_fingerprint.cache_clear()
    assert key() == before


def imports_of(path, root):
    """Files below `root` that a file imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names.append(node.module)
        for name in names:
            module = root.joinpath(*name.split("."))
            for file in (module.with_suffix(".py"), module / "__init__.py"):
                if file.exists():
                    yield file


def test_no_kernel_imports_what_its_key_leaves_out():
    package = Path(compiling.__file__).parent
    begin = [package / "compiling.py", package / "cuda" / "lowering.py"]
    for device in ("cpu", "cuda"):
        begin += (package / device / "kernels").glob("*.py")
    known, found = set(), set(begin)
    while found > known:
        known = set(found)
        found |= {file for one in known for file in imports_of(one, package.parent)}
    floors = {file.relative_to(package).parts[0] for file in found}
    assert {"functions", "cpu", "cuda"} <= floors
    assert not floors & set(compiling._ABOVE_KERNELS)


def test_the_fingerprint_covers_the_names_of_files(copied_package):
    before = compiling.environment_fingerprint()
    (copied_package / "sub" / "kernel.py").rename(copied_package / "sub" / "other.py")
    assert changed_fingerprint()[0] == before, "it is computed once a process"
    assert compiling.environment_fingerprint() != before


def test_the_fingerprint_does_not_depend_on_the_folder(copied_package, monkeypatch):
    before = compiling.environment_fingerprint()
    moved = copied_package.rename(copied_package.with_name("moved"))
    monkeypatch.setattr(compiling, "__file__", str(moved / "compiling.py"))
    compiling.environment_fingerprint.cache_clear()
    assert compiling.environment_fingerprint() == before


@pytest.mark.parametrize("name", ["numba", "llvmlite"])
def test_the_fingerprint_covers_the_compilers_version(
    name, copied_package, monkeypatch
):
    version = compiling.importlib.metadata.version
    before = compiling.environment_fingerprint()
    monkeypatch.setattr(
        compiling.importlib.metadata,
        "version",
        lambda asked: "0.0" if asked == name else version(asked),
    )
    compiling.environment_fingerprint.cache_clear()
    assert compiling.environment_fingerprint() != before


# -------------------------------------------------------------------- loading


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
    machine = compiling._target_machine(target)
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
    monkeypatch.setattr(compiling, "_announced", set())
    monkeypatch.setattr(sys, "stderr", stream)
    compiling.announce()
    assert compiling._announced == {"this machine"}


def test_the_notice_is_printed_once(cache, capsys, monkeypatch):
    monkeypatch.setattr(compiling, "_announced", set())
    compiling.load(*RELU)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nnfit: compiling kernels")
    assert err.count("\n") == 1
    forget()
    kernel_files(cache)[0].unlink()
    compiling.load(*RELU)
    assert capsys.readouterr() == ("", "")


def test_a_hit_prints_nothing(cache, compiled, capsys, monkeypatch):
    compiling.load(*RELU)
    forget()
    monkeypatch.setattr(compiling, "_announced", set())
    compiling.load(*RELU)
    assert capsys.readouterr() == ("", "")


# -------------------------------------------------------------------- folders


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """All three places that can name the folder, on a Linux system."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def test_numba_cache_dir_comes_first(surroundings):
    assert compiling.cache_folder() == surroundings / "NUMBA_CACHE_DIR" / "nnfit"


def test_xdg_cache_home_comes_second(surroundings, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert compiling.cache_folder() == surroundings / "XDG_CACHE_HOME" / "nnfit"


@pytest.mark.parametrize("empty", [False, True], ids=["unset", "empty"])
def test_the_home_folder_comes_last(surroundings, monkeypatch, empty):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "") if empty else monkeypatch.delenv(name)
    assert compiling.cache_folder() == surroundings / "HOME" / ".cache" / "nnfit"


@posix
def test_the_folder_on_macos(surroundings, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    expected = surroundings / "HOME" / "Library" / "Caches" / "nnfit"
    assert compiling.cache_folder() == expected


def test_the_folder_on_windows(surroundings, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("LOCALAPPDATA", str(surroundings / "local"))
    assert compiling.cache_folder() == surroundings / "local" / "nnfit"


@posix
def test_a_new_folder_is_the_users_alone(cache):
    assert stat.S_IMODE(compiling.cache_folder().stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IWOTH], ids=["group", "other"])
def test_a_folder_that_others_can_write_is_not_used(cache, compiled, bit):
    cache.mkdir(mode=0o700)
    cache.chmod(0o700 | bit)
    assert compiling.cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert list(cache.iterdir()) == []


@posix
def test_a_folder_behind_a_link_is_not_used(cache, compiled, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    cache.symlink_to(elsewhere)
    assert compiling.cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def owned_by(monkeypatch):
    """Function that makes this user 1000 and every file belong to another one."""

    def set_owner(owner):
        def lstat(path):
            status = path.stat(follow_symlinks=False)
            return types.SimpleNamespace(st_mode=status.st_mode, st_uid=owner)

        monkeypatch.setattr(os, "getuid", lambda: 1000)
        monkeypatch.setattr(Path, "lstat", lstat)

    return set_owner


@posix
def test_a_folder_of_another_user_is_not_used(cache, compiled, owned_by):
    assert compiling.cache_folder() == cache
    owned_by(1001)
    assert compiling.cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert list(cache.iterdir()) == []


@posix
def test_kernels_of_root_are_used(cache, compiled, owned_by):
    """Those of an image: root can change any program anyway."""
    compiling.load(*RELU)
    owned_by(0)
    forget()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 1


@posix
def test_a_file_that_others_can_write_is_not_read(cache, compiled):
    compiling.load(*RELU)
    (path,) = kernel_files(cache)
    path.chmod(0o666)
    forget()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "it is replaced"


@posix
def test_a_file_behind_a_link_is_not_read(cache, compiled, tmp_path):
    compiling.load(*RELU)
    (path,) = kernel_files(cache)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    forget()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 2
    assert not path.is_symlink(), "it is replaced"


# ------------------------------------------------------- what cannot be written


def refuse(number):
    def function(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return function


class _FullDisk:
    """A file that takes no bytes."""

    def __init__(self, handle, mode):
        os.close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False

    write = staticmethod(refuse(errno.ENOSPC))


@pytest.mark.parametrize(
    ("owner", "name", "replacement"),
    [
        (compiling.os, "fdopen", _FullDisk),
        (compiling.os, "replace", refuse(errno.ENOSPC)),
        (compiling.os, "replace", refuse(errno.EACCES)),
        (compiling.tempfile, "mkstemp", refuse(errno.EROFS)),
        (compiling.tempfile, "mkstemp", refuse(errno.ENOSPC)),
    ],
    ids=["write-full", "replace-full", "replace-denied", "read-only", "no-inode"],
)
def test_what_cannot_be_written_costs_time_only(
    owner, name, replacement, cache, compiled, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, replacement)
        check_relu(compiling.load(*RELU))
    assert list(cache.iterdir()) == [], "no remains"
    forget()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 2
    assert len(kernel_files(cache)) == 1


def test_a_folder_that_cannot_be_made(cache, compiled, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert compiling.cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 1


def test_a_file_in_the_place_of_the_folder(cache, compiled):
    cache.write_text("mine")
    assert compiling.cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert cache.read_text() == "mine"


def test_a_user_without_a_home(cache, compiled, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    assert compiling.cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 1


# -------------------------------------------------------------- damaged files


def flip_last_bit(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:7],
        lambda data: data[: len(compiling._MAGIC) + 32],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        flip_last_bit,
        lambda data: data.replace(b"nnfit-object-1", b"nnfit-object-0"),
        lambda data: bytes(len(data)),
        lambda data: data[:47] + b"no object file" * 9,
    ],
    ids=[
        "empty",
        "start-of-magic",
        "head-only",
        "half",
        "one-byte-less",
        "one-byte-more",
        "one-bit",
        "other-magic",
        "zeros",
        "garbage",
    ],
)
def test_a_damaged_file_is_compiled_again_and_replaced(damage, cache, compiled):
    """None of these reaches llvmlite, which would end the process."""
    compiling.load(*RELU)
    (path,) = kernel_files(cache)
    data = path.read_bytes()
    assert damage(data) != data
    path.write_bytes(damage(data))
    forget()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 2
    assert path.read_bytes() == data
    forget()
    compiling.load(*RELU)
    assert len(compiled) == 2


def test_a_file_under_another_name_is_not_loaded(cache, compiled, relu_code):
    """Copied by hand, it would be called with arguments of another kernel."""
    compiling.load(*RELU)
    (path,) = kernel_files(cache)
    path.rename(cache / (key(arguments=("tanh", "float32")) + ".nnfit"))
    compiling.load(BUILDER, "tanh", "float32")
    assert len(compiled) == 2


def test_the_head_of_a_file_is_its_magic_and_checksum(cache, compiled, relu_code):
    compiling.load(*RELU)
    (path,) = kernel_files(cache)
    digest = hashlib.sha256(path.name.encode() + relu_code).digest()
    assert path.read_bytes() == b"nnfit-object-1\n" + digest + relu_code


# -------------------------------------------------------------------- pruning


def make_file(folder, name, age):
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    path.write_bytes(b"x")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_remains_of_killed_writers_are_removed_after_an_hour(cache, compiled):
    old = make_file(cache, "old.tmp", 3700)
    young = make_file(cache, "young.tmp", 3500)
    compiling.load(*RELU)
    assert not old.exists()
    assert young.exists()
    assert len(kernel_files(cache)) == 1


def test_the_oldest_kernels_beyond_the_limit_are_removed(cache, compiled, monkeypatch):
    monkeypatch.setattr(compiling, "_MAX_FILES", 3)
    files = [make_file(cache, f"{age}.nnfit", age) for age in (50, 10, 40, 20, 30)]
    foreign = make_file(cache, "foreign.txt", 10**6)
    compiling.load(*RELU)
    assert [path.name for path in files if path.exists()] == [
        "10.nnfit",
        "20.nnfit",
        "30.nnfit",
    ]
    assert foreign.exists()
    assert len(kernel_files(cache)) == 4


def test_a_file_that_vanishes_meanwhile_does_not_stop_the_writing(
    cache, compiled, monkeypatch
):
    """Another process renames its temporary file between listing and looking."""
    cache.mkdir(mode=0o700)
    glob = Path.glob

    def with_ghost(path, pattern):
        return [*glob(path, pattern), path / pattern.replace("*", "ghost")]

    monkeypatch.setattr(Path, "glob", with_ghost)
    compiling.load(*RELU)
    monkeypatch.undo()
    assert len(kernel_files(cache)) == 1


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
        acquired.append(compiling._lock.acquire(timeout=1))
        if acquired[0]:
            compiling._lock.release()

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
    monkeypatch.setattr(compiling, "_FORK_WAIT", 0.05)
    held, done = threading.Event(), threading.Event()

    def hold():
        with compiling._lock:
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
