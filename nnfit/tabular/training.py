"""Training of all models: side by side, within a time, and until Ctrl-C."""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnfit.estimators.ensemble import train_side_by_side
from nnfit.interruption import interrupted_by
from nnfit.population import population
from nnfit.training import device
from nnfit.training.loop import INTERRUPTED

#: Part of the time that is for training; the rest is for what follows.
TRAINING = 0.95
#: Operations of a fit that is worth every thread.
MANY = 1e15


class Trial:
    """A model that may be trained, and what it makes of rows held out.

    Attributes
    ----------
    family : str
    number : int
        Of the member, from 0.
    model : NetworkModel or BoostingModel
    split : tuple of ndarray or None
        Rows to train on and rows held out; None where ``X_val`` is.
    raw : ndarray of shape (n_held, n_outputs) or None
        Outputs for the rows held out; None if the model has not been trained.
    seconds : float
    is_cut : bool
        Whether training ended before it was to end.
    """

    def __init__(self, family, number, model, split):
        self.family, self.number, self.model = family, number, model
        self.split, self.raw, self.seconds, self.is_cut = split, None, 0.0, False

    @property
    def held(self):
        """Rows held out, as an index."""
        return slice(None) if self.split is None else self.split[1]


class Clock:
    """What is left of ``max_time``, and how long models of a family take."""

    def __init__(self, max_time, started):
        self.deadline = None if max_time is None else started + TRAINING * max_time
        self.seconds = {}

    def left(self, family):
        """Seconds that a model may take; None for any, 0 where there is no time."""
        if self.deadline is None:
            return None
        left = self.deadline - time.perf_counter()
        if not self.seconds:  # one model has to be
            return max(left, 0.01)
        return left if left > self.seconds.get(family, 0.0) else 0


def train(trials, data, clock, n_jobs, where, report, tasks):
    """Train models in their order, as many at once as there are threads for.

    Parameters
    ----------
    trials : list of Trial
    data : Data
    clock : Clock
    n_jobs : int or None
    where : str
        Device of the networks.
    report : callable
        Takes a trial that has been trained.
    tasks : list of Task
        What is told of each trial.

    Returns
    -------
    list of Trial
        Those that are trained to their end; if there are none, those that are not.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts before anything is trained.
    """
    with device.threads_for(where, n_jobs, MANY, MANY) as n_threads:
        at_once = min(n_threads, len(trials)) if where == device.CPU else len(trials)
        of_one = max(1, n_threads // at_once)

        def work(number, trial):
            left = clock.left(trial.family)
            if left == 0:
                return
            started = time.perf_counter()
            is_whole = trial.model.fit(data, trial.split, of_one, left, tasks[number])
            if is_whole is None:
                return
            trial.seconds = seconds = time.perf_counter() - started
            trial.is_cut = interrupted_by.get().is_set() or not is_whole
            trial.raw = trial.model.raw(data.held.X[trial.held]).astype(np.float64)
            clock.seconds[trial.family] = max(
                seconds, clock.seconds.get(trial.family, 0.0)
            )
            report(trial)

        with population(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", f"{INTERRUPTED}$")
            interrupted = train_side_by_side(work, trials, at_once)
    trained = [trial for trial in trials if trial.raw is not None]
    if not trained:
        raise KeyboardInterrupt
    whole = [trial for trial in trained if not trial.is_cut]
    if interrupted:
        warnings.warn(
            f"{INTERRUPTED} Of {len(trials)} models {len(whole or trained)} are kept"
            f"{'' if whole else ', which have not been trained to their end'}."
        )
    elif not whole:
        warnings.warn(
            "max_time has ended the first model before it was trained to its end. "
            "Raise max_time, or take preset='fast' or a smaller max_iter.",
            ConvergenceWarning,
        )
    return whole or trained
