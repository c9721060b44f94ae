"""The precision of predictions: types alone decide it, never the number of rows."""

import json
import warnings
from itertools import product

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.metrics import log_loss
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils.estimator_checks import estimator_checks_generator

from nnfit import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
LABELS = np.column_stack([Y > 0, Y > 1]).astype(int)
QUICK = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}


def outputs(model, X):
    """All that a model predicts as numbers, by name."""
    names = ["predict"]
    if isinstance(model, MLPClassifier):
        names = ["predict_proba", "predict_log_proba", "decision_function"]
    return {name: getattr(model, name)(X) for name in names}


# types -----------------------------------------------------------------------


def kinds_of_rows():
    """Rows as users give them, by name, with the type of their predictions."""
    single, double = np.float32, np.float64
    kinds = {
        "float64": (X, double),
        "float32": (X.astype(single), single),
        "float16": (X.astype(np.float16), double),
        "int": (X.astype(int), double),
        "bool": (X > 2, double),
        "list": (X.tolist(), double),
        "list of float32": (list(X.astype(single)), single),
        "sparse float64": (scipy.sparse.csr_array(X), double),
        "sparse float32": (scipy.sparse.csc_matrix(X, dtype=single), single),
    }
    try:
        import pandas
    except ImportError:
        return kinds
    mixed = pandas.DataFrame(X).astype({0: int, 1: single})
    return kinds | {
        "pandas float64": (pandas.DataFrame(X), double),
        "pandas float32": (pandas.DataFrame(X.astype(single)), single),
        "pandas mixed": (mixed, double),
    }


@pytest.fixture(scope="module")
def fitted():
    """Models of every kind of target, by name."""
    return {
        "multiclass": MLPClassifier(**QUICK).fit(X, Y),
        "binary": MLPClassifier(**QUICK).fit(X, Y > 0),
        "labels": MLPClassifier(**QUICK).fit(X, LABELS),
        "calibrated": MLPClassifier(
            temperature_scaling=True, early_stopping=True, **QUICK
        ).fit(X, Y),
        "members": MLPClassifier(n_members=2, **QUICK).fit(X, Y),
        "own loss": MLPClassifier(loss=squared_error, **QUICK).fit(X, Y),
        "regressor": MLPRegressor(**QUICK).fit(X, Y),
        "poisson": MLPRegressor(loss="poisson", **QUICK).fit(X, Y),
        "quantiles": MLPRegressor(loss="quantile", quantile=[0.2, 0.8], **QUICK).fit(
            X, Y
        ),
        "dropout": MLPRegressor(dropout=0.1, **QUICK).fit(X, Y),
    }


def squared_error(raw, y):
    return (raw - y) * (raw - y), 2.0 * (raw - y)


@pytest.mark.parametrize("kind", kinds_of_rows())
def test_predictions_are_float64_unless_X_is_float32(fitted, kind):
    rows, expected = kinds_of_rows()[kind]
    for name, model in fitted.items():
        for values in outputs(model, rows).values():
            assert values.dtype == expected, name
    mean, std = fitted["dropout"].predict(rows, n_passes=3, return_std=True)
    assert mean.dtype == std.dtype == expected
    mean, std = fitted["members"].predict_proba(rows, return_std=True)
    assert mean.dtype == std.dtype == expected


@pytest.mark.parametrize("kind", ["float64", "list", "sparse float64", "int"])
def test_probabilities_sum_to_one_in_float64(any_engine, kind):
    rows, _ = kinds_of_rows()[kind]
    for options in ({}, {"n_members": 2}, {"loss": squared_error}):
        model = MLPClassifier(**QUICK, **options).fit(X, Y)
        model_of_two = MLPClassifier(**QUICK, **options).fit(X, Y > 0)
        for one in (model, model_of_two):
            sums = one.predict_proba(rows).sum(axis=1)
            np.testing.assert_allclose(sums, 1.0, rtol=0, atol=1e-15)


