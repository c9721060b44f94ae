"""A process that fits one model to one table when it is told to.

``python -m benchmarks.accuracy.worker MODEL THREADS DEVICE``; requests and answers as
in `benchmarks.peers.worker`. ``{"do": "load", "path": PATH, "most": ROWS}`` reads the
table and fits some of its rows, which compiles and loads what is needed, and
``{"do": "fit", "split": NUMBER}`` fits and scores.
"""

import time
import warnings

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss

from ..peers.worker import serve
from . import tables
from .memory import Memory
from .registry import load_maker

#: Of the first fit; with fewer, columns are constant and classes lack.
FIRST_ROWS = 400


class Worker:
    """A model, and the table that it has in hand."""

    def __init__(self, model, n_threads, device):
        self.make, self.n_threads = load_maker(model), n_threads
        # Of a network that has not converged after its default epochs, above all.
        warnings.simplefilter("ignore")

    def load(self, path, most):
        self.table, self.most = tables.read(path), most
        rows, _ = self.table.rows(0, most)
        start = time.perf_counter()
        self._fit(rows[:FIRST_ROWS], 0)
        seconds = time.perf_counter() - start
        self.memory = Memory()
        return {"first_seconds": seconds}

    def _fit(self, rows, seed):
        model = self.make(self.table.task, self.n_threads, seed)
        model.fit(self.table.X.iloc[rows], self.table.y[rows])
        return model

    def fit(self, split):
        table = self.table
        rows, test = table.rows(split, self.most)
        self.memory.reset()
        start = clocks()
        model = self._fit(rows, split)
        fitted = clocks()
        outputs = predict(model, table.X.iloc[test], table.task)
        predicted = clocks()
        seconds = {
            "fit_seconds": fitted - start,
            "predict_seconds": predicted - fitted,
        }
        record = {
            "task": table.task,
            "columns": table.X.shape[1],
            "rows": len(rows),
            "test_rows": len(test),
            **score(table, test, model, outputs),
            # Wall clock, and of the processor, all threads together.
            **{name: list(map(float, both)) for name, both in seconds.items()},
            "megabytes": self.memory.peak(),
        }
        return {"record": record}


def clocks():
    return np.array([time.perf_counter(), time.process_time()])


def predict(model, X, task):
    """Predictions of a regression, or probabilities of classes."""
    return model.predict(X) if task == "regression" else model.predict_proba(X)


def score(table, test, model, outputs):
    """Error, log loss and Brier score of test rows.

    Returns
    -------
    scores : dict of float
        ``error`` is 1 - accuracy, or the root of the mean squared error over the
        standard deviation of the targets; the others are those of classifiers.
    """
    y, outputs = table.y[test], np.asarray(outputs, dtype=float)
    if table.task == "regression":
        outputs = outputs.reshape(len(y))
        return {"error": float(np.sqrt(np.mean((outputs - y) ** 2)) / y.std())}
    # Some of the classes may be in no training row.
    labels = np.unique(table.y)
    proba = np.zeros((len(y), len(labels)))
    proba[:, np.searchsorted(labels, np.asarray(model.classes_, dtype=int))] = outputs
    proba /= proba.sum(axis=1, keepdims=True)
    return {
        "error": float(np.mean(labels[proba.argmax(axis=1)] != y)),
        "log_loss": log_loss(y, proba, labels=labels),
        "brier": brier_score_loss(
            y, proba if len(labels) > 2 else proba[:, 1], labels=labels
        ),
    }


if __name__ == "__main__":
    serve(Worker)
