"""What training records, epoch by epoch."""

import math
from dataclasses import dataclass, field

COLUMNS = ("loss", "val_loss", "val_score", "learning_rate", "seconds")


def empty_history():
    """A history of no epochs."""
    return {column: [] for column in COLUMNS}


@dataclass
class Record:
    """State of the training curves; resumed training continues one.

    Attributes
    ----------
    history : dict of list
        One list per column of ``COLUMNS``, all of one length.
    loss_curve : list of float
    validation_scores : list of float or None
        None unless early stopping watches a validation set.
    best_loss : float or None
        None with early stopping.
    best_validation_score : float or None
        None without early stopping.
    no_improvement : int
        Epochs in a row without improvement.
    n_iter : int
        Epochs of this call.
    """

    history: dict = field(default_factory=empty_history)
    loss_curve: list = field(default_factory=list)
    validation_scores: list | None = None
    best_loss: float | None = math.inf
    best_validation_score: float | None = None
    no_improvement: int = 0
    n_iter: int = 0

    def watch(self, early_stopping):
        """Track the validation score or the training loss, as asked for."""
        if early_stopping and self.validation_scores is None:
            self.validation_scores = []
            self.best_validation_score = -math.inf
            self.best_loss = None
        elif not early_stopping and self.best_loss is None:
            self.validation_scores = self.best_validation_score = None
            self.best_loss = math.inf

    def add_epoch(self, loss, learning_rate, seconds, val_loss, val_score):
        """Append one epoch to the curves."""
        self.n_iter += 1
        self.loss_curve.append(loss)
        row = (loss, val_loss, val_score, learning_rate, seconds)
        for column, value in zip(COLUMNS, row, strict=True):
            self.history[column].append(value)

    @property
    def seconds(self):
        """Training time recorded so far."""
        return self.history["seconds"][-1] if self.history["seconds"] else 0.0
