"""Callbacks that end a fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nnfit.callbacks.base import Callback
from nnfit.callbacks.support import optional_import

if TYPE_CHECKING:
    import optuna

#: Columns of ``history_``, by whether more is better.
RISES = {"val_score": True, "val_loss": False, "loss": False}


class EarlyStopAt(Callback):
    """Ends a fit at the epoch whose score on the validation data is high enough.

    With ``early_stopping=True`` the weights of the best epoch are restored, which is
    this one.

    Parameters
    ----------
    score : float
        Of ``history_["val_score"]``, which ``scoring`` names.

    Examples
    --------
    >>> from nnfit import MLPClassifier
    >>> from nnfit.callbacks import EarlyStopAt
    >>> net = MLPClassifier(early_stopping=True).set_callbacks(EarlyStopAt(score=0.9))
    """

    def __init__(self, score: float):
        if isinstance(score, bool) or not math.isfinite(score):
            raise ValueError(f"score must be a finite number, got {score!r}.")
        self.score = score

    def after_epoch(self, estimator: Any, context: Any) -> bool:
        """Whether the score is reached."""
        return latest(estimator, "val_score", "EarlyStopAt") >= self.score


class OptunaPruning(Callback):
    """Reports every epoch to a trial of Optuna, and ends fits that it prunes.

    The fit then raises ``optuna.TrialPruned``; the estimator has the weights of that
    epoch. It is for one network, since a trial takes one number an epoch; an ensemble
    is an error.

    Parameters
    ----------
    trial : optuna.trial.Trial
    column : {"val_score", "val_loss", "loss"}, default="val_score"
        Of ``history_``; the study must go the same way: ``direction="maximize"`` for a
        score, "minimize" for a loss.

    Examples
    --------
    >>> from nnfit import MLPClassifier
    >>> from nnfit.callbacks import OptunaPruning
    >>> def objective(trial):
    ...     alpha = trial.suggest_float("alpha", 1e-6, 1e-1, log=True)
    ...     net = MLPClassifier(alpha=alpha, early_stopping=True, random_state=0)
    ...     net.set_callbacks(OptunaPruning(trial)).fit(X, y)
    ...     return net.best_validation_score_
    """

    def __init__(self, trial: optuna.trial.Trial, column: str = "val_score"):
        if column not in RISES:
            raise ValueError(
                f"column must be one of {', '.join(RISES)}, got {column!r}."
            )
        self.trial, self.column = trial, column

    def setup(self, estimator: Any, context: Any) -> None:
        """Refuse several networks, and a study that goes the other way."""
        members = getattr(estimator, "n_members", 1)
        if members != 1:
            raise ValueError(
                "OptunaPruning reports the epochs of one network, got n_members="
                f"{members} of {type(estimator).__name__}. Search with one member, and "
                "fit several with what was found."
            )
        self._pruned = optional_import("optuna", "OptunaPruning").TrialPruned
        wanted = "maximize" if RISES[self.column] else "minimize"
        direction = self.trial.study.direction.name.lower()
        if direction != wanted:
            raise ValueError(
                f"OptunaPruning(column={self.column!r}) needs a study with direction="
                f"{wanted!r}, got {direction!r}. Create such a study, or choose "
                "another column."
            )

    def after_epoch(self, estimator: Any, context: Any) -> None:
        """Report; raise ``optuna.TrialPruned`` if there is no hope."""
        value = latest(estimator, self.column, "OptunaPruning")
        epoch = len(estimator.history_["loss"])
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            raise self._pruned(f"{self.column}={value:g} in epoch {epoch}")


def latest(estimator, column, who):
    """The last number of a column of ``history_``, which needs validation data."""
    history = estimator.history_
    value = history[column][-1]
    if column != "loss" and math.isnan(value) and math.isnan(history["val_loss"][-1]):
        raise ValueError(
            f"{who} looks at history_[{column!r}], and there are no validation data. "
            "Set early_stopping=True, or pass X_val and y_val to fit."
        )
    return value
