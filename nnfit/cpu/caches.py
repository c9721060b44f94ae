"""Sizes of the processor's data caches, as the system tells them.

Blocks of rows do not depend on them: the same are best with a second level of 512 kB
and with one of 2 MB (`nnfit.cpu.plans`, `nnfit.cpu.training_plans`).
"""

import ctypes
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

#: Where Linux describes the caches of each processor.
LINUX_FOLDER = "/sys/devices/system/cpu"
#: Names of the sizes of levels in macOS, of the fast cores first.
MACOS_NAMES = (
    ("hw.perflevel0.l1dcachesize", "hw.l1dcachesize"),
    ("hw.perflevel0.l2cachesize", "hw.l2cachesize"),
    ("hw.l3cachesize",),
)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def sizes():
    """Return bytes of data caches by level, of those that the system tells."""
    try:
        found = _SYSTEMS[sys.platform]()
    except (AttributeError, KeyError, OSError):  # another system, or an old one
        return {}
    # A hypervisor may tell of caches without size.
    return {level: found[level] for level in sorted(found) if found[level] > 0}


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
            with suppress(OSError, ValueError, KeyError, IndexError):
                kind, level, size = (
                    (index / name).read_text().strip()
                    for name in ("type", "level", "size")
                )
                if kind != "Instruction":
                    found.append((int(level), int(size[:-1]) * _UNITS[size[-1]]))
    return _smallest(found)


def of_windows(records):
    """The same, of records of the kind CACHE_RELATIONSHIP."""
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
    smallest = {}
    for level, size in pairs:
        smallest[level] = min(size, smallest.get(level, size))
    return smallest


def _of_this_linux():
    # A file takes 10 microseconds, servers have thousands, and where cores differ the
    # first and the last do.
    allowed = sorted(os.sched_getaffinity(0))
    return of_linux(LINUX_FOLDER, {allowed[0], allowed[-1]})


def _of_this_macos():
    ask = ctypes.CDLL(None).sysctlbyname
    found = {}
    for level, names in enumerate(MACOS_NAMES, 1):
        for name in names:
            size, length = ctypes.c_int64(), ctypes.c_size_t(8)
            place = ctypes.byref(size), ctypes.byref(length)
            if level not in found and not ask(name.encode(), *place, None, 0):
                found[level] = size.value
    return found


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
