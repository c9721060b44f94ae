"""Callbacks that keep what a fit records elsewhere."""

from __future__ import annotations

import math
from typing import Any

from nnfit.callbacks.base import Callback
from nnfit.callbacks.support import optional_import


class MLflowLog(Callback):
    """Logs every epoch to a run of MLflow, with the names of ``history_``.

    The run is the active one, or a new one; the numbers of an ensemble's members have
    the member's number before their names. Parameters and model are logged with
    MLflow's own functions.

    Examples
    --------
    >>> from nnfit import MLPClassifier
    >>> from nnfit.callbacks import MLflowLog
    >>> net = MLPClassifier().set_callbacks(MLflowLog())
    >>> with mlflow.start_run():  # doctest: +SKIP
    ...     net.fit(X, y)
    """

    def __init__(self) -> None:
        # Run of a fit, by the key of the outermost task. The run is active only in the
        # thread that started it.
        self._runs: dict[Any, str] = {}

    def setup(self, estimator: Any, context: Any) -> None:
        """Find the run."""
        if context.root_uuid not in self._runs:
            mlflow = optional_import("mlflow", "MLflowLog")
            run = mlflow.active_run() or mlflow.start_run()
            self._runs[context.root_uuid] = run.info.run_id

    def after_epoch(self, estimator: Any, context: Any) -> None:
        """Log the numbers of an epoch."""
        mlflow = optional_import("mlflow", "MLflowLog")
        task = context.parent
        is_member = task.source_task_name == "member"
        prefix = f"member_{task.task_id}/" if is_member else ""
        last = {name: values[-1] for name, values in estimator.history_.items()}
        metrics = {
            f"{prefix}{name}": value
            for name, value in last.items()
            if math.isfinite(value)
        }
        step = len(estimator.history_["loss"])
        mlflow.log_metrics(metrics, step=step, run_id=self._runs[context.root_uuid])
