"""The cache's folder: where it is, who is trusted, damaged files, full disks."""

import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import pytest

from nnfit.cache import folder as folders
from nnfit.cache.folder import cache_folder, find_cache
from nnfit.cpu import compiling
from tests.small_kernels import (
    BUILDER,
    RELU,
    check_relu,
    forget,
    kernel_files,
)
from tests.test_cache_keys import key

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX owners")


# -------------------------------------------------------------------- folders


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """All three places that can name the folder, on a Linux system."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def test_numba_cache_dir_comes_first(surroundings):
    assert cache_folder() == surroundings / "NUMBA_CACHE_DIR" / "nnfit"


def test_xdg_cache_home_comes_second(surroundings, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert cache_folder() == surroundings / "XDG_CACHE_HOME" / "nnfit"


@pytest.mark.parametrize("empty", [False, True], ids=["unset", "empty"])
def test_the_home_folder_comes_last(surroundings, monkeypatch, empty):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "") if empty else monkeypatch.delenv(name)
    assert cache_folder() == surroundings / "HOME" / ".cache" / "nnfit"


@posix
def test_the_folder_on_macos(surroundings, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    expected = surroundings / "HOME" / "Library" / "Caches" / "nnfit"
    assert cache_folder() == expected


def test_the_folder_on_windows(surroundings, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("LOCALAPPDATA", str(surroundings / "local"))
    assert cache_folder() == surroundings / "local" / "nnfit"


@posix
def test_a_new_folder_is_the_users_alone(cache):
    assert stat.S_IMODE(cache_folder().stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IWOTH], ids=["group", "other"])
def test_a_folder_that_others_can_write_is_not_used(cache, compiled, bit):
    cache.mkdir(mode=0o700)
    cache.chmod(0o700 | bit)
    assert cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert list(cache.iterdir()) == []


@posix
def test_a_folder_behind_a_link_is_not_used(cache, compiled, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    cache.symlink_to(elsewhere)
    assert cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def owned_by(monkeypatch):
    """Function that makes this user 1000 and every file opened another one's."""

    def set_owner(owner):
        fstat = os.fstat

        def other(handle):
            status = list(fstat(handle))
            status[stat.ST_UID] = owner
            return os.stat_result(status)

        monkeypatch.setattr(os, "getuid", lambda: 1000)
        monkeypatch.setattr(folders.os, "fstat", other)
        monkeypatch.setattr(folders, "_why_untrusted_parent", lambda path: None)

    return set_owner


@posix
def test_a_folder_of_another_user_is_not_used(cache, compiled, owned_by):
    assert cache_folder() == cache
    owned_by(1001)
    assert cache_folder() is None
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


# -------------------------------------------------------------------- parents


@posix
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o772], ids=oct)
def test_a_folder_below_one_that_others_can_write_is_not_used(cache, compiled, mode):
    """They could put another folder in its place."""
    cache.parent.chmod(mode)
    folder, problem = find_cache()
    assert folder is None
    assert f"{cache} cannot be used" in problem
    assert f"other users may write to the folder {cache.parent} above it" in problem
    check_relu(compiling.load(*RELU))
    assert kernel_files(cache) == []


@posix
def test_the_sticky_bit_makes_a_parent_good(cache, compiled):
    """As /tmp is: nobody may rename what is another's."""
    cache.parent.chmod(0o1777)
    compiling.load(*RELU)
    assert len(kernel_files(cache)) == 1


@posix
def test_parents_are_made_for_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "one" / "two"))
    before = os.umask(0)
    try:
        folder = cache_folder()
    finally:
        os.umask(before)
    made = [folder, *folder.parents[:2]]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700] * 3


@posix
def test_a_parent_behind_a_link(tmp_path, monkeypatch, compiled):
    """Homes often are; where the link leads is what is looked at."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "link"))
    assert cache_folder() == tmp_path / "link" / "nnfit"
    (tmp_path / "real").chmod(0o777)
    assert cache_folder() is None


@posix
@pytest.mark.parametrize(
    ("group", "members", "is_private"),
    [
        (1000, ["me"], True),
        (1000, [], True),
        (1000, ["me", "other"], False),
        (0, [], False),
        (100, [], False),
    ],
)
def test_a_group_of_one_user_is_no_other_user(group, members, is_private, monkeypatch):
    import grp
    import pwd

    names = {1000: "me", 0: "me", 100: "users"}
    monkeypatch.setattr(
        pwd, "getpwuid", lambda user: types.SimpleNamespace(pw_name="me")
    )
    monkeypatch.setattr(
        grp,
        "getgrgid",
        lambda group: types.SimpleNamespace(gr_name=names[group], gr_mem=members),
    )
    assert folders._is_private(group) is is_private


@posix
def test_a_fifo_in_a_files_place_is_not_waited_for(cache, compiled):
    compiling.load(*RELU)
    (path,) = kernel_files(cache)
    path.unlink()
    os.mkfifo(path)
    forget()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 2
    assert path.is_file(), "it is replaced"


# -------------------------------------------------------------------- attacks

#: Another user: exchanges the names of a folder of this user and of one of its own,
#: and in that one a file with a link to this user's, again and again.
ATTACK = """
import itertools, os, sys
os.setgid(12345), os.setuid(12345)
os.chdir(sys.argv[1])
print("ready", flush=True)
for i in itertools.count():
    os.rename("nnfit", "spare")
    os.rename("evil", "nnfit")
    os.rename("nnfit", "evil")
    os.rename("spare", "nnfit")
