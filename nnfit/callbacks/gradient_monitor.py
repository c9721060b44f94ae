"""A callback that records the flow of gradients and activations through a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfit.callbacks.base import Callback
from nnfit.training.tracing import trace

#: Where the record is, an attribute of the estimator.
RECORD = "gradient_history_"


class GradientMonitor(Callback):
    """Record norms of gradients and activations by layer over the epochs of a fit.

    After an epoch some rows of the training data are passed through the network with
    the weights of that moment. The record is the attribute ``gradient_history_`` of the
    estimator, of an ensemble that of each member, which
    :class:`nnfit.GradientFlowDisplay` draws: a dict with ``"layers"``, their names;
    ``"epoch"``, the epochs looked at, from 1; and, for each of these, a list with a
    number for each layer:

    - ``"gradient"``: norm of the gradient of the mean loss by the layer's matrix;
    - ``"activation"``: root mean square of the layer's outputs;
    - ``"dead"``: share of the layer's units whose slope is zero on all rows.

    Parameters
    ----------
    every : int, default=1
        Epochs from one record to the next.
    n_rows : int, default=256
        Most rows that are looked at, evenly spaced ones.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnfit import MLPClassifier
    >>> from nnfit.callbacks import GradientMonitor
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((10, 10), max_iter=300, random_state=0)
    >>> model = model.set_callbacks(GradientMonitor(every=5)).fit(X, y)
    >>> model.gradient_history_["layers"]
    ['hidden 1', 'hidden 2', 'output']
    >>> model.gradient_history_["epoch"][:3]
    [5, 10, 15]
    """

    def __init__(self, every: int = 1, n_rows: int = 256) -> None:
        for name, value in (("every", every), ("n_rows", n_rows)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"{name} must be an integer, got {value!r}.")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value!r}.")
        self.every, self.n_rows = int(every), int(n_rows)

    def after_epoch(self, estimator: Any, context: Any) -> None:
        """Add a record, if it is time for one."""
        epoch = len(estimator.history_["loss"])
        if epoch % self.every:
            return
        found = trace(*self._what(estimator._training)).layers
        record = vars(estimator).setdefault(
            RECORD, {"layers": [layer.name for layer in found], "epoch": []}
        )
        record["epoch"].append(epoch)
        for name, values in (
            ("gradient", [layer.gradient for layer in found]),
            ("activation", [layer.size for layer in found]),
            ("dead", [layer.dead_share for layer in found]),
        ):
            record.setdefault(name, []).append(values)

    def _what(self, training):
        """Network, weights, rows and targets of a training to look at."""
        rows = training.rows
        if rows is None:
            rows = np.arange(training.X.shape[0])
        rows = rows[:: -(-len(rows) // self.n_rows)]
        weights, X = training.engine.get_weights(), training.X[rows]
        return training.network, weights, X, training.target[rows]
