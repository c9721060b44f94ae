"""Memory that ends where a protected page begins, for arrays and internal buffers.

NumPy takes the memory of all new arrays from here, by its own interface for that
(NEP 49), so that no list of nnfit's arrays can be incomplete. The buffers that the CPU
engine cuts out of one block get a protected page each. Whoever reads or writes beyond
the end of either ends the process.
"""

import ctypes
import mmap
import sys
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
from numpy._core import _multiarray_umath

from nnfit.cpu import plans, tables, training_plans
from nnfit.cpu.layout import ALIGNMENT

PAGE = mmap.PAGESIZE
#: What may be read, not written, beyond the end of an internal buffer: a tile's operand
#: is copied in whole vectors.
SLACK = ALIGNMENT
#: Bytes of slack: NaN in both precisions, so that a result shows if one is used.
POISON = 0xFF

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    *3 * [ctypes.c_int],
    ctypes.c_long,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
PROT_NONE, PROT_BOTH = 0, mmap.PROT_READ | mmap.PROT_WRITE
FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def _in_pages(size):
    return -(-size // PAGE) * PAGE


def _map(size):
    """Address of so many bytes of zeros, in whole pages; 0 where there are none."""
    address = _libc.mmap(None, size, PROT_BOTH, FLAGS, -1, 0)
    return 0 if address == ctypes.c_void_p(-1).value else address


def _protect(address):
    """Make the page at an address one that may not be touched."""
    assert _libc.mprotect(address, PAGE, PROT_NONE) == 0


# ---------------------------------------------------------------- NumPy's arrays


class _Allocator(ctypes.Structure):
    _fields_ = [
        ("context", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("malloc", "calloc", "realloc", "free")),
    ]


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("allocator", _Allocator),
    ]


_blocks = {}  # address of an array: of its pages, their size, its own


def _malloc(context, size):
    length = _in_pages(size)
    pages = _map(length + PAGE)
    if not pages:
        return 0
    _protect(pages + length)
    address = pages + length - size
    _blocks[address] = pages, length + PAGE, size
    return address


def _calloc(context, count, size):
    return _malloc(context, count * size)


def _realloc(context, old, size):
    new = _malloc(context, size)
    if old and new:
        ctypes.memmove(new, old, min(size, _blocks[old][2]))
        _free(context, old, 0)
    return new


def _free(context, address, size):
    if address:
        pages, length, _ = _blocks.pop(address)
        _libc.munmap(pages, length)


_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t
_CALLBACKS = [
    ctypes.CFUNCTYPE(_POINTER, _POINTER, _SIZE)(_malloc),
    ctypes.CFUNCTYPE(_POINTER, _POINTER, _SIZE, _SIZE)(_calloc),
    ctypes.CFUNCTYPE(_POINTER, _POINTER, _POINTER, _SIZE)(_realloc),
    ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _SIZE)(_free),
]
_handler = _Handler(
    b"protected pages",
    1,
    _Allocator(None, *(ctypes.cast(f, _POINTER).value for f in _CALLBACKS)),
)


def _set_handler():
    """NumPy's PyDataMem_SetHandler."""
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = _POINTER
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = get_pointer(_multiarray_umath._ARRAY_API, None)
    address = ctypes.cast(table, ctypes.POINTER(_POINTER))[304]
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(address)


def _capsule():
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [_POINTER, ctypes.c_char_p, _POINTER]
    return new(ctypes.addressof(_handler), b"mem_handler", None)


# --------------------------------------------------------- buffers of the engine


class Buffers:
    """The CPU engine's buffers, each before a page of its own, for some time.

    Attributes
    ----------
    alive : list
        Of each block the addresses of slack that may not change, and the array.
    """

    def __init__(self):
        self.alive = []
        self._ends = {}  # of the buffers in the work space of a plan

    def lay_out(self, plan, index, size, dtype=None):
        """In the place of `Plan.buffer`."""
        n_bytes = int(size) * np.dtype(dtype or plan.layout.dtype).itemsize
        n_bytes = -(-n_bytes // ALIGNMENT) * ALIGNMENT
        end = _in_pages(plan.size + n_bytes + SLACK)
        plan.words[index] = end - SLACK - n_bytes
        plan._kinds[index] = plans.WORK
        plan.size = end + PAGE
        self._ends.setdefault(id(plan), (plan, []))[1].append(end)

    def work_space(self, plan):
        """The block of a plan, an array of bytes."""
        ends = self._ends.get(id(plan), (plan, []))[1]
        return self._block(plan.size, ends)

    def aligned_zeros(self, size, dtype):
        """In the place of `nnfit.cpu.layout.aligned_zeros`."""
        dtype = np.dtype(dtype)
        n_bytes = -(-int(size) * dtype.itemsize // ALIGNMENT) * ALIGNMENT
        end = _in_pages(n_bytes + SLACK)
        block = self._block(end + PAGE, [end])
        start = end - SLACK - n_bytes
        return block[start : start + int(size) * dtype.itemsize].view(dtype)

    def _block(self, size, ends):
        size = _in_pages(size) or PAGE
        address = _map(size)
        if not address:
            raise MemoryError
        for end in ends:
            ctypes.memset(address + end - SLACK, POISON, SLACK)
            _protect(address + end)
        owner = (ctypes.c_uint8 * size).from_address(address)
        self.alive.append((address, ends, weakref.ref(owner)))
        weakref.finalize(owner, _libc.munmap, address, size)
        return np.frombuffer(owner, np.uint8)

    def check_slack(self):
        """Fail if anything was written there."""
        for address, ends, owner in self.alive:
            if owner() is not None:
                for end in ends:
                    slack = ctypes.string_at(address + end - SLACK, SLACK)
                    assert slack == bytes([POISON]) * SLACK


@contextmanager
def protected():
    """Let all arrays and buffers that are made meanwhile end at a protected page."""
    buffers, new_tables = Buffers(), tables.Tables.__init__

    def init(self, plan, flat):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tables, "aligned_zeros", lambda *_: buffers.work_space(plan))
            new_tables(self, plan, flat)

    caches = plans.forward_plan, training_plans.training_plan
    set_handler = _set_handler()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans.Plan, "buffer", lambda *a, **k: buffers.lay_out(*a, **k))
        patch.setattr(tables.Tables, "__init__", init)
        for name, module in list(sys.modules.items()):
            if name.startswith("nnfit.cpu.") and hasattr(module, "aligned_zeros"):
                patch.setattr(module, "aligned_zeros", buffers.aligned_zeros)
        for cache in caches:
            cache.cache_clear()
        before = set_handler(_capsule())
        try:
            yield buffers
        finally:
            set_handler(before)
            for cache in caches:
                cache.cache_clear()
    buffers.check_slack()
