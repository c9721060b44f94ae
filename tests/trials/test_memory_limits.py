"""Memory that runs out at any moment ends in a MemoryError, not in a crash."""

import os
import resource
from collections import Counter

import joblib
import numpy as np
import scipy.sparse
from sklearn.base import clone

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV
from tests.trials.fits import quietly
from tests.trials.workers import Worker

#: Bytes of address space that are left to a call, from what Python itself needs for its
#: small objects to more than any of the calls maps.
ROOM = 1e6, 3e7

_rng = np.random.default_rng(0)
X = _rng.normal(size=(4000, 60)).astype(np.float32)
SPARSE = scipy.sparse.csr_array(np.where(X > 1.8, X, 0))
Y = X[:, 0] > 0
SHAPE = dict(hidden_layer_sizes=(500, 400), batch_size=1000, max_iter=1, random_state=0)
WIDE = MLPClassifier(**SHAPE)
CALLS = {
    "fit": (WIDE, X),
    "fit on threads": (MLPClassifier(**SHAPE, n_jobs=2), X),
    "fit of sparse rows": (WIDE, SPARSE),
    "fit in float64": (MLPRegressor(**SHAPE, dtype="float64"), X),
    "early stopping": (MLPClassifier(**SHAPE, early_stopping=True), X),
    "muon": (MLPClassifier(**SHAPE, solver="muon"), X),
    "lbfgs": (MLPClassifier(**SHAPE, solver="lbfgs", max_fun=2), X),
    "ensemble": (MLPClassifier(**SHAPE, n_members=2, n_jobs=2), X),
    "search": (PopulationSearchCV(WIDE, {"alpha": [0, 1]}, cv=2, n_jobs=2), X),
    "prediction": (WIDE, X),
    "prediction on threads": (MLPClassifier(**SHAPE, n_jobs=2), X),
    "prediction for sparse rows": (WIDE, SPARSE),
}


def warm_up(name):
    """Load what a call needs, so that no limit meets the compiler of others."""
    model, rows = CALLS[name]
    quietly(lambda: model.fit(rows, Y).predict(rows))


def address_space():
    """Bytes that this process has mapped."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def limited(name, room):
    """How a call ends that may map so many more bytes."""
    model, rows = CALLS[name]
    predicts = name.startswith("prediction")
    if not predicts:
        model = clone(model)
    state = joblib.hash(vars(model))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + room, hard))
    try:
        if predicts:
            model.predict(rows)
        else:
            quietly(lambda: model.fit(rows, Y))
        how = "as ever"
    except MemoryError:
        how = "MemoryError"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    if how == "MemoryError":
        assert joblib.hash(vars(model)) == state, "half a fit"
    return how


def test_memory_limits(trial):
    count, ends, failed = trial.rounds(full=50, fewest=3), Counter(), []
    with Worker() as worker:
        for name in CALLS:
            warm = None
            for room in np.exp(trial.rng.uniform(*np.log(ROOM), size=count)):
                if warm is None or warm is not worker.process:
                    worker.call(warm_up, name).result()
                    warm = worker.process
                outcome = worker.call(limited, name, int(room), limit=60)
                ends[outcome.value] += 1
                if outcome.kind != "returned":
                    failed.append((name, int(room), outcome))
    trial.figure(f"calls with less and less memory: {dict(ends)}")
    assert not failed, "\n".join(f"{n} {r}\n{o.value} {o.text}" for n, r, o in failed)