def test_likeliest_class_is_the_predicted_one(fitted):
    rows = np.random.default_rng(0).normal(size=(2000, 4))
    for name in ("multiclass", "binary", "calibrated", "members", "own loss"):
        model = fitted[name]
        probability, decision = model.predict_proba(rows), model.decision_function(rows)
        likeliest = model.classes_[probability.argmax(axis=1)]
        assert_array_equal(model.predict(rows), likeliest)
        by_score = decision > 0 if name == "binary" else decision.argmax(axis=1)
        assert_array_equal(likeliest, model.classes_[by_score.astype(int)])
    labels, likely = fitted["labels"], fitted["labels"].predict_proba(rows) > 0.5
    assert_array_equal(labels.predict(rows), likely)


def test_wider_outputs_are_those_of_the_network(fitted):
    """Raw predictions of float64 X are those of float32 X; links agree to rounding."""
    rows = X.astype(np.float32).astype(np.float64)
    for model in fitted.values():
        wide, narrow = outputs(model, rows), outputs(model, rows.astype(np.float32))
        for name in wide:
            np.testing.assert_allclose(wide[name], narrow[name], rtol=2e-5, atol=1e-6)
    for name in ("regressor", "quantiles"):
        wide = fitted[name].predict(rows)
        assert_array_equal(wide, fitted[name].predict(rows.astype(np.float32)))


# rows alone and among others -------------------------------------------------

TYPES = [np.float64, np.float32, np.int64]
WIDE = scipy.sparse.random(300, 200, density=0.02, format="csr", random_state=0)


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("n_members", [1, 2])
def test_rows_predict_the_same_alone(normalization, residual, n_members):
    """Also in groups that are few enough to read the weights where they are."""
    y = np.arange(300) % 3
    options = {
        "hidden_layer_sizes": (9, 9), "max_iter": 1, "random_state": 0,
        "normalization": normalization, "residual": residual, "n_members": n_members,
    }  # fmt: skip
    models = [
        MLPClassifier(**options).fit(WIDE, y),
        MLPClassifier(**options).fit(WIDE, y > 0),
        MLPRegressor(**options).fit(WIDE, y),
    ]
    for model, dtype, dense in product(models, TYPES, (False, True)):
        rows = (7 * WIDE).astype(dtype)
        rows = rows.toarray() if dense else rows
        whole = outputs(model, rows)
        for part in (slice(0, 1), slice(140, 141), slice(3, 15), slice(9, 150)):
            for name, values in outputs(model, rows[part]).items():
                assert_array_equal(values, whole[name][part])


def test_rows_of_any_model_predict_the_same_alone(fitted):
    for model, dtype in product(fitted.values(), TYPES[:2]):
        rows = X.astype(dtype)
        whole = outputs(model, rows)
        for part in (slice(7, 8), slice(3, 15), slice(9, 120)):
            for name, values in outputs(model, rows[part]).items():
                assert_array_equal(values, whole[name][part])


def test_sparse_rows_predict_as_dense_ones():
    """In whatever number, and with either type of indices."""
    y = np.arange(300) % 3
    model = MLPRegressor(hidden_layer_sizes=(9,), max_iter=1, random_state=0)
    expected = model.fit(WIDE, y).predict(WIDE.toarray())
    long = WIDE.copy()
    long.indices, long.indptr = WIDE.indices.astype(int), WIDE.indptr.astype(int)
    for n_rows, matrix in product((1, 16, 17, 97, 200, 300), (WIDE, long)):
        assert_array_equal(model.predict(matrix[:n_rows]), expected[:n_rows])
    assert_array_equal(model.predict(0 * WIDE[:2]), model.predict(np.zeros((2, 200))))


# what others make of predictions ---------------------------------------------


def test_predictions_are_numbers_of_json(fitted):
    probability = fitted["multiclass"].predict_proba(X[:1])[0]
    assert json.loads(json.dumps(list(probability))) == probability.tolist()


