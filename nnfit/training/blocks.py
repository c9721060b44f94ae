"""Training on rows that come block by block, as if they were in one piece.

The loop (`nnfit.training.loop`) sees an engine whose epoch is a pass over all blocks.
To the engine inside each block is the data of an epoch; steps, rates, schedules and all
that is drawn at random go on from block to block.
"""

from dataclasses import replace

import numpy as np

from nnfit.functions.stopping import RUNNING, invscaling


class BlockEngine:
    """An engine that trains on a block of rows after the other.

    What this class does not have is the engine's.

    Parameters
    ----------
    engine : Engine
    blocks : callable
        ``blocks(epoch)`` returns an iterator without end of the arrays that the
        engine's ``set_data`` takes, from that epoch on. After each the next one may be
        made, when ``go_on()`` is called; ``close()`` ends it.
    sizes : list of int
        Rows of the blocks of an epoch, all but the last of which are multiples of the
        batch.
    some : tuple
        Such arrays of a few rows, before there are blocks.
    """

    def __init__(self, engine, blocks, sizes, some):
        self._engine, self._blocks, self._sizes = engine, blocks, sizes
        self._reading = self._settings = None
        self.epoch = self.samples = 0
        self._number = self._in_block = 0
        self._loss, self._rows = 0.0, 0
        engine.keep_batch_losses = True
        engine.set_data(*some)

    def __getattr__(self, name):
        return getattr(self._engine, name)

    @property
    def progress(self):
        """That of the engine, with epochs and rows of whole passes."""
        return Progress(self, self._engine.progress)

    def configure(self, settings):
        """Set how to train; rules that look at whole epochs are applied here."""
        self._settings = settings
        self._engine.configure(
            replace(settings, schedule="constant", monitor_loss=False)
        )

    def begin_at(self, epoch):
        """Let the next block be the first one of an epoch."""
        self.epoch, self._number, self._in_block = epoch, 0, False
        self._loss, self._rows = 0.0, 0
        self._stop_reading()

    def train(self, max_epochs, seconds):
        """Train for about a tenth of a second, within a block.

        Parameters
        ----------
        max_epochs : int
            Not used: a call ends with a block.
        seconds : float
            Most that it shall take.

        Returns
        -------
        curves : dict of ndarray
            ``"loss"`` and ``"learning_rate"`` of the epoch, if this call ends it.
        """
        engine = self._engine
        if not self._in_block:
            self._take_block()
        before = engine.progress.epoch
        done = engine.train(before + 1, seconds)
        self._account(done["batch_loss"])
        has_ended = engine.progress.epoch > before
        if engine.progress.stopped == RUNNING and has_ended:
            self._in_block = False
            self._number += 1
            if self._number == len(self._sizes):
                return self._end_epoch(done["learning_rate"])
        return {"loss": np.empty(0), "learning_rate": np.empty(0)}

    def _take_block(self):
        """Go on with the next block, which has an order of rows of its own."""
        if self._reading is None:
            self._reading = self._blocks(self.epoch)
        self._engine.set_data(*next(self._reading))
        self._reading.go_on()  # since the block before is given up
        number = self.epoch * len(self._sizes) + self._number
        self._engine.progress.epoch = number
        self._in_block, self._left = True, self._rows_of_block()

    def _rows_of_block(self):
        return self._settings.rows_of_epoch(self._sizes[self._number])

    def _account(self, losses):
        """Add the losses of batches, in their order, each times its rows."""
        size = min(self._settings.batch_size, self._sizes[self._number])
        rows = np.full(len(losses), size)
        if len(rows):
            rows[-1] = min(size, self._left - size * (len(rows) - 1))
        self._left -= int(rows.sum())
        parts = (losses * rows)[~np.isnan(losses)]  # others have no weight
        self._loss = float(np.cumsum([self._loss, *parts])[-1])
        self._rows += int(rows.sum())

    def _end_epoch(self, rates):
        settings, progress = self._settings, self._engine.progress
        loss, self._loss, rows, self._rows = self._loss, 0.0, self._rows, 0
        self.epoch, self._number = self.epoch + 1, 0
        self.samples += rows
        if settings.schedule == "invscaling":
            init, power = settings.learning_rate_init, settings.power_t
            progress.learning_rate = invscaling(init, self.samples, power)
        return {"loss": np.array([loss / rows]), "learning_rate": rates[-1:]}

    def _stop_reading(self):
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def close(self):
        """End the reading; the engine is closed by whoever made it."""
        self._stop_reading()


def _of_engine(name):
    def read(self):
        return getattr(self._of_engine, name)

    def write(self, value):
        setattr(self._of_engine, name, value)

    return property(read, write)


class Progress:
    """How far a training has come, see `nnfit.progress`."""

    def __init__(self, blocks, of_engine):
        self._blocks, self._of_engine = blocks, of_engine

    @property
    def epoch(self):
        """Passes over all blocks finished."""
        return self._blocks.epoch

    @epoch.setter
    def epoch(self, value):
        self._blocks.begin_at(value)

    @property
    def samples(self):
        """Rows seen."""
        return self._blocks.samples

    @samples.setter
    def samples(self, value):
        self._blocks.samples = value

    t = samples
    step = _of_engine("step")
    no_improvement = _of_engine("no_improvement")
    stopped = _of_engine("stopped")
    learning_rate = _of_engine("learning_rate")
    best_loss = _of_engine("best_loss")
