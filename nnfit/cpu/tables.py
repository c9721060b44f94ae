"""The tables and buffers that compiled code works on, and prediction with them.

Allocates what a plan (`nnfit.cpu.plans`) lays out, and writes the addresses into the
tables of `nnfit.cpu.fields`.
"""

import ctypes

import numpy as np
import scipy.sparse

from nnfit import compiling
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.layout import address, aligned_zeros
from nnfit.cpu.plans import ROW_BLOCK, forward_plan, row_kernel

POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64

#: Share of entries below which a sparse matrix is used as one. An entry costs some
#: ten times as much as one of a row that is written out.
SPARSE_BELOW = 0.1


def is_sparse(X):
    """Whether the first layer works on the entries of X and not on its rows."""
    if not scipy.sparse.issparse(X):
        return False
    return X.nnz < SPARSE_BELOW * X.shape[0] * X.shape[1]


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
        for index, kind, registry, row, name in plan.custom:
            kernel = row_kernel(kind, registry, row, self.network.dtype)
            self._kept.append(kernel)
            self.ints[index] = kernel.address(name)

    def layer(self, index):
        """View of a layer's row in the table of integers."""
        start = at.HEADER + index * at.LAYER
        return self.ints[start : start + at.LAYER]

    def keep(self, array):
        self._kept.append(array)
        return address(array)

    def buffer(self, size, dtype=None):
        return self.keep(aligned_zeros(size, dtype or self.layout.dtype))

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
    n_targets : int, default=0
        Columns of y in evaluations; 0 where there will be none.
    """

    def __init__(self, network, flat, n_rows, reads_rows=False, n_targets=0):
        # Powers of two, so that few plans serve all.
        n_rows = min(ROW_BLOCK, 1 << max(0, n_rows - 1).bit_length())
        plan = forward_plan(network, targets.host(), n_rows, reads_rows, n_targets)
        super().__init__(plan, flat)

    def predict(self, X, raw=False):
        """See `nnfit.cpu.engine.predict`; with the parameters in `flat`."""
        out = self.empty_output(X.shape[0])
        kept = self.point_to_input(X, raw)
        self.predict_rows(out, 0, X.shape[0])
        del kept
        return out

    def predict_rows(self, out, begin, end):
        """Predict rows begin to end of the matrix that the tables point to."""
        function = self.kernel.function("predict", None, POINTER, POINTER, INT64, INT64)
        function(address(self.ints), address(out), begin, end)

    def predict_few(self, coefs, intercepts, X, raw=False):
        """`predict`, with the weights where they are and all rows at once."""
        out = self.empty_output(X.shape[0])
        kept = self.point_to_input(X, raw)
        weights = self.layout.point_to(self.ints, coefs, intercepts)
        function = self.kernel.function("predict_few", None, POINTER, POINTER, INT64)
        function(address(self.ints), address(out), X.shape[0])
        del kept, weights
        return out

    def empty_output(self, n_rows):
        """An array for predictions."""
        return np.empty((n_rows, self.network.n_outputs), self.layout.dtype)

    def point_to_input(self, X, raw):
        """Point the tables to X; returns what must be kept alive."""
        self.ints[at.LINK_KERNEL] = 0 if raw else self._plan.link
        return self.set_X(X)

    def evaluate(self, X, y, sample_weight):
        """Weighted mean loss, a float."""
        n_rows = X.shape[0]
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
