"""The network for tables: recipe, presets, and what follows from the number of rows."""

import numpy as np
import pandas as pd
import pytest

from nnfit.estimators.tabular_network import (
    RULES_OF,
    TabularNetworkClassifier,
    TabularNetworkRegressor,
)
from tests.cuda import tiles

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
NUMBERS = 100.0 + 40.0 * X[:, 0] + 20.0 * np.sin(3.0 * X[:, 1])
SMALL = dict(hidden_layer_sizes=(8,), max_iter=6, random_state=0)
TASKS = {
    "classification": (TabularNetworkClassifier, (NUMBERS > 100.0).astype(int)),
    "regression": (TabularNetworkRegressor, NUMBERS),
}
BOTH = pytest.mark.parametrize("task", TASKS)


def fitted(task, **parameters):
    estimator, y = TASKS[task]
    return estimator(**{**SMALL, **parameters}).fit(X, y)


@BOTH
def test_every_vector_of_a_number_starts_as_a_line(task):
    model = fitted(task, learning_rate_init=1e-30)
    *_, slope, _, weights = model.others_
    assert abs(slope).max() > 0.1 and abs(weights).max() < 1e-20
    assert abs(fitted(task).others_[-1]).max() > 1e-3


@pytest.mark.parametrize("preset", RULES_OF)
def test_batches_grow_with_the_rows(preset):
    rules, rows = RULES_OF[preset], (20, 100, 400, 1600, 6400, 10**5)
    assert [rules.batch_of(n) for n in rows] == [20, 32, 32, 64, 128, 256]
    steps = [rules.epochs_of(n) * (n // rules.batch_of(n)) for n in rows]
    assert steps == sorted(steps)


def test_fast_has_a_third_of_the_epochs():
    for rows in (100, 10**4):
        fast, usual = (RULES_OF[name].epochs_of(rows) for name in ("fast", "default"))
        assert usual / 3.5 < fast < usual / 2.5


def test_the_number_of_epochs_counts_rows_to_train_on(monkeypatch):
    rules = RULES_OF["default"]._replace(small_epochs=((100, 5),), auto_epochs=3)
    monkeypatch.setitem(RULES_OF, "default", rules)
    for share, expected in ((0.1, 3), (0.3, 5)):  # of 120 rows
        model = fitted("regression", max_iter="auto", validation_fraction=share)
        assert model.n_iter_ == expected
        model.set_params(n_members=2).fit(X, NUMBERS)
        assert model.n_iter_ == expected


def test_values_that_are_left_open():
    model = TabularNetworkClassifier()
    embedding = model._value("numeric_embedding")
    assert embedding["kind"] == "piecewise_linear"
    assert embedding["learning_rate_factor"] == 0.1
    assert model._value("label_smoothing") > 0.0
    model.set_params(scoring="neg_log_loss", numeric_embedding=None)
    assert model._value("label_smoothing") == 0.0
    assert model._value("numeric_embedding") is None
    model.set_params(numeric_embedding={"kind": "pbld", "learning_rate_factor": 1.0})
    assert model._value("numeric_embedding")["learning_rate_factor"] == 1.0


def test_predictions_stay_within_the_targets_that_were_trained_on():
    far = fitted("regression", max_iter=20).predict(1e3 * X)
    assert NUMBERS.min() <= far.min() and far.max() <= NUMBERS.max()


@BOTH
def test_a_table_with_categories_and_missing_values(task):
    estimator, y = TASKS[task]
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    table.loc[::7, "a"] = np.nan
    table["d"] = pd.Categorical(np.where(X[:, 2] > 0, "v", "w"))
    validation = {"X_val": table[:40], "y_val": y[:40]}
    model = estimator(**{**SMALL, "max_iter": 40, "n_members": 2})
    model.fit(table[40:], y[40:], **validation)
    assert model.score(table, y) > 0.6


def test_a_gpu_trains_as_the_processor():
    # After few steps: rates are large, and roundings grow.
    given = {"max_iter": 3, "dtype": "float64", "dropout": 0.0}
    with tiles.small_gpu():
        found = fitted("regression", **given, device="cuda")
    assert found.device_ == "cuda:0"
    expected = fitted("regression", **given).others_
    for mine, own in zip(found.others_, expected, strict=True):
        np.testing.assert_allclose(mine, own, atol=1e-6)
