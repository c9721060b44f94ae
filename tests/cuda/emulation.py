"""Kernels run in Python, with what stands for ``numba.cuda``."""

import math
import sys
import threading
from functools import partial

import numpy as np

from tests.cuda.threads import Threads

#: Byte of memory that nobody has written to: NaN and -1.
FILL = 0xFF


class Index(threading.local):
    """``threadIdx`` and the like: each thread has its own."""

    x = y = z = 0


class Emulation:
    """Runs kernels in Python, with what stands for ``numba.cuda``.

    Parameters
    ----------
    module : EmulatedModule
    """

    def __init__(self, module):
        self.namespace = EmulatedCuda()

    def launch(self, function, grid, block, arguments, cooperative):
        """Run a kernel; its errors are raised here."""
        cuda = self.namespace
        if block == 1 and (grid == 1 or not cooperative):
            with np.errstate(all="ignore"):
                for number in range(grid):
                    cuda.place(None, grid, 1, number, 0, {})
                    function(*arguments)
            return
        blocks = range(grid)
        for numbers in [blocks] if cooperative else [[number] for number in blocks]:
            self._run_blocks(function, grid, block, arguments, numbers)

    def _run_blocks(self, function, grid, block, arguments, numbers):
        works, blocks = [], []
        for number in numbers:
            shared = {}
            for thread in range(block):
                place = (grid, block, number, thread, shared)
                works.append(partial(self._run, function, arguments, place))
                blocks.append(number)
        Threads(works, blocks).run()

    def _run(self, function, arguments, place, threads):
        self.namespace.place(threads, *place)
        function(*arguments)


class EmulatedCuda:
    """That part of ``numba.cuda`` that kernels may use."""

    def __init__(self):
        self.threadIdx, self.blockIdx = Index(), Index()
        self.blockDim, self.gridDim = Index(), Index()
        self._own = threading.local()
        self.shared = _Arrays(self._shared)
        self.local = _Arrays(lambda site: {})
        self.atomic = Atomic(self)

    def place(self, threads, grid, block, number, thread, shared):
        """Say where in a launch the calling thread is."""
        self.threadIdx.x, self.blockIdx.x = thread, number
        self.blockDim.x, self.gridDim.x = block, grid
        self._own.threads, self._own.shared = threads, shared

    def _shared(self, site):
        return self._own.shared

    def jit(self, function=None, **options):
        """Decorate a function for kernels to call."""
        assert options.get("device") is True
        return function or (lambda decorated: decorated)

    def grid(self, n_dimensions):
        """Number of the thread in the grid."""
        assert n_dimensions == 1
        return self.blockIdx.x * self.blockDim.x + self.threadIdx.x

    def gridsize(self, n_dimensions):
        """Threads of the grid."""
        assert n_dimensions == 1
        return self.gridDim.x * self.blockDim.x

    def syncthreads(self):
        """Wait for the threads of the block."""
        if self._own.threads is not None:
            self._own.threads.synchronize()

    def threadfence(self):
        """All see every write at once here."""

    def watched(self):
        """The thread may watch for what another one does: let others run."""
        if self._own.threads is not None:
            self._own.threads.pause()

    def nanosleep(self, nanoseconds):
        """Wait a little."""
        self.watched()

    def changed(self):
        """The thread has done what others may watch for."""
        if self._own.threads is not None:
            self._own.threads.progress()


class _Arrays:
    """``cuda.shared`` or ``cuda.local``.

    Parameters
    ----------
    kept : callable
        Returns the dict of arrays that exist, by their place in the source: shared
        memory is there once for each, however often a thread comes there.
    """

    def __init__(self, kept):
        self._kept = kept

    def array(self, shape, dtype, alignment=None):
        """Return an array of NaN or -1."""
        frame = sys._getframe(1)
        site = (frame.f_code, frame.f_lasti)
        kept = self._kept(site)
        if site not in kept:
            dtype = np.dtype(getattr(dtype, "name", dtype))
            shape = shape if isinstance(shape, tuple) else (shape,)
            content = np.full(math.prod(shape) * dtype.itemsize, FILL, np.uint8)
            kept[site] = content.view(dtype).reshape(shape)
        return kept[site]


class Atomic:
    """``cuda.atomic``; nothing comes between, since one thread runs at a time."""

    def __init__(self, cuda):
        self._cuda = cuda

    def _replace(self, array, index, change):
        before = array[index]
        after = change(before)
        array[index] = after
        if array[index] == before:
            self._cuda.watched()
        else:
            self._cuda.changed()
        return before

    def add(self, array, index, value):
        """Add to an element; returns what it was."""
        return self._replace(array, index, lambda before: before + value)

    def max(self, array, index, value):
        """Set an element to the larger; returns what it was."""
        return self._replace(array, index, lambda before: max(before, value))

    def exch(self, array, index, value):
        """Set an element; returns what it was."""
        return self._replace(array, index, lambda before: value)

    def cas(self, array, index, old, value):
        """Set an element that is `old`; returns what it was."""
        return self._replace(
            array, index, lambda before: value if before == old else before
        )
