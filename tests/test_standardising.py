"""Targets and features that float32, or the first steps, cannot take as they are."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, csr_matrix
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV, find_learning_rate
from nnfit.estimators import standardising

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

random_state = np.random.RandomState(0)
X = random_state.randn(400, 4)
SIGNAL = np.sin(2 * X[:, 0]) + 0.7 * X[:, 1] * X[:, 2] + 0.05 * random_state.randn(400)
SIGNAL = (SIGNAL - SIGNAL.mean()) / SIGNAL.std()
TRAIN, TEST = slice(300), slice(300, None)
COMMON = {
    "hidden_layer_sizes": (16,),
    "learning_rate_init": 0.02,
    "max_iter": 60,
    "random_state": 0,
    "n_jobs": 1,
}
#: Offset and scale of targets that scikit-learn fits with an R2 below 0.
TARGETS = [
    (2000, 10),
    (3e5, 1e5),
    (1e6, 1),
    (1e8, 1),
    (1e8, 1e3),
    (-1e8, 1),
    (0, 1e-6),
    (0, 0.005),
    (1, 1e-6),
]
WAYS = {
    "adam": {},
    "float64": {"dtype": "float64"},
    "sgd": {"solver": "sgd"},
    "lbfgs": {"solver": "lbfgs", "max_iter": 100},
    "lbfgs in float32": {"solver": "lbfgs", "max_iter": 100, "dtype": "float32"},
    "early stopping": {"early_stopping": True},
    "early stopping by loss": {"early_stopping": True, "scoring": "loss"},
    "early stopping by a scorer": {"early_stopping": True, "scoring": "r2"},
    "members": {"n_members": 2},
    "average": {"ema_decay": 0.9},
    "batch normalisation": {"normalization": "batch"},
    "residual": {"hidden_layer_sizes": (16, 8), "residual": True},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "absolute error": {"loss": "absolute_error"},
    "huber": {"loss": "huber", "huber_delta": 0.5},
    "quantiles": {"loss": "quantile", "quantile": [0.2, 0.7]},
}


def standardised(y):
    """Targets of the training rows as they are fitted, and the way back."""
    shift, scale = y[TRAIN].mean(axis=0), y[TRAIN].std(axis=0)
    return (y[TRAIN] - shift) / scale, shift, scale


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(("offset", "scale"), [(1e8, 1e3), (0, 1e-6)])
def test_targets_are_fitted_as_standardised_ones(name, offset, scale):
    parameters = COMMON | WAYS[name]
    y = offset + scale * SIGNAL
    z, shift, unit = standardised(y)
    own = {"huber_delta": 0.5 * unit} if name == "huber" else {}
    model = MLPRegressor(**parameters | own).fit(X[TRAIN], y[TRAIN])
    other = MLPRegressor(**parameters).fit(X[TRAIN], z)
    assert model.n_iter_ == other.n_iter_
    expected = other.predict(X[TEST]) * unit + shift
    assert model.predict(X[TEST]).dtype == np.float64
    assert_allclose(model.predict(X[TEST]) / unit, expected / unit, atol=0.02)
    power = 1 if parameters.get("loss") in ("absolute_error", "quantile") else 2
    assert_allclose(model.loss_, other.loss_ * unit**power, rtol=0.01)
    if name != "members":
        history, others = model.history_, other.history_
        for curve in ("loss", "val_loss"):
            factor = unit**power
            assert_allclose(history[curve], np.multiply(others[curve], factor), 0.02)
        if name == "early stopping by loss":
            assert_allclose(history["val_score"], np.negative(history["val_loss"]))
            best = model.best_validation_score_
            assert_allclose(best, other.best_validation_score_ * unit**2, rtol=0.01)
        elif parameters.get("early_stopping"):
            assert 0.5 < model.best_validation_score_ < 1


@pytest.mark.parametrize(("offset", "scale"), TARGETS)
def test_scores_of_targets_with_an_offset_or_a_tiny_scale(any_engine, offset, scale):
    y = offset + scale * SIGNAL
    z, shift, unit = standardised(y)
    model = MLPRegressor(**COMMON).fit(X[TRAIN], y[TRAIN])
    other = MLPRegressor(**COMMON).fit(X[TRAIN], z)
    score = model.score(X[TEST], y[TEST])
    expected = r2_score(y[TEST], other.predict(X[TEST]) * unit + shift)
    assert expected > 0.5
    assert abs(score - expected) < 0.01
    # The arrays tell the whole function.
    hidden = np.maximum(X[TEST] @ model.coefs_[0] + model.intercepts_[0], 0)
    outputs = hidden @ model.coefs_[1] + model.intercepts_[1]
    assert_allclose(outputs[:, 0] / unit, model.predict(X[TEST]) / unit, atol=1e-5)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(X), model.predict(X))


def test_ordinary_targets_and_features_are_left_alone():
    for y in (SIGNAL, 152 + 77 * SIGNAL, 0.02 * SIGNAL, np.ones(400), np.arange(400)):
        for features in (X, 50 + 10 * X, np.c_[X, np.ones(400)], 1e5 * X):
            model = MLPRegressor(**COMMON | {"max_iter": 1, "learning_rate_init": 1e-9})
            model.fit(features, y)
            assert model._fitted["targets"] is None
            assert model._fitted["features"] is None
            assert model.intercepts_[-1].dtype == np.float32
            assert_array_equal(model.feature_shifts_, np.zeros(features.shape[1]))
            assert_array_equal(model.feature_scales_, np.ones(features.shape[1]))


def test_columns_of_targets_are_shifted_each_by_itself():
    y = np.c_[SIGNAL, 1e8 + SIGNAL[::-1], 5 + SIGNAL]
    model = MLPRegressor(**COMMON).fit(X, y)
    assert_array_equal(model._fitted["targets"]["shift"] != 0, [False, True, False])
    assert (
        r2_score(y[:, ::2], model.predict(X)[:, ::2], multioutput="raw_values") > 0.5
    ).all()
    assert r2_score(y[:, 1], model.predict(X)[:, 1]) > -0.1


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("other", [SIGNAL, 1e8 + SIGNAL, 1e5 * SIGNAL])
def test_columns_of_targets_that_are_lost_beside_others(other, n_members):
    y = np.c_[other, 1e-3 * SIGNAL, np.ones(400)]
    with pytest.warns(UserWarning, match=r"columns \[1\] of y .* for each column"):
        MLPRegressor(**COMMON, n_members=n_members).fit(X, y)


def test_a_constant_far_from_zero():
    model = MLPRegressor(**COMMON).fit(X, np.full(400, 1e8))
    assert_allclose(model.predict(X), 1e8, rtol=1e-8)


# Call by call ----------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 100])
def test_calls_keep_the_first_shift(any_engine, rows):
    y = 1e8 + SIGNAL
    model = MLPRegressor(**COMMON)
    for _ in range(1 if rows == 1 else 20):
        for begin in range(0, 300, rows):
            part = slice(begin, begin + rows)
            model.partial_fit(X[part], y[part])
            shift = model._fitted["targets"]["shift"]
            assert_array_equal(shift, y[:rows].mean())
    assert model.score(X[TEST], y[TEST]) > 0.3


@pytest.mark.parametrize("name", ["adam", "average", "batch normalisation"])
def test_fits_in_parts_equal_one(name):
    y = 1e8 + SIGNAL
    model = MLPRegressor(**COMMON | WAYS[name], warm_start=True).set_params(max_iter=2)
    other = MLPRegressor(**COMMON | WAYS[name]).set_params(max_iter=4)
    model.fit(X, y)
    model = pickle.loads(pickle.dumps(model)).fit(X, y)
    other.fit(X, y)
    assert_allclose(model.predict(X) - 1e8, other.predict(X) - 1e8, atol=1e-5)
    assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-5)


def test_a_new_fit_finds_a_new_shift():
    model = MLPRegressor(**COMMON).fit(X, 1e8 + SIGNAL)
    model.fit(X, SIGNAL)
    assert model._fitted["targets"] is None
    assert_array_equal(
        model.predict(X), MLPRegressor(**COMMON).fit(X, SIGNAL).predict(X)
    )


def test_targets_that_were_ordinary_in_the_first_call():
    model = MLPRegressor(**COMMON).partial_fit(X, SIGNAL)
    with pytest.warns(UserWarning, match=r"first call.*TransformedTargetRegressor"):
        model.partial_fit(X, 1e8 + SIGNAL)


def test_features_that_were_ordinary_in_the_first_call():
    model = MLPRegressor(**COMMON).partial_fit(X, SIGNAL)
    with pytest.warns(UserWarning, match=r"1 column of X, 2, .*StandardScaler"):
        model.partial_fit(X + [0, 0, 1e6, 0], SIGNAL)


def test_another_loss_cannot_take_over():
    model = MLPRegressor(**COMMON, warm_start=True).fit(X, 1e8 + SIGNAL)
    with pytest.raises(ValueError, match="loss='poisson'"):
        model.set_params(loss="poisson").fit(X, 1e8 + SIGNAL)


# Losses that allow no shift -----------------------------------------------------


def squared(raw, y):
    return 0.5 * (raw - y) ** 2, raw - y


@pytest.mark.parametrize("loss", ["poisson", "gamma", squared])
@pytest.mark.parametrize("offset", [1e6, 1e8])
def test_losses_of_more_than_the_difference(loss, offset):
    model = MLPRegressor(**COMMON, loss=loss).set_params(
        max_iter=2, early_stopping=True
    )
    y = offset + SIGNAL
    with pytest.warns(UserWarning, match=r"'squared_error', or scale y"):
        model.fit(X, y)
    # The score is one of the targets that were given.
    assert model.best_validation_score_ < -1e3


def test_counts_are_ordinary():
    MLPRegressor(**COMMON, loss="poisson").fit(X, 1000 + np.round(10 * SIGNAL))


@pytest.mark.parametrize("dtype", [bool, np.int8])
def test_targets_of_one_byte(dtype):
    y = (SIGNAL > 0).astype(dtype)
    model = MLPRegressor(**COMMON, early_stopping=True).fit(X, y)
    same = MLPRegressor(**COMMON, early_stopping=True).fit(X, y.astype(float))
    assert_array_equal(model.validation_scores_, same.validation_scores_)


def test_a_tiny_scale_of_an_own_loss():
    with pytest.warns(UserWarning, match="or so small"):
        MLPRegressor(**COMMON, loss=squared).fit(X, 1e-6 * SIGNAL)


# Features ------------------------------------------------------------------------

HOUR, YEAR = 3600.0, 3.15e7


def with_time(spread):
    """Features beside a timestamp, and targets that depend on it."""
    time = np.random.RandomState(1).randn(400)
    return np.c_[X, 1.7e9 + spread * time], SIGNAL + 0.5 * time


@pytest.mark.parametrize("spread", [60.0, HOUR, YEAR, 10 * YEAR])
@pytest.mark.parametrize("n_members", [1, 2])
def test_timestamps(any_engine, spread, n_members):
    rows, y = with_time(spread)
    parameters = COMMON | {"n_members": n_members, "max_iter": 20}
    model = MLPRegressor(**parameters).fit(rows[TRAIN], y[TRAIN])
    scaler = StandardScaler().fit(rows[TRAIN])
    scaled = rows.copy()
    scaled[:, 4] = scaler.transform(rows)[:, 4]
    other = MLPRegressor(**parameters).fit(scaled[TRAIN], y[TRAIN])
    assert_allclose(model.predict(rows), other.predict(scaled), atol=1e-3)
    shifted = (rows - model.feature_shifts_) / model.feature_scales_
    assert_allclose(shifted[:, 4], scaled[:, 4], atol=1e-6)
    assert_array_equal(shifted[:, :4], X)
    for member in getattr(model, "members_", ()):
        assert member.score(rows[TEST], y[TEST]) > 0.2


@pytest.mark.emulated
def test_engines_get_what_is_standardised(any_engine):
    rows, y = (values[:40] for values in with_time(HOUR))
    y = 1e8 + 1e3 * y
    parameters = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
    model = MLPRegressor(**parameters).fit(rows, y)
    inputs = (rows - model.feature_shifts_) / model.feature_scales_
    targets = (y - y.mean()) / y.std()
    other = MLPRegressor(**parameters).fit(inputs, targets)
    assert_allclose(
        model.predict(rows), other.predict(inputs) * y.std() + y.mean(), rtol=1e-9
    )


def test_representations_of_features():
    rows, y = with_time(HOUR)
    expected = MLPRegressor(**COMMON).fit(rows, y)
    whole = rows.copy()
    whole[:, 4] = np.round(rows[:, 4])
    table = pd.DataFrame(whole, columns=list("abcde")).astype({"e": np.int64})
    model = MLPRegressor(**COMMON).fit(table, y)
    assert_allclose(model.predict(table), expected.predict(rows), atol=0.02)
    assert_allclose(model.predict(table.iloc[:1]), model.predict(table)[:1], atol=1e-6)
    assert_allclose(expected.predict(rows.tolist()), expected.predict(rows))
    assert_allclose(expected.predict(csr_matrix(rows)), expected.predict(rows))
    assert_allclose(expected.predict(np.asfortranarray(rows)), expected.predict(rows))


def test_arrays_of_the_user_are_not_changed():
    rows, y = with_time(YEAR)
    rows = np.ascontiguousarray(rows, np.float32)
    before = rows.copy()
    MLPRegressor(**COMMON).fit(rows, y, X_val=rows, y_val=y).predict(rows)
    assert_array_equal(rows, before)


@pytest.mark.parametrize(
    "parameters",
    [
        {"initialization": "data_driven"},
        {"early_stopping": True},
        {"early_stopping": True, "scoring": "r2"},
        {"solver": "lbfgs"},
        {"normalization": "layer"},
    ],
    ids=str,
)
def test_ways_to_fit_features(parameters):
    rows, y = with_time(HOUR)
    model = MLPRegressor(**COMMON | parameters).fit(rows[TRAIN], y[TRAIN])
    assert model.score(rows[TEST], y[TEST]) > 0.5
    if "early_stopping" in parameters:
        assert model.best_validation_score_ > 0.5


@pytest.mark.parametrize("n_members", [1, 2])
def test_validation_data_are_standardised(n_members):
    rows, y = with_time(HOUR)
    model = MLPRegressor(**COMMON | {"n_members": n_members})
    model.fit(rows[TRAIN], y[TRAIN], X_val=rows[TEST], y_val=y[TEST])
    for network in getattr(model, "members_", [model]):
        score = network.score(rows[TEST], y[TEST])
        assert_allclose(network.history_["val_score"][-1], score, atol=1e-5)


def test_classifier_search_and_passes():
    rows, y = with_time(HOUR)
    model = MLPClassifier(**COMMON, dropout=0.1).fit(rows, y > 0)
    assert model.score(rows, y > 0) > 0.8
    mean, _ = model.predict_proba(rows, n_passes=20, return_std=True)
    assert_allclose(mean, model.predict_proba(rows), atol=0.2)
    grid = {"learning_rate_init": [0.01, 0.02]}
    search = PopulationSearchCV(MLPRegressor(**COMMON), grid, cv=2)
    assert search.fit(rows, 1e8 + y).best_score_ > 0.3
    display = find_learning_rate(MLPRegressor(**COMMON), rows, 1e8 + 1e3 * y)
    assert np.isfinite(display.suggestion)
    assert 1e4 < display.losses[0] < 1e8  # in units of y


def test_sparse_features_are_not_shifted():
    rows, y = with_time(HOUR)
    names = ["a", "b", "c", "d", "time"]
    table = pd.DataFrame(rows, columns=names).astype(pd.SparseDtype("float", 0.0))
    with pytest.warns(UserWarning, match=r"'time'.*sparse.*StandardScaler"):
        MLPRegressor(**COMMON).set_params(max_iter=1).fit(table, y)


@pytest.mark.parametrize("kind", [csr_matrix, csr_array])
def test_sparse_features_are_named(kind):
    rows, y = with_time(HOUR)
    for column in (0, 4):
        moved = np.roll(rows, column - 4, axis=1)
        with pytest.warns(UserWarning, match=f"1 column of X, {column}, .*sparse"):
            MLPRegressor(**COMMON).set_params(max_iter=1).fit(kind(moved), y)


def test_rows_of_which_few_are_large():
    """A look at some rows is enough to see that all lie far from zero."""
    rows = np.full((5000, 2), 1e6)
    rows += np.random.RandomState(0).randn(5000, 2)
    rows[1234, 0] = 0
    model = MLPRegressor(**COMMON).set_params(max_iter=1).fit(rows, rows[:, 1] - 1e6)
    assert_array_equal(model._fitted["features"]["columns"], [1])


# Near the limits of the types ------------------------------------------------------


def test_checks_of_huge_values_do_not_warn():
    largest = np.finfo(np.float32).max
    rows = np.where(np.arange(40) % 4 < 2, 0.9, -0.9).reshape(10, 4) * largest
    y = np.r_[np.full(5, 0.9), np.full(5, -0.9)] * largest
    model = MLPRegressor(**COMMON)
    for features, targets in ((rows, SIGNAL[:10]), (rows.astype(np.float32), y)):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                model.fit(features, targets, X_val=features, y_val=targets)
            except ValueError as error:
                assert "non-finite" in str(error)
            MLPRegressor(**COMMON).fit(X[:, :4], SIGNAL).predict(features)


@pytest.mark.parametrize("parameters", [{"alpha": 1e300}, {"l1": 1e300}], ids=str)
def test_a_huge_penalty_is_finite_in_units_of_the_targets(parameters):
    options = {"hidden_layer_sizes": (5,), "dtype": "float64", "max_iter": 2}
    model = MLPRegressor(random_state=0, **options, **parameters)
    model.fit(X[:50], 1e6 * SIGNAL[:50])
    assert np.isfinite(model.loss_)
    assert np.isfinite(model.history_["loss"]).all()


def test_missing_values_do_not_hide_an_offset():
    """What is found are the moments of the values that are there."""
    X = np.random.default_rng(0).normal(size=(4000, 5)).astype(np.float32)
    X[:, 1] += 1000
    X[:, 3] += 1000
    X[5:, 4] = 1000  # few values
    holes = X.copy()
    holes[1::3, 1] = np.nan
    holes[::15, 3] = np.nan  # all rows of the sample
    holes[:, 2] = np.nan
    holes[:-4, 4] = np.nan
    with np.errstate(invalid="ignore"):
        found = standardising._find_features(MLPRegressor(), holes, holes)
    assert found["columns"].tolist() == [1, 3]
    for place, column in enumerate(found["columns"]):
        present = holes[:, column]
        present = present[~np.isnan(present)].astype(np.float64)
        assert found["shift"][place] == present.mean()
        assert found["scale"][place] == present.std()


def test_moments_without_missing_values_are_those_of_numpy():
    for rows in (np.asfortranarray(X), X, X.astype(np.float32)):
        mean, deviation, n_rows = standardising.moments(rows)
        assert_array_equal(mean, rows.mean(axis=0, dtype=np.float64))
        assert_array_equal(deviation, rows.std(axis=0, dtype=np.float64))
        assert (n_rows == len(rows)).all()
