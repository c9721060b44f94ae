"""An engine whose epochs are trained by the shards."""

import numpy as np

from nnfit.functions.stopping import DIVERGED


class ShardedEngine:
    """In the place of an `Engine` where `nnfit.training.loop.train` trains.

    The engine of the client has the weights, and evaluates them.

    Parameters
    ----------
    engine : Engine
    holders : nnfit.dask.workers.InProcess or OnWorkers
        Of the shards.
    outer : OuterStep
    settings : nnfit.training.loop.Settings
        Of the fit.
    local_epochs, n_slices : int
        Epochs of a round, and rounds of an epoch, of which one is 1.
    """

    def __init__(self, engine, holders, outer, settings, local_epochs, n_slices):
        self._engine, self._holders, self._outer = engine, holders, outer
        self._settings, self._local_epochs = settings, local_epochs
        self._n_slices = n_slices

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def train(self, max_epochs, seconds=None):
        """Train some epochs, none of which is cut short; see `Engine.train`."""
        progress = self._engine.progress
        n_epochs = min(self._local_epochs, self._settings.max_iter - progress.epoch)
        first = int(progress.epoch) * self._n_slices
        rate = float(progress.learning_rate)
        rounds = [
            self._round(first + number, int(n_epochs), rate)
            for number in range(self._n_slices)
        ]
        progress.epoch += n_epochs
        if not np.isfinite(self._engine.flat).all():
            progress.stopped = DIVERGED
        loss, rates = (np.mean(each, axis=0) for each in zip(*rounds, strict=True))
        return {"loss": loss / self._settings.unit, "learning_rate": rates}

    def _round(self, *arguments):
        """Let the shards train from the same weights, and join what they come to."""
        before = self._engine.get_weights()
        trained = self._holders.train(before, *arguments)
        total = sum(each.weight for each in trained)
        shares = [each.weight / total for each in trained]
        after = self._outer(before, [each.weights for each in trained], shares)
        self._engine.set_weights(after)
        loss = sum(s * each.losses for s, each in zip(shares, trained, strict=True))
        return loss, trained[0].rates
