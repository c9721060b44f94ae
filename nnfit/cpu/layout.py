"""Where every number of a network lies in the CPU engine's flat buffers.

Weights are kept in panels (see `nnfit.cpu.kernels.dense`), all matrices first,
then all biases, then what normalises layers, each padded with zeros to whole
vectors. Gradient and optimizer state have the same layout, so that an optimizer is
one loop and a snapshot one copy.
"""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nnfit.addresses import address, plain
from nnfit.cpu import compiling
from nnfit.cpu import fields as at
from nnfit.cpu.kernels import WEIGHTS
from nnfit.network.description import Weights, check_arrays

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True)
class LayerLayout:
    """Sizes and offsets of a layer, in elements.

    Attributes
    ----------
    n_in, n_out : int
    width : int
        `n_out` padded to whole vectors.
    stride : int
        Distance of rows in buffers of activations.
    weights, bias, norms : int
        Offsets in the flat parameters. The scale of a normalised layer begins at
        `norms`, the running mean and variance follow it, `width` elements each.
    n_norms : int
        How many of these three the layer has.
    """

    n_in: int
    n_out: int
    width: int
    stride: int
    weights: int
    bias: int
    norms: int
    n_norms: int


class Layout:
    """Layout of a network for a processor.

    Parameters
    ----------
    network : nnfit.network.description.Network
    target : nnfit.cpu.target.Target

    Attributes
    ----------
    layers : list of LayerLayout
    size : int
        Elements of the flat parameters.
    n_weights : int
        Of these, the elements of weight matrices, which come first.
    n_units : int
        Strips of weights and biases, the units of work of an update.
    vector_size : int
        Elements without padding.
    input_stride : int
        Distance of rows in the first layer's buffer of inputs.
    table : ndarray of int64
        The table of `nnfit.cpu.fields` with all sizes; addresses in the parameters
        are offsets in bytes.
    rows : list of int
        Where each layer's row begins in it.
    """

    def __init__(self, network, target):
        self.dtype = np.dtype(network.dtype)
        self._dtype_name, self._target = network.dtype, target  # dtype.name: 4 us
        self.panel = target.panel(network.dtype)
        lanes = target.lanes(network.dtype)
        widths = [-(-layer.n_out // lanes) * lanes for layer in network.layers]
        sizes = [
            layer.n_in * width
            for layer, width in zip(network.layers, widths, strict=True)
        ]
        weights = self._offsets(sizes)
        biases = self._offsets(widths, start=weights[-1])
        sizes = [
            layer.n_norms * width
            for layer, width in zip(network.layers, widths, strict=True)
        ]
        norms = self._offsets(sizes, start=biases[-1])
        skips = [layer.skip for layer in network.layers[1:]] + [None]
        self.layers = [
            LayerLayout(
                layer.n_in,
                layer.n_out,
                width,
                # Behind the activation lies z, where a projection reads both.
                self._stride(width + layer.n_out * (skips[i] == "projection")),
                weights[i],
                biases[i],
                norms[i],
                layer.n_norms,
            )
            for i, (layer, width) in enumerate(zip(network.layers, widths, strict=True))
        ]
        self.n_weights = weights[-1]
        self.size = norms[-1]
        self.input_stride = self._stride(-(-network.n_features // lanes) * lanes)
        strip = target.strip(network.dtype)
        self.n_units = sum(
            -(-layer.width // self.panel) * -(-layer.n_in // strip) + 1
            for layer in self.layers
        )

        self._fill_table()

    def _fill_table(self):
        n_layers = len(self.layers)
        self.table = np.zeros(at.HEADER + n_layers * at.LAYER, np.int64)
        self.table[at.N_LAYERS] = n_layers
        self.rows = [at.HEADER + index * at.LAYER for index in range(n_layers)]
        for start, layer in zip(self.rows, self.layers, strict=True):
            row = self.table[start : start + at.LAYER]
            row[at.N_IN], row[at.N_OUT] = layer.n_in, layer.n_out
            row[at.WIDTH], row[at.STRIDE] = layer.width, layer.stride
            row[at.WEIGHTS] = layer.weights * self.dtype.itemsize
            row[at.BIAS] = layer.bias * self.dtype.itemsize
            row[at.NORMS] = layer.norms * self.dtype.itemsize
            row[at.N_NORMS] = layer.n_norms
        rows = np.array(self.rows)
        self._inside = np.concatenate([rows + at.WEIGHTS, rows + at.BIAS])
        self._inside = np.concatenate([self._inside, rows + at.NORMS])
        self._outside = np.concatenate([rows + at.COEF, rows + at.INTERCEPT])
        self._outside = np.concatenate([self._outside, rows + at.OUTER_NORMS])
        sizes = [layer.n_in * layer.n_out for layer in self.layers]
        sizes += [layer.n_out for layer in self.layers]
        sizes += [layer.n_norms * layer.n_out for layer in self.layers]
        ends = np.cumsum(sizes)
        self._vector = (ends - sizes) * self.dtype.itemsize
        self.vector_size = int(ends[-1])

    def _offsets(self, sizes, start=0):
        """Offsets of consecutive aligned blocks, and the end of the last."""
        step = ALIGNMENT // self.dtype.itemsize
        offsets = [start]
        for size in sizes:
            offsets.append(offsets[-1] + -(-size // step) * step)
        return offsets

    def _stride(self, width):
        """Row distance: an odd number of cache lines in wide buffers.

        Rows a power of two apart share few cache sets and evict one another.
        """
        line = ALIGNMENT // self.dtype.itemsize
        lines = -(-width // line)
        if lines >= 8 and lines % 2 == 0:
            return (lines + 1) * line
        return width

    def statistics(self):
        """Slices of the flat parameters that no optimizer changes."""
        for layer in self.layers:
            if layer.n_norms > 1:
                start = layer.norms + layer.width
                yield slice(start, start + (layer.n_norms - 1) * layer.width)

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
        coefs = [
            np.empty((layer.n_in, layer.n_out), self.dtype) for layer in self.layers
        ]
        intercepts = [np.empty(layer.n_out, self.dtype) for layer in self.layers]
        norms = [
            np.empty((layer.n_norms, layer.n_out), self.dtype)
            for layer in self.layers
            if layer.n_norms
        ]
        weights = Weights(coefs, intercepts, norms)
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

    def point_to(self, table, weights):
        """Write the addresses of an estimator's weights into a table.

        Parameters
        ----------
        table : ndarray of int64
        weights : nnfit.network.Weights

        Returns
        -------
        kept : list of ndarray
            What must live as long as the table: the arrays, or copies of those that
            compiled code would not take.
        """
        check_arrays(self.layers, weights)
        kept, norms = [], iter(weights.norms)
        arrays = zip(self.layers, weights.coefs, weights.intercepts, strict=True)
        for row, (layer, coef, intercept) in zip(self.rows, arrays, strict=True):
            coef = plain(coef, self.dtype)
            intercept = plain(intercept, self.dtype)
            table[row + at.COEF] = address(coef, self.dtype)
            table[row + at.INTERCEPT] = address(intercept, self.dtype)
            kept += coef, intercept
            if layer.n_norms:
                norm = plain(next(norms), self.dtype)
                table[row + at.OUTER_NORMS] = address(norm, self.dtype)
                kept.append(norm)
        return kept

    def use_in_place(self, table):
        """Make what `point_to` wrote the weights that compiled code reads."""
        table[self._inside] = table[self._outside]


@lru_cache(maxsize=64)
def layout_of(network, target):
    """The `Layout` of a network; it is not changed once built."""
    return Layout(network, target)


def muon_work(target, dtype, n_in, n_out):
    """Elements of the work area of `nnfit.cpu.kernels.muon`, an int."""
    lanes, panel = target.lanes(dtype), target.panel(dtype)
    width, padded = (-(-n // lanes) * lanes for n in (n_out, min(n_in, n_out)))
    size = max(max(n_in, n_out) * padded, n_in * width)
    n_strips = -(-width // panel) * -(-n_in // target.strip(dtype))
    return 2 * size + 2 * min(n_in, n_out) * padded + 3 * panel + n_strips


def aligned_zeros(size, dtype):
    """A 1-D array of zeros whose first element begins a cache line."""
    dtype = np.dtype(dtype)
    spare = ALIGNMENT // dtype.itemsize
    # Twice the spare: a tile's operand is copied in whole vectors, and those of
    # the last row may begin inside and end beyond its buffer.
    block = np.zeros(int(size) + 2 * spare, dtype)
    start = (-block.ctypes.data % ALIGNMENT) // dtype.itemsize
    return block[start : start + int(size)]
