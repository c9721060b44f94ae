"""Sizes of the processor's data caches, which blocks of rows follow from."""

import ctypes
import os
import struct
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

#: Where Linux describes the caches of each processor.
LINUX_FOLDER = "/sys/devices/system/cpu"
#: Names of sizes in macOS, of the fast cores first; there is no third level.
MACOS_NAMES = (
    ("hw.perflevel0.l1dcachesize", "hw.l1dcachesize"),
    ("hw.perflevel0.l2cachesize", "hw.l2cachesize"),
    ("hw.l3cachesize",),
)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Caches(NamedTuple):
    """Bytes of the data caches that a core can use.

    Attributes
    ----------
    first, second : int
    last : int
        Of the level before memory, which is the second where there is no third.
    """

    first: int
    second: int
    last: int


#: Taken for what the system does not say, or cannot be: few processors since 2017 have
#: less.
FALLBACK = Caches(32 << 10, 512 << 10, 1 << 20)
#: The smallest and the largest size of a level that is believed.
_BELIEVED = Caches((8 << 10, 1 << 20), (128 << 10, 64 << 20), (128 << 10, 4 << 30))


@lru_cache(maxsize=1)
def found():
    """Return the `Caches` of this machine, of `FALLBACK` what the system keeps back."""
    try:
        return believed(_SYSTEMS[sys.platform]())
    except (AttributeError, KeyError, OSError):  # another system, or an old one
        return FALLBACK


def believed(sizes):
    """Return `Caches` of the sizes that can be, and of `FALLBACK` for the others.

    Parameters
    ----------
    sizes : dict
        Bytes by level: 1, 2, 3 and, on some servers, 4.
    """
    last = max((size for level, size in sizes.items() if level > 1), default=0)
    levels = sizes.get(1, 0), sizes.get(2, 0), last
    first, second, last = (
        size if least <= size <= most else other
        for size, (least, most), other in zip(levels, _BELIEVED, FALLBACK, strict=True)
    )
    return Caches(first, max(first, second), max(second, last))


def of_linux(folder, processors):
    """Bytes of data caches by level, the smallest of some processors.

    Parameters
    ----------
    folder : str
    processors : iterable of int
    """
    found = []
    for number in processors:
        for index in Path(folder, f"cpu{number}", "cache").glob("index[0-9]*"):
            with suppress(OSError, ValueError, KeyError):
                kind, level, size = (
                    (index / name).read_text().strip()
                    for name in ("type", "level", "size")
                )
                if kind != "Instruction":
                    found.append((int(level), int(size[:-1]) * _UNITS[size[-1]]))
    return _smallest(found)


def of_windows(records):
    """Bytes of data caches by level, of records of the kind CACHE_RELATIONSHIP."""
    found, place = [], 0
    while place + 20 <= len(records):
        _, length, level, _, _, size, kind = struct.unpack_from(
            "<IIBBHII", records, place
        )
        if kind != 1:  # of instructions
            found.append((level, size))
        place += max(length, 20)
    return _smallest(found)


def _smallest(pairs):
    """Sizes by level: the fast and the thrifty cores of a processor differ."""
    sizes = {}
    for level, size in pairs:
        sizes[level] = min(size, sizes.get(level, size))
    return sizes


def _of_this_linux():
    # A file takes 10 microseconds, servers have thousands, and where cores differ the
    # first and the last do.
    allowed = sorted(os.sched_getaffinity(0))
    return of_linux(LINUX_FOLDER, {allowed[0], allowed[-1]})


def _of_this_macos():
    ask = ctypes.CDLL(None).sysctlbyname
    sizes = {}
    for level, names in enumerate(MACOS_NAMES, 1):
        for name in names:
            size, length = ctypes.c_int64(), ctypes.c_size_t(8)
            place = ctypes.byref(size), ctypes.byref(length)
            if level not in sizes and not ask(name.encode(), *place, None, 0):
                sizes[level] = size.value
    return sizes


def _of_this_windows():
    ask, of_caches = ctypes.windll.kernel32.GetLogicalProcessorInformationEx, 2
    length = ctypes.c_uint32(0)
    ask(of_caches, None, ctypes.byref(length))
    records = ctypes.create_string_buffer(length.value)
    known = ask(of_caches, records, ctypes.byref(length))
    return of_windows(records.raw[: length.value]) if known else {}


#: How to ask a system, by `sys.platform`.
_SYSTEMS = {
    "linux": _of_this_linux,
    "darwin": _of_this_macos,
    "win32": _of_this_windows,
}
