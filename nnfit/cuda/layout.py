"""Where the parameters of a network lie in a flat array on the device.

One tensor after the other in the order of ``network.tensors``, each in C order and
without padding: the order in which `Engine.get_state` returns the optimizer's numbers,
on any device.
"""

from functools import lru_cache

import numpy as np

from nnfit.network.description import check_arrays
from nnfit.network.rates import penalised_parts


class Layout:
    """Offsets of a network's tensors.

    Attributes
    ----------
    offsets : tuple of int
        Where each of ``network.tensors`` begins.
    size : int
        Number of parameters.
    """

    def __init__(self, network):
        self._tensors, self._dtype = network.tensors, network.dtype
        self._weights_of = network.weights_of
        ends = np.cumsum([tensor.size for tensor in self._tensors]).tolist()
        self.offsets, self.size = (0, *ends[:-1]), ends[-1]

    def stride(self, width):
        """Distance of rows of a buffer: they lie without gaps."""
        return width

    def pack(self, weights):
        """Flat copy of `nnfit.network.Weights`; ValueError if they do not fit."""
        check_arrays(self._tensors, weights)
        arrays = [array for part in weights for array in part]
        return np.concatenate([np.asarray(a, self._dtype).ravel() for a in arrays])

    def unpack(self, flat):
        """`nnfit.network.Weights` of new arrays, the inverse of `pack`."""
        pairs = zip(self._tensors, self.offsets, strict=True)
        return self._weights_of(
            flat[begin : begin + tensor.size].reshape(tensor.shape).copy()
            for tensor, begin in pairs
        )

    def penalised(self):
        """Slices of the flat parameters with penalties, and their factors."""
        return penalised_parts(self._tensors, self.offsets, self.size)

    def statistics(self):
        """Slices of the flat parameters that no optimizer changes."""
        for tensor, begin in zip(self._tensors, self.offsets, strict=True):
            if tensor.size_trained < tensor.size:
                yield slice(begin + tensor.size_trained, begin + tensor.size)


@lru_cache(maxsize=64)
def layout_of(network):
    """The `Layout` of a network; it is not changed once built."""
    return Layout(network)
