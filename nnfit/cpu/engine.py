"""Training and prediction on the CPU: what Python does around the compiled engine.

It fills the tables (`nnfit.cpu.tables`) and calls compiled code for about a tenth
of a second at a time, so that Ctrl-C and time limits are seen.
"""

import threading
import time

import numpy as np

from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.layout import address, aligned_zeros, layout_of
from nnfit.cpu.plans import ROW_BLOCK, training_plan
from nnfit.cpu.tables import (
    INT64,
    POINTER,
    Forward,
    Tables,
    is_sparse,
    loss_scale,
)

#: Seconds of one call of compiled code.
CALL_SECONDS = 0.1
#: Rows that are predicted without copying the weights into panels first.
FEW_ROWS = 16
#: Epochs of one call; longer curves are returned in several calls.
MAX_CURVE = 8192

_SCHEDULES = {
    "constant": at.CONSTANT,
    "invscaling": at.INVSCALING,
    "adaptive": at.ADAPTIVE,
}


def predict(network, coefs, intercepts, X, *, raw=False):
    """Predict with a fitted network; thread-safe, since nothing is kept.

    Parameters
    ----------
    network : nnfit.network.description.Network
    coefs : list of ndarray of shape (n_in, n_out)
    intercepts : list of ndarray of shape (n_out,)
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Of the network's dtype; an ndarray C-contiguous.
    raw : bool, default=False
        Return raw predictions, before the inverse link.

    Returns
    -------
    prediction : ndarray of shape (n_samples, n_outputs)
    """
    n_rows, is_dense = X.shape[0], not is_sparse(X)
    if n_rows <= FEW_ROWS and is_dense:
        tables = Forward(network, None, n_rows, reads_rows=True)
        return tables.predict_few(coefs, intercepts, X, raw)
    layout = layout_of(network, targets.host())
    flat = aligned_zeros(layout.size, network.dtype)
    layout.pack(coefs, intercepts, flat)
    return Forward(network, flat, n_rows, is_dense).predict(X, raw)


# ------------------------------------------------------------------ training


def _field(index, table="ints", kind=int):
    def read(self):
        return kind(getattr(self._engine._tables, table)[index])

    def write(self, value):
        getattr(self._engine._tables, table)[index] = value

    return property(read, write)


class Progress:
    """How far the training of an engine has come; attributes can be set.

    Attributes
    ----------
    epoch : int
        Epochs finished; also the number of the next shuffle.
    step : int
        Steps of the optimizer.
    samples : int
        Rows seen, scikit-learn's ``t_``.
    no_improvement : int
        Epochs in a row without improvement.
    stopped : {0, 1, 2}
        2 when loss or weights are not finite.
    learning_rate, best_loss : float
    """

    def __init__(self, engine):
        self._engine = engine

    @property
    def epoch(self):
        """Epochs finished."""
        return int(self._engine._tables.ints[at.EPOCH])

    @epoch.setter
    def epoch(self, value):
        self._engine._tables.ints[at.EPOCH] = value
        self._engine._is_ordered = False

    step = _field(at.STEP)
    samples = t = _field(at.SAMPLES)
    no_improvement = _field(at.NO_IMPROVEMENT)
    stopped = _field(at.STOPPED)
    learning_rate = _field(at.LEARNING_RATE, "floats", float)
    best_loss = _field(at.BEST_LOSS, "floats", float)


