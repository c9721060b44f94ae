"""Where every number of a network lies in the CPU engine's flat buffers.

Matrices are kept in panels (see `nnfit.cpu.kernels.dense`), the others line by line,
list by list of `nnfit.network.Weights`, each padded with zeros to whole vectors.
Gradient and optimizer state have the same layout, so that an optimizer is one loop and
a snapshot one copy.
"""

import ctypes
from functools import lru_cache

import numpy as np

from nnfit.addresses import address, plain
from nnfit.cpu import compiling
from nnfit.cpu import fields as at
from nnfit.cpu.kernels import WEIGHTS
from nnfit.network.description import check_arrays
from nnfit.network.rates import penalised_parts

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Layout:
    """Layout of a network for a processor.

    Parameters
    ----------
    network : nnfit.network.description.Network
    target : nnfit.cpu.target.Target

    Attributes
    ----------
    size : int
        Elements of the flat parameters.
    vector_size : int
        Elements without padding.
    offsets : tuple of int
        Where each of ``network.tensors`` begins.
    table : ndarray of int64
        The table of `nnfit.cpu.fields` with the rows of all tensors; addresses in the
        parameters are offsets in bytes.
    rows : tuple of int
        Where the row of each of ``network.tensors`` begins in it.
    """

    def __init__(self, network, target):
        self.dtype = np.dtype(network.dtype)
        self._dtype_name, self._target = network.dtype, target  # dtype.name: 4 us
        self._network, self._tensors = network, network.tensors
        self.lanes = target.lanes(network.dtype)
        sizes = [tensor.rows * self.padded(tensor.columns) for tensor in self._tensors]
        *self.offsets, self.size = self._offsets(sizes)
        self._fill_table(network)

    def padded(self, n):
        """The next multiple of a vector's elements."""
        return -(-n // self.lanes) * self.lanes

    def _fill_table(self, network):
        """Rows of tensors, node by node so that those of a node lie together."""
        item, n = self.dtype.itemsize, len(self._tensors)
        self.table = np.zeros(at.HEADER + n * at.TENSOR, np.int64)
        self.table[at.TENSORS], self.table[at.N_TENSORS] = at.HEADER, n
        self.rows = at.HEADER + np.array(network.tensor_order) * at.TENSOR
        self._inside, self._outside = self.rows + at.ADDRESS, self.rows + at.OUTSIDE
        for row, tensor, begin in zip(
            self.rows, self._tensors, self.offsets, strict=True
        ):
            self.table[row + at.ADDRESS] = begin * item
            self.table[row + at.N_LINES] = tensor.rows
            self.table[row + at.N_COLUMNS] = tensor.columns
            self.table[row + at.LINE] = self.padded(tensor.columns)
            self.table[row + at.IN_PANELS] = tensor.in_panels
            self.table[row + at.PENALISED] = tensor.is_penalised
        sizes = [tensor.size for tensor in self._tensors]
        ends = np.cumsum(sizes)
        self._vector = (ends - sizes) * item
        self.vector_size = int(ends[-1])

    def _offsets(self, sizes, start=0):
        """Offsets of consecutive aligned blocks, and the end of the last."""
        step = ALIGNMENT // self.dtype.itemsize
        offsets = [start]
        for size in sizes:
            offsets.append(offsets[-1] + -(-size // step) * step)
        return offsets

    def stride(self, width):
        """Row distance: an odd number of cache lines in wide buffers.

        Rows a power of two apart share few cache sets and evict one another.
        """
        line = ALIGNMENT // self.dtype.itemsize
        lines = -(-width // line)
        if lines >= 8 and lines % 2 == 0:
            return (lines + 1) * line
        return width

    def penalised(self):
        """Slices of the flat parameters with penalties, and their factors."""
        return penalised_parts(self._tensors, self.offsets, self.size)

    def statistics(self):
        """Slices of the flat parameters that no optimizer changes."""
        for tensor, begin in zip(self._tensors, self.offsets, strict=True):
            if tensor.size_trained < tensor.size:
                line = self.padded(tensor.columns)
                first = tensor.size_trained // tensor.columns
                yield slice(begin + first * line, begin + tensor.rows * line)

    def pack(self, weights, flat):
        """Write weights into flat parameters, and zeros into the padding.

        Parameters
        ----------
        weights : nnfit.network.Weights
        flat : ndarray of shape (size,)

        Raises
        ------
        ValueError
            If the arrays are not those of this network.
        """
        self._move(weights, flat, packing=True)

    def unpack(self, flat):
        """Read weights from flat parameters, the inverse of `pack`.

        Returns
        -------
        weights : nnfit.network.Weights
            New arrays without padding.
        """
        weights = self._network.weights_of(
            np.empty(tensor.shape, self.dtype) for tensor in self._tensors
        )
        self._move(weights, flat, packing=False)
        return weights

    def flatten(self, flat, values):
        """`unpack` into a vector: all matrices in order, all intercepts, all norms.

        Parameters
        ----------
        flat : ndarray of shape (size,)
        values : ndarray of shape (vector_size,)
            Contiguous and of the compute dtype.
        """
        self._move_vector(flat, values, packing=False)

    def unflatten(self, values, flat):
        """The inverse of `flatten`."""
        self._move_vector(flat, plain(values, self.dtype), packing=True)

    def _move_vector(self, flat, values, packing):
        table = self.table.copy()
        table[self._outside] = (
            address(values, self.dtype, self.vector_size) + self._vector
        )
        self._call(table, flat, packing)

    def _move(self, weights, flat, packing):
        table = self.table.copy()
        kept = self.point_to(table, weights)
        self._call(table, flat, packing)
        del kept

    def _call(self, table, flat, packing):
        table[self._inside] += address(flat, self.dtype, self.size)
        kernel = compiling.load(WEIGHTS, self._dtype_name, target=self._target)
        move = kernel.function("move_weights", None, ctypes.c_void_p, ctypes.c_int64)
        move(address(table, np.int64, len(self.table)), packing)

    def point_to(self, table, weights, in_place=False):
        """Write the addresses of an estimator's weights into a table.

        Parameters
        ----------
        table : ndarray of int64
        weights : nnfit.network.Weights
        in_place : bool, default=False
            Whether compiled code reads them there.

        Returns
        -------
        kept : list of ndarray
            What must live as long as the table: the arrays, or copies of those that
            compiled code would not take.
        """
        check_arrays(self._tensors, weights)
        kept = [plain(array, self.dtype) for part in weights for array in part]
        goal = self._inside if in_place else self._outside
        table[goal] = [address(array, self.dtype) for array in kept]
        return kept


@lru_cache(maxsize=64)
def layout_of(network, target):
    """The `Layout` of a network; it is not changed once built."""
    return Layout(network, target)


def aligned_zeros(size, dtype):
    """A 1-D array of zeros whose first element begins a cache line."""
    dtype = np.dtype(dtype)
    spare = ALIGNMENT // dtype.itemsize
    # Twice the spare: a tile's operand is copied in whole vectors, and those of
    # the last row may begin inside and end beyond its buffer.
    block = np.zeros(int(size) + 2 * spare, dtype)
    start = (-block.ctypes.data % ALIGNMENT) // dtype.itemsize
    return block[start : start + int(size)]
