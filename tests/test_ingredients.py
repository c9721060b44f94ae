"""Every ingredient of training through the estimators, on every path.

`FEATURES` is the list: a new ingredient is tested on arrival, against the naive engine,
with threads, sparse rows, weights, both types of computation, and through a pickle.
"""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification

from nnfit import MLPClassifier, MLPRegressor
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.training import device
from nnfit.training.schedules import SCHEDULES
from tests import numpy_engine
from tests.conftest import use_numpy_engine
from tests.pairs import in_turn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(150, 9, n_informative=6, n_classes=3, random_state=0)
X[np.abs(X) < 0.4] = 0.0  # so that sparse rows are sparse
NUMBERS = np.column_stack([X[:, 0] * Y, X[:, 1]])
WEIGHT = np.random.RandomState(0).randint(0, 4, size=150) / 2.0

FEATURES = {
    "dropout": {"dropout": 0.3},
    "dropout by layer": {"dropout": [0.0, 0.5]},
    "input dropout": {"input_dropout": 0.2},
    "l1": {"l1": 0.1},
    "weight decay": {"solver": "adamw", "weight_decay": 1.0},
    "max norm": {"max_norm": 0.7},
    "mixup": {"mixup": 0.4},
    "cutmix and swaps": {"cutmix": 0.7, "feature_swap": 0.2},
    "noise": {"input_noise": 0.3},
    "ema": {"ema_decay": 0.8},
    "swa": {"swa": 0.5},
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer"},
    "residual": {"residual": True, "hidden_layer_sizes": (8, 8, 8)},
    "projection": {"residual": True},
    "residual batch": {"residual": True, "normalization": "batch"},
    "residual layer": {"residual": True, "normalization": "layer"},
    "clip norm": {"clip_norm": 0.05},
    "clip value": {"clip_value": 0.01},
    "clip both": {"clip_norm": 0.1, "clip_value": 0.01, "solver": "sgd"},
    "warmup": {"warmup": 0.4, "learning_rate": "cosine"},
    "plateau": {"learning_rate": "plateau", "n_iter_no_change": 1, "tol": 10.0},
    "factors": {"learning_rate_factors": [0.5, 1.0, 2.0]},
    "function": {"learning_rate": lambda t: 1.0 - t},
    "decay schedule": {"solver": "adamw", "weight_decay_schedule": "cosine"},
    "dropout schedule": {"dropout": 0.5, "dropout_schedule": "cosine"},
    "momentum schedule": {"solver": "sgd", "momentum_schedule": "cosine"},
    "beta schedule": {"momentum_schedule": "flat_cosine"},
    **{name: {"learning_rate": name} for name in SCHEDULES},
    **{name: {"solver": name} for name in OPTIMIZERS if name != "sgd_nesterov"},
    "all": {
        "dropout": 0.2,
        "input_dropout": 0.1,
        "input_noise": 0.1,
        "mixup": 0.2,
        "l1": 1e-3,
        "normalization": "batch",
        "residual": True,
        "clip_norm": 0.5,
        "max_norm": 2.0,
        "ema_decay": 0.8,
        "learning_rate": "coslog4",
        "warmup": 0.1,
        "learning_rate_factors": [1.0, 0.5, 2.0],
    },
}
COMMON = {
    "hidden_layer_sizes": (10, 7),
    "activation": "tanh",
    "batch_size": 32,  # and 22 rows in the last batch
    "learning_rate_init": 0.01,
    "max_iter": 4,
    "random_state": 0,
}


def build(estimator, name, **more):
    return estimator(**COMMON | FEATURES[name] | more)


def assert_same(model, other, check=assert_array_equal, **tolerance):
    for name in ("coefs_", "intercepts_", "norms_"):
        for mine, theirs in zip(
            getattr(model, name), getattr(other, name), strict=True
        ):
            check(mine, theirs, **tolerance)


@in_turn(name=FEATURES, path=["weights", "validated", "numbers", "sparse"])
def test_the_engine_trains_as_the_naive_one(monkeypatch, name, path):
    estimator, target = MLPClassifier, Y
    if path == "numbers":
        estimator, target = MLPRegressor, NUMBERS
    rows = csr_array(X) if path == "sparse" else X
    given = {"sample_weight": WEIGHT} if path == "weights" else {}
    if path == "validated":
        given = {"X_val": X[::3], "y_val": target[::3]}
    model = build(estimator, name, dtype="float64")
    ours = clone(model).fit(rows, target, **given)
    use_numpy_engine(monkeypatch)
    assert device.load_engine() is numpy_engine
    theirs = clone(model).fit(rows, target, **given)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    assert_same(ours, theirs, assert_allclose, rtol=1e-5, atol=1e-7)
    for column in ("val_loss", "val_score", "learning_rate"):
        assert_allclose(ours.history_[column], theirs.history_[column], rtol=1e-5)


@in_turn(name=FEATURES, dtype=["float32", "float64"])
def test_threads_do_not_change_a_bit(name, dtype):
    models = [
        build(MLPClassifier, name, dtype=dtype, n_jobs=n_jobs).fit(X, Y, WEIGHT)
        for n_jobs in (1, 2, 3)
    ]
    for model in models[1:]:
        assert_same(model, models[0])
        assert_array_equal(model.predict_proba(X), models[0].predict_proba(X))
    assert models[0].coefs_[0].dtype == dtype


@pytest.mark.parametrize("name", FEATURES)
def test_sparse_rows_train_as_dense_ones(name):
    dense, sparse = (
        build(MLPClassifier, name).fit(rows, Y) for rows in (X, csr_array(X))
    )
    assert_same(sparse, dense, assert_allclose, rtol=1e-4, atol=1e-5)
    probability = sparse.predict_proba(csr_array(X))
    assert_allclose(probability, dense.predict_proba(X), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", FEATURES)
def test_early_stopping_and_a_pickle(name):
    model = build(MLPClassifier, name, early_stopping=True, scoring="neg_log_loss")
    model.fit(X, Y)
    best = int(np.argmax(model.validation_scores_))
    assert model.history_["val_score"][best] == model.best_validation_score_
    if FEATURES[name].get("learning_rate") == FEATURES["function"]["learning_rate"]:
        return  # a lambda cannot be pickled
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", FEATURES)
def test_it_makes_a_difference(name):
    """Nothing is accepted and left aside."""
    model = build(MLPClassifier, name).fit(X, Y)
    plain = MLPClassifier(**COMMON)
    for kept in ("solver", "hidden_layer_sizes"):
        plain.set_params(**{kept: getattr(model, kept)})
    if name == "dropout schedule":
        plain.set_params(dropout=0.5)
    if name in ("constant", *OPTIMIZERS):
        return
    plain.fit(X, Y)
    if [coef.shape for coef in plain.coefs_] == [coef.shape for coef in model.coefs_]:
        assert np.abs(plain.coefs_[-1] - model.coefs_[-1]).max() > 1e-5
