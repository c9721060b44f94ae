"""The tables and buffers that compiled code works on, and prediction with them.

Lays out buffers for some rows of a network, writes their addresses and all sizes
into the tables of `nnfit.cpu.fields`, and finds the kernels.
"""

import ctypes
from functools import cached_property, lru_cache

import numpy as np
import scipy.sparse

from nnfit import compiling
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.layout import ALIGNMENT, ENGINE, address, aligned_zeros, layout_of
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


def _row_kernel(kind, registry, row, dtype):
    """Kernel of a registry row, or of a function of the user's."""
    builder = f"nnfit.cpu.kernels.elementwise:{kind}"
    if registry.get(row.name) is row:
        return compiling.load(builder, row.name, dtype)
    return compiling.load(
        builder, "", dtype, row.function, fingerprint=fingerprint(row.function)
    )


def is_sparse(X):
    """Whether the first layer works on the entries of X and not on its rows."""
    if not scipy.sparse.issparse(X):
        return False
    return X.nnz < SPARSE_BELOW * X.shape[0] * X.shape[1]


# --------------------------------------------------------------------- plans

#: What a number in a plan is: itself, or an offset in the work space or in the
#: parameters.
NUMBER, WORK, PARAMETERS = range(3)


class Plan:
    """The table of integers of a network for some rows, without any address.

    It is computed once (0.1 ms for two hidden layers) and copied for every fit and
    every prediction. Not changed once it is built.

    Parameters
    ----------
    network : nnfit.network.description.Network
    target : nnfit.cpu.target.Target
    n_rows : int
        Rows of the buffers.

    Attributes
    ----------
    layout : Layout
    kernel : nnfit.compiling.Kernel
        The engine's.
    ints : ndarray of int64
        The table; in place of addresses, offsets in bytes.
    kinds : ndarray of int64
        Of each number, one of the three above.
    size : int
        Bytes of the work space.
    """

    def __init__(self, network, target, n_rows):
        self.network, self.n_rows = network, n_rows
        self.layout = layout = layout_of(network, target)
        self.kernel = compiling.load(ENGINE, network.dtype, target=target)
        self.ints = layout.table.copy()
        self.kinds = np.zeros_like(self.ints)
        self.size = 0
        self._kept = []  # kernels
        ints = self.ints
        ints[at.N_THREADS] = 1
        ints[at.N_OUTPUTS] = network.n_outputs
        ints[at.N_UNITS] = layout.n_units
        ints[at.ROW_BLOCK] = min(ROW_BLOCK, n_rows)
        self.kinds[at.PARAMETERS] = PARAMETERS
        self._lay_out_layers()

    def _lay_out_layers(self):
        layout, ints = self.layout, self.ints
        output, input_stride = None, layout.input_stride
        for row, layer in zip(layout.rows, layout.layers, strict=True):
            self.kinds[row + at.WEIGHTS] = self.kinds[row + at.BIAS] = PARAMETERS
            if output is not None:
                ints[row + at.INPUT] = ints[output]
                self.kinds[row + at.INPUT] = WORK
            ints[row + at.INPUT_STRIDE] = input_stride
            output, input_stride = row + at.OUTPUT, layer.stride
            self.buffer(output, self.n_rows * layer.stride)
            self.buffer(row + at.SLOPE, self.n_rows * layer.stride)
        self.custom = []  # rows and activations whose kernels are looked up each time
        for row, layer in zip(layout.rows, self.network.layers, strict=True):
            activation = layer.activation
            if ACTIVATIONS.get(activation.name) is not activation:
                self.custom.append((row, activation))
            elif activation.name != "identity":
                kernel = _row_kernel(
                    "activation", ACTIVATIONS, activation, self.network.dtype
                )
                self._kept.append(kernel)
                ints[row + at.ACTIVATION] = kernel.address("activate")

    def buffer(self, index, size, dtype=None):
        """Reserve `size` elements; their address will be number `index`."""
        self.ints[index], self.kinds[index] = self.size, WORK
        n_bytes = int(size) * np.dtype(dtype or self.layout.dtype).itemsize
        self.size += -(-n_bytes // ALIGNMENT) * ALIGNMENT

    @cached_property
    def link(self):
        """Address of the inverse link, 0 for the identity."""
        name = self.network.loss.link
        if name == "identity":
            return 0
        builder = "nnfit.cpu.kernels.elementwise:link"
        kernel = compiling.load(builder, name, self.network.dtype)
        self._kept.append(kernel)
        return kernel.address("link")


@lru_cache(maxsize=64)
def _forward_plan(network, target, n_rows, reads_rows):
    plan = Plan(network, target, n_rows)
    if reads_rows:
        plan.buffer(plan.layout.rows[0] + at.INPUT, n_rows * plan.layout.input_stride)
    return plan


# ------------------------------------------------------------------- forward


class Tables:
    """The two tables, the buffers of a number of rows, and the kernels.

    Parameters
    ----------
    plan : Plan
    flat : ndarray or None
        Parameters; their address is kept. None if there will be none.
    """

    def __init__(self, plan, flat):
        self.network, self.layout, self.kernel = plan.network, plan.layout, plan.kernel
        self._plan = plan
        work = aligned_zeros(plan.size, np.uint8)
        self._kept = [work, flat]  # whatever an address in the tables points to
        bases = np.array([0, address(work), address(flat)])
        self.ints = plan.ints + bases[plan.kinds]
        self.floats = np.zeros(at.FLOATS)
        for row, activation in plan.custom:
            kernel = _row_kernel(
                "activation", ACTIVATIONS, activation, self.network.dtype
            )
            self.ints[row + at.ACTIVATION] = self.function(kernel, "activate")

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
        ints[at.SPARSE] = is_sparse(X)
        if ints[at.SPARSE]:
            kernel = compiling.load(
                "nnfit.cpu.kernels.sparse:build", self.network.dtype
            )
            ints[at.SPARSE_FORWARD] = kernel.address("forward")
            ints[at.SPARSE_SORT_BATCH] = kernel.address("sort_batch")
            ints[at.SPARSE_STRIP_GRADIENT] = kernel.address("strip_gradient")
        elif not self.layer(0)[at.INPUT]:
            size = self._plan.n_rows * self.layout.input_stride
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
    """Prediction and evaluation in blocks of rows.

    Parameters
    ----------
    network : nnfit.network.description.Network
    flat : ndarray or None
    n_rows : int
        Rows that will be given, or more.
    reads_rows : bool, default=False
        Whether the first layer will read them from a buffer.
    """

    def __init__(self, network, flat, n_rows, reads_rows=False):
        # Powers of two, so that few plans serve all.
        n_rows = min(ROW_BLOCK, 1 << max(0, n_rows - 1).bit_length())
        plan = _forward_plan(network, targets.host(), n_rows, reads_rows)
        super().__init__(plan, flat)

    def predict(self, X, raw=False):
        """See `nnfit.cpu.engine.predict`; with the parameters in `flat`."""
        out, kept = self._prepare(X, raw)
        function = self.kernel.function(
            "predict", None, POINTER, POINTER, INT64, INT64, INT64
        )
        function(address(self.ints), address(out), 0, X.shape[0], 0)
        del kept
        return out

    def predict_few(self, coefs, intercepts, X, raw=False):
        """`predict`, with the weights where they are and all rows at once."""
        out, kept = self._prepare(X, raw)
        weights = self.layout.point_to(self.ints, coefs, intercepts)
        function = self.kernel.function("predict_few", None, POINTER, POINTER, INT64)
        function(address(self.ints), address(out), X.shape[0])
        del kept, weights
        return out

    def _prepare(self, X, raw):
        """Point the tables to X; an array for the predictions and what to keep."""
        self.ints[at.LINK_KERNEL] = 0 if raw else self._plan.link
        out = np.empty((X.shape[0], self.network.n_outputs), self.layout.dtype)
        return out, self.set_X(X)

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
