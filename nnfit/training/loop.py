"""Training by mini-batches: the loop around an engine's epochs."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnfit.engine_settings import EngineSettings
from nnfit.functions.stopping import CONVERGED, DIVERGED, SCHEDULES, after_epoch
from nnfit.interruption import check_interruption
from nnfit.network import Network
from nnfit.network.fitted import loss_in_units
from nnfit.training.reporting import Reporter
from nnfit.training.rules import PLAIN, Rules
from nnfit.training.schedules import BatchFactors

NOT_CONVERGED = (
    "Stochastic Optimizer: Maximum iterations (%d) "
    "reached and the optimization hasn't converged yet."
)
INTERRUPTED = "Training interrupted by user."
OUT_OF_TIME = (
    "Training ended after max_time=%g seconds and %d finished iterations, and the "
    "optimization hasn't converged yet."
)
NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large "
    "values and need to be preprocessed."
)
SCALING_ADVICE = (
    "Scale X (for example with sklearn.preprocessing.StandardScaler) and, in "
    "regression, y"
)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes
    ----------
    engine : EngineSettings
        Settings of the engine. It monitors the loss unless Python looks at every epoch.
    max_iter : int
        Epochs of this call.
    batch_factors : BatchFactors
        Factors of the schedules, for every batch.
    unit : float
        An engine's loss of 1 in the units of the user's targets. Losses are recorded in
        these units.
    averages : bool
        Whether the weights that count are an average of the weights in training.
    max_time : float
        Seconds, infinite without a limit.
    keeps_best : bool
        Whether the best epoch counts, by the score of the validation data.
    rules : Rules
    incremental : bool
        Whether it is a call of ``partial_fit``.
    reporter : Reporter or None
        Prints how it goes on.
    whole : Network or None
        What is trained from the epoch `unfreeze_at` on: the same network, of which no
        layer is frozen.
    unfreeze_at : int or float
        Epochs of the engine's progress before that.
    """

    engine: EngineSettings
    max_iter: int
    batch_factors: BatchFactors
    unit: float = 1.0
    averages: bool = False
    max_time: float = math.inf
    keeps_best: bool = False
    rules: Rules = PLAIN
    incremental: bool = False
    reporter: Reporter | None = None
    whole: Network | None = None
    unfreeze_at: float = math.inf


@dataclass(frozen=True)
class Validation:
    """Data to watch, as the engine takes them.

    Attributes
    ----------
    X, y, sample_weight, rows
        See the engine's ``set_data``.
    score : {"loss", "accuracy", "multilabel_accuracy", "r2"} or callable
        Computed by the engine, or a function of the engine that scores the weights
        that count.
    try_first : bool
        Whether to score before the training, too. Then a score that cannot be computed
        is refused at once and not after an epoch.
    unit : float
        See `Settings`.
    """

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None
    rows: np.ndarray | None
    score: str | Callable[[Any], float]
    try_first: bool = False
    unit: float = 1.0

    def begin(self, engine):
        """Tell the engine of these data."""
        of_engine = isinstance(self.score, str) and self.score != "loss"
        score = self.score if of_engine else None
        engine.watch(self.X, self.y, self.sample_weight, self.rows, score)
        if self.try_first:
            self.score(engine)

    def evaluate(self, engine):
        """Loss and score of the weights that count."""
        loss, score = engine.validate()
        loss = loss_in_units(loss, self.unit)
        if callable(self.score):
            score = float(self.score(engine))
        return loss, -loss if self.score == "loss" else score


