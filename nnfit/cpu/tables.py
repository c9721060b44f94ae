"""The tables and buffers that compiled code works on, and prediction with them.

Lays out buffers for some rows of a network, writes their addresses and all sizes
into the tables of `nnfit.cpu.fields`, and finds the kernels.
"""

import ctypes

import numpy as np
import scipy.sparse

from nnfit import compiling
from nnfit.cpu import fields as at
from nnfit.cpu.layout import aligned_zeros
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.custom import fingerprint
from nnfit.functions.losses import LOSSES

POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64

#: Rows that pass the network together: activations of 96 rows and 256 units are
#: 96 kB, a tenth of the second-level cache, and a panel of weights is read from
#: there once for 16 tiles.
ROW_BLOCK = 96
#: Share of entries below which a sparse matrix is used as one. An entry costs some
#: ten times as much as one of a row that is written out.
SPARSE_BELOW = 0.1


# ------------------------------------------------------------------- kernels


def _engine_kernel(dtype):
    return compiling.load("nnfit.cpu.kernels.engine:build", dtype)


def _row_kernel(kind, registry, row, dtype):
    """Kernel of a registry row, or of a function of the user's."""
    builder = f"nnfit.cpu.kernels.elementwise:{kind}"
    if registry.get(row.name) is row:
        return compiling.load(builder, row.name, dtype)
    return compiling.load(
        builder, "", dtype, row.function, fingerprint=fingerprint(row.function)
    )


def _activation_kernels(network):
    """Kernel of each layer, None for the identity."""
    return [
        None
        if layer.activation is ACTIVATIONS["identity"]
        else _row_kernel("activation", ACTIVATIONS, layer.activation, network.dtype)
        for layer in network.layers
    ]


def _is_sparse(X):
    """Whether the first layer works on the entries of X and not on its rows."""
    if not scipy.sparse.issparse(X):
        return False
    return X.nnz < SPARSE_BELOW * X.shape[0] * X.shape[1]


def address(array):
    return 0 if array is None else array.ctypes.data


# ------------------------------------------------------------------- forward


