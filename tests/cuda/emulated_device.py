"""The devices of an emulated driver: memory, and the codes of errors."""

import weakref
from enum import IntEnum

import numpy as np

from tests.cuda.emulation import FILL

#: Distance of allocations, and bytes between them.
ALIGNMENT = 256


class CUresult(IntEnum):
    """Those codes that nnfit tells from each other, and some that tests need."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_DEVICE = 101
    CUDA_ERROR_INVALID_IMAGE = 200
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_NOT_FOUND = 500
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE = 720
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803


class Failure(Exception):
    """What a function of the driver answers instead of a result."""


class EmulatedDevice:
    """The memory of a device, and what the driver says about it.

    Parameters
    ----------
    memory : int
        Bytes of the arena; allocations beyond `total_memory` fail.
    total_memory : int
    multiprocessors : int
    compute_capability : tuple of int

    Attributes
    ----------
    cooperative : bool
        Whether blocks of a launch can wait for one another.
    """

    cooperative = True

    def __init__(self, memory, total_memory, multiprocessors, compute_capability):
        self.arena = np.zeros(memory, np.uint8)  # untouched pages take no memory
        self.total_memory = total_memory
        self.multiprocessors = multiprocessors
        self.compute_capability = compute_capability
        self.allocations = {}
        self.streams = weakref.WeakSet()
        self.arena[: 2 * ALIGNMENT] = FILL
        # Where an index below zero ends.
        self.arena[-ALIGNMENT:] = FILL

    @property
    def allocated(self):
        """Bytes."""
        return sum(self.allocations.values())

    def allocate(self, size):
        """Return the address of free bytes, the lowest there is."""
        if self.allocated + size > self.total_memory:
            raise Failure(CUresult.CUDA_ERROR_OUT_OF_MEMORY)
        address = 2 * ALIGNMENT
        for begin, length in sorted(self.allocations.copy().items()):
            if address + size + ALIGNMENT <= begin:
                break
            address = (-(-(begin + length) // ALIGNMENT) + 1) * ALIGNMENT
        if address + size + 2 * ALIGNMENT > len(self.arena):
            raise Failure(CUresult.CUDA_ERROR_OUT_OF_MEMORY)
        self.arena[address - ALIGNMENT : address + size + ALIGNMENT] = FILL
        self.allocations[address] = size
        return address

    def free(self, address):
        """Forget an allocation; its gaps must be as they were."""
        size = self.allocations.pop(address)
        self.check_gaps(address, size)
        self.arena[address : address + size] = FILL

    def check_gaps(self, address, size):
        """See that nothing was written beside an allocation."""
        end = address + size
        before = self._is_untouched(address - ALIGNMENT)
        assert self._is_untouched(end) and before, (
            f"Something was written beside the {size} bytes at {address}."
        )

    def check(self):
        """See that nothing was written where nothing is."""
        assert self._is_untouched(0), "Something was written at address 0."
        end = len(self.arena) - ALIGNMENT
        assert self._is_untouched(end), "Something was written below address 0."
        for address, size in self.allocations.copy().items():
            self.check_gaps(address, size)

    def _is_untouched(self, address):
        """Whether a gap was, which it is afterwards: each trace is told of once."""
        gap = self.arena[address : address + ALIGNMENT]
        is_untouched = (gap == FILL).all()
        gap[:] = FILL
        return is_untouched

    def bytes(self, address, size):
        """Bytes of an allocation, a view."""
        for begin, length in self.allocations.copy().items():
            if begin <= address and address + size <= begin + length:
                return self.arena[address : address + size]
        raise Failure(CUresult.CUDA_ERROR_INVALID_VALUE)
