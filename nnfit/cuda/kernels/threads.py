"""Threads and blocks: who does what, barriers, sums over a block.

A network is trained by one block of threads or by several. Elements of a phase are
dealt to blocks and threads by their number, so any number of either computes the same;
sums have an order of their own for each size of a block, which a device has once.
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cuda.kernels.pointers import pointer
from nnfit.cuda.kernels.products import lengths_in_slices

#: Views of the device's memory by type of element, see `nnfit.cuda.modules`, and shared
#: memory of a block: slices of two matrices, and parts of sums. All are pointers.
Memory = namedtuple("Memory", "floats doubles longs ints a b parts")

Threads = namedtuple(
    "Threads",
    "n_threads lanes groups number lane group barrier sum_of_block "
    "sum_of_lanes sum_of_groups",
)


def make_memory(cuda, kind):
    """Build ``memory(floats, doubles, longs, ints) -> Memory`` of a kernel's arrays.

    Parameters
    ----------
    cuda : module
    kind : nnfit.cuda.kernels.Kind
    """
    tile, number_type = kind.tile, getattr(nb, kind.dtype)
    size_a, size_b = (tile.depth * length for length in lengths_in_slices(tile))
    n_threads = tile.n_threads

    @cuda.jit(device=True)
    def memory(floats, doubles, longs, ints):
        return Memory(
            pointer(floats), pointer(doubles), pointer(longs), pointer(ints),
            pointer(cuda.shared.array(size_a, number_type, alignment=16)),
            pointer(cuda.shared.array(size_b, number_type, alignment=16)),
            pointer(cuda.shared.array(n_threads, nb.float64)),
        )  # fmt: skip

    return memory


def make_threads(cuda, n_threads):
    """Build what a thread needs to know of the others.

    Parameters
    ----------
    cuda : module
        `numba.cuda`, or what stands for it.
    n_threads : int
        Threads of a block, a power of two.

    Returns
    -------
    threads : Threads
        Numbers, and functions for device code. A block's threads are `groups` of
        `lanes` neighbours, which read neighbouring elements.
    """
    device = cuda.jit(device=True)
    lanes = min(32, max(1, n_threads // 2))
    groups = n_threads // lanes
    # LLVM learns that the number is small and not negative: 158 registers of a thread
    # with the large tile in place of 175.
    mask = 1023

    @device
    def number():
        return cuda.threadIdx.x & mask

    @device
    def lane():
        return number() % lanes

    @device
    def group():
        return number() // lanes

    @device
    def barrier(longs, count, n_blocks):
        """Wait for all threads of `n_blocks` blocks, which are all resident.

        `longs` is the kernel's own array, since there are no atomic sums at pointers.
        """
        cuda.syncthreads()
        if n_blocks > 1:
            if number() == 0:
                cuda.threadfence()
                arrived = cuda.atomic.add(longs, count, 1)
                goal = (arrived // n_blocks + 1) * n_blocks
                while cuda.atomic.add(longs, count, 0) < goal:
                    pass
                cuda.threadfence()
            cuda.syncthreads()

    def make_sum(width):
        """Sum over so many neighbouring threads, which all of them get."""

        @device
        def sum_of_neighbours(m, value):
            parts, t = m.parts, number()
            mine = t % width
            cuda.syncthreads()  # for those who still read the sum before
            parts[t] = value
            half = width // 2
            while half > 0:
                cuda.syncthreads()
                if mine < half:
                    parts[t] += parts[t + half]
                half //= 2
            cuda.syncthreads()
            return parts[t - mine]

        return sum_of_neighbours

    @device
    def sum_of_groups(m, value):
        """Sum over the same lane of all groups."""
        parts = m.parts
        t, mine = number(), lane()
        cuda.syncthreads()
        parts[t] = value
        cuda.syncthreads()
        total = 0.0
        for g in range(groups):
            total += parts[g * lanes + mine]
        return total

    return Threads(
        n_threads, lanes, groups, number, lane, group, barrier, make_sum(n_threads),
        make_sum(lanes), sum_of_groups,
    )  # fmt: skip
