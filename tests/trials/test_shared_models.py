"""Threads that predict with one model while a copy of it is trained."""

import copy
import threading

import numpy as np
import pytest

from nnfit import MLPClassifier
from tests.trials.fits import DENSE, LABELS, SPARSE, quietly
from tests.trials.workers import Worker

N_THREADS = 16
#: Rows of predictions: those that take the weights where they are, and others.
ROWS = {"few": DENSE[:5], "many": np.tile(DENSE, (5, 1)), "sparse": SPARSE}
MODELS = {
    "plain": MLPClassifier((60, 30)),
    "normalised": MLPClassifier((30, 30), normalization="batch", residual=True),
    "ensemble": MLPClassifier((20,), n_members=3),
}


def predict_beside_training(name, n_predictions):
    """Predictions that had other bits, predictions and steps of training."""
    model = MODELS[name].set_params(max_iter=3, random_state=0, n_jobs=2)
    quietly(lambda: model.fit(DENSE, LABELS))
    expected = {kind: model.predict_proba(rows) for kind, rows in ROWS.items()}
    trained, kinds = copy.deepcopy(model), list(ROWS)
    wrong, done, errors = [], [], []

    def predict(number):
        try:
            for turn in range(n_predictions // N_THREADS):
                kind = kinds[(number + turn) % len(kinds)]
                if not np.array_equal(model.predict_proba(ROWS[kind]), expected[kind]):
                    wrong.append(kind)
                done.append(kind)
        except Exception as error:
            errors.append(repr(error))

    threads = [
        threading.Thread(target=predict, args=(number,)) for number in range(N_THREADS)
    ]
    for thread in threads:
        thread.start()
    steps = 0
    while any(thread.is_alive() for thread in threads):
        trained.partial_fit(DENSE, LABELS)
        steps += 1
    assert not errors, errors
    return len(wrong), len(done), steps


@pytest.mark.parametrize("name", MODELS)
def test_predictions_beside_training(trial, name):
    count = trial.rounds(full=16_000, fewest=800)
    with Worker() as worker:
        wrong, done, steps = worker.call(
            predict_beside_training, name, count, limit=3600
        ).result()
    trial.figure(
        f"{wrong} of {done} predictions on {N_THREADS} threads have other bits beside "
        f"{steps} calls of partial_fit of a copy"
    )
    assert (wrong, done) == (0, count)
    assert steps > 0