def test_predictions_fit_into_columns_of_pandas(fitted):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"value": np.zeros(len(X))})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table.loc[3:5, "value"] = fitted["regressor"].predict(X[3:6])
    assert table["value"].dtype == np.float64


def test_log_loss_takes_averaged_probabilities(fitted):
    """Of bagging, weighted votes and calibrated networks."""
    one, other = fitted["multiclass"], MLPClassifier(**QUICK)
    models = [
        BaggingClassifier(other, n_estimators=3, random_state=0).fit(X, Y),
        VotingClassifier(
            [("a", one), ("b", other)], voting="soft", weights=[0.3, 0.7]
        ).fit(X, Y),
        fitted["calibrated"],
        fitted["members"],
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in models:
            assert log_loss(Y, model.predict_proba(X)) > 0


def test_numerical_gradients_hold_in_float64():
    """SciPy's step of 1e-8 changes what float64 arithmetic predicts."""
    model = MLPRegressor(dtype="float64", activation="tanh", **QUICK).fit(X, Y)
    start = X[0]

    def distance(row):
        return (model.predict(row[None])[0] - 0.5) ** 2

    found = scipy.optimize.minimize(distance, start)
    assert distance(found.x) < 1e-6 < distance(start)


def test_numerical_gradients_hold_in_float32_with_a_larger_step():
    model = MLPRegressor(activation="tanh", **QUICK).fit(X, Y)
    start = X[0]

    def distance(row):
        return (model.predict(row[None])[0] - 0.5) ** 2

    found = scipy.optimize.minimize(distance, start, options={"eps": 1e-3})
    assert distance(found.x) < 1e-4 < distance(start)


# scikit-learn's checks of estimators that have one inside --------------------

SMALL = {"hidden_layer_sizes": (5,), "max_iter": 5, "random_state": 0}
CLASSIFIER, REGRESSOR = MLPClassifier(**SMALL), MLPRegressor(**SMALL)
OUTER = [
    VotingClassifier([("a", CLASSIFIER), ("b", CLASSIFIER)]),
    VotingRegressor([("a", REGRESSOR), ("b", REGRESSOR)]),
    StackingClassifier([("a", CLASSIFIER), ("b", CLASSIFIER)], cv=2),
    StackingRegressor([("a", REGRESSOR), ("b", REGRESSOR)], cv=2),
    MultiOutputRegressor(REGRESSOR),
]
#: Checks that scikit-learn's own network fails in the same place, of so short a
#: training, and those of weights as repeats, see `tests/test_sklearn_checks.py`.
FAIL = {
    "check_classifiers_train",
    "check_regressors_train",
    "check_classifiers_one_label_sample_weights",
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
}
#: MultiOutputRegressor passes NaN on, and has no tag that says so, whatever is inside.
NAN_WITHOUT_TAG = "MultiOutputRegressor-check_estimators_nan_inf"
#: Checks that look at types, of all; the others, of one classifier and one regressor,
#: are slow.
OF_TYPES = {
    "check_estimators_dtypes",
    "check_methods_subset_invariance",
    "check_regressor_multioutput",
    "check_transformer_preserve_dtypes",
}


def outer_checks():
    """Pairs of an estimator and a check, as parameters of a test."""
    for outer in OUTER:
        for _, check in estimator_checks_generator(outer):
            name = check.func.__name__
            marks = () if name in OF_TYPES else pytest.mark.slow
            if marks and not isinstance(outer, StackingClassifier | VotingRegressor):
                continue
            called = f"{type(outer).__name__}-{name}"
            if name not in FAIL and called != NAN_WITHOUT_TAG:
                yield pytest.param(outer, check, marks=marks, id=called)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EstimatorCheckFailedWarning")
@pytest.mark.parametrize(("estimator", "check"), list(outer_checks()))
def test_scikit_learn_check_of_an_outer_estimator(estimator, check):
    check(estimator)
