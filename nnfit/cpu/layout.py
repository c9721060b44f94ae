"""Where every number of a network lies in the CPU engine's flat buffers.

Weights are kept in panels (see `nnfit.cpu.kernels.dense`), all matrices first and
then all biases, each padded with zeros to whole vectors. Gradient and optimizer
state have the same layout, so that an optimizer is one loop and a snapshot one
copy.
"""

from dataclasses import dataclass

import numpy as np

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
    weights, bias : int
        Offsets in the flat parameters.
    """

    n_in: int
    n_out: int
    width: int
    stride: int
    weights: int
    bias: int


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
    input_stride : int
        Distance of rows in the first layer's buffer of inputs.
    """

    def __init__(self, network, target):
        self.dtype = np.dtype(network.dtype)
        self.panel = target.panel(network.dtype)
        lanes = target.lanes(network.dtype)
        widths = [-(-layer.n_out // lanes) * lanes for layer in network.layers]
        sizes = [
            layer.n_in * width
            for layer, width in zip(network.layers, widths, strict=True)
        ]
        weights = self._offsets(sizes)
        biases = self._offsets(widths, start=weights[-1])
        self.layers = [
            LayerLayout(
                layer.n_in,
                layer.n_out,
                width,
                self._stride(width),
                weights[i],
                biases[i],
            )
            for i, (layer, width) in enumerate(zip(network.layers, widths, strict=True))
        ]
        self.n_weights = weights[-1]
        self.size = biases[-1]
        self.input_stride = self._stride(-(-network.n_features // lanes) * lanes)
        strip = target.strip(network.dtype)
        self.n_units = sum(
            -(-layer.width // self.panel) * -(-layer.n_in // strip) + 1
            for layer in self.layers
        )

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

    def pack(self, coefs, intercepts, flat):
        """Write weights and biases into flat parameters, padding untouched.

        Parameters
        ----------
        coefs : list of ndarray of shape (n_in, n_out)
        intercepts : list of ndarray of shape (n_out,)
        flat : ndarray of shape (size,)
        """
        for layer, coef, intercept in zip(self.layers, coefs, intercepts, strict=True):
            for columns, panel in self._panels(layer, flat):
                panel[...] = coef[:, columns]
            flat[layer.bias : layer.bias + layer.n_out] = intercept

    def unpack(self, flat):
        """Read weights and biases from flat parameters, the inverse of `pack`.

        Returns
        -------
        coefs, intercepts : lists of ndarray
            New arrays without padding.
        """
        coefs, intercepts = [], []
        for layer in self.layers:
            coef = np.empty((layer.n_in, layer.n_out), flat.dtype)
            for columns, panel in self._panels(layer, flat):
                coef[:, columns] = panel
            coefs.append(coef)
            intercepts.append(flat[layer.bias : layer.bias + layer.n_out].copy())
        return coefs, intercepts

    def _panels(self, layer, flat):
        """Columns and view, without padding, of each panel of a layer."""
        for column in range(0, layer.width, self.panel):
            padded = min(self.panel, layer.width - column)
            columns = min(padded, layer.n_out - column)
            if columns > 0:
                start = layer.weights + column * layer.n_in
                panel = flat[start : start + layer.n_in * padded]
                view = panel.reshape(layer.n_in, padded)[:, :columns]
                yield slice(column, column + columns), view


def aligned_zeros(size, dtype):
    """A 1-D array of zeros whose first element begins a cache line."""
    dtype = np.dtype(dtype)
    spare = ALIGNMENT // dtype.itemsize
    # Twice the spare: a tile's operand is copied in whole vectors, and those of
    # the last row may begin inside and end beyond its buffer.
    block = np.zeros(int(size) + 2 * spare, dtype)
    start = (-block.ctypes.data % ALIGNMENT) // dtype.itemsize
    return block[start : start + int(size)]
