"""Data on the device: all of them, or the rows that come next."""

from functools import partial

import numpy as np
import scipy.sparse

from nnfit.addresses import address
from nnfit.cuda import fields as at
from nnfit.cuda.space import index_of
from nnfit.population import shared_upload
from nnfit.sparsity import entries_of_batch

#: Part of the free memory that data may take: the driver allocates whole pages, and
#: validation data and others need some.
USABLE = 0.8


class Data:
    """Rows, targets and weights.

    Parameters
    ----------
    X, y, sample_weight, loss_weight, rows
        As `nnfit.cpu.engine.Engine.set_data` takes them.

    Attributes
    ----------
    n_rows, n_targets : int
    rows : ndarray of int64 or None
        Rows to use.
    all_rows : ndarray of int64
        The same, or the numbers of all rows.
    sample_weight, loss_weight : ndarray or None
    is_sparse : bool
    window : int or None
        Rows that the device has at a time; None if it has all.
    """

    def __init__(self, X, y, sample_weight=None, loss_weight=None, rows=None):
        self._X, self._y = X, y
        self.n_rows = X.shape[0] if rows is None else len(rows)
        self.n_targets = y.shape[1]
        self.sample_weight, self.loss_weight = sample_weight, loss_weight
        self.rows = rows
        self.all_rows = np.arange(X.shape[0]) if rows is None else rows
        self.is_sparse = scipy.sparse.issparse(X)
        self.window = None
        self._buffers = None

    def place(self, stream, room, batch):
        """Send all data; if there is no room, decide how many rows a window has.

        Parameters
        ----------
        stream : nnfit.cuda.driver.Stream
        room : int
            Bytes that the data may take.
        batch : int
            Number of rows that must be there at the same time.

        Raises
        ------
        MemoryError
            If the device has no room for a batch.
        """
        if self._buffers is not None or self.window is not None:
            return
        if self._bytes(self._X.shape[0]) <= room:
            send = partial(shared_upload, place=stream.device)
            weights = self.sample_weight, self.loss_weight
            self._send(stream, self._X, self._y, weights, send)
            return
        n_batches = -(-self.n_rows // batch)
        while n_batches > 1 and self._bytes(n_batches * batch) > room:
            n_batches = -(-n_batches // 2)
        if (needed := self._bytes(n_batches * batch)) > room:
            raise MemoryError(
                f"A batch of {batch} rows needs {needed / 2**20:.4g} MiB on "
                f"{stream.device.name}, got {room / 2**20:.4g} MiB of free memory. Use "
                "a smaller batch_size or device='cpu'."
            )
        self.window = n_batches * batch

    def _bytes(self, n_rows):
        """Memory that so many rows take at most."""
        weights, X = 8 * (1 + (self.loss_weight is not None)), self._X
        values = self._y.shape[1] * self._y.itemsize + weights
        if not self.is_sparse:
            return n_rows * (X.shape[1] * X.itemsize + values)
        entries = entries_of_batch(X, n_rows)
        return entries * (X.data.itemsize + 4) + n_rows * (values + 8) + 8

    def _send(self, stream, X, y, weights, send):
        before = self._buffers or {}

        def upload(array, dtype=X.dtype, size=X.shape[0], index=None):
            """A copy on the device that other streams may read at once."""
            address(array, dtype, size)  # checks that it has what kernels read
            # The rows of the window before are not needed any more.
            buffer = stream.renewed(before.pop(index, None), array.size, array.dtype)
            buffer.set(array.ravel())
            stream.synchronize()
            return buffer

        buffers = {at.Y: upload(y, index=at.Y)}
        if self.is_sparse:
            indptr, indices = X.indptr.astype(np.int64), X.indices.astype(np.int32)
            n_entries = int(indptr[-1])
            size = X.shape[0] + 1
            buffers[at.X] = upload(X.data, size=n_entries, index=at.X)
            buffers[at.INDPTR] = upload(indptr, np.int64, size, at.INDPTR)
            buffers[at.INDICES] = upload(indices, np.int32, n_entries, at.INDICES)
        else:
            buffers[at.X] = send(X, upload)
        sample_weight, loss_weight = weights
        if sample_weight is not None:
            place = at.SAMPLE_WEIGHT
            buffers[place] = upload(sample_weight, np.float64, index=place)
            buffers[at.LOSS_WEIGHT] = buffers[place]
        if loss_weight is not None:
            place = at.LOSS_WEIGHT
            buffers[place] = upload(loss_weight, np.float64, index=place)
        self._buffers = buffers

    def send_window(self, stream, rows):
        """Send some rows, in this order; they are numbered from 0 on the device."""
        weights = [
            None if weight is None else weight[rows]
            for weight in (self.sample_weight, self.loss_weight)
        ]
        X, y = self._X[rows], self._y[rows]
        self._send(
            stream, X, y, weights, lambda array, upload: upload(array, index=at.X)
        )

    def point_to(self, ints):
        """Write addresses into a table of integers."""
        for index, buffer in (self._buffers or {}).items():
            ints[index] = index_of(buffer)
