"""Small kernels, for tests of what is around kernels."""

import numpy as np

from nnfit.cuda.modules import Kernels

#: Threads of a block that adds up.
BLOCK = 4


def axpy(cuda, dtype):
    """y += a x, and the sum of y by blocks that wait for each other.

    The sum goes to ``doubles[total]``, the number of blocks to the four bytes after it.
    """
    real = np.float32 if dtype == "float32" else np.float64
    block = BLOCK

    @cuda.jit(device=True)
    def wait_for_grid(longs, counter):
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            cuda.threadfence()
            cuda.atomic.add(longs, counter, 1)
            while cuda.atomic.add(longs, counter, 0) < cuda.gridDim.x:
                pass
            cuda.threadfence()
        cuda.syncthreads()

    @cuda.jit(device=True)
    def sum_of_block(memory, y, size):
        parts = cuda.shared.array(block, real)
        thread = cuda.threadIdx.x
        part = real(0.0)
        first = cuda.blockIdx.x * cuda.blockDim.x + thread
        for i in range(first, size, cuda.blockDim.x * cuda.gridDim.x):
            part += memory[y + i]
        parts[thread] = part
        cuda.syncthreads()
        total = real(0.0)
        for i in range(cuda.blockDim.x):
            total += parts[i]
        cuda.syncthreads()
        return total

    def add(memory, doubles, longs, ints, a, x, y, size):
        first = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        for i in range(first, size, cuda.blockDim.x * cuda.gridDim.x):
            memory[y + i] += memory[a] * memory[x + i]

    def sum_all(memory, doubles, longs, ints, y, size, sums, counter, total):
        own = sum_of_block(memory, y, size)
        if cuda.threadIdx.x == 0:
            memory[sums + cuda.blockIdx.x] = own
        wait_for_grid(longs, counter)
        if cuda.blockIdx.x == 0 and cuda.threadIdx.x == 0:
            result = 0.0
            for i in range(cuda.gridDim.x):
                result += memory[sums + i]
            doubles[total] = result
            ints[2 * total + 2] = cuda.gridDim.x

    return Kernels(dtype, {"add": (add, 4), "sum_all": (sum_all, 5)})
