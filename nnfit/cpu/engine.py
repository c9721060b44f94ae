"""Training on the CPU: what Python does around the compiled engine.

It fills the tables (`nnfit.cpu.tables`) and calls compiled code for about a tenth
of a second at a time, so that Ctrl-C and time limits are seen.
"""

import math
import sys
import time

import numpy as np

from nnfit.addresses import address
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.layout import aligned_zeros, layout_of
from nnfit.cpu.prediction import activate, predict  # noqa: F401  a device's engine
from nnfit.cpu.tables import INT64, POINTER, Evaluation
from nnfit.cpu.thread_choice import ThreadChoice
from nnfit.cpu.thread_group import ThreadGroup
from nnfit.cpu.training_plans import load_training
from nnfit.cpu.training_tables import MAX_CURVE, TrainingTables
from nnfit.engine_settings import N_MEMORY
from nnfit.functions.stopping import DIVERGED, RUNNING
from nnfit.network.description import check_state
from nnfit.network.rates import memory_for, rate_rows
from nnfit.progress import progress_of

#: Seconds that threads may wait before they ask whether they pay, and that the one
#: which goes on gives the others to return. A time slice of another process takes 3 ms;
#: a wait that is no such thing lasts microseconds.
PATIENCE = 0.002
#: Seconds of a tick of the compiled code's clock, which is Python's.
CLOCK_TICK = (
    time.get_clock_info("perf_counter").resolution if sys.platform == "win32" else 1e-9
)
Progress = progress_of(at)