class Tables:
    """The two tables, the buffers of a number of rows, and the kernels.

    Parameters
    ----------
    network : nnfit.network.description.Network
    layout : Layout
    flat : ndarray
        Parameters; their address is kept.
    n_rows : int
        Rows of the buffers.
    """

    def __init__(self, network, layout, flat, n_rows):
        self.network, self.layout, self.flat = network, layout, flat
        self.kernel = _engine_kernel(network.dtype)
        self.ints = np.zeros(at.HEADER + len(layout.layers) * at.LAYER, np.int64)
        self.floats = np.zeros(at.FLOATS)
        self._kept = []  # whatever an address in the tables points to
        ints = self.ints
        ints[at.N_LAYERS] = len(layout.layers)
        ints[at.N_THREADS] = 1
        ints[at.N_OUTPUTS] = network.n_outputs
        ints[at.N_UNITS] = layout.n_units
        ints[at.ROW_BLOCK] = min(ROW_BLOCK, n_rows)
        ints[at.PARAMETERS] = address(flat)
        self._lay_out_layers(n_rows)

    def _lay_out_layers(self, n_rows):
        layout, itemsize = self.layout, self.layout.dtype.itemsize
        inputs, input_stride = 0, layout.input_stride
        self._n_rows = n_rows
        kernels = _activation_kernels(self.network)
        base = address(self.flat)
        for index, layer in enumerate(layout.layers):
            row = self.layer(index)
            row[at.N_IN], row[at.N_OUT] = layer.n_in, layer.n_out
            row[at.WIDTH], row[at.STRIDE] = layer.width, layer.stride
            row[at.WEIGHTS] = base + layer.weights * itemsize
            row[at.BIAS] = base + layer.bias * itemsize
            row[at.INPUT], row[at.INPUT_STRIDE] = inputs, input_stride
            row[at.OUTPUT] = self.buffer(n_rows * layer.stride)
            row[at.SLOPE] = self.buffer(n_rows * layer.stride)
            if kernels[index] is not None:
                row[at.ACTIVATION] = self.function(kernels[index], "activate")
            inputs, input_stride = row[at.OUTPUT], layer.stride

    def layer(self, index):
        """View of a layer's row in the table of integers."""
        start = at.HEADER + index * at.LAYER
        return self.ints[start : start + at.LAYER]

    def keep(self, array):
        self._kept.append(array)
        return address(array)

    def buffer(self, size, dtype=None):
        return self.keep(aligned_zeros(size, dtype or self.layout.dtype))

    def function(self, kernel, name):
        self._kept.append(kernel)
        return kernel.address(name)

    def set_X(self, X):
        """Point the tables to a matrix; returns what must be kept alive."""
        ints = self.ints
        ints[at.SPARSE] = _is_sparse(X)
        if ints[at.SPARSE]:
            kernel = compiling.load(
                "nnfit.cpu.kernels.sparse:build", self.network.dtype
            )
            ints[at.SPARSE_FORWARD] = kernel.address("forward")
            ints[at.SPARSE_SORT_BATCH] = kernel.address("sort_batch")
            ints[at.SPARSE_STRIP_GRADIENT] = kernel.address("strip_gradient")
        elif not self.layer(0)[at.INPUT]:
            size = self._n_rows * self.layout.input_stride
            self.layer(0)[at.INPUT] = self.buffer(size)
        if not scipy.sparse.issparse(X):
            ints[at.X], ints[at.X_KIND] = address(X), at.DENSE
            ints[at.X_STRIDE] = X.shape[1]
            return (X,)
        indices, indptr = X.indices, X.indptr
        if indices.dtype != indptr.dtype or indices.dtype not in (np.int32, np.int64):
            indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
        wide = indices.dtype == np.int64
        ints[at.X_KIND] = at.CSR_INT64 if wide else at.CSR_INT32
        ints[at.X] = address(X.data)
        ints[at.INDICES], ints[at.INDPTR] = address(indices), address(indptr)
        return X.data, indices, indptr

    def set_loss(self, n_targets, n_rows):
        """Load the loss and make buffers of `n_rows` rows for it."""
        ints, network = self.ints, self.network
        kernel = _row_kernel("loss", LOSSES, network.loss, network.dtype)
        ints[at.LOSS_KERNEL] = self.function(kernel, "loss")
        parameters = np.array((*network.loss_parameters, 0.0), self.layout.dtype)
        ints[at.LOSS_PARAMETERS] = self.keep(parameters)
        ints[at.N_TARGETS] = n_targets
        ints[at.BATCH_Y] = self.buffer(n_rows * n_targets)
        ints[at.BATCH_WEIGHT] = self.buffer(n_rows)
        ints[at.ROW_LOSS] = self.buffer(n_rows, np.float64)


class Forward(Tables):
    """Prediction and evaluation in blocks of rows."""

    def __init__(self, network, layout, flat, n_rows):
        super().__init__(network, layout, flat, max(1, min(ROW_BLOCK, n_rows)))

    def predict(self, X, raw=False):
        """See `predict`."""
        network = self.network
        out = np.empty((X.shape[0], network.n_outputs), network.dtype)
        self.ints[at.LINK_KERNEL] = 0
        if not raw and network.loss.link != "identity":
            kernel = compiling.load(
                "nnfit.cpu.kernels.elementwise:link", network.loss.link, network.dtype
            )
            self.ints[at.LINK_KERNEL] = kernel.address("link")
        kept = self.set_X(X)
        function = self.kernel.function(
            "predict", None, POINTER, POINTER, INT64, INT64, INT64
        )
        function(address(self.ints), address(out), 0, X.shape[0], 0)
        del kept
        return out

    def evaluate(self, X, y, sample_weight):
        """Weighted mean loss, a float."""
        n_rows = X.shape[0]
        if not self.ints[at.LOSS_KERNEL]:
            self.set_loss(y.shape[1], int(self.ints[at.ROW_BLOCK]))
        self.ints[at.N_ROWS] = n_rows
        self.ints[at.Y] = address(y)
        self.ints[at.SAMPLE_WEIGHT] = address(sample_weight)
        kept = self.set_X(X)
        function = self.kernel.function(
            "evaluate", ctypes.c_double, POINTER, ctypes.c_double
        )
        total = n_rows if sample_weight is None else float(sample_weight.sum())
        loss = function(address(self.ints), total)
        del kept
        return loss * loss_scale(self.network)


def loss_scale(network):
    """Factor from the sum over outputs to the loss that is reported."""
    return 1.0 / network.n_outputs if network.loss.average_outputs else 1.0
