"""Data on the device."""

from functools import partial

import numpy as np
import scipy.sparse

from nnfit.cuda import fields as at
from nnfit.cuda.space import index_of
from nnfit.population import shared_upload


class Data:
    """Rows, targets and weights, on the host and on the device.

    Parameters
    ----------
    stream : nnfit.cuda.driver.Stream
    X, y, sample_weight, rows
        As `nnfit.cpu.engine.Engine.set_data` takes them.

    Attributes
    ----------
    n_rows, n_targets : int
    rows : ndarray of int64 or None
        Rows to use.
    all_rows : ndarray of int64
        The same, or the numbers of all rows.
    sample_weight : ndarray or None
        On the host.
    y, weight, indptr, indices : nnfit.cuda.driver.Buffer or None
    """

    def __init__(self, stream, X, y, sample_weight=None, rows=None):
        self.n_rows = X.shape[0] if rows is None else len(rows)
        self.n_targets = y.shape[1]
        self.rows, self.sample_weight = rows, sample_weight
        self.all_rows = np.arange(X.shape[0]) if rows is None else rows
        self.is_sparse = scipy.sparse.issparse(X)
        self.indptr = self.indices = self.weight = None
        if self.is_sparse:
            self._values = stream.upload(X.data)
            self.indptr = stream.upload(X.indptr.astype(np.int64))
            self.indices = stream.upload(X.indices.astype(np.int32))
        else:
            self._values = shared_upload(X, partial(_upload, stream), stream.device)
        self.y = stream.upload(y.ravel())
        if sample_weight is not None:
            self.weight = stream.upload(sample_weight)

    def point_to(self, ints):
        """Write addresses into a table of integers."""
        ints[at.X], ints[at.Y] = index_of(self._values), index_of(self.y)
        ints[at.INDPTR], ints[at.INDICES] = map(index_of, (self.indptr, self.indices))
        ints[at.SAMPLE_WEIGHT] = index_of(self.weight)


def _upload(stream, array):
    """Copy an array to the device; other streams may read it at once."""
    buffer = stream.upload(array.ravel())
    stream.synchronize()
    return buffer
