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
    local_epochs : int
        Epochs of a round.
    """

    def __init__(self, engine, holders, outer, settings, local_epochs):
        self._engine, self._holders, self._outer = engine, holders, outer
        self._settings, self._local_epochs = settings, local_epochs

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def train(self, max_epochs, seconds=None):
        """Train for a round, which is not cut short; see `Engine.train`."""
        progress, before = self._engine.progress, self._engine.get_weights()
        n_epochs = min(self._local_epochs, self._settings.max_iter - progress.epoch)
        trained = self._holders.train(
            before, int(progress.epoch), int(n_epochs), float(progress.learning_rate)
        )
        total = sum(each.weight for each in trained)
        shares = [each.weight / total for each in trained]
        self._engine.set_weights(
            self._outer(before, [each.weights for each in trained], shares)
        )
        progress.epoch += n_epochs
        if not np.isfinite(self._engine.flat).all():
            progress.stopped = DIVERGED
        loss = sum(s * each.losses for s, each in zip(shares, trained, strict=True))
        loss = loss / self._settings.unit
        return {"loss": loss, "learning_rate": trained[0].rates}
