"""What callbacks of nnfit have in common."""

from __future__ import annotations

from typing import Any


class Callback:
    """Base of callbacks that look at the epochs of a fit.

    It follows scikit-learn's protocol of callbacks: a fit of a network is a task
    ``"fit"`` (or ``"partial_fit"``), and each epoch, or each iteration of 'lbfgs', a
    task ``"epoch"`` of it. Of an ensemble the members' fits are tasks of the whole's
    fit, and `estimator` is the member; they train at the same time, in threads, so a
    callback must not keep the state of one fit in an attribute without its key.

    While a fit goes on, ``estimator.history_`` has its losses, scores and rates up to
    the last epoch, and ``estimator._training``, a `nnfit.callbacks.listening.Training`,
    all else: the network, its weights when asked for them, the rows. A hook that has
    ``fitted_estimator`` among its keyword-only parameters is given a copy that predicts
    with the weights of the moment, which takes the time of a copy.
    """

    def setup(self, estimator: Any, context: Any) -> None:
        """Called before a fit."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Called after a fit, whatever ended it."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Called at the begin of a fit and of each epoch."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool | None:
        """Called at the end of each epoch and of a fit; True ends the fit."""
        return self.after_epoch(estimator, context) if is_epoch(context) else None

    def after_epoch(self, estimator: Any, context: Any) -> bool | None:
        """Called at the end of each epoch; True ends the fit."""

    def after_training(self, estimator: Any, context: Any) -> None:
        """Called after the last epoch, whatever has ended the training but an error.

        ``estimator._training`` is still there, and the estimator not yet fitted.
        """


def is_epoch(context):
    """Whether a task is one of the epochs of a fit."""
    return context.task_name == "epoch"