def train(engine, settings, record, validation=None, listener=None, best_weights=None):
    """Train until a stopping rule, `max_iter`, `max_time` or the user ends it.

    Parameters
    ----------
    engine : Engine
        Configured with ``settings.engine``, with weights and data set.
    settings : Settings
    record : Record
        Extended in place.
    validation : Validation or None
    listener : nnfit.callbacks.listening.Listener or None
        Told of every epoch; the engine then leaves monitoring to Python. May end the
        training.
    best_weights : ndarray or None
        Of the best epoch, if the training goes on within a fit.

    Returns
    -------
    weights : ndarray
        In the engine's layout: of a fit that keeps the best epoch its weights, else the
        last weights that count. None if `partial_fit` with early stopping diverged.

    Raises
    ------
    ValueError
        If the weights are no longer finite and there are no better ones to
        restore.
    """
    loop = _Loop(engine, settings, record, validation, listener, best_weights)
    try:
        loop.run()
    except KeyboardInterrupt:
        warnings.warn(INTERRUPTED)
    if settings.reporter is not None:
        settings.reporter.end(record)
    weights = loop.weights()
    if weights is not None and not np.isfinite(weights).all():
        raise ValueError(divergence_message(settings.engine))
    return weights


def divergence_message(settings, has_rate=True):
    """What to do when the weights explode, beginning with scikit-learn's sentence.

    Parameters
    ----------
    settings : EngineSettings
    has_rate : bool
        Whether there is a learning rate.
    """
    rate = f"; lower learning_rate_init, which is {settings.learning_rate_init}"
    return (
        f"{NON_FINITE} {SCALING_ADVICE}{rate if has_rate else ''}; or raise alpha, "
        f"which is {settings.alpha}."
    )


