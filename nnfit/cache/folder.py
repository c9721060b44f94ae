"""The folder of compiled kernels: where it is, whether it is trusted, its files.

Machine code is read from it, so that whoever can put a file there can run programs as
this user. What is checked is what is used: the folder is opened once, owner and rights
are those of its descriptor, and every file is opened, written and removed through it.
What another user puts in the place of a name meanwhile is not followed. Where the
system has no such descriptors (Windows), the user's folder is private.
"""

import errno
import hashlib
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

_MAGIC = b"nnfit-object-1\n"
SUFFIX = ".nnfit"
#: Files are pruned, oldest first, beyond this number. `nnfit.warmup` writes 108 of 1 to
#: 40 kB for each processor and version; every edit of the package adds such a set.
_MAX_FILES = 1000
#: What a killed process may leave behind; removed after an hour.
REMAINS = (".tmp", ".lock")

_HAS_DESCRIPTORS = os.open in os.supports_dir_fd and hasattr(os, "getuid")
_DIRECTORY = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
#: A link is an error, and a FIFO in a file's place does not wait for its writer.
_FILE = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


def cache_folder():
    """Return the folder of compiled kernels, or None where none can be used.

    ``$NUMBA_CACHE_DIR/nnfit`` when that variable is set, else the user's cache
    folder. A folder that belongs to, or can be written by, another user is not
    trusted: machine code is read from it. Root is trusted, which can change any
    program: an image or a cluster may have kernels that root compiled for all.

    Returns
    -------
    folder : pathlib.Path or None
    """
    return find_cache()[0]


def find_cache():
    """Return `cache_folder` and, where that is None, a sentence that says why."""
    try:
        with open_cache() as folder:
            return folder.path, None
    except OSError as error:
        return None, str(error)


def open_cache():
    """Return the `Folder` of compiled kernels, made if there is none.

    Raises
    ------
    OSError
        If none can be used; a sentence says why and what to do.
    """
    try:
        path = _user_cache() / "nnfit"
    except RuntimeError as error:
        raise OSError(_not_usable("The user's cache folder", error)) from error
    try:
        _make(path)
        return Folder(path)
    except OSError as error:
        raise OSError(_not_usable(path, error.strerror)) from error


def _not_usable(folder, problem):
    return (
        f"{folder} cannot be used for compiled kernels: {problem}. Set the environment "
        "variable NUMBA_CACHE_DIR to a folder of your own, or change this one."
    )