"""


@pytest.fixture
def attacked(relu_code):
    """A folder of kernels below one where another user exchanges it."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o777)
    name = "a" * 40 + ".nnfit"
    for folder, code in ("nnfit", relu_code), ("evil", b"of the other user"):
        (root / folder).mkdir(mode=0o700)
        with folders.Folder.__new__(folders.Folder) as opened:
            opened.path = root / folder
            opened._descriptor = os.open(root / folder, os.O_RDONLY)
            opened.write(name, code)
        (root / folder / name).chmod(0o644)
        (root / folder).chmod(0o755)
    for path in (root / "evil" / name, root / "evil"):
        os.chown(path, 12345, 12345)
    attacker = subprocess.Popen(
        [sys.executable, "-S", "-c", ATTACK, str(root)], stdout=subprocess.PIPE
    )
    try:
        assert attacker.stdout.readline() == b"ready\n"
        yield root / "nnfit", name
    finally:
        attacker.kill()
        attacker.wait()
        attacker.stdout.close()
        shutil.rmtree(root)


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0,
    reason="only root can become another user",
)
def test_a_folder_that_is_exchanged_meanwhile(attacked, relu_code, monkeypatch):
    """What is looked at is what is read, even where parents are not."""
    path, name = attacked
    with pytest.raises(PermissionError, match="other users may write to the folder"):
        folders.Folder(path)
    monkeypatch.setattr(folders, "_why_untrusted_parent", lambda path: None)
    read = []
    for _ in range(4000):
        try:
            with folders.Folder(path) as folder:
                read.append(folder.read(name))
        except OSError:  # the other user's, or none at this moment
            read.append(None)
    assert set(read) == {relu_code, None}


# ------------------------------------------------------- what cannot be written


def refuse(number):
    def function(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return function


def refuse_to_write(number):
    """`os.write` and files of Python alike: a descriptor that takes no bytes."""

    def opened(handle, *args, **kwargs):
        if args != ("wb",):
            return open(handle, *args, **kwargs)
        os.close(handle)
        raise OSError(number, os.strerror(number))

    return opened


def refuse_new_files(number):
    opened = os.open

    def open_old(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return opened(path, flags, *args, **kwargs)

    return open_old


@pytest.mark.parametrize(
    ("owner", "name", "replacement"),
    [
        (folders, "open", refuse_to_write(errno.ENOSPC)),
        (os, "replace", refuse(errno.ENOSPC)),
        (os, "replace", refuse(errno.EACCES)),
        (os, "open", refuse_new_files(errno.EROFS)),
        (os, "open", refuse_new_files(errno.ENOSPC)),
    ],
    ids=["write-full", "replace-full", "replace-denied", "read-only", "no-inode"],
)
def test_what_cannot_be_written_costs_time_only(
    owner, name, replacement, cache, compiled, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, replacement, raising=False)
        check_relu(compiling.load(*RELU))
    assert list(cache.iterdir()) == [], "no remains"
    forget()
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 2
    assert len(kernel_files(cache)) == 1


def test_a_folder_that_cannot_be_made(cache, compiled, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert len(compiled) == 1


def test_a_file_in_the_place_of_the_folder(cache, compiled):
    cache.write_text("mine")
    assert cache_folder() is None
    check_relu(compiling.load(*RELU))
    assert cache.read_text() == "mine"


def test_a_user_without_a_home(cache, compiled, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    assert cache_folder() is None
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
        lambda data: data[: len(folders._MAGIC) + 32],
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
    lock = make_file(cache, "old.lock", 3700)
    compiling.load(*RELU)
    assert not old.exists()
    assert not lock.exists()
    assert young.exists()
    assert len(kernel_files(cache)) == 1


def test_the_oldest_kernels_beyond_the_limit_are_removed(cache, compiled, monkeypatch):
    monkeypatch.setattr(folders, "_MAX_FILES", 3)
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
    make_file(cache, "ghost.tmp", 3700)
    monkeypatch.setattr(folders.Folder, "remove", refuse(errno.ENOENT))
    compiling.load(*RELU)
    monkeypatch.undo()
    assert len(kernel_files(cache)) == 1
