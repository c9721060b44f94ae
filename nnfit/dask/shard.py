"""A logical shard: rows, and the estimator that they train between synchronisations."""

import copy
from typing import NamedTuple

import numpy as np

from nnfit.estimators import resuming
from nnfit.estimators.standardising import training_rows
from nnfit.estimators.validation import check_weights, check_X_y
from nnfit.network import Weights
from nnfit.training.threads import granted

#: Rules of the learning rate by the loss, which is that of all shards and not of one.
BY_LOSS = ("adaptive", "plateau")


class Trained(NamedTuple):
    """What a shard has come to in a round.

    Attributes
    ----------
    weights : Weights
    losses, rates : ndarray of shape (n_epochs,)
    weight : float
        What the shard counts in averages: the sum of the weights of its rows.
    """

    weights: Weights
    losses: np.ndarray
    rates: np.ndarray
    weight: float


class Shard:
    """Rows of a shard as the network takes them, and the state of their optimizer.

    Parameters
    ----------
    number : int
    estimator : BaseMLP
        Has learnt what stands before and after the network, and has no weights.
    seed : int
        Of the training.
    n_slices : int
        Rounds in which all of its rows are trained on.
    X, y, sample_weight
        As the user has them.
    """

    def __init__(self, number, estimator, seed, n_slices, X, y, sample_weight):
        self._seed, self._n_slices = seed, n_slices
        if number > 0:  # the first one has the orders of a fit on one machine
            sequence = np.random.SeedSequence((seed, number))
            self._seed = int(sequence.generate_state(1, np.uint64)[0])
        self._estimator = estimator = copy.copy(estimator)
        estimator._fitted = dict(estimator._fitted)
        dtype = estimator._compute_dtype()
        is_numeric = estimator._y_numeric
        rows, self._y = check_X_y(estimator, X, y, dtype, False, is_numeric)
        self._X = training_rows(estimator, X, rows, False)
        self._sample_weight = check_weights(sample_weight, self._X)
        weights = estimator._loss_weights(self._y, self._sample_weight)
        self.weight = float(rows.shape[0] if weights is None else weights.sum())
        self._epoch = None  # where its optimizer is

    def train(self, weights, epoch, n_epochs, rate):
        """Train for some epochs.

        Parameters
        ----------
        weights : Weights
            To begin with.
        epoch : int
            Epochs that all shards have trained, or slices.
        n_epochs : int
        rate : float
            Learning rate, where it does not follow from the progress.

        Returns
        -------
        Trained
        """
        estimator = self._estimator
        if epoch != self._epoch:  # the first round, or the first in another place
            self._begin(epoch)
        if estimator.learning_rate == "constant":
            estimator.learning_rate_init = rate
        estimator._set_weights(weights)
        for _ in range(n_epochs):
            rows = self._slice(epoch % self._n_slices)
            estimator._fit(*rows, incremental=True, learnt={})
        self._epoch = epoch + n_epochs
        history = estimator.history_
        losses, rates = (
            np.array(history[name][-n_epochs:]) for name in ("loss", "learning_rate")
        )
        return Trained(estimator._weights(), losses, rates, self.weight)

    def _slice(self, number):
        """Rows of a round, one after the other."""
        n_rows, n_slices = self._X.shape[0], self._n_slices
        rows = slice(number * n_rows // n_slices, (number + 1) * n_rows // n_slices)
        weight = self._sample_weight
        weight = None if weight is None else weight[rows]
        return self._X[rows], self._y[rows], weight

    def _begin(self, epoch):
        """Begin with a new optimizer in an epoch of the training."""
        estimator = self._estimator
        estimator.t_ = epoch * self._X.shape[0] // self._n_slices
        vars(estimator)[resuming.STATE] = {
            "seed": self._seed,
            "solver": estimator.solver,
            "epoch": epoch,
            "progress": min(1.0, epoch / estimator.max_iter),
        }


def template(estimator, n_slices):
    """The estimator of a shard, of one that is being fitted on the client.

    What it takes for an epoch is a slice.
    """
    made = copy.copy(estimator)
    for name in ("_run", "_skl_callbacks", resuming.STATE, *resuming.RECORDS):
        vars(made).pop(name, None)
    if hasattr(made, "label_smoothing"):  # which may follow from the score
        made.label_smoothing = made._value("label_smoothing")
    # As attributes: not all of them are parameters of each. The client watches.
    vars(made).update(
        early_stopping=False, warm_start=False, verbose=False, scoring=None,
        temperature_scaling=False,
    )  # fmt: skip
    if made.learning_rate in BY_LOSS:
        made.learning_rate = "constant"
    for name in ("max_iter", "unfreeze_at"):
        if getattr(made, name) is not None:
            setattr(made, name, getattr(made, name) * n_slices)
    return made


def train_all(shards, n_threads, *arguments):
    """Train the shards that a worker holds, one after the other.

    Parameters
    ----------
    shards : list of Shard
    n_threads : int
        Of the worker.
    *arguments
        See `Shard.train`.

    Returns
    -------
    list of Trained
    """
    with granted(n_threads):
        return [shard.train(*arguments) for shard in shards]
