"""What a GPU reaches at most: bytes that it copies, multiply-adds in float32.

Both are measured, not looked up: with kernels of our own, and copies by the driver
beside them.
"""

import hashlib
import time
from pathlib import Path

import numpy as np

from nnfit.cuda import modules
from nnfit.cuda.driver import open_device
from nnfit.cuda.space import index_of

#: Threads of a block, blocks for each multiprocessor: enough to hide all latencies.
BLOCK, BLOCKS = 256, 8
#: Chains of multiply-adds of a thread, and how often each goes on in a repeat.
CHAINS, TURNS = 8, 16
#: Bytes of a copy: several times what any cache holds.
COPIED = 2**28
#: Seconds that one measurement takes at least, and how many there are.
SECONDS, MEASUREMENTS = 0.01, 5


def peaks(cuda):
    """Kernels ``copy`` and ``multiply_add``, see `nnfit.cuda.modules`."""
    one = np.int64(1)

    def copy(floats, doubles, longs, ints, source, goal, size):
        i = one * cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        step = one * cuda.gridDim.x * cuda.blockDim.x
        while i < size:
            doubles[goal + i] = doubles[source + i]
            i += step

    def multiply_add(floats, doubles, longs, ints, place, repeats):
        x, y = floats[place], floats[place + 1]
        a, b, c, d = x, y, x + y, x - y
        e, f, g, h = x * y, -x, -y, x + x
        for _ in range(repeats):
            for _ in range(TURNS):
                a = a * x + y
                b = b * x + y
                c = c * x + y
                d = d * x + y
                e = e * x + y
                f = f * x + y
                g = g * x + y
                h = h * x + y
        i = one * cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        floats[place + 2 + i] = a + b + c + d + e + f + g + h

    return modules.Kernels(
        "float32", {"copy": (copy, 3), "multiply_add": (multiply_add, 2)}
    )


def seconds_of(stream, enqueue):
    """Shortest time of something that is put into a stream again and again.

    ``enqueue(count)`` puts it there so many times.
    """
    count = 1
    while (taken := _seconds(stream, enqueue, count)) < SECONDS:
        count *= 2 if taken > SECONDS / 8 else 8
    several = [_seconds(stream, enqueue, count) for _ in range(MEASUREMENTS)]
    return min(several) / count


def _seconds(stream, enqueue, count):
    stream.synchronize()
    started = time.perf_counter()
    enqueue(count)
    stream.synchronize()
    return time.perf_counter() - started


class Peaks:
    """Measurements on one GPU.

    Parameters
    ----------
    number : int, default=0
        Of the device.
    """

    def __init__(self, number=0):
        device = open_device(number)
        self.stream = device.stream()
        source = hashlib.sha256(Path(__file__).read_bytes()).digest()
        self._module = modules.load(device, f"{__name__}:peaks", fingerprint=source)
        self._grid = BLOCKS * device.n_multiprocessors

    def _enqueue(self, name, *integers):
        def enqueue(count):
            for _ in range(count):
                self._module.launch(self.stream, name, self._grid, BLOCK, integers)

        return enqueue

    def float32_gflops(self):
        """Multiply-adds on registers, both of their operations counted."""
        values = self.stream.empty(2 + self._grid * BLOCK, "float32")
        values.set(np.array([0.5, 0.25], "float32"))
        repeats, seconds = 1, 0.0
        while seconds < SECONDS:  # so long that its launch counts for nothing
            repeats *= 8
            work = self._enqueue("multiply_add", index_of(values), repeats)
            seconds = _seconds(self.stream, work, 1)
        seconds = seconds_of(self.stream, work)
        operations = 2 * CHAINS * TURNS * repeats * self._grid * BLOCK
        return operations / seconds / 1e9

    def bandwidths(self):
        """GB/s read and written, of a kernel and of the driver's own copy."""
        size = COPIED // 8
        source, goal = (self.stream.empty(size, "float64") for _ in range(2))
        source.zero()
        kernel = self._enqueue("copy", index_of(source), index_of(goal), size)

        def copy(count):
            for _ in range(count):
                self.stream.copy(source, goal)

        return {
            name: 2 * source.nbytes / seconds_of(self.stream, enqueue) / 1e9
            for name, enqueue in (("kernel", kernel), ("driver", copy))
        }
