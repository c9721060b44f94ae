"""The table of a training: settings, data and progress in one place."""

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.data import USABLE
from nnfit.cuda.orders import Orders
from nnfit.cuda.phases import (
    collecting_phases,
    in_launches,
    phases_of_batch,
)
from nnfit.cuda.tables import Table
from nnfit.functions.mixup import beta_quantiles
from nnfit.functions.stopping import RUNNING, SCHEDULES
from nnfit.network.rates import rate_factors, rate_rows, rates_of_tensors

#: Largest number of epochs of one call, and of bytes of their orders of rows. A call of
#: a tenth of a second rarely needs more, and hundreds of networks have room for them.
MAX_EPOCHS, MAX_ORDERS = 8192, 2**22
#: Fields that a change of data or settings leaves as they are.
PROGRESS = (at.EPOCH, at.STEP, at.SAMPLES, at.NO_IMPROVEMENT)


class TrainingTable(Table):
    """Table of the training kernels.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
    tile : Tile
    settings : nnfit.engine_settings.EngineSettings
    data : nnfit.cuda.data.Data
    launches : bool
        Whether each phase of a batch has a launch of its own.
    shuffled_orders : callable
        See `Orders`.

    Attributes
    ----------
    phases : list of Phase
        Of a batch.
    max_batches : int
        Largest number of batches of a call: there is room for so many.
    per_epoch : int
        Batches of an epoch.
    """

    def __init__(
        self, network, solver, tile, settings, data, launches, shuffled_orders
    ):
        self.settings, self.data = settings, data
        features = settings.features(solver)
        self.batch = batch = min(settings.batch_size, data.n_rows)
        super().__init__(
            network, batch, tile, trains=True, drops=features.drops, n_inputs=2,
            masks=solver is not None,
        )  # fmt: skip
        self.phases = phases_of_batch(self, solver, features, self._bounds())
        if launches:
            self.phases = in_launches(self.phases, self)
        self._collecting = collecting_phases(self)
        self.epoch_rows = settings.rows_of_epoch(data.n_rows)
        per_epoch = settings.batches_of_epoch(data.n_rows)
        epochs = max(2, min(MAX_EPOCHS, MAX_ORDERS // (4 * data.n_rows)))
        self._epochs_ahead = epochs
        seed = settings.seed if settings.shuffle else None
        self._lines = network.lines[0]
        self._orders = self._make_orders(seed, shuffled_orders)
        self.max_batches = (epochs - 1) * per_epoch
        self._has_orders = False  # whether the device has those of `_orders`
        self.per_epoch = per_epoch
        self._fill(solver)
        self._set_rates(solver, features)
        self._reserve_buffers(solver, features)
        self._reserve_settings(solver)

    def _make_orders(self, seed=None, shuffled_orders=None):
        of_epoch = self.batch, self.epoch_rows
        return Orders(self.data, of_epoch, seed, shuffled_orders, self._lines)

    def _bounds(self):
        settings = self.settings
        return bool(np.isfinite(settings.max_norm)) or settings.average

    @property
    def has_batch_numbers(self):
        """Whether batches have factors or weights, which are sent before a call."""
        has_factors = self.settings.batch_factors is not None
        return has_factors or self.data.sample_weight is not None

    def _fill(self, solver):
        ints, floats, settings = self.ints, self.floats, self.settings
        ints[at.N_ROWS], ints[at.N_TARGETS] = self.epoch_rows, self.data.n_targets
        ints[at.BATCH_SIZE] = self.batch
        ints[at.SEED] = np.uint64(settings.seed).astype(np.int64)
        ints[at.SCHEDULE] = SCHEDULES[settings.schedule]
        ints[at.MONITOR] = settings.monitor_loss
        ints[at.N_ITER_NO_CHANGE] = settings.n_iter_no_change
        floats[at.ALPHA], floats[at.L1] = settings.alpha, settings.l1
        floats[at.CLIP_NORM] = settings.clip_norm
        floats[at.CLIP_VALUE] = settings.clip_value
        floats[at.MAX_NORM] = settings.max_norm
        floats[at.FEATURE_SWAP], ints[at.SWAP_MASK] = (
            settings.feature_swap,
            settings.swap_mask,
        )
        floats[at.WEIGHT_DECAY] = settings.weight_decay
        floats[at.LEARNING_RATE_INIT] = settings.learning_rate_init
        floats[at.LEARNING_RATE] = settings.learning_rate_init
        floats[at.LEARNING_RATE_DECAY] = settings.learning_rate_decay
        floats[at.POWER_T], floats[at.TOL] = settings.power_t, settings.tol
        floats[at.BEST_LOSS] = np.inf
        floats[at.LOSS_SCALE] = self.network.loss_scale
        ints[at.MOMENTUM] = -1
        if solver is not None and solver.momentum is not None:
            ints[at.MOMENTUM] = number = solver.parameters.index(solver.momentum)
            floats[at.MOMENTUM_GIVEN] = settings.hyper[number]

    def _set_rates(self, solver, features):
        """Say which rates each tensor has, and which are updated as a whole."""
        ints, network, has_rates = self.ints, self.network, features.has_rates
        rows = rate_rows(network, has_rates)
        ints[at.N_RATE_ROWS] = len(rows)
        keys = rates_of_tensors(network, has_rates)
        for place, key in zip(self._tensor_rows, keys, strict=True):
            ints[place + at.RATE] = rows.index(key)
        if solver is not None and solver.matrices:
            for place, _ in self.matrices:
                ints[place + at.MATRIX] = 1

    def _reserve_buffers(self, solver, features):
        network, batch, buffer = self.network, self.batch, self.buffer
        double, n_units = np.float64, int(self.ints[at.N_UNITS])
        buffer(at.BATCH_WEIGHT, 2 * batch)
        n_lines = batch * network.lines[-1]
        buffer(at.ROW_LOSS, n_lines, double)
        buffer(at.PENALTY, 2 * n_units, double)
        buffer(at.SQUARES, n_units, double)
        buffer(at.RATES, int(self.ints[at.N_RATE_ROWS]) * at.N_RATES)
        buffer(at.BARRIER, 1, np.int64, "barrier")
        if features.marks_swaps:
            buffer(at.BATCH_Y, n_lines * self.data.n_targets)
        if features.mixes:
            buffer(at.PARTNER_GRADIENT, n_lines * network.n_outputs)
        if features.updates_whole:
            buffer(at.GRADIENT, self.layout.size)
            self._reserve_matrices(solver)
        # Of one call:
        buffer(at.LOSS_CURVE, self._epochs_ahead, double, "loss curve")
        buffer(at.RATE_CURVE, self._epochs_ahead, double, "rate curve")
        epochs = self._epochs_ahead if self._orders.is_shuffled else 1
        buffer(at.ORDER, epochs * self.epoch_rows, np.int32, "order")
        if self.has_batch_numbers:
            size = (self.max_batches + 1) * at.N_BATCH_NUMBERS
            buffer(at.BATCH_NUMBERS, size, double, "batch numbers")

    def _reserve_matrices(self, solver):
        shapes = [tensor.shape for _, tensor in self.matrices] * solver.matrices
        size = max((rows * columns for rows, columns in shapes), default=0)
        square = max((min(shape) ** 2 for shape in shapes), default=0)
        self.buffer(at.MATRIX_X, size)
        self.buffer(at.MATRIX_Y, size)
        self.buffer(at.MATRIX_S, square)
        self.buffer(at.MATRIX_D, square)

    def _reserve_settings(self, solver):
        """Reserve room for settings that are arrays."""
        settings, double = self.settings, np.float64
        self._given = {}
        # Kernels read as many, even if the optimizer or the loss has fewer.
        self._give(at.HYPER, "hyper", (*settings.hyper, *[0.0] * 8))
        parameters = (*self.network.loss_parameters, *[0.0] * self.network.n_outputs)
        dtype = self.network.dtype
        self._give(at.LOSS_PARAMETERS, "loss parameters", parameters, dtype)
        rates = np.zeros(self.network.n_dropout + 1)
        rates[: len(settings.dropout)] = settings.dropout
        rates[-1] = settings.input_dropout
        self._give(at.DROPOUT_RATES, "dropout", rates)
        self.space.reserve("no dropout", len(rates), double)
        factors = rate_factors(self.network, settings.learning_rate_factors)
        self._give(at.RATE_FACTORS, "rate factors", factors)
        penalties = [tensor.penalty for tensor in self.network.tensors]
        self._give(at.TENSOR_FACTORS, "tensor factors", penalties)
        if settings.swap_values:
            self._give(at.SWAP_VALUES, "swap values", settings.swap_values, dtype)
        features = settings.features(solver)
        if features.adds_noise:
            deviations = settings.noise_deviations(self.network.n_features)
            self._give(at.NOISE, "noise", deviations)
        if features.mixes:
            quantiles = beta_quantiles(settings.cutmix or settings.mixup)
            self._give(at.BETA_QUANTILES, "quantiles", quantiles)
        self._give_phases(at.PHASES, "phases", self.phases)
        self.ints[at.N_PHASES] = len(self.phases)
        if self.network.has_statistics:
            self._give_phases(None, "collecting", self._collecting)
            self.space.reserve("other ints", len(self.ints), np.int64)
            self.space.reserve("other floats", len(self.floats), double)

    def _give(self, index, name, values, dtype=np.float64):
        values = np.asarray(values, dtype)
        self.space.reserve(name, values.size, dtype)
        if index is not None:
            self.point(index, name)
        self._given[name] = values

    def _give_phases(self, index, name, phases):
        rows = [phase[: at.PHASE_FIELDS] for phase in phases]
        self._give(index, name, rows, np.int64)

    def begin(self, stream, state):
        """Allocate, and point to parameters and data.

        Parameters
        ----------
        stream : nnfit.cuda.driver.Stream
        state : dict of int
            Addresses of the buffers that the engine keeps, by number in the table.

        Raises
        ------
        MemoryError
            If the device has no room for a batch.
        """
        self._stream = stream
        self.allocate(stream)
        for name, values in self._given.items():
            self.space.set(name, values)
        free, _ = stream.device.memory()
        batch = self.batch * self._lines
        self.data.place(stream, int(free * USABLE), batch)
        if self.data.window is not None:
            self.max_batches = min(self.max_batches, self.data.window // batch)
        self.data.point_to(self.ints)
        for index, address in state.items():
            self.ints[index] = address

    def carry_over(self, before):
        """Take the progress of the table before this one."""
        for index in PROGRESS:
            self.ints[index] = before.ints[index]
        for index in (at.LEARNING_RATE, at.BEST_LOSS):
            self.floats[index] = before.floats[index]

    # ----------------------------------------------------------------- calls

    def prepare_call(self, max_epochs, max_batches, first_batch):
        """Send all that the next call needs.

        Parameters
        ----------
        max_epochs : int
            Number of the epoch at which the call ends.
        max_batches : int
            Of this call, at most `max_batches`.
        first_batch : int
            Batches done with these settings.
        """
        ints = self.ints
        ints[at.MAX_EPOCHS], ints[at.MAX_BATCHES] = max_epochs, max_batches
        ints[at.BATCHES] = ints[at.FINISHED] = 0
        epoch, batch = int(ints[at.EPOCH]), int(ints[at.CURSOR]) // self.batch
        self._send_orders(ints, epoch, batch, max_batches)
        if self.has_batch_numbers:
            count, factors_of = max_batches + 1, self.settings.batch_factors
            factors = None if factors_of is None else factors_of(first_batch, count)
            self._send_batch_numbers(epoch, batch, count, factors)
        self.upload()

    def _send_orders(self, ints, epoch, batch, count):
        """Send the rows of so many batches from one on, and point a table to them."""
        # One more: it is prepared in the training on the last one.
        n_epochs = -(-(batch + count + 1) // self.per_epoch)
        n_epochs = min(n_epochs, self._epochs_ahead)
        orders, n_rows = self._orders, self.epoch_rows
        is_new = orders.know(epoch, n_epochs)
        ints[at.FIRST_EPOCH] = orders.first
        ints[at.ORDER_STRIDE] = n_rows if orders.is_shuffled else 0
        if self.data.window is not None:
            self._send_window(ints, epoch, batch, count)
        elif is_new or not self._has_orders:
            self.space.set("order", orders.orders)
            self._has_orders = True

    def _send_window(self, ints, epoch, batch, count):
        """Send the rows of batches, in their order."""
        begin, n_rows = batch * self.batch, self.epoch_rows
        end = batch + count
        last = end // self.per_epoch * n_rows + end % self.per_epoch * self.batch
        places = self._orders.places(begin, last - begin)
        self.data.send_window(self._stream, self._orders.rows(epoch, places))
        self.data.point_to(ints)
        if self._orders.is_shuffled:
            places += (epoch - self._orders.first) * n_rows
            first, size = int(places.min()), np.ptp(places) + 1
        else:  # all epochs have one order, and the window is a part of it
            places %= n_rows
            first, size = 0, n_rows
        order = np.zeros(size, np.int32)
        order[places - first] = np.arange(len(places))
        self.space.set("order", order, first)

    def _send_batch_numbers(self, epoch, batch, count, factors=None):
        """Send factors, or ones, and weights of so many batches."""
        numbers = np.ones((count, at.N_BATCH_NUMBERS))
        numbers[:, : at.WEIGHT_SUM] = 1.0, 1.0, 1.0, 1.0, 0.0
        if factors is not None:
            numbers[:, : at.WEIGHT_SUM] = factors
        numbers[:, at.WEIGHT_SUM :] = self._orders.weights(epoch, batch, count)
        self.space.set("batch numbers", numbers)

    def curves(self):
        """Losses and learning rates of the epochs finished in a call."""
        finished = int(self.ints[at.FINISHED])
        return {
            "loss": self.space.get("loss curve", finished),
            "learning_rate": self.space.get("rate curve", finished),
        }

    # ------------------------------------------------------------ statistics

    def collections(self, parameters):
        """Send tables for passes that collect the statistics of all batches, in parts.

        Nothing is dropped or changed at random, and rows come in order. The next table
        is sent when the next item is asked for.

        Parameters
        ----------
        parameters : int
            Address of those that the statistics belong to.

        Yields
        ------
        address : int
            Of the table.
        phases : list of Phase
            Of a batch.
        n_batches : int
        """
        ints, floats = self.ints.copy(), self.floats.copy()
        self.space.set("no dropout", np.zeros(self.network.n_dropout + 1))
        ints[at.PARAMETERS], ints[at.COLLECTING] = parameters, 1
        ints[at.DROPOUT_RATES] = self.space.index("no dropout")
        ints[at.BETA_QUANTILES] = ints[at.NOISE] = 0
        floats[at.FEATURE_SWAP] = floats[at.COLLECTED] = 0.0
        ints[at.STOPPED], ints[at.MONITOR] = RUNNING, 0
        ints[at.EPOCH], ints[at.MAX_EPOCHS] = 0, 1
        ints[at.PHASES] = self.space.index("collecting")
        ints[at.N_PHASES] = len(self._collecting)
        ints[at.FLOATS] = self.space.index("other floats")
        self.space.set("other floats", floats)
        training = self._orders
        self._orders = self._make_orders()
        self._has_orders = False
        part = min(self.per_epoch, self.max_batches)
        try:
            for batch in range(0, self.per_epoch, part):
                count = min(part, self.per_epoch - batch)
                ints[at.CURSOR], ints[at.BATCHES] = batch * self.batch, 0
                ints[at.MAX_BATCHES] = count
                self._send_orders(ints, 0, batch, count)
                if self.has_batch_numbers:
                    self._send_batch_numbers(0, batch, count)
                self.space.set("other ints", ints)
                yield self.space.index("other ints"), self._collecting, count
        finally:
            self._orders, self._has_orders = training, False
