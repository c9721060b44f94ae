"""How much memory a fit takes beside the data it is given."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from nnfit import MLPClassifier, MLPRegressor
from nnfit.training import memory

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: Most that a fit allocates, in tables of 50 columns. The order of the rows takes 0.04
#: in float32, so do the encoded labels while they are sorted, a stratified split 0.1.
LIMITS = {"float32": 0.15, "float64": 0.65}  # the latter with a copy in float32


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "numbers"])
def test_a_fit_allocates_little_beside_a_large_table(kind, early_stopping, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 50)).astype(dtype)
    numbers = X[:, 0].copy()
    y = {"binary": numbers > 0, "multiclass": (3 * numbers).astype(int) % 5}
    estimator = MLPRegressor if kind == "numbers" else MLPClassifier
    model = estimator(
        hidden_layer_sizes=(8,), max_iter=1, early_stopping=early_stopping
    )
    y = y.get(kind, numbers)
    model.fit(X[:1000], y[:1000])  # compiled
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LIMITS[dtype] * X.nbytes


@pytest.mark.parametrize(("density", "limit"), [(0.001, 0.7), (0.2, 3.0)])
def test_the_check_counts_the_batch_that_a_fit_makes(density, limit, monkeypatch):
    """The entries of sparse rows, two copies of rows that are written out."""
    monkeypatch.setattr(memory, "SMALL", 0)
    X = scipy.sparse.random(
        256, 20_000, density, "csr", dtype=np.float32, random_state=0
    )
    y = np.arange(256.0)
    dense_batch = 256 * 20_000 * 4
    model = MLPRegressor(
        hidden_layer_sizes=(16,), batch_size=256, max_iter=1, random_state=0
    )
    model.fit(X, y)  # compiled
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < limit * dense_batch
    monkeypatch.setattr(memory, "available_memory", lambda: limit * dense_batch)
    model.fit(X, y)
    monkeypatch.setattr(memory, "available_memory", lambda: peak / 2)
    with pytest.raises(MemoryError, match="available memory"):
        model.fit(X, y)


COUNTED = {
    "plain": {},
    "average": {"ema_decay": 0.9},
    "best weights": {"early_stopping": True},
    "clipped": {"clip_norm": 1.0},
    "shortened": {"max_norm": 1.0},
    "augmented": {"mixup": 0.2, "input_noise": 0.1, "input_dropout": 0.1},
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer"},
    "residual": {"residual": True},
    "projection": {"residual": True, "hidden_layer_sizes": (400, 399)},
    "muon": {"solver": "muon"},
    "schedule-free": {"solver": "schedule_free"},
    "lbfgs": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_check_counts_what_features_keep(name, monkeypatch):
    counted = []

    def training_memory(*arguments):
        counted.append(exact(*arguments))
        return counted[-1]

    exact = memory.training_memory
    monkeypatch.setattr(memory, "training_memory", training_memory)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((400, 30)).astype(np.float32), rng.standard_normal(400)
    model = MLPRegressor(
        hidden_layer_sizes=(400, 400), batch_size=50, max_iter=1, n_jobs=1
    )
    model.set_params(**COUNTED[name]).fit(X, y)  # compiled
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.8 * peak < counted[-1] < 1.6 * peak
