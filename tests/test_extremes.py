"""Numbers too large or too small: sentences, and predictions that are finite."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris

from nnfit import MLPClassifier, MLPRegressor
from nnfit.estimators.overflow import Overflow
from nnfit.functions.mixup import beta_quantiles
from nnfit.functions.normalization import spread_of_weights
from tests.random_calls import cube

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
QUICK = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0}


# predictions -------------------------------------------------------------------


def one_step_too_far(model, rate):
    """Parameters of a fit whose last step leaves weights as large as the rate."""
    return model.set_params(
        hidden_layer_sizes=(5, 5, 5), learning_rate_init=rate, max_iter=1
    )


@pytest.mark.parametrize("more", [{}, {"n_members": 2}, {"solver": "sgd"}], ids=str)
def test_probabilities_after_a_step_too_far(any_engine, more):
    model = one_step_too_far(MLPClassifier(random_state=0, **more), 1e12)
    model.fit(X, Y)
    for predict in (
        model.predict_proba,
        model.predict_log_proba,
        model.decision_function,
    ):
        for rows in (X, csr_array(X), X[:1], X.astype(np.float32)):
            assert np.isfinite(predict(rows)).all()
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "gamma"])
def test_numbers_after_a_step_too_far(any_engine, loss, dtype):
    model = MLPRegressor(loss, random_state=0, dtype=dtype)
    one_step_too_far(model, 1e12).fit(X, Y + 1.0)
    assert np.isfinite(model.predict(X)).all()


def test_rows_that_overflow_leave_the_others_alone(any_engine):
    model = MLPRegressor(**QUICK, activation="identity").fit(X, Y)
    model.coefs_[0][...] = 1e4
    mixed = X.astype(np.float32)
    alone = model.predict(mixed)
    mixed[7] = 1e37
    predicted = model.predict(mixed)
    assert np.isfinite(predicted).all()
    np.testing.assert_array_equal(np.delete(predicted, 7), np.delete(alone, 7))
    assert predicted[7] == model.predict(mixed[7:8])[0]


def test_exponentials_end_at_the_largest_number():
    model = MLPRegressor("poisson", **QUICK).fit(X, Y)
    model.intercepts_[-1][...] = 1e4
    assert model.predict(X.astype(np.float32)).max() == np.finfo(np.float32).max


def test_a_fit_says_that_its_last_step_was_too_far(any_engine):
    """Outputs that not even float64 holds, though weights and losses are finite."""
    model = one_step_too_far(MLPClassifier(activation=cube, random_state=0), 1e12)
    message = "^Solver produced non-finite parameter weights.*lower learning_rate_init"
    for fit in (model.fit, lambda X, y: model.partial_fit(X, y, classes=[0, 1, 2])):
        with pytest.raises(ValueError, match=message):
            fit(X, Y)
        assert not hasattr(model, "coefs_")


def test_rows_too_large_for_a_function_of_the_user(any_engine):
    model = MLPRegressor(activation=cube, **QUICK | {"hidden_layer_sizes": (5, 5, 5)})
    model.fit(X, Y)
    far = X.copy()
    far[3] = 1e30
    message = (
        r"overflow float64 in 1 of 150 rows.* row 3, whose values in X reach 1e\+30"
    )
    with pytest.raises(Overflow, match=message):
        model.predict(far)


def test_a_temperature_scales_large_predictions():
    model = MLPClassifier(temperature_scaling=True, **QUICK)
    model.fit(X, Y, X_val=X, y_val=Y)
    model.coefs_[1][...] = 1e37
    model.temperature_ = 0.05
    assert np.isfinite(model.decision_function(X.astype(np.float32))).all()


# NumPy's warnings and errors -----------------------------------------------------


@pytest.mark.parametrize("scale", [1e-320, 1e-40, 1e30])
def test_numpy_neither_warns_nor_raises(scale):
    with np.errstate(all="ignore"):
        rows = X * scale
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error", RuntimeWarning)
        for more in ({}, {"n_members": 2}, {"solver": "lbfgs"}):
            model = MLPClassifier(**QUICK, **more).fit(rows, Y, X_val=rows, y_val=Y)
            model.predict(rows)
            model.predict_log_proba(rows)
            model.decision_function(rows)


def test_warnings_do_not_come_before_the_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in (X * 1e300, (X * 1e300).astype("O")):
            with pytest.raises(ValueError, match="Input X contains infinity"):
                MLPRegressor(**QUICK).fit(values, Y)
        with pytest.raises(ValueError, match="Input X_val contains infinity"):
            MLPRegressor(**QUICK).fit(X, Y, X_val=X * 1e300, y_val=Y)
        with pytest.raises(ValueError, match="non-finite"):
            MLPRegressor(learning_rate_init=1e30, batch_size=10, **QUICK).fit(X, Y)


def test_functions_of_the_user_run_with_the_settings_of_the_user():
    seen = []

    def score(estimator, X, y):
        seen.append(np.geterr()["over"])
        return 0.0

    def rate(progress):
        seen.append(np.geterr()["over"])
        return 1.0

    model = MLPRegressor(
        scoring=score, learning_rate=rate, early_stopping=True, **QUICK
    )
    with np.errstate(over="raise"):
        model.fit(X, Y)
        assert np.geterr()["over"] == "raise"
    assert set(seen) == {"raise"}


# parameters ----------------------------------------------------------------------


@pytest.mark.parametrize("most", [10**19, 10**400], ids=["19 digits", "400 digits"])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("max_iter", {"max_time": 0.01}),
        ("max_iter", {"solver": "lbfgs", "max_time": 0.01}),
        ("max_iter", {"n_members": 2, "max_time": 0.01}),
        ("learning_rate_cycles", {"learning_rate": "step"}),
        ("batch_size", {}),
        ("n_iter_no_change", {}),
    ],
)
@pytest.mark.filterwarnings("ignore:Got `batch_size`")
def test_counts_beyond_any_integer(name, more, most):
    MLPRegressor(**QUICK | more | {name: most}).fit(X, Y)


@pytest.mark.parametrize("name", ["n_layers", "n_members"])
def test_more_objects_than_a_process_can_have(name):
    with pytest.raises(ValueError, match=f"'{name}' parameter .* range .*, 100000]"):
        MLPRegressor(**{name: 10**9}).fit(X, Y)


def test_units_beyond_any_number():
    with pytest.raises(MemoryError, match=r"needs \d\.\d\de\+\d+ GiB"):
        MLPRegressor(hidden_layer_sizes=(10**400,)).fit(X, Y)


@pytest.mark.parametrize("name", ["alpha", "epsilon", "momentum", "tol", "max_time"])
def test_integers_that_are_no_floats(name):
    with pytest.raises(
        ValueError, match=f"The '{name}' parameter of .* must be a float"
    ):
        MLPRegressor(**{name: 10**400}).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"epsilon": 1e-50},
            "epsilon must .* float32, in which 1e-50 is 0. Raise it or",
        ),
        (
            {"alpha": 1e300},
            r"alpha must .* in which 1e\+300 is inf. Lower it or set dty",
        ),
        ({"loss": "huber", "huber_delta": 1e-50}, "huber_delta must .* is 0. Raise it"),
        ({"max_norm": 1e-60}, "max_norm must .* is 0"),
    ],
    ids=str,
)
def test_numbers_that_the_type_of_computation_does_not_hold(parameters, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**QUICK, **parameters).fit(X, Y)
    MLPRegressor(**QUICK, **parameters, dtype="float64", solver="adam").fit(X, Y)


def test_numbers_that_are_not_read_or_do_no_harm():
    for parameters in (
        {"epsilon": 1e-50, "solver": "sgd"},
        {"alpha": 1e-50, "clip_norm": 1e300, "max_norm": 1e300},
    ):
        MLPRegressor(**QUICK, **parameters).fit(X, Y)


# targets and weights -------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_sparse_targets_of_a_regressor(any_engine, columns):
    y = np.abs(X[:, :columns]) * (X[:, :columns] > 0.5)
    dense = y[:, 0] if columns == 1 else y
    sparse, expected = (
        MLPRegressor(**QUICK).fit(X, target, X_val=X, y_val=target)
        for target in (csr_array(y), dense)
    )
    np.testing.assert_array_equal(sparse.predict(X), expected.predict(X))
    assert sparse.history_["val_score"] == expected.history_["val_score"]


@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_a_sparse_column_of_classes():
    column = csr_array((Y > 0)[:, None].astype(int))
    sparse = MLPClassifier(**QUICK).fit(X, column, X_val=X, y_val=column)
    dense = MLPClassifier(**QUICK).fit(X, column.toarray().ravel())
    np.testing.assert_array_equal(sparse.predict(X), dense.predict(X))


@pytest.mark.parametrize(
    "y", [["a", "b", "c"], ["1", "2", "3"], np.array(["a", 1, 2], "O")]
)
def test_targets_that_are_no_numbers(y):
    for loss in ("squared_error", "poisson"):
        with pytest.raises(ValueError, match=r"y must hold numbers, got '\w'"):
            MLPRegressor(loss).fit(X[:3], y)
    with pytest.raises(ValueError, match="y_val must hold numbers"):
        MLPRegressor().fit(X[:3], Y[:3], X_val=X[:3], y_val=y)


def test_integers_beyond_float64():
    for sign in (1, -1):
        with pytest.raises(ValueError, match=r"y must hold .* an integer of 1329 bits"):
            MLPRegressor().fit(X[:3], [1, 2, sign * 10**400])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", None, "b"], "y must hold a label everywhere, got None at"),
        (np.array([1, np.nan, 2], "O"), "y must hold a label everywhere, got nan"),
        (np.array(["a", pd.NA, "b"], "O"), "y must hold a label everywhere, got <NA>"),
        (np.array([1, "a", 2], "O"), "labels of one type, got 'a' and 1,.* Convert"),
    ],
    ids=str,
)
def test_labels_that_are_none(y, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(X[:3], y)
    with pytest.raises(ValueError, match=message):
        MLPClassifier().partial_fit(X[:3], y, classes=["a", "b"])
    with pytest.raises(ValueError, match=message.replace("y must", "y_val must")):
        MLPClassifier().fit(X[:3], list("abb"), X_val=X[:3], y_val=y)


@pytest.mark.parametrize("more", [{"ema_decay": 0.5}, {"solver": "schedule_free"}, {}])
def test_batches_that_weigh_next_to_nothing(any_engine, more):
    """Their squared weights are 0: no statistics follow from them."""
    weight = np.ones(150)
    weight[50:100] = 1e-200
    model = MLPRegressor(
        normalization="batch", batch_size=50, shuffle=False, alpha=0.0, **QUICK, **more
    ).fit(X, Y, sample_weight=weight)
    assert np.isfinite(model.predict(X)).all()


def test_spread_of_weights():
    assert spread_of_weights(4.0, 4.0) == 0.75
    for weight in (0.0, 1e-200):
        assert spread_of_weights(2 * weight, 2 * weight**2) == 0.0


def test_a_sparse_row_that_is_no_row_of_labels():
    model = MLPClassifier(**QUICK)
    with pytest.raises(ValueError, match=r"must have shape|not in `self.classes_`"):
        model.partial_fit(X[:1], csr_array([[3, 1]]), classes=[0, 1])


@pytest.mark.parametrize("a", [1e-300, 1e16, 1e300])
def test_shares_of_mixup_are_finite(a):
    """With SciPy 1.13 they were NaN, or were not found in any time."""
    shares = beta_quantiles(a)
    assert np.all((shares >= 0) & (shares <= 1))
    assert shares.mean() == pytest.approx(0.5)
