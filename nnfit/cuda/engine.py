"""Training and prediction on a GPU: what Python does around the kernels.

It fills the tables (`nnfit.cuda.tables`) and launches kernels for about a tenth of a
second at a time, so that Python sees Ctrl-C and time limits. Small networks train in
one launch for many batches, large ones in a launch for each phase of a batch.
"""

import math

import numpy as np

from nnfit import population
from nnfit.cuda import fields as at
from nnfit.cuda import modules
from nnfit.cuda.block_count import choose_blocks, launches_pay, seconds_of_batch
from nnfit.cuda.data import Data
from nnfit.cuda.device_memory import check_memory
from nnfit.cuda.driver import open_device
from nnfit.cuda.launching import launch_networks, run_together
from nnfit.cuda.layout import layout_of
from nnfit.cuda.phases import Phase, Work
from nnfit.cuda.prediction import Evaluation, predict
from nnfit.cuda.space import index_of
from nnfit.cuda.tables import functions_of, tile_of, training_kind
from nnfit.cuda.training_table import TrainingTable
from nnfit.engine_settings import N_MEMORY
from nnfit.functions.stopping import DIVERGED, RUNNING
from nnfit.network.description import check_state
from nnfit.network.rates import memory_for, rate_rows
from nnfit.progress import progress_of

__all__ = ["Engine", "predict", "run_together"]

BUILDER = "nnfit.cuda.kernels.training:training"
#: Seconds of a call, as on the CPU.
CALL_SECONDS = 0.1

Progress = progress_of(at)


