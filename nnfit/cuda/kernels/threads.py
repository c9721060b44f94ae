"""Threads and blocks: numbers of threads, barriers, sums over a block.

One or several blocks of threads train a network. Each phase of a batch assigns its
elements to blocks and threads by their numbers. A result does not depend on the number
of blocks. The order of a sum depends on the number of threads in a block alone, and the
tile fixes that number.
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cuda.kernels.pointers import pointer
from nnfit.cuda.kernels.products import lengths_in_slices

#: Pointers to the device's memory, one for each type of element (see
#: `nnfit.cuda.modules`), and to a block's shared memory: slices of two matrices, and
#: parts of sums.
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
    """Build numbers of threads, barriers and sums.

    Parameters
    ----------
    cuda : module
        `numba.cuda`, or what stands for it.
    n_threads : int
        Threads of a block, a power of two.

    Returns
    -------
    threads : Threads
        Numbers, and functions for device code. The threads of a block form `groups` of
        `lanes` neighbours; neighbours read neighbouring elements.
    """
    device = cuda.jit(device=True)
    lanes = min(32, max(1, n_threads // 2))
    groups = n_threads // lanes
    # The mask tells LLVM that the number is small and not negative: a thread of the
    # large tile takes 158 registers, and 175 without it.
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
        """Wait for all threads of `n_blocks` blocks, which must run at the same time.

        `longs` is the kernel's own array: numba has no atomic sums at pointers.
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
        """Build the sum over `width` neighbouring threads; each of them gets it."""

        @device
        def sum_of_neighbours(m, value):
            parts, t = m.parts, number()
            mine = t % width
            cuda.syncthreads()  # others may still read the sum before this one
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