class Engine:
    """A network in training.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
        None for `loss_and_gradient` only.
    n_threads : int, default=1
        Most threads to use; one runs while other work keeps them from running
        together. The weights do not depend on it. They live until `close`.
    choice : nnfit.cpu.thread_choice.ThreadChoice, default=None
        Of all threads or one, from call to call; None for all, but for a time after
        they have got in each other's way.

    Attributes
    ----------
    threads_used : int
        The largest number that has run together.
    flat : ndarray of shape (n_parameters with padding,)
        Parameters in the engine's layout; a copy is a snapshot.
    progress : Progress
    keep_batch_losses : bool
        Whether `train` returns the loss of every batch; False at first.
    """

    def __init__(self, network, solver, *, n_threads=1, choice=None):
        self.network = network
        self.solver = solver
        self.threads_used = 1
        self._threads = ThreadGroup(n_threads)
        self._choice = choice or ThreadChoice(n_threads, math.inf)
        self._target = targets.host()
        self._layout = layout_of(network, self._target)
        load_training(network, solver)
        self.flat = aligned_zeros(self._layout.size, network.dtype)
        self._seconds_per_batch = None
        self._is_ordered = False
        n_slots = 1 if solver is None else solver.slots
        self._state = [self._like_flat() for _ in range(n_slots)]
        self._memory = None  # numbers of the optimizer, by parity of the step
        self._average = None
        self._statistics_at = None  # step at which those of the average were found
        self._batches = 0  # done with these settings
        self.keep_batch_losses = False
        self._watch = None
        self._tables = None
        self._settings = None
        self._data = None

    @property
    def progress(self):
        """A new view: one that the engine held would hold the engine."""
        return Progress(self)

    def set_network(self, network):
        """Go on with the same network, some of whose layers are frozen, or not.

        Weights, data, and what the optimizer has gathered stay as they are.
        """
        self.network, self._layout = network, layout_of(network, self._target)
        load_training(network, self.solver)
        self._set_up()

    def _like_flat(self):
        return aligned_zeros(self._layout.size, self.network.dtype)

    # --------------------------------------------------------------- weights

    def set_weights(self, weights):
        """Copy weights into the engine."""
        self._statistics_at = None
        self._layout.pack(weights, self.flat)
        if self.solver is not None:
            for slot, at_weights in zip(self._state, self.solver.start, strict=False):
                if at_weights:
                    slot[...] = self.flat

    def set_evaluated(self, weights):
        """Go on with an average of weights, where the settings ask for one."""
        self._statistics_at = None
        if self._average is not None:
            self._layout.pack(weights, self._average)

    def get_weights(self, flat=None):
        """Return `Weights` of new arrays, those in training or those of a snapshot."""
        return self._layout.unpack(self.flat if flat is None else flat)

    def get_state(self):
        """What the optimizer has gathered, as a dict of arrays.

        Its moments are without padding, (slots, size).
        """
        size = self._layout.vector_size
        moments = np.empty((len(self._state), size), self._layout.dtype)
        for slot, values in zip(self._state, moments, strict=True):
            self._layout.flatten(slot, values)
        return {"moments": moments, "memory": self._memory.copy()}

    def set_state(self, state):
        """Set what `get_state` returned; ValueError if it is of another network."""
        moments = (len(self._state), self._layout.vector_size)
        check_state(state, moments, self._memory.shape)
        for slot, values in zip(self._state, state["moments"], strict=True):
            self._layout.unflatten(values, slot)
        self._memory[...] = memory_for(state["memory"], self._memory.shape)

    # ------------------------------------------------------------------ data

    def set_data(self, X, y, sample_weight=None, loss_weight=None, rows=None):
        """Point the engine to its training data; nothing is copied.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Of the network's dtype; an ndarray C-contiguous, a matrix with sorted
            indices and no duplicates.
        y : ndarray of shape (n_samples, n_targets)
            Of the network's dtype, C-contiguous.
        sample_weight : ndarray of shape (n_samples,), default=None
            float64. Their sum over a batch divides its loss and penalties, and they
            weigh the statistics of batch normalisation. None for equal ones.
        loss_weight : ndarray of shape (n_samples,), default=None
            float64. What the losses of the rows are multiplied by; None for the
            sample weights.
        rows : ndarray of int64, default=None
            Rows to train on; None for all.
        """
        self._data = (X, y, sample_weight, loss_weight, rows)
        self._set_up()

    def configure(self, settings):
        """Set how to train.

        Parameters
        ----------
        settings : nnfit.engine_settings.EngineSettings
        """
        self._settings = settings
        self._batches = 0
        self._set_up()

    def _set_up(self):
        """Build the tables once both data and settings are known."""
        if self._data is None or self._settings is None:
            return
        settings, before = self._settings, self._tables
        self._statistics_at = None
        has_rates = settings.features(self.solver).has_rates
        n_rows = len(rate_rows(self.network, has_rates))
        if self._memory is None or self._memory.shape[1] != n_rows:
            self._memory = np.zeros((2, n_rows, N_MEMORY))
        if settings.average and self._average is None:
            self._average = self.flat.copy()
        tables = TrainingTables(
            settings.trained(self.network), self.solver, self._target, settings,
            self._data, self.flat, self._average if settings.average else None,
            self._state, self._memory, self._threads.size,
        )  # fmt: skip
        tables.ints[at.PATIENCE] = int(PATIENCE / CLOCK_TICK)
        if before is not None:
            tables.carry_over(before)
        self._tables, self._is_ordered = tables, False

    # -------------------------------------------------------------- training

    def train(self, max_epochs, seconds=math.inf):
        """Train for about a tenth of a second.

        Parameters
        ----------
        max_epochs : int
            Ends at the latest when `progress.epoch` reaches it.
        seconds : float, default=inf
            Most that it shall take; a batch may take longer.

        Returns
        -------
        curves : dict of ndarray
            ``"loss"`` and ``"learning_rate"`` of the epochs finished in this call;
            with `keep_batch_losses` also ``"batch_loss"`` of its batches, NaN for
            those without weight.
        """
        ints = self._tables.ints
        ints[at.MAX_EPOCHS] = max_epochs
        self._run(most_seconds=seconds)
        if not np.isfinite(self.flat).all():
            self.progress.stopped = DIVERGED
        finished = int(ints[at.FINISHED])
        loss, rate = self._tables.curves[:, :finished].copy()
        curves = {"loss": loss, "learning_rate": rate}
        if self.keep_batch_losses:
            curves["batch_loss"] = self._tables.batch_losses[: int(ints[at.BATCHES])]
        return curves

    def _batches_in(self, seconds):
        ints = self._tables.ints
        batch = self._seconds_per_batch
        if batch is None:  # at 10 GFLOP/s, slower than any machine we met
            batch = 6e-10 * self._layout.size * int(ints[at.BATCH_SIZE])
        per_epoch = -(-int(ints[at.N_ROWS]) // int(ints[at.BATCH_SIZE]))
        return max(1, min(int(seconds / batch), (MAX_CURVE - 1) * per_epoch))

    def _run(self, max_batches=None, most_seconds=math.inf):
        """Call the compiled training loop; for so many batches, or some time."""
        tables, choice = self._tables, self._choice
        ints, kernel = tables.ints, tables.kernel
        several, seconds = choice.next_call()
        seconds = min(seconds, most_seconds)
        n_threads = self._threads.start() if several else 1
        ints[at.N_THREADS] = n_threads
        ints[at.MAX_BATCHES] = max_batches or self._batches_in(seconds)
        ints[at.ALONE_BATCHES] = max_batches or self._batches_in(PATIENCE)
        ints[at.BATCHES] = ints[at.FINISHED] = ints[at.BATCH_CURVE] = 0
        batch_factors, count = self._settings.batch_factors, int(ints[at.MAX_BATCHES])
        tables.set_batch_factors(batch_factors, self._batches, count)
        if self.keep_batch_losses:
            tables.keep_batch_losses(count)
        started = time.perf_counter()
        table, floats = tables.address, address(tables.floats, np.float64)
        if not self._is_ordered:
            kernel.function("begin_epoch", None, POINTER)(table)
        kernel.function("refresh", None, POINTER, POINTER)(table, floats)
        self._train_on(n_threads)
        batches = max(1, int(ints[at.BATCHES]))
        self._batches += int(ints[at.BATCHES])
        seconds = time.perf_counter() - started
        self._seconds_per_batch = seconds / batches
        gave_up = several and bool(tables.shared[at.ALONE_FROM])
        choice.record(several, seconds, batches, gave_up)
        self.threads_used = max(self.threads_used, n_threads)
        self._is_ordered = ints[at.STOPPED] == RUNNING

    def _train_on(self, n_threads):
        """Run the same compiled program on every thread."""
        tables = self._tables
        shared = tables.shared
        shared[:] = 0
        table, floats = tables.address, address(tables.floats, np.float64)
        train = tables.kernel.function("train", None, POINTER, POINTER, INT64)
        if n_threads == 1:
            train(table, floats, 0)
            return

        def work(number, keep_alive=tables):
            train(table, floats, number)

        def abort():
            shared[at.ABORTED] = 1

        self._threads.run(work, abort)

    def close(self):
        """End the threads, and give back all data and buffers."""
        self._threads.close()
        self._tables = self._data = self._watch = None
        self.flat = self._average = self._memory = None
        self._state = []

    def loss_and_gradient(self, flat):
        """Penalised loss over all training data and its gradient.

        Parameters
        ----------
        flat : ndarray
            Parameters in the engine's layout.

        Returns
        -------
        loss : float
            Weighted sum of the rows' losses plus ``alpha / 2`` times the sum of
            squared weights, over the sum of sample weights.
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
        alpha, floats[at.ALPHA] = self._settings.alpha, 0.0
        floats[at.LOSS_SCALE] = 1.0  # the loss whose gradient this is
        floats[at.WEIGHT_SUM], floats[at.EPOCH_LOSS] = total, 0.0
        ints[at.WHOLE], ints[at.MONITOR] = 1, 0
        ints[at.MAX_EPOCHS] = ints[at.EPOCH] + 1
        ints[at.STOPPED] = RUNNING
        self._state[0][...] = 0.0
        # No limit, not even for one thread that the others leave.
        self._run(max_batches=int(ints[at.N_ROWS]))
        gradient, penalty = self._state[0].copy(), 0.0
        for part, factor in self._layout.penalised():
            weights = self.flat[part]
            gradient[part] += weights * (factor * alpha / total)
            penalty += 0.5 * factor * alpha * float(weights @ weights)
        loss = float(tables.curves[0, 0]) if ints[at.FINISHED] else np.inf
        return loss + penalty / total, gradient

    # ------------------------------------------------------------ evaluation

    def evaluated(self):
        """Parameters that count: those in training, or their average.

        Returns
        -------
        flat : ndarray
            `flat` itself, or always the same other array, which this method brings up
            to date. With batch normalisation an average has statistics of its own, from
            a pass over the training data that is made once a step.
        """
        known = self._statistics_at
        if known is not None and known == self.progress.step:
            return self._average
        solver = self.solver
        if solver is not None and solver.average is not None:
            if self._average is None:
                self._average = self._like_flat()
            hyper = self._settings.hyper
            self._average[...] = solver.average(self.flat, *self._state, hyper)
            for part in self._layout.statistics():
                self._average[part] = self.flat[part]
        elif self._settings is None or not self._settings.average:
            return self.flat
        if self.network.has_statistics:
            self._find_statistics(self._average)
            self._statistics_at = self.progress.step
        return self._average

    def _find_statistics(self, flat):
        """Set the statistics in parameters to the mean of those of all batches."""
        in_training = self.flat.copy()
        self.flat[...] = flat
        self._tables.collect_statistics()
        flat[...] = self.flat
        self.flat[...] = in_training

    def watch(self, X, y, sample_weight=None, rows=None, score=None):
        """Point the engine to validation data; nothing is copied.

        Parameters
        ----------
        X, y, sample_weight, rows
            As `set_data` takes them.
        score : {"accuracy", "multilabel_accuracy", "r2"}, default=None
        """
        self._watch = Evaluation(
            self.network, self.evaluated(), X, y, sample_weight, rows, score
        )

    def validate(self):
        """Look at the validation data with the weights that count, in one pass.

        Returns
        -------
        loss : float
            Weighted mean, without penalty.
        score : float
            NaN if `watch` was given none, or a prediction is not finite.
        """
        self.evaluated()
        return self._watch.run()
