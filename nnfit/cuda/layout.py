"""Where the parameters of a network lie in a flat array on the device.

All weights, then all biases, then all norms, each in C order and without padding: the
order in which `Engine.get_state` returns the optimizer's, on any device.
"""

from functools import lru_cache

import numpy as np

from nnfit.network.description import Weights, check_arrays


class Layout:
    """Offsets of a network's arrays.

    Attributes
    ----------
    weights, biases, norms : list of int
        By layer.
    n_weights, size : int
        Of weights, and of all parameters.
    """

    def __init__(self, network):
        self._network = network
        layers = network.layers
        self.weights = _offsets([layer.n_in * layer.n_out for layer in layers], 0)
        self.n_weights = self.weights.pop()
        self.biases = _offsets([layer.n_out for layer in layers], self.n_weights)
        sizes = [layer.n_norms * layer.n_out for layer in layers]
        self.norms = _offsets(sizes, self.biases.pop())
        self.size = self.norms.pop()

    def pack(self, weights):
        """Flat copy of `nnfit.network.Weights`; ValueError if they do not fit."""
        check_arrays(self._network.layers, weights)
        arrays = [array for part in weights for array in part]
        dtype = self._network.dtype
        return np.concatenate([np.asarray(a, dtype).ravel() for a in arrays])

    def unpack(self, flat):
        """`nnfit.network.Weights` of new arrays, the inverse of `pack`."""
        layers = self._network.layers
        coefs = [
            flat[start : start + layer.n_in * layer.n_out]
            .reshape(layer.n_in, layer.n_out)
            .copy()
            for layer, start in zip(layers, self.weights, strict=True)
        ]
        intercepts = [
            flat[start : start + layer.n_out].copy()
            for layer, start in zip(layers, self.biases, strict=True)
        ]
        norms = [
            flat[start : start + layer.n_norms * layer.n_out]
            .reshape(layer.n_norms, layer.n_out)
            .copy()
            for layer, start in zip(layers, self.norms, strict=True)
            if layer.n_norms
        ]
        return Weights(coefs, intercepts, norms)

    def statistics(self):
        """Slices of the flat parameters that no optimizer changes."""
        for layer, start in zip(self._network.layers, self.norms, strict=True):
            if layer.n_norms > 1:
                yield slice(start + layer.n_out, start + layer.n_norms * layer.n_out)


def _offsets(sizes, start):
    """Offsets of consecutive blocks, and the end of the last."""
    return [start, *(start + np.cumsum(sizes)).tolist()]


@lru_cache(maxsize=64)
def layout_of(network):
    """The `Layout` of a network; it is not changed once built."""
    return Layout(network)
