"""The tables and buffers that compiled code works on, and prediction with them.

Allocates what a plan (`nnfit.cpu.plans`) lays out, and writes the addresses into the
tables of `nnfit.cpu.fields`.
"""

import ctypes
import math

import numpy as np
import scipy.sparse

from nnfit.addresses import address
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.graph import takes_entries
from nnfit.cpu.kernels import EVALUATION, PREDICTION
from nnfit.cpu.layout import aligned_zeros
from nnfit.cpu.plans import forward_plan, row_block, row_kernel
from nnfit.functions.scores import r2, squares_about_mean
from nnfit.sparsity import is_sparse

POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64

#: Products of a prediction, and inverse links, that take some 10 microseconds.
SHORT_PRODUCTS, SHORT_LINKS = 100_000, 1000


class Tables:
    """The two tables, the buffers of a number of rows, and the kernels.

    Parameters
    ----------
    plan : Plan
    flat : ndarray or None
        Parameters; their address is kept. None if there will be none.
    """

    def __init__(self, plan, flat):
        self.network, self.layout = plan.network, plan.layout
        self.kernel = plan.main_kernel
        self._plan, self.flat = plan, flat
        work = aligned_zeros(plan.size, np.uint8)
        self._kept = [work, flat]  # whatever an address in the tables points to
        flat_at = address(flat, self.layout.dtype, self.layout.size)
        bases = np.array([0, address(work, np.uint8), flat_at])
        self.ints = plan.ints + bases[plan.kinds]
        self.floats = np.zeros(at.FLOATS)
        self.ints[at.FLOATS_AT] = address(self.floats, np.float64)
        for index, builder, registry, row, name in plan.custom:
            kernel = row_kernel(builder, registry, row, self.network.dtype)
            self._kept.append(kernel)
            self.ints[index] = kernel.address(name)

    @property
    def address(self):
        """Of the table of integers."""
        return address(self.ints, np.int64)

    def keep(self, array, dtype, size=0):
        """The address of an array that lives as long as the tables."""
        self._kept.append(array)
        return address(array, dtype, size)

    def buffer(self, size, dtype=None):
        """The address of new elements."""
        dtype = dtype or self.layout.dtype
        return self.keep(aligned_zeros(size, dtype), dtype, size)

    def set_dropout(self, rates, input_rate):
        """Set the rates of hidden layers, or of none, and of the input."""
        given = np.zeros((2, self.network.n_dropout + 1))
        given[:, : len(rates)] = rates
        given[:, -1] = input_rate
        self.ints[at.DROPOUT_RATES] = self.keep(given, np.float64)

    def set_X(self, X):
        """Point the tables to a matrix; returns what must be kept alive."""
        ints, dtype = self.ints, self.layout.dtype
        if not scipy.sparse.issparse(X):
            size = X.shape[0] * self.network.n_features
            ints[at.X], ints[at.X_KIND] = address(X, dtype, size), at.DENSE
            ints[at.X_STRIDE] = self.network.n_features
            return (X,)
        indices, indptr = X.indices, X.indptr
        if indices.dtype != indptr.dtype or indices.dtype not in (np.int32, np.int64):
            indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
        wide = indices.dtype == np.int64
        ints[at.X_KIND] = at.CSR_INT64 if wide else at.CSR_INT32
        n_entries = int(indptr[-1])
        ints[at.X] = address(X.data, dtype, n_entries)
        ints[at.INDICES] = address(indices, indices.dtype, n_entries)
        ints[at.INDPTR] = address(indptr, indices.dtype, X.shape[0] + 1)
        return X.data, indices, indptr

    def set_targets(self, n_rows, y, sample_weight, loss_weight=None):
        """Point the tables to targets of so many rows, and perhaps their weights."""
        size, ints = n_rows * y.shape[1], self.ints
        ints[at.Y] = self.keep(y, self.layout.dtype, size)
        ints[at.SAMPLE_WEIGHT] = self.keep(sample_weight, np.float64, n_rows)
        ints[at.LOSS_WEIGHT] = ints[at.SAMPLE_WEIGHT]
        if loss_weight is not None:
            ints[at.LOSS_WEIGHT] = self.keep(loss_weight, np.float64, n_rows)


