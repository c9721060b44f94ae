"""Run scenarios with numba's own simulator of CUDA, a second opinion on the kernels.

``python -m tests.cuda.simulate module:function ...``, each called with the driver of
`emulator.gpu`. A process of its own, since the simulator is chosen before numba is
imported: it is slow, knows one block at a time, and lets threads of Python compete.
Prints the names of the kernels that were launched, of each scenario, as JSON.
"""

import importlib
import json
import os
import sys

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import numpy as np
from numba import cuda
from numba.cuda.simulator import kernel as simulator
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from numba.cuda.simulator.kernelapi import FakeCUDAShared

from tests.cuda import emulator


def shared_array(self, shape, dtype, alignment=None):
    """In the place of the simulator's, which takes no alignment."""
    frame = sys._getframe(1)
    place = frame.f_code, frame.f_lasti
    content = np.empty(shape, getattr(dtype, "name", dtype))
    return self._allocations.setdefault(place, content)


class SimulatedCuda:
    """What builders take for ``numba.cuda``, in a kernel and outside.

    The simulator replaces the module where a kernel finds it in its globals; here it
    is a variable of the function around the kernel.
    """

    def jit(self, function=None, **options):
        """Decorate a function for kernels to call."""
        return function or (lambda decorated: decorated)

    def __getattr__(self, name):
        return getattr(simulator._get_kernel_context(), name)


class Simulation:
    """Runs kernels in numba's simulator; see `emulation.Emulation`."""

    def __init__(self, module):
        self.namespace = SimulatedCuda()

    def launch(self, function, grid, block, arguments, cooperative):
        """Run a kernel; its errors are raised here."""
        assert not cooperative or grid == 1, "the simulator runs one block at a time"
        arrays = [FakeCUDAArray(array) for array in arguments[:4]]
        with np.errstate(all="ignore"):
            cuda.jit(function)[grid, block](*arrays, *arguments[4:])


def simulate(name):
    """Run a scenario; returns the kernels that it launched."""
    module, function = name.split(":")
    scenario = getattr(importlib.import_module(module), function)
    with emulator.gpu(multiprocessors=1, backend=Simulation) as gpu:
        scenario(gpu)
        return sorted({launch[0] for launch in gpu.launches})


if __name__ == "__main__":
    FakeCUDAShared.array = shared_array
    sys.setswitchinterval(1e-5)  # threads in a barrier watch each other
    print(json.dumps({name: simulate(name) for name in sys.argv[1:]}))
