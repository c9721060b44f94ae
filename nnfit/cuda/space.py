"""Buffers on the device, and tables that say where they are."""

import numpy as np

#: Elements between the beginnings of buffers in one allocation: 256 bytes of float32.
ALIGNMENT = 64


class Space:
    """Buffers of a network that are allocated together.

    All buffers are reserved first and then allocated; only then addresses are known.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Of buffers that are reserved without a type of their own.
    """

    def __init__(self, dtype):
        self._dtype = np.dtype(dtype)
        self._sizes = {}
        self._places = {}
        self._buffers = {}

    def reserve(self, name, size, dtype=None):
        """Reserve `size` elements under a name.

        Returns
        -------
        dtype : numpy.dtype
        start : int
            Where they begin among those of this type, more than 0.
        """
        dtype = np.dtype(dtype or self._dtype)
        start = self._sizes.get(dtype, ALIGNMENT)
        self._places[name] = dtype, start, int(size)
        self._sizes[dtype] = start + -(-int(size) // ALIGNMENT) * ALIGNMENT
        return dtype, start

    @property
    def n_bytes(self):
        """Size of all that is reserved, an exact Python int."""
        return sum(dtype.itemsize * size for dtype, size in self._sizes.items())

    def allocate(self, stream):
        """Allocate all that is reserved, filled with zeros."""
        for dtype, size in self._sizes.items():
            self._buffers[dtype] = stream.empty(size, dtype)
            self._buffers[dtype].zero()

    def __contains__(self, name):
        return name in self._places

    def index(self, name):
        """Index of a buffer, which is its address in kernels."""
        return self.address(*self.place_of(name))

    def place_of(self, name):
        """What `reserve` returned."""
        return self._places[name][:2]

    def address(self, dtype, start):
        """Index of an element of a type."""
        return index_of(self._buffers[dtype]) + start

    def read(self, dtype, start, size):
        """Copy of so many elements of a type."""
        return self._buffers[dtype].get(start, start + size)

    def set(self, name, values, start=0):
        """Copy an array to a buffer."""
        dtype, begin, _ = self._places[name]
        values = np.ascontiguousarray(values, dtype).ravel()
        self._buffers[dtype].set(values, begin + start)

    def get(self, name, size=None):
        """Copy of a buffer, or of its first elements."""
        dtype, start, whole = self._places[name]
        stop = start + (whole if size is None else size)
        return self._buffers[dtype].get(start, stop)


def index_of(buffer):
    """Address of a buffer in elements; 0 for None."""
    return 0 if buffer is None else buffer.address // buffer.dtype.itemsize
