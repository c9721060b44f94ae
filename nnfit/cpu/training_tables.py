"""The tables of a training: settings, data and buffers in one place."""

import numpy as np

from nnfit.addresses import address
from nnfit.cpu import fields as at
from nnfit.cpu.graph import takes_entries
from nnfit.cpu.layout import aligned_zeros
from nnfit.cpu.settings import fill
from nnfit.cpu.tables import POINTER, Tables
from nnfit.cpu.training_plans import training_plan
from nnfit.functions.normalization import SMALLEST_SPREAD, spread_of_weights
from nnfit.sparsity import entries_of_batch, is_sparse

#: Epochs of one call; longer curves are returned in several calls.
MAX_CURVE = 8192
#: What a change of data or settings leaves as it is.
PROGRESS = (at.EPOCH, at.STEP, at.SAMPLES, at.NO_IMPROVEMENT)


class TrainingTables(Tables):
    """Tables that the compiled training loop works on.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
    target : nnfit.cpu.target.Target
    settings : nnfit.engine_settings.EngineSettings
    data : tuple
        X, y, sample weights or None, loss weights or None, numbers of rows or None.
    flat, average : ndarray
        Parameters, and their running average or None.
    state : list of ndarray
        Slots of the optimizer.
    memory : ndarray
        Its numbers, (2, n_rate_rows, N_MEMORY).
    n_threads : int

    Attributes
    ----------
    order : ndarray of int64 or None
        Of the rows in this epoch.
    shared : ndarray of int64
        What threads share.
    curves : ndarray of shape (2, MAX_CURVE)
        Losses and learning rates of the epochs of a call.
    """

    def __init__(
        self, network, solver, target, settings, data, flat, average, state, memory,
        n_threads,
    ):  # fmt: skip
        X, y, sample_weight, loss_weight, rows = data
        self._weights = sample_weight, rows
        features = settings.features(solver)
        on_entries = is_sparse(X) and not features.augments and takes_entries(network)
        n_rows = X.shape[0] if rows is None else len(rows)
        batch = min(settings.batch_size, n_rows)
        plan = training_plan(
            network, solver, target, batch, y.shape[1], n_threads, on_entries, features
        )
        super().__init__(plan, flat)
        fill(self, settings, solver)
        ints, floats = self.ints, self.floats
        floats[at.BEST_LOSS] = np.inf
        floats[at.LOSS_SCALE] = network.loss_scale
        ints[at.BATCH_SIZE], ints[at.N_ORDERED] = batch, n_rows
        ints[at.N_ROWS] = settings.rows_of_epoch(n_rows)
        self._kept.append(self.set_X(X))
        if on_entries:
            self._add_columns(X, batch)
        self.set_targets(X.shape[0], y, sample_weight, loss_weight)
        ints[at.ROWS] = self.keep(rows, np.int64)
        self.order = None
        if settings.shuffle or rows is not None:
            self.order = np.empty(n_rows, np.int64)
            ints[at.ORDER] = address(self.order, np.int64)
        self._add_state(average, state, memory)
        self.shared = aligned_zeros((n_threads + 1) * at.SHARED_LINE, np.int64)
        ints[at.SHARED] = address(self.shared, np.int64)
        self.curves = np.empty((2, MAX_CURVE))
        ints[at.LOSS_CURVE] = address(self.curves[0], np.float64)
        ints[at.RATE_CURVE] = address(self.curves[1], np.float64)

    def _add_state(self, average, state, memory):
        ints = self.ints
        flat = self.layout.dtype, self.layout.size
        ints[at.MEMORY] = self.keep(memory, np.float64)
        ints[at.AVERAGE] = self.keep(average, *flat)
        # An optimizer with fewer slots gets an address that it does not use.
        slots = [*state, self.flat, self.flat]
        ints[at.STATE_0] = address(slots[0], *flat)
        ints[at.STATE_1] = address(slots[1], *flat)

    def _add_columns(self, X, batch):
        """Buffers for a sparse batch sorted by columns; the largest there can be."""
        n_entries = entries_of_batch(X, batch)
        ints = self.ints
        ints[at.COLUMN_STARTS] = self.buffer(X.shape[1] + 2, np.int64)
        ints[at.COLUMN_ROWS] = self.buffer(n_entries, np.int64)
        ints[at.COLUMN_VALUES] = self.buffer(n_entries)

    def carry_over(self, before):
        """Take the progress of the tables before these."""
        for index in PROGRESS:
            self.ints[index] = before.ints[index]
        for index in (at.LEARNING_RATE, at.BEST_LOSS):
            self.floats[index] = before.floats[index]

    def set_batch_factors(self, batch_factors, first_batch, count):
        """Write down what the schedules say of the next batches."""
        if batch_factors is None:
            return
        # One more: the batch after the last one is prepared too.
        factors = batch_factors(first_batch, count + 1)
        self._factors = np.ascontiguousarray(factors, np.float64)
        self.ints[at.BATCH_FACTORS] = address(self._factors, np.float64)

    def keep_batch_losses(self, count):
        """Make room for the losses of the next batches."""
        self.batch_losses = np.empty(count)
        self.ints[at.BATCH_CURVE] = address(self.batch_losses, np.float64)

    def collect_statistics(self):
        """Set running statistics to the mean over all batches, in order, by rows.

        Nothing is dropped or changed at random, as in predictions.
        """
        ints = self.ints.copy()
        ints[at.N_THREADS], ints[at.ORDER] = 1, ints[at.ROWS]
        now = np.zeros(at.NOW_FIELDS, np.int64)
        numbers = now.view(np.float64)
        ints[at.NOW] = address(now, np.int64)
        function = self.kernel.function("collect", None, POINTER)
        n_rows, size = int(ints[at.N_ROWS]), int(ints[at.BATCH_SIZE])
        seen = 0
        for position in range(0, n_rows, size):
            batch = min(size, n_rows - position)
            total, spread = self._weigh(position, batch)
            if total == 0.0:
                continue
            if spread > SMALLEST_SPREAD:
                seen += batch
            now[at.POSITION], now[at.BATCH] = position, batch
            numbers[at.NOW_WEIGHT_SUM], numbers[at.NOW_SPREAD] = total, spread
            numbers[at.NOW_MOMENTUM] = batch / max(seen, 1)
            function(address(ints, np.int64))

    def _weigh(self, position, batch):
        """Sum of the weights of some rows, and 1 - the sum of their squared parts."""
        weight, rows = self._weights
        if weight is None:
            return float(batch), 1.0 - 1.0 / batch
        chosen = slice(position, position + batch)
        weight = weight[chosen if rows is None else rows[chosen]]
        total = weight.sum()
        return float(total), float(spread_of_weights(total, weight @ weight))