class _Loop:
    """One run of :func:`train`."""

    def __init__(self, engine, settings, record, validation, listener, best_weights):
        self.engine = engine
        self.listener = listener
        self.settings = settings
        self.record = record
        self.validation = validation
        # In `partial_fit` the estimator itself keeps the best weights.
        restorable = settings.keeps_best and not settings.incremental
        if restorable and best_weights is None:
            best_weights = engine.flat.copy()
        self.best_weights = best_weights
        if settings.reporter is not None:
            settings.reporter.begin(record)
        now = time.perf_counter()
        self.started = now - record.seconds
        self.deadline = now + settings.max_time
        if validation is not None:
            validation.begin(engine)
        # Python takes part in every epoch only if it must look at it.
        self.by_epoch = not settings.engine.monitor_loss

    def run(self):
        """Call the engine until it stops, or a rule of this class."""
        progress = self.engine.progress
        last_epoch = progress.epoch - self.record.n_iter + self.settings.max_iter
        clock = self.record.seconds
        left = self.settings.max_time
        while progress.epoch < last_epoch and not progress.stopped and left > 0:
            if self.listener is not None and not self.listener.begin_epoch():
                progress.stopped = CONVERGED
                break
            most = last_epoch
            if progress.epoch < self.settings.unfreeze_at:
                most = min(last_epoch, self.settings.unfreeze_at)
            elif self.engine.network is not self.settings.whole:
                self._unfreeze()
            target = progress.epoch + 1 if self.by_epoch else most
            done = self.engine.train(target, left)
            if progress.stopped == DIVERGED:  # nothing is left to score
                return self._diverged()
            now = time.perf_counter() - self.started
            self._add_epochs(done, clock, now)
            if len(done["loss"]):
                clock = now
            left = self.deadline - time.perf_counter()
            check_interruption()
        if self.listener is not None:
            is_over = progress.stopped > 0 or progress.epoch >= last_epoch
            self.listener.end_training(self.best_weights, is_over)
        if not progress.stopped:
            self._not_converged(progress.epoch < last_epoch)

    def _unfreeze(self):
        """Train all layers from here on."""
        self.engine.set_network(self.settings.whole)
        if self.listener is not None:
            self.listener.training.network = self.settings.whole

    def weights(self):
        """Weights to keep, in the engine's layout."""
        if self.engine.progress.stopped == DIVERGED:
            return self.best_weights
        if self.settings.keeps_best and not self.settings.incremental:
            # If no epoch was scored, the best weights have not been trained.
            if self.record.best_validation_score > -math.inf:
                return self.best_weights
        return self.engine.evaluated()

    def _add_epochs(self, done, clock, now):
        """Record the finished epochs of one engine call, and apply the rules."""
        unit = self.settings.unit
        losses = [loss_in_units(loss, unit) for loss in done["loss"].tolist()]
        rates = done["learning_rate"].tolist()
        for i, (loss, rate) in enumerate(zip(losses, rates, strict=True)):
            # The epochs of one call are equally long, as far as Python can see.
            seconds = clock + (now - clock) * (i + 1) / len(losses)
            val_loss, val_score = self._validate()
            self.record.add_epoch(loss, rate, seconds, val_loss, val_score)
            if self.settings.reporter is not None:
                self.settings.reporter.after_epoch(self.record)
            if self.by_epoch:
                self._apply_rules(loss, val_score)
            if self.listener and self.listener.end_epoch(self.best_weights):
                self.engine.progress.stopped = CONVERGED
        if not self.by_epoch:
            best = self.engine.progress.best_loss
            self.record.best_loss = loss_in_units(best, unit)
            self.record.no_improvement = self.engine.progress.no_improvement

    def _validate(self):
        if self.validation is None:
            return math.nan, math.nan
        return self.validation.evaluate(self.engine)

    def _apply_rules(self, loss, val_score):
        """Count epochs without improvement; stop or lower the learning rate."""
        record, settings = self.record, self.settings
        best, tol = record.best_loss, settings.engine.tol
        if not settings.keeps_best or self.validation.score == "loss":
            tol *= settings.unit
        if settings.keeps_best:
            record.validation_scores.append(val_score)
            loss, best = -val_score, -record.best_validation_score
        progress, given = self.engine.progress, settings.engine
        rate = progress.learning_rate
        lowest, record.no_improvement, progress.learning_rate, stops = after_epoch(
            loss,
            best,
            record.no_improvement,
            tol,
            given.n_iter_no_change + self._more_patience(),
            SCHEDULES[given.schedule],
            rate,
            given.learning_rate_decay,
        )
        if settings.keeps_best:
            record.best_validation_score = -lowest
            if lowest < best or (settings.rules.last_of_equals and loss == best):
                self.best_weights = self.engine.evaluated().copy()
        else:
            record.best_loss = lowest
            progress.best_loss = lowest / settings.unit
        progress.no_improvement = record.no_improvement
        if stops:
            progress.stopped = CONVERGED
        if settings.reporter is not None:
            self._tell_of_stagnation(rate, stops)

    def _more_patience(self):
        """Epochs without improvement that the number of the best epoch allows for."""
        best = max(0, self.record.n_iter - 1 - self.record.no_improvement)
        return int(self.settings.rules.patience_growth * best)

    def _tell_of_stagnation(self, rate_before, stops):
        settings, rate = self.settings.engine, self.engine.progress.learning_rate
        watched = "Validation score"
        if not self.settings.keeps_best:
            watched = "Training loss"
        is_adaptive = settings.schedule == "adaptive"
        if stops:
            self.settings.reporter.end(self.record)
            consequence = "Learning rate too small. " * is_adaptive + "Stopping."
        elif is_adaptive and rate < rate_before:
            consequence = f"Setting learning rate to {rate:f}"
        else:
            return
        self.settings.reporter.say(
            f"{watched} did not improve more than tol={settings.tol:f} for "
            f"{settings.n_iter_no_change} consecutive epochs. {consequence}"
        )

    def _diverged(self):
        """End with the best weights or fail: the loss or weights are not finite."""
        record, settings = self.record, self.settings
        can_restore = settings.keeps_best and (
            not settings.incremental or record.best_validation_score > -math.inf
        )
        if not can_restore:
            raise ValueError(divergence_message(settings.engine))
        rate = self.engine.progress.learning_rate
        seconds = time.perf_counter() - self.started
        record.add_epoch(math.nan, rate, seconds, math.nan, math.nan)
        record.validation_scores.append(math.nan)
        warnings.warn(
            f"Training diverged in epoch {record.n_iter} and the best weights "
            f"before it were restored. {divergence_message(settings.engine)}",
            ConvergenceWarning,
        )

    def _not_converged(self, out_of_time):
        settings = self.settings
        if out_of_time:
            done = (settings.max_time, self.record.n_iter)
            warnings.warn(OUT_OF_TIME % done, ConvergenceWarning)
        elif not (settings.incremental or settings.rules.is_plan):
            warnings.warn(NOT_CONVERGED % settings.max_iter, ConvergenceWarning)
