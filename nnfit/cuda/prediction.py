"""Predictions and validation on the device: rows through a network, part by part."""

import math

import numpy as np
import scipy.sparse

from nnfit.cuda import fields as at
from nnfit.cuda import modules
from nnfit.cuda.data import USABLE, Data
from nnfit.cuda.driver import open_device
from nnfit.cuda.scores import score_of
from nnfit.cuda.space import index_of
from nnfit.cuda.tables import Table, functions_of, kind_of, tile_of

BUILDER = "nnfit.cuda.kernels.prediction:prediction"
#: Limits of one part of a prediction: bytes of its buffers, which also take at most a
#: quarter of the free memory, and rows. So many rows give several blocks to every
#: multiprocessor.
PART_BYTES, PART_ROWS = 2**28, 2**16


def predict(
    network, weights, X, *, raw=False, n_threads=1, dropout=None, device_number=0
):
    """Predict with a fitted network. It keeps nothing and is thread-safe.

    Parameters
    ----------
    network, weights, X, raw, dropout
        See `nnfit.cpu.prediction.predict`.
    n_threads : int
        Not used.
    device_number : int, default=0

    Returns
    -------
    prediction : ndarray of shape (n_samples, n_outputs)
    """
    stream = open_device(device_number).stream()
    try:
        return Prediction(stream, network, X, raw, dropout).run(weights)
    finally:
        stream.close()