def _user_cache():
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _make(path):
    """Make a folder; its parents, too, are this user's alone, whatever the umask."""
    if not path.parent.exists():
        _make(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


class Folder:
    """A folder that is trusted, open until the end of its context.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    OSError
        If it cannot be opened or is not trusted.
    """

    def __init__(self, path):
        self.path = path
        self._descriptor = None
        if _HAS_DESCRIPTORS:
            real = path.parent.resolve(strict=True) / path.name
            for parent in reversed(real.parents):
                _trust(_why_untrusted_parent(parent))
            if real.is_symlink():
                raise OSError(errno.ELOOP, "it is a symbolic link")
            self._descriptor = os.open(real, os.O_RDONLY | _DIRECTORY)
            try:
                _trust(_why_untrusted(os.fstat(self._descriptor)))
            except OSError:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Give the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self, name):
        """Return the code kept under a name, None if there is none or it is damaged."""
        data = self._read_trusted(name)
        if data is None:
            return None
        head = len(_MAGIC) + 32
        code = data[head:]
        return code if data[:head] == _MAGIC + _checksum(name, code) else None

    def has(self, name):
        """Return whether there is a file under a name, whatever it holds."""
        try:
            if self._descriptor is None:
                os.stat(self.path / name)
            else:
                os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except OSError:
            return False
        return True

    def write(self, name, code):
        """Keep code under a name, at once or not at all.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        self._prune()
        temporary = os.urandom(8).hex() + ".tmp"
        handle = self.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with open(handle, "wb") as file:
                file.write(_MAGIC + _checksum(name, code) + code)
            self._rename(temporary, name)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def check_writable(self):
        """Raise an OSError, a sentence, if nothing can be written."""
        probe = os.urandom(8).hex() + ".tmp"
        try:
            os.close(self.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            self.remove(probe)
        except OSError as error:
            raise OSError(_not_usable(self.path, error.strerror)) from error

    def open(self, name, flags):
        """Return a descriptor of a file, a link not followed."""
        if self._descriptor is None:
            return os.open(self.path / name, flags | _FILE, 0o600)
        return os.open(name, flags | _FILE, 0o600, dir_fd=self._descriptor)

    def remove(self, name):
        """Remove a file."""
        if self._descriptor is None:
            os.unlink(self.path / name)
        else:
            os.unlink(name, dir_fd=self._descriptor)

    def _rename(self, old, new):
        if self._descriptor is None:
            os.replace(self.path / old, self.path / new)
        else:
            place = self._descriptor
            os.replace(old, new, src_dir_fd=place, dst_dir_fd=place)

    def _read_trusted(self, name):
        try:
            handle = self.open(name, os.O_RDONLY)
        except OSError:
            return None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or _why_untrusted(status):
                return None
            with open(handle, "rb", closefd=False) as file:
                return file.read()
        except OSError:
            return None
        finally:
            os.close(handle)

    def _prune(self):
        """Remove the oldest kernels beyond a limit, and remains of killed processes."""
        files = self._by_age()
        hour_ago = time.time() - 3600
        old = [n for at, n in files if n.endswith(REMAINS) and at < hour_ago]
        kernels = [name for _, name in files if name.endswith(SUFFIX)]
        for name in old + kernels[: max(0, len(kernels) - _MAX_FILES)]:
            with suppress(FileNotFoundError):
                self.remove(name)

    def _by_age(self):
        """Pairs of modification time and name, oldest first."""
        pairs = []
        place = self.path if self._descriptor is None else self._descriptor
        with os.scandir(place) as entries:
            for entry in entries:
                # Another process may have renamed or removed it.
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    pairs.append((status.st_mtime, entry.name))
        return sorted(pairs)


def _checksum(name, code):
    """Hash of code and its name: a file is valid under no other.

    Nothing else checks the code. llvmlite does not refuse what is no object file: the
    process dies (segmentation fault, llvmlite 0.50).
    """
    return hashlib.sha256(name.encode() + code).digest()


# ----------------------------------------------------------------------- trust


def _trust(problem):
    if problem:
        raise PermissionError(errno.EPERM, problem)


def _why_untrusted(status):
    """Return why machine code is not read from a folder or file, None if it is."""
    if not _HAS_DESCRIPTORS:
        return None
    if status.st_uid not in (0, os.getuid()):
        return "it belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users may write to it"
    return None


def _why_untrusted_parent(path):
    """Return why others might exchange what lies in a folder, None if they cannot.

    In a folder with the sticky bit, such as /tmp, nobody can rename what is another's.
    """
    status = path.stat()
    # The owner of / may be neither root nor this user where users are mapped
    # (containers without root); whoever it is can change any program.
    if status.st_uid not in (0, os.getuid(), os.stat("/").st_uid):
        return f"the folder {path} above it belongs to another user"
    if _others_may_write(status) and not status.st_mode & stat.S_ISVTX:
        return (
            f"other users may write to the folder {path} above it (chmod go-w {path})"
        )
    return None


def _others_may_write(status):
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_private(status.st_gid)


def _is_private(group):
    """Whether a group is this user's alone: with its name and no other member.

    Many systems give each user such a group and let it write to the user's folders.
    Never group 0, which containers give to any user.
    """
    import grp
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
        row = grp.getgrgid(group)
    except KeyError:
        return False
    return group != 0 and row.gr_name == name and set(row.gr_mem) <= {name}