class Engine:
    """A network in training.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
        None for `loss_and_gradient` only.
    n_threads : int, default=1
        The weights do not depend on it.

    Attributes
    ----------
    flat : ndarray of shape (n_parameters with padding,)
        Parameters in the engine's layout; a copy is a snapshot.
    progress : Progress
    """

    def __init__(self, network, solver, *, n_threads=1):
        self.network = network
        self.solver = solver
        self.n_threads = n_threads
        self._target = targets.host()
        self._layout = layout_of(network, self._target)
        self.flat = aligned_zeros(self._layout.size, network.dtype)
        self.progress = Progress(self)
        self._seconds_per_batch = None
        self._is_ordered = False
        self._state = [
            aligned_zeros(self._layout.size, network.dtype)
            for _ in range(1 if solver is None else solver.slots)
        ]
        self._watch = None
        self._order = None  # of the rows in this epoch
        self._tables = None
        self._settings = None
        self._data = None

    # --------------------------------------------------------------- weights

    def set_weights(self, coefs, intercepts):
        """Copy weights into the engine."""
        self._layout.pack(coefs, intercepts, self.flat)

    def get_weights(self):
        """Return `coefs` and `intercepts`, lists of new arrays."""
        return self._layout.unpack(self.flat)

    def get_state(self):
        """Optimizer moments without padding, (slots, n_parameters)."""
        size = self.network.n_parameters
        state = np.empty((len(self._state), size), self._layout.dtype)
        for slot, values in zip(self._state, state, strict=True):
            self._layout.flatten(slot, values)
        return state

    def set_state(self, state):
        """Set the optimizer moments that `get_state` returned."""
        for slot, values in zip(self._state, state, strict=True):
            self._layout.unflatten(values, slot)

    # ------------------------------------------------------------------ data

    def set_data(self, X, y, sample_weight=None, rows=None):
        """Point the engine to its training data; nothing is copied.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Of the network's dtype; an ndarray C-contiguous, a matrix with sorted
            indices and no duplicates.
        y : ndarray of shape (n_samples, n_targets)
            Of the network's dtype, C-contiguous.
        sample_weight : ndarray of shape (n_samples,), default=None
            float64.
        rows : ndarray of int64, default=None
            Rows to train on; None for all.
        """
        self._data = (X, y, sample_weight, rows)
        self._set_up()

    def configure(
        self,
        batch_size,
        shuffle,
        seed,
        alpha,
        weight_decay,
        learning_rate_init,
        schedule,
        power_t,
        hyper,
        tol,
        n_iter_no_change,
        monitor_loss,
    ):
        """Set how to train; names and meanings are the estimators'."""
        self._settings = dict(
            ints={
                at.BATCH_SIZE: batch_size,
                at.SHUFFLE: shuffle,
                at.SEED: np.uint64(seed).astype(np.int64),
                at.SCHEDULE: _SCHEDULES[schedule],
                at.MONITOR: monitor_loss,
                at.N_ITER_NO_CHANGE: n_iter_no_change,
            },
            floats={
                at.ALPHA: alpha,
                at.WEIGHT_DECAY: weight_decay,
                at.LEARNING_RATE_INIT: learning_rate_init,
                at.POWER_T: power_t,
                at.TOL: tol,
            },
            hyper=np.array((*hyper, 0.0), np.float64),
        )
        self._set_up()

    def _set_up(self):
        """Build the tables once both data and settings are known."""
        if self._data is None or self._settings is None:
            return
        X, y, sample_weight, rows = self._data
        settings, before = self._settings, self._tables
        n_rows = X.shape[0] if rows is None else len(rows)
        batch = min(settings["ints"][at.BATCH_SIZE], n_rows)
        plan = training_plan(
            self.network, self.solver, self._target, batch, y.shape[1],
            self.n_threads, is_sparse(X),
        )  # fmt: skip
        tables = Tables(plan, self.flat)
        ints, floats = tables.ints, tables.floats
        for index, value in settings["ints"].items():
            ints[index] = value
        for index, value in settings["floats"].items():
            floats[index] = value
        floats[at.LEARNING_RATE] = settings["floats"][at.LEARNING_RATE_INIT]
        floats[at.BEST_LOSS] = np.inf
        floats[at.LOSS_SCALE] = loss_scale(self.network)
        ints[at.BATCH_SIZE], ints[at.N_ROWS] = batch, n_rows
        ints[at.HYPER] = tables.keep(settings["hyper"])
        tables._kept.append(tables.set_X(X))
        ints[at.Y] = tables.keep(y)
        ints[at.SAMPLE_WEIGHT] = tables.keep(sample_weight)
        ints[at.ROWS] = tables.keep(rows)
        if settings["ints"][at.SHUFFLE] or rows is not None:
            self._order = np.empty(n_rows, np.int64)
            ints[at.ORDER] = address(self._order)
        tables.curves = np.empty((2, MAX_CURVE))
        ints[at.LOSS_CURVE] = address(tables.curves[0])
        ints[at.RATE_CURVE] = address(tables.curves[1])
        # An optimizer with fewer slots gets an address that it does not use.
        slots = [*self._state, self.flat, self.flat]
        ints[at.STATE_0], ints[at.STATE_1] = address(slots[0]), address(slots[1])
        if ints[at.SPARSE]:
            self._add_columns(tables, X, batch)
        if before is not None:
            self._carry_over(before, tables)
        self._tables, self._is_ordered = tables, False

    @staticmethod
    def _carry_over(before, tables):
        for index in (at.EPOCH, at.STEP, at.SAMPLES, at.NO_IMPROVEMENT):
            tables.ints[index] = before.ints[index]
        for index in (at.LEARNING_RATE, at.BEST_LOSS):
            tables.floats[index] = before.floats[index]

    @staticmethod
    def _add_columns(tables, X, batch):
        """Buffers for a sparse batch sorted by columns; the largest there can be."""
        lengths = np.sort(np.diff(X.indptr))
        n_entries = int(lengths[-batch:].sum(dtype=np.int64))
        ints = tables.ints
        ints[at.COLUMN_STARTS] = tables.buffer(X.shape[1] + 2, np.int64)
        ints[at.COLUMN_ROWS] = tables.buffer(n_entries, np.int64)
        ints[at.COLUMN_VALUES] = tables.buffer(n_entries)

    # -------------------------------------------------------------- training

    def train(self, max_epochs):
        """Train for about a tenth of a second.

        Parameters
        ----------
        max_epochs : int
            Ends at the latest when `progress.epoch` reaches it.

        Returns
        -------
        curves : dict of ndarray
            ``"loss"`` and ``"learning_rate"`` of the epochs finished in this call.
        """
        ints = self._tables.ints
        ints[at.MAX_EPOCHS] = max_epochs
        ints[at.MAX_BATCHES] = self._batches_of_a_call()
        started = time.perf_counter()
        self._run()
        batches = max(1, int(ints[at.BATCHES]))
        self._seconds_per_batch = (time.perf_counter() - started) / batches
        if not np.isfinite(self.flat).all():
            self.progress.stopped = at.DIVERGED
        finished = int(ints[at.FINISHED])
        loss, rate = self._tables.curves[:, :finished].copy()
        return {"loss": loss, "learning_rate": rate}

    def _batches_of_a_call(self):
        ints = self._tables.ints
        seconds = self._seconds_per_batch
        if seconds is None:  # at 10 GFLOP/s, slower than any machine we met
            seconds = 6e-10 * self._layout.size * int(ints[at.BATCH_SIZE])
        per_epoch = -(-int(ints[at.N_ROWS]) // int(ints[at.BATCH_SIZE]))
        return max(1, min(int(CALL_SECONDS / seconds), (MAX_CURVE - 1) * per_epoch))

    def _run(self):
        """Call the compiled training loop on every thread."""
        tables = self._tables
        ints, kernel = tables.ints, tables.kernel
        table, floats = address(ints), address(tables.floats)
        ints[at.BATCHES] = ints[at.FINISHED] = ints[at.ARRIVED] = 0
        if not self._is_ordered:
            kernel.function("begin_epoch", None, POINTER)(table)
        kernel.function("refresh", None, POINTER, POINTER)(table, floats)
        train = kernel.function("train", None, POINTER, POINTER, INT64)
        others = [
            threading.Thread(target=train, args=(table, floats, number), daemon=True)
            for number in range(1, self.n_threads)
        ]
        for thread in others:
            thread.start()
        train(table, floats, 0)
        for thread in others:
            thread.join()
        self._is_ordered = ints[at.STOPPED] == at.RUNNING

    def loss_and_gradient(self, flat):
        """Penalised loss over all training data and its gradient.

        Parameters
        ----------
        flat : ndarray
            Parameters in the engine's layout.

        Returns
        -------
        loss : float
            Weighted mean of the rows' losses plus ``alpha / 2`` times the sum of
            squared weights over the sum of sample weights.
        gradient : ndarray, like `flat`
        """
        self.flat[...] = flat
        tables = self._tables
        ints, floats = tables.ints, tables.floats
        sample_weight = self._data[2]
        total = (
            float(ints[at.N_ROWS])
            if sample_weight is None
            else float(sample_weight.sum())
        )
        alpha, floats[at.ALPHA] = self._settings["floats"][at.ALPHA], 0.0
        floats[at.LOSS_SCALE] = 1.0  # the loss whose gradient this is
        floats[at.WEIGHT_SUM], floats[at.EPOCH_LOSS] = total, 0.0
        ints[at.WHOLE], ints[at.MONITOR] = 1, 0
        ints[at.MAX_EPOCHS] = ints[at.EPOCH] + 1
        ints[at.MAX_BATCHES] = ints[at.N_ROWS]
        ints[at.STOPPED] = at.RUNNING
        self._state[0][...] = 0.0
        self._run()
        weights = self.flat[: self._layout.n_weights]
        gradient = self._state[0].copy()
        gradient[: len(weights)] += weights * (alpha / total)
        loss = float(tables.curves[0, 0]) if ints[at.FINISHED] else np.inf
        return loss + 0.5 * alpha * float(weights @ weights) / total, gradient

    # ------------------------------------------------------------ evaluation

    def _forward(self, n_targets=0):
        if self._watch is None or n_targets > self._watch.ints[at.N_TARGETS]:
            self._watch = Forward(
                self.network, self.flat, ROW_BLOCK, n_targets=n_targets
            )
        return self._watch

    def predict(self, X, *, raw=False):
        """Predict with the current weights, see `nnfit.cpu.engine.predict`."""
        return self._forward().predict(X, raw=raw)

    def evaluate(self, X, y, sample_weight=None):
        """Weighted mean loss of the current weights, without penalty."""
        return self._forward(y.shape[1]).evaluate(X, y, sample_weight)