class _Forward(Table):
    """A network that is not trained, and the kernel for its rows.

    Parameters
    ----------
    stream : nnfit.cuda.driver.Stream
    network : nnfit.network.description.Network
    n_rows : int
        Number of all rows.
    kind : dict
        Fields of the kernel's `Kind`.
    """

    def __init__(self, stream, network, n_rows, **kind):
        item = np.dtype(network.dtype).itemsize
        units = np.dot(network.widths[1:], network.lines[1:])
        room = min(PART_BYTES, stream.device.memory()[0] // 4)
        row = item * (4 * units + 2 * network.n_features)
        part = int(max(1, min(PART_ROWS, room // row, n_rows)))
        tile = tile_of(network, part)
        functions = functions_of(network)
        if "loss" in kind:
            kind["loss"] = functions.loss
        self.kind = kind_of(network, tile, functions, trains=False, **kind)
        super().__init__(
            network, part, tile, trains=False, drops=self.kind.drops,
            n_inputs=int(self.kind.gathers),
        )  # fmt: skip
        self.stream, self.part = stream, part
        text, own = self.kind.encoded()
        self._module = modules.load(
            stream.device, BUILDER, text, *own, fingerprint=functions.fingerprint
        )
        self.floats[at.TOTAL_WEIGHT] = 1.0
        self.ints[at.WHOLE] = 1
        self._phases = [phase[: at.PHASE_FIELDS] for phase in self.graph.forward]
        self.buffer(at.PHASES, len(self._phases) * at.PHASE_FIELDS, np.int64, "phases")
        self.ints[at.N_PHASES] = len(self._phases)
        if self.kind.gathers:
            self.buffer(at.BATCH_WEIGHT, part)

    def allocate(self, stream):
        """Allocate all buffers and write down where they are."""
        super().allocate(stream)
        self.space.set("phases", self._phases)

    def launch(self, name, n_rows, position):
        """Run the kernel on rows that the tables point to."""
        grid = -(-n_rows // self.kind.tile.rows)
        block = self.kind.tile.n_threads
        integers = (self.address, n_rows, position)
        self._module.launch(self.stream, name, grid, block, integers)

    def outputs(self, n_rows):
        """Outputs of the network for so many rows."""
        n = self.network.n_outputs
        return self.read(at.RAW, n_rows * n).reshape(n_rows, n)


class Prediction(_Forward):
    """Prediction of rows that come from the host part by part.

    Parameters
    ----------
    stream : nnfit.cuda.driver.Stream
    network : nnfit.network.description.Network
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    raw : bool
        Return raw predictions, before the inverse link.
    dropout : tuple or None
        See `nnfit.cpu.prediction.predict`.
    """

    def __init__(self, stream, network, X, raw, dropout):
        rates, input_rate, seed, number = dropout or ((), 0.0, 0, 0)
        is_sparse = scipy.sparse.issparse(X)
        super().__init__(
            stream,
            network,
            X.shape[0],
            is_sparse=is_sparse,
            drops=any(rates),
            drops_inputs=input_rate > 0.0,
            gathers=is_sparse or input_rate > 0.0,
            link="identity" if raw else network.loss.link,
        )
        self._X, self._buffers = X, {}  # of a part
        self._rates = np.zeros(network.n_dropout + 1)
        self.buffer(at.PARAMETERS, self.layout.size, name="parameters")
        self.buffer(at.DROPOUT_RATES, len(self._rates), np.float64, "dropout")
        self.ints[at.SEED] = np.uint64(seed).astype(np.int64)
        self.ints[at.STEP] = number
        self._rates[: len(rates)] = rates
        self._rates[-1] = input_rate

    def run(self, weights):
        """Predictions with some weights, (n_samples, n_outputs)."""
        n_rows = self._X.shape[0]
        out = np.empty((n_rows, self.network.n_outputs), self.network.dtype)
        self.allocate(self.stream)
        self.space.set("parameters", self.layout.pack(weights))
        self.space.set("dropout", self._rates)
        for begin in range(0, n_rows, self.part):
            end = min(begin + self.part, n_rows)
            self._point_to(self._X[begin:end], begin)
            self.upload()
            self.launch("predict", end - begin, begin)
            out[begin:end] = self.outputs(end - begin)
        return out

    def _point_to(self, X, begin):
        """Send rows, whose numbers begin with `begin`."""
        ints = self.ints
        if self.kind.is_sparse:
            X.sort_indices()
            ints[at.X] = self._send(at.X, X.data)
            ints[at.INDICES] = self._send(at.INDICES, X.indices.astype(np.int32))
            starts = X.indptr.astype(np.int64)
            ints[at.INDPTR] = self._send(at.INDPTR, starts) - begin
            return
        rows = self._send(at.X, np.ascontiguousarray(X))
        if self.kind.gathers:
            ints[at.X] = rows - begin * self.network.n_features
        else:
            for edge in self.graph.readers:
                ints[edge + at.INPUT] = rows

    def _send(self, index, array):
        """Copy an array to the buffer of a part; returns its address in elements."""
        before = self._buffers.get(index)
        buffer = self.stream.renewed(before, array.size, array.dtype)
        buffer.set(array.ravel())
        self._buffers[index] = buffer
        return index_of(buffer)


class Evaluation(_Forward):
    """Loss and score of the same rows for weights that change.

    Parameters
    ----------
    stream : nnfit.cuda.driver.Stream
    network : nnfit.network.description.Network
    X, y, sample_weight, rows
        As `nnfit.cpu.engine.Engine.set_data` takes them.
    score : {"accuracy", "multilabel_accuracy", "r2"} or None
    """

    def __init__(self, stream, network, X, y, sample_weight, rows, score):
        data = Data(X, y, sample_weight, rows=rows)
        super().__init__(
            stream, network, data.n_rows, is_sparse=data.is_sparse, loss=None
        )
        self._data, self._score = data, score
        if rows is not None:
            y = y[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        self._y, self._weight = y, sample_weight
        self.ints[at.N_TARGETS] = data.n_targets
        self.buffer(at.RAW_GRADIENT, self.part * network.n_outputs)
        self.buffer(at.ROW_LOSS, self.part, np.float64, "row loss")
        parameters = (*network.loss_parameters, *[0.0] * network.n_outputs)
        self.buffer(at.LOSS_PARAMETERS, len(parameters), name="loss parameters")
        if rows is not None:
            self.buffer(at.ORDER, data.n_rows, np.int32, "order")
        self.allocate(stream)
        self.space.set("loss parameters", parameters)
        data.place(stream, int(stream.device.memory()[0] * USABLE), 1)
        if data.window is not None:
            self.part = min(self.part, data.window)
            self.ints[at.ORDER] = 0
        elif rows is not None:
            self.space.set("order", rows)
        data.point_to(self.ints)
        total = data.n_rows if sample_weight is None else sample_weight.sum()
        self.floats[at.TOTAL_WEIGHT] = total

    def run(self, parameters):
        """Weighted mean loss and score with parameters at an address.

        Parameters
        ----------
        parameters : int

        Returns
        -------
        loss, score : float
            NaN for a score that is None or undefined.
        """
        self.ints[at.PARAMETERS] = parameters
        self.upload()
        data, losses, raw = self._data, [], []
        for begin in range(0, data.n_rows, self.part):
            count = min(self.part, data.n_rows - begin)
            if data.window is not None:
                data.send_window(self.stream, data.all_rows[begin : begin + count])
                data.point_to(self.ints)
                self.upload()
            self.launch("evaluate", count, begin if data.window is None else 0)
            losses.append(self.space.get("row loss", count))
            if self._score is not None:
                raw.append(self.outputs(count))
        loss = float(np.concatenate(losses).sum()) * self.network.loss_scale
        if self._score is None:
            return loss, math.nan
        raw = np.concatenate(raw)
        return loss, score_of(self._score, self.network, raw, self._y, self._weight)