class Engine:
    """A network in training on a GPU; the interface is `nnfit.cpu.engine.Engine`'s.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
        None for `loss_and_gradient` only.
    n_threads, choice
        Not used: threads are the GPU's.
    device_number : int, default=0
    shuffled_orders : callable, default=None
        That of `nnfit.cpu.orders`, for settings that shuffle: a GPU cannot do it well.

    Attributes
    ----------
    threads_used : int
        Of the processor: 1.
    progress : Progress
    keep_batch_losses : bool
        Whether `train` returns the loss of every batch; False at first.
    """

    threads_used = 1

    def __init__(
        self,
        network,
        solver,
        *,
        n_threads=1,
        choice=None,
        device_number=0,
        shuffled_orders=None,
    ):
        self._member = population.join()  # before it takes memory of the device
        self.network, self.solver = network, solver
        self.stream = open_device(device_number).stream()
        self.keep_batch_losses = False
        self._shuffled_orders = shuffled_orders
        self._functions = functions_of(network)
        self._layout = layout_of(network)
        n_slots = 1 if solver is None else solver.slots
        self._parameters = self._zeros(self._layout.size)
        self._state = self._zeros(max(n_slots, 1) * self._layout.size)
        self._n_slots = n_slots
        self._average = self._memory = None
        self._networks = self._batch_curve = None  # of a call
        self._statistics_at = None  # step at which those of the average were found
        self._batches = 0  # done with these settings
        self._slowness = 1.0  # time of a batch over its estimate
        self._most_seconds = math.inf  # of the call that has begun
        self._used = 1  # blocks in the last call
        self._settings = self._data = self._tables = self._watch = None
        self._is_ordered = False

    @property
    def progress(self):
        """A new view: one that the engine held would hold the engine."""
        return Progress(self)

    def set_network(self, network):
        """Train other layers, see `nnfit.cpu.engine.Engine.set_network`."""
        self.network, self._layout = network, layout_of(network)
        self._set_up()

    def _zeros(self, size, dtype=None):
        buffer = self.stream.empty(size, dtype or self.network.dtype)
        buffer.zero()
        return buffer

    def close(self):
        """Give the device's memory back, and the place in a population."""
        self._tables = self._data = self._watch = None
        self._parameters = self._state = self._average = self._memory = None
        self._networks = self._batch_curve = None
        try:
            self.stream.close()
        finally:  # other members must not wait for it, even if the device has failed
            self._member.leave()

    # --------------------------------------------------------------- weights

    @property
    def flat(self):
        """Parameters in the engine's layout, a copy on the host."""
        return self._parameters.get()

    def set_weights(self, weights):
        """Copy weights into the engine."""
        self._statistics_at = None
        flat = self._layout.pack(weights)
        self._parameters.set(flat)
        if self.solver is not None:
            for slot, at_weights in enumerate(self.solver.start[: self._n_slots]):
                if at_weights:
                    self._state.set(flat, slot * self._layout.size)

    def set_evaluated(self, weights):
        """Continue with this average of the weights, if the settings ask for one."""
        self._statistics_at = None
        if self._average is not None:
            self._average.set(self._layout.pack(weights))

    def get_weights(self, flat=None):
        """Return `Weights` of new arrays, those in training or those of a snapshot."""
        return self._layout.unpack(self.flat if flat is None else flat)

    def get_state(self):
        """State of the optimizer, as `nnfit.cpu.engine.Engine` returns it."""
        size = self._n_slots * self._layout.size
        moments = self._state.get(0, size).reshape(self._n_slots, -1)
        return {"moments": moments, "memory": self._memory.get().reshape(self._shape)}

    def set_state(self, state):
        """Set what `get_state` of an engine of any device returned; or ValueError."""
        check_state(state, (self._n_slots, self._layout.size), self._shape)
        moments = np.ascontiguousarray(state["moments"], self.network.dtype)
        self._state.set(moments.ravel())
        memory = memory_for(state["memory"], self._shape)
        self._memory.set(memory.ravel())

    # ------------------------------------------------------------------ data

    def set_data(self, X, y, sample_weight=None, loss_weight=None, rows=None):
        """Set the training data; once settings are there, too, they go to the device.

        All rows go there if there is room, else the rows of one call at a time.

        Parameters
        ----------
        X, y, sample_weight, loss_weight, rows
            See `nnfit.cpu.engine.Engine.set_data`.
        """
        self._data = Data(X, y, sample_weight, loss_weight, rows)
        self._set_up()

    def configure(self, settings):
        """Set how to train, see `nnfit.engine_settings.EngineSettings`."""
        self._settings = settings
        self._batches = 0
        self._set_up()

    def _set_up(self):
        """Build the table once both data and settings are known."""
        if self._data is None or self._settings is None:
            return
        settings, before = self._settings, self._tables
        self._statistics_at = None
        has_rates = settings.features(self.solver).has_rates
        self._shape = (2, len(rate_rows(self.network, has_rates)), N_MEMORY)
        if self._memory is None or self._memory.size != math.prod(self._shape):
            self._memory = self._zeros(math.prod(self._shape), np.float64)
        if settings.average and self._average is None:
            self._average = self.stream.upload(self.flat)
        batch = min(settings.batch_size, self._data.n_rows)
        network = settings.trained(self.network)
        self.launches = launches_pay(network, batch)
        tile = tile_of(network, batch)
        table = TrainingTable(
            network,
            self.solver,
            tile,
            settings,
            self._data,
            self.launches,
            self._shuffled_orders,
        )
        check_memory(network, table.space.n_bytes, self.stream.device)
        table.begin(
            self.stream,
            {
                at.PARAMETERS: index_of(self._parameters),
                at.STATE: index_of(self._state),
                at.AVERAGE: index_of(self._average),
                at.MEMORY: index_of(self._memory),
            },
        )
        if before is not None:
            table.carry_over(before)
        self._tables = table
        self._load(tile)

    def _load(self, tile):
        """Load the kernels, and decide on the number of blocks."""
        network = self._tables.network
        features = self._settings.features(self.solver)
        functions = self._functions
        is_sparse = self._data.is_sparse
        kind = training_kind(network, self.solver, tile, functions, features, is_sparse)
        entry = "run_operation" if self.launches else "train"
        text, own = kind.encoded()
        self._module = modules.load(
            self.stream.device,
            BUILDER,
            entry,
            text,
            *own,
            fingerprint=functions.fingerprint,
        )
        self._tile = tile
        self._work = [phase.work for phase in self._tables.phases]
        self._n_blocks = 1
        if not self.launches and self.stream.device.is_cooperative:
            resident = self._module.blocks_at_once("train", tile.n_threads)
            self._n_blocks = choose_blocks(self._work, tile, resident)

    # -------------------------------------------------------------- training

    def train(self, max_epochs, seconds=math.inf):
        """Train for about a tenth of a second, together with others in a population.

        Parameters
        ----------
        max_epochs : int
            Ends at the latest when `progress.epoch` reaches it.
        seconds : float, default=inf
            Most that a call may take; a single batch may take longer.

        Returns
        -------
        curves : dict of ndarray
            See `nnfit.cpu.engine.Engine.train`.
        """
        return self._member.train(self, run_together, max_epochs, seconds)

    def begin(self, max_epochs, seconds=math.inf):
        """Send what `run_together` needs for a call of `train`."""
        seconds = min(seconds, CALL_SECONDS)
        self._begin(max_epochs, self._batches_in(seconds, self._n_blocks))
        self._most_seconds = seconds

    def _begin(self, max_epochs, max_batches):
        table, self._most_seconds = self._tables, math.inf
        curve = None
        if self.keep_batch_losses:
            curve = self.stream.renewed(self._batch_curve, max_batches, np.float64)
        self._batch_curve = curve
        table.ints[at.BATCH_CURVE] = index_of(curve)
        table.prepare_call(max_epochs, max_batches, self._batches)

    def finish(self):
        """Fetch the results of a call; returns what `train` does."""
        table = self._tables
        table.download()
        done = int(table.ints[at.BATCHES])
        self._batches += done
        self._slowness = self._seconds / max(1, done) / self._estimate(self._used)
        if not np.isfinite(self.flat).all():
            self.progress.stopped = DIVERGED
        curves = table.curves()
        if self.keep_batch_losses:
            curves["batch_loss"] = self._batch_curve.get(0, done)
        return curves

    def _batches_in(self, seconds, n_blocks):
        """Number of batches that so many blocks train on in some time."""
        batch = self._slowness * self._estimate(n_blocks)
        return max(1, int(min(seconds / batch, self._tables.max_batches)))

    def _estimate(self, n_blocks):
        return seconds_of_batch(self._work, self._tile, n_blocks)

    def share(self, n_blocks):
        """Train on so many blocks in the call that has begun, in its time.

        `begin` counts the batches of a call for all blocks that the network could use;
        on fewer blocks a call has fewer batches.
        """
        self._used, ints = n_blocks, self._tables.ints
        if self._most_seconds < math.inf:
            most = self._batches_in(self._most_seconds, n_blocks)
            if most < ints[at.MAX_BATCHES]:
                ints[at.MAX_BATCHES] = most
                self._tables.space.set("ints", [most], at.MAX_BATCHES)

    @property
    def group(self):
        """Engines with equal groups can train in one launch."""
        if self.launches:
            return id(self)
        return self._module, self._tile

    def _launch_phases(self, address, phases, n_batches=1):
        """A launch for each phase of some batches, one after the other."""
        block, launch = self._tile.n_threads, self._module.launch
        launches = [
            (phase.work.blocks, (address, phase.operation, phase.argument))
            for phase in phases
        ]
        for _ in range(n_batches):
            for n_blocks, integers in launches:
                launch(self.stream, "run_operation", n_blocks, block, integers)

    def _launch_batches(self):
        """Launch the batches of a call; the device never waits for the host."""
        table = self._tables
        if table.ints[at.STOPPED] != RUNNING:
            return
        derive = Phase(at.DERIVE, 0, work=Work(table.graph.n_tiles))
        self._launch_phases(table.address, [derive])
        left = int(table.ints[at.MAX_EPOCHS] - table.ints[at.EPOCH])
        count = min(int(table.ints[at.MAX_BATCHES]), left * table.per_epoch)
        self._launch_phases(table.address, table.phases, count)

    def loss_and_gradient(self, flat):
        """Penalised loss over all training data and its gradient.

        See `nnfit.cpu.engine.Engine.loss_and_gradient`.
        """
        table, settings = self._tables, self._settings
        flat = np.ascontiguousarray(flat, self.network.dtype)
        self._parameters.set(flat)
        ints, floats, weight = table.ints, table.floats, self._data.sample_weight
        total = float(self._data.n_rows if weight is None else weight.sum())
        alpha, floats[at.ALPHA] = settings.alpha, 0.0
        floats[at.LOSS_SCALE] = 1.0  # the loss whose gradient this is
        floats[at.TOTAL_WEIGHT], floats[at.EPOCH_LOSS] = total, 0.0
        ints[at.WHOLE], ints[at.MONITOR], ints[at.STOPPED] = 1, 0, RUNNING
        ints[at.CURSOR] = 0  # a loss that was not finite leaves another number
        self._state.zero()
        self._begin(int(ints[at.EPOCH]) + 1, table.per_epoch)
        run_together([self])
        table.download()
        gradient, penalty = self._state.get(0, self._layout.size), 0.0
        for part, factor in self._layout.penalised():
            weights = flat[part].astype(np.float64)
            change = weights * (factor * alpha / total)
            gradient[part] += change.astype(gradient.dtype)
            penalty += 0.5 * factor * alpha * float(weights @ weights)
        losses = table.curves()["loss"]
        loss = float(losses[0]) if len(losses) else np.inf
        return loss + penalty / total, gradient

    # ------------------------------------------------------------ evaluation

    def evaluated(self):
        """Parameters that count, on the host: those in training, or their average.

        With batch normalisation an average has statistics of its own. They come from a
        pass over the training data, made at most once for each step of the optimizer.
        """
        return self._evaluated().get()

    def _evaluated(self):
        """The buffer of the parameters that count."""
        if self._statistics_at is not None and (
            self._statistics_at == self.progress.step
        ):
            return self._average
        solver = self.solver
        if solver is not None and solver.average is not None:
            average = self._average_of_solver()
            if self._average is None:
                self._average = self._zeros(self._layout.size)
            self._average.set(average)
        elif self._settings is None or not self._settings.average:
            return self._parameters
        if self.network.has_statistics:
            self._find_statistics(self._average)
            self._statistics_at = self.progress.step
        return self._average

    def _average_of_solver(self):
        """The weights that the optimizer itself evaluates, a function of its state."""
        flat, size = self.flat, self._layout.size
        slots = [
            self._state.get(i * size, (i + 1) * size) for i in range(self._n_slots)
        ]
        hyper = self._settings.hyper
        average = self.solver.average(flat, *slots, hyper).astype(flat.dtype)
        for part in self._layout.statistics():
            average[part] = flat[part]
        return average

    def _find_statistics(self, buffer):
        """Set the statistics in parameters to the mean of those of all batches."""
        for address, phases, count in self._tables.collections(index_of(buffer)):
            if self.launches:
                self._launch_phases(address, phases, count)
            else:
                launch_networks([self], [address])
            self.stream.synchronize()

    def watch(self, X, y, sample_weight=None, rows=None, score=None):
        """Send validation data to the device.

        Parameters
        ----------
        X, y, sample_weight, rows
            As `set_data` takes them.
        score : {"accuracy", "multilabel_accuracy", "r2"}, default=None
        """
        data = X, y, sample_weight, rows
        self._watch = Evaluation(self.stream, self.network, *data, score)

    def validate(self):
        """Pass the validation data once, with the weights that count.

        Returns
        -------
        loss : float
            Weighted mean, without penalty.
        score : float
            NaN if `watch` was given none, or a prediction is not finite.
        """
        return self._watch.run(index_of(self._evaluated()))