class Forward(Tables):
    """Prediction and evaluation in blocks of rows.

    Parameters
    ----------
    network : nnfit.network.description.Network
    flat : ndarray or None
    n_rows : int
        Rows that will be given, or more.
    builder : str, default=PREDICTION
        Of the kernel.
    n_targets : int, default=0
        Columns of y in evaluations; 0 where there will be none.
    **structure
        What else a plan depends on, see `nnfit.cpu.plans.forward_plan`.
    """

    def __init__(
        self, network, flat, n_rows, builder=PREDICTION, n_targets=0, **structure
    ):
        # Powers of two, so that few plans serve all.
        n_rows = min(row_block(network), 1 << max(0, n_rows - 1).bit_length())
        plan = forward_plan(
            network, targets.host(), n_rows, builder, n_targets, **structure
        )
        super().__init__(plan, flat)

    def predict(self, X, raw=False):
        """See `nnfit.cpu.prediction.predict`; with the parameters in `flat`."""
        out = self.empty_output(X.shape[0])
        kept = self.point_to_input(X, raw)
        self.predict_rows(out, 0, X.shape[0])
        del kept
        return out

    def predict_rows(self, out, begin, end):
        """Predict rows begin to end of the matrix that the tables point to."""
        function = self.kernel.function(
            "predict", None, POINTER, POINTER, INT64, INT64,
            is_short=(end - begin) * self.network.n_products <= SHORT_PRODUCTS,
        )  # fmt: skip
        size = end * int(self.ints[at.N_OUTPUTS])
        places = self.address, address(out, self.layout.dtype, size)
        function(*places, begin, end)

    def predict_in_place(self, weights, X, raw=False):
        """`predict`, with the weights where they are."""
        kept = self.layout.point_to(self.ints, weights, in_place=True)
        out = self.predict(X, raw)
        del kept
        return out

    def empty_output(self, n_rows):
        """An array for predictions."""
        return np.empty((n_rows, int(self.ints[at.N_OUTPUTS])), self.layout.dtype)

    def point_to_input(self, X, raw):
        """Point the tables to X; returns what must be kept alive."""
        self.ints[at.LINK_KERNEL] = 0 if raw else self._plan.link
        return self.set_X(X)

    def drop(self, rates, input_rate, seed, step):
        """Predict with units dropped at random, as a batch of training would.

        Parameters
        ----------
        rates : tuple of float
            One for each hidden layer, or none.
        input_rate : float
        seed, step : int
            Of the random numbers.
        """
        ints = self.ints
        ints[at.SEED], ints[at.STEP] = np.uint64(seed).astype(np.int64), step
        self.set_dropout(rates, input_rate)


#: Default validation scores that are computed with the loss.
SCORES = {
    None: at.NO_SCORE,
    "accuracy": at.ACCURACY,
    "multilabel_accuracy": at.MULTILABEL_ACCURACY,
    "r2": at.R2,
}


class Evaluation(Forward):
    """Loss and score of some rows, again and again, as the weights change.

    Parameters
    ----------
    network : nnfit.network.description.Network
    flat : ndarray
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples, n_targets)
    sample_weight : ndarray of shape (n_samples,) or None
    rows : ndarray of int64 or None
        Rows to evaluate; None for all.
    score : {"accuracy", "multilabel_accuracy", "r2"} or None
    """

    def __init__(self, network, flat, X, y, sample_weight, rows, score):
        super().__init__(
            network, flat, row_block(network), EVALUATION, y.shape[1],
            on_entries=is_sparse(X) and takes_entries(network),
        )  # fmt: skip
        n_rows = X.shape[0] if rows is None else len(rows)
        ints = self.ints
        ints[at.N_ROWS], ints[at.SCORE] = n_rows, SCORES[score]
        self.set_targets(X.shape[0], y, sample_weight)
        ints[at.ORDER] = self.keep(rows, np.int64)
        self._kept.append(self.set_X(X))
        self._sums = np.zeros(network.n_outputs)
        self._total = float(n_rows)
        if rows is not None:
            y = y[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        if sample_weight is not None:
            self._total = float(sample_weight.sum())
        if score == "r2":
            ints[at.LINK_KERNEL] = self._plan.link
            self._squares = squares_about_mean(y, sample_weight)

    def run(self):
        """Weighted mean loss and score; NaN for a score that is None or undefined."""
        self._sums[:] = 0.0
        function = self.kernel.function(
            "evaluate", ctypes.c_double, POINTER, ctypes.c_double, POINTER
        )
        loss = function(self.address, self._total, address(self._sums, np.float64))
        return loss * self.network.loss_scale, self._score()

    def _score(self):
        kind = self.ints[at.SCORE]
        if kind == at.NO_SCORE:
            return math.nan
        if kind != at.R2:
            return float(self._sums[0]) / self._total
        return r2(self._sums, self._squares)
