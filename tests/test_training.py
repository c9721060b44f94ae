"""The training loop: validation, history, stopping, resuming, interruption."""

import pickle
import signal
import threading
import time

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.metrics import f1_score, get_scorer
from sklearn.model_selection import train_test_split

import nnfit
from nnfit import MLPClassifier, MLPRegressor
from nnfit.cpu import training_plans
from nnfit.training import device
from nnfit.training.splits import validation_split

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
X_VAL, Y_VAL = X[::3], Y[::3]
COLUMNS = {"loss", "val_loss", "val_score", "learning_rate", "seconds"}


# history and validation data -------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("validated", [False, True])
def test_history(any_engine, solver, validated):
    model = MLPClassifier(solver=solver, max_iter=8, random_state=0)
    given = {"X_val": X_VAL, "y_val": Y_VAL} if validated else {}
    model.fit(X, Y, **given)
    assert set(model.history_) == COLUMNS
    assert {len(column) for column in model.history_.values()} == {model.n_iter_}
    assert np.isfinite(model.history_["loss"]).all()
    for column in ("val_loss", "val_score"):
        assert np.isfinite(model.history_[column]).all() == validated
    assert (np.diff(model.history_["seconds"]) >= 0).all()
    assert model.history_["seconds"][0] > 0
    if solver != "lbfgs":
        assert model.history_["loss"] == model.loss_curve_
        assert model.history_["learning_rate"] == [0.001] * 8
        assert model.validation_scores_ is None


def test_validation_data_only_record():
    model = MLPClassifier(max_iter=30, random_state=0, tol=0.02, n_iter_no_change=2)
    plain = clone(model).fit(X, Y)
    watched = clone(model).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert plain.n_iter_ == watched.n_iter_
    assert plain.loss_curve_ == watched.loss_curve_
    assert plain.best_loss_ == watched.best_loss_
    assert_array_equal(plain.coefs_[0], watched.coefs_[0])
    assert watched.history_["val_score"][-1] == watched.score(X_VAL, Y_VAL)


def test_early_stopping_on_given_data():
    model = MLPClassifier(
        early_stopping=True,
        max_iter=300,
        learning_rate_init=0.01,
        n_iter_no_change=3,
        random_state=0,
    )
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.n_iter_ < 300
    assert model.t_ == model.n_iter_ * 150  # nothing was split off
    assert model.validation_scores_ == model.history_["val_score"]
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(X_VAL, Y_VAL) == model.best_validation_score_
    assert model.best_loss_ is None


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("n_samples", [20, 37, 1001])
def test_the_split_is_scikit_learns(n_samples, fraction, stratified):
    labels = np.random.RandomState(0).rand(n_samples) < 0.3 if stratified else None
    ours = validation_split(n_samples, fraction, np.random.RandomState(1), labels)
    theirs = train_test_split(
        np.arange(n_samples),
        test_size=fraction,
        random_state=np.random.RandomState(1),
        stratify=labels,
    )
    for rows, expected in zip(ours, theirs, strict=True):
        assert_array_equal(rows, expected)


@pytest.mark.parametrize(
    ("n_samples", "fraction", "labels", "message"),
    [
        (10, 0.01, None, "validation set is too small. Increase"),
        (3, 0.9, None, "validation set is too large. Decrease"),
        (10, 0.2, [True] + [False] * 9, r"classes of \[9, 1\] samples"),
        (30, 0.95, [True] * 2 + [False] * 28, "parts of 1 and 29"),
    ],
)
def test_splits_that_cannot_be_made(n_samples, fraction, labels, message):
    labels = None if labels is None else np.array(labels)
    with pytest.raises(ValueError, match=message):
        validation_split(n_samples, fraction, np.random.RandomState(0), labels)


def macro_f1(estimator, X, y):
    return f1_score(y, estimator.predict(X), average="macro")


SCORINGS = {
    "loss": "loss",
    "neg_log_loss": "neg_log_loss",
    "f1_macro": "f1_macro",
    "function": macro_f1,
    "scorer": get_scorer("f1_macro"),
}


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("names", [None, ["a", "b", "c"]])
def test_scoring(scoring, given, names):
    scoring = SCORINGS[scoring]
    y = Y if names is None else np.array(names)[Y]
    model = MLPClassifier(
        scoring=scoring, early_stopping=True, max_iter=5, random_state=0
    )
    validation = {"X_val": X_VAL, "y_val": y[::3]} if given else {}
    model.fit(X, y, **validation)
    assert len(model.validation_scores_) == 5
    if scoring == "loss":
        losses = [-score for score in model.validation_scores_]
        assert losses == model.history_["val_loss"]
    elif given:
        expected = macro_f1(model, X_VAL, y[::3])
        if scoring != "neg_log_loss":
            assert model.best_validation_score_ == pytest.approx(expected)


def test_scoring_does_not_warn_about_feature_names():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd"))
    model = MLPClassifier(scoring="f1_macro", early_stopping=True, max_iter=3)
    model.fit(table, Y)
    assert list(model.feature_names_in_) == list("abcd")
    model.fit(table, Y, X_val=table, y_val=Y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.fit(table, Y, X_val=table[list("dcba")], y_val=Y)


def test_weights_of_validation_data():
    weight = np.zeros(50)
    weight[:20] = np.random.RandomState(0).rand(20)
    for scoring in (None, "accuracy", "loss"):
        model = MLPClassifier(scoring=scoring, max_iter=4, random_state=0)
        weighted, fewer = clone(model), clone(model)
        weighted.fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight)
        fewer.fit(
            X, Y, X_val=X_VAL[:20], y_val=Y_VAL[:20], sample_weight_val=weight[:20]
        )
        for column in ("val_loss", "val_score"):
            assert_allclose(weighted.history_[column], fewer.history_[column], 1e-6)


# stopping --------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_engine_and_python_apply_one_rule(any_engine, schedule):
    model = MLPClassifier(
        solver="sgd",
        learning_rate=schedule,
        learning_rate_init=0.1,
        max_iter=300,
        tol=1e-2,
        n_iter_no_change=2,
        random_state=0,
    )
    inside = clone(model).fit(X, Y)
    outside = clone(model).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert inside.n_iter_ == outside.n_iter_ < 300
    for column in ("loss", "learning_rate"):
        assert inside.history_[column] == outside.history_[column]
    assert_array_equal(inside.coefs_[0], outside.coefs_[0])


def test_infinite_patience():
    model = MLPClassifier((3,), n_iter_no_change=np.inf, tol=1e9, max_iter=40)
    assert model.fit(X, Y).n_iter_ == 40


# resuming --------------------------------------------------------------------

SOLVERS = {
    "adam": {},
    "adamw": {"solver": "adamw"},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.01},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.5,
        "tol": 0.05,
        "n_iter_no_change": 1,
    },
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("through_pickle", [False, True])
def test_warm_start_equals_one_long_fit(any_engine, solver, through_pickle):
    parameters = {"hidden_layer_sizes": (6,), "random_state": 0, **SOLVERS[solver]}
    long = MLPClassifier(max_iter=12, **parameters).fit(X, Y)
    model = MLPClassifier(max_iter=4, warm_start=True, **parameters)
    for _ in range(3):
        model.fit(X, Y)
        if through_pickle:
            model = pickle.loads(pickle.dumps(model))
    assert model.loss_curve_ == long.loss_curve_
    assert (model.n_iter_, model.t_) == (4, long.t_)
    assert_array_equal(model.coefs_[0], long.coefs_[0])
    for column in COLUMNS - {"seconds"}:
        assert_array_equal(model.history_[column], long.history_[column])
    assert (np.diff(model.history_["seconds"]) >= 0).all()


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_plain_and_other_arrays_are_learnt_alike(estimator):
    """Plain arrays of later calls skip scikit-learn's checks."""
    models = [estimator(hidden_layer_sizes=(7,), random_state=0) for _ in range(3)]
    first = {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
    for rows in (slice(None), slice(0, 40), slice(40, 41)):
        arrays = [
            (X[rows].astype(np.float32), Y[rows]),
            (X[rows].tolist(), Y[rows].tolist()),
            (np.asfortranarray(X[rows]), Y[rows].astype(np.int8)),
        ]
        for model, data in zip(models, arrays, strict=True):
            model.partial_fit(*data, **first)
        first = {}
    for model in models[1:]:
        assert_array_equal(model.coefs_[0], models[0].coefs_[0])
    models[0].coefs_[0][...] = 0.0
    models[0].partial_fit(X, Y)
    assert np.abs(models[0].coefs_[0]).max() < 0.01


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X * np.inf, Y), "Input X contains infinity"),
        ((X, Y[1:]), "inconsistent numbers of samples"),
        ((X[:, 1:], Y), "X has 3 features"),
        ((X, Y + 1), "`y` has classes not in `self.classes_`"),
        ((X, Y - 1), "`y` has classes not in `self.classes_`"),
    ],
)
def test_later_calls_of_partial_fit_are_checked(data, message):
    model = MLPClassifier((7,)).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=message):
        model.partial_fit(*data)
    model = MLPRegressor(hidden_layer_sizes=(7,)).partial_fit(X, Y * 1.0)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        model.partial_fit(X, Y * np.nan)


def test_later_calls_of_partial_fit_make_no_plan():
    model = MLPClassifier((7,)).partial_fit(X, Y, classes=[0, 1, 2])
    before = training_plans.training_plan.cache_info().misses
    for _ in range(5):
        model.partial_fit(X, Y)
    clone(model).partial_fit(X, Y, classes=[0, 1, 2])
    assert training_plans.training_plan.cache_info().misses == before


@pytest.mark.parametrize("through_pickle", [False, True])
def test_partial_fit_equals_fit(through_pickle):
    parameters = {"hidden_layer_sizes": (6,), "random_state": 0}
    long = MLPRegressor(max_iter=5, **parameters).fit(X, Y)
    model = MLPRegressor(**parameters)
    for _ in range(5):
        model.partial_fit(X, Y)
        if through_pickle:
            model = pickle.loads(pickle.dumps(model))
    assert model.loss_curve_ == long.loss_curve_
    assert_array_equal(model.coefs_[0], long.coefs_[0])
    assert (model.n_iter_, model.t_) == (1, 750)


def test_warm_start_keeps_the_validation_rows():
    seen = []

    def scorer(estimator, X, y):
        seen.append(X.copy())
        return 0.5

    model = MLPClassifier(
        early_stopping=True, scoring=scorer, warm_start=True, max_iter=1
    )
    for _ in range(3):
        model.fit(X, Y)
    assert_array_equal(seen[0], seen[1])
    assert_array_equal(seen[0], seen[2])
    assert len(model.validation_scores_) == 3


def test_edited_weights_are_where_training_goes_on():
    model = MLPRegressor(hidden_layer_sizes=(4,), warm_start=True, max_iter=1)
    model.fit(X, Y)
    model.set_params(learning_rate_init=1e-30, solver="sgd")
    model.coefs_[0][...] = 0.25
    model.fit(X, Y)
    assert_array_equal(model.coefs_[0], np.float32(0.25))


def test_changing_parameters_between_warm_starts():
    model = MLPClassifier((5,), warm_start=True, max_iter=3, random_state=0)
    model.fit(X, Y)
    for change in (
        {"solver": "sgd"},
        {"early_stopping": True},
        {"early_stopping": False},
        {"dtype": "float64"},
        {"solver": "lbfgs"},
        {"solver": "adam"},
    ):
        model.set_params(**change).fit(X, Y)
        assert np.isfinite(model.predict_proba(X)).all()
    assert model.coefs_[0].dtype == np.float64


def test_a_new_fit_forgets():
    model = MLPClassifier((5,), max_iter=3, early_stopping=True).fit(X, Y)
    model.set_params(solver="lbfgs").fit(X, Y)
    for attribute in ("loss_curve_", "best_loss_", "validation_scores_"):
        assert not hasattr(model, attribute)
    assert model.t_ == 0


# pickles ---------------------------------------------------------------------


def assert_plain(value, path="state"):
    """Arrays, numbers and strings only, in lists, tuples and dicts."""
    if isinstance(value, dict):
        for key, item in value.items():
            assert isinstance(key, str)
            assert_plain(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            assert_plain(item, f"{path}[{number}]")
    elif isinstance(value, np.ndarray):
        assert type(value) is np.ndarray and not value.dtype.hasobject, path
    else:
        allowed = bool | int | float | str | None
        assert isinstance(value, allowed), (path, type(value))


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"warm_start": True}],
    ids=str,
)
def test_pickles_hold_plain_values(estimator, parameters):
    model = estimator(max_iter=5, random_state=0, **parameters).fit(X, Y)
    assert_plain(model.__getstate__())
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert "_nnfit_version" not in vars(loaded)


def size_over_weights(model):
    weights = sum(array.nbytes for array in model.coefs_ + model.intercepts_)
    return len(pickle.dumps(model)) - weights, weights


def test_pickles_are_small():
    model = MLPClassifier((300, 200), max_iter=5, random_state=0).fit(X, Y)
    over, weights = size_over_weights(model)
    assert over < 4096
    model.set_params(warm_start=True).fit(X, Y)
    assert 2 * weights < size_over_weights(model)[0] < 2 * weights + 4096
    model = MLPClassifier((300, 200), random_state=0).partial_fit(X, Y, classes=Y)
    assert size_over_weights(model)[0] > 2 * weights


def test_version_of_a_pickle():
    model = MLPRegressor(max_iter=2).fit(X, Y)
    state = model.__getstate__()
    assert state["_nnfit_version"] == nnfit.__version__
    state["_nnfit_version"] = "0.0.1"
    with pytest.warns(InconsistentVersionWarning, match="from version 0.0.1 when"):
        MLPRegressor().__setstate__(state)


def test_weights_may_be_read_only_maps(tmp_path):
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, Y)
    joblib.dump(model, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    assert isinstance(mapped.coefs_[0], np.memmap)
    assert_array_equal(mapped.predict_proba(X), model.predict_proba(X))
    mapped.partial_fit(X, Y)


# interruption ----------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("after", [0, 3])
def test_interrupted_between_calls(monkeypatch, early_stopping, after):
    engine = device.load_engine()
    calls = []
    original = engine.Engine.train

    def train(self, max_epochs, seconds):
        calls.append(max_epochs)
        if len(calls) > after:
            raise KeyboardInterrupt
        return original(self, self.progress.epoch + 1)

    monkeypatch.setattr(engine.Engine, "train", train)
    model = MLPClassifier(early_stopping=early_stopping, random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model.fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == after
    assert np.isfinite(model.predict_proba(X)).all()


def test_interrupted_lbfgs(monkeypatch):
    engine = device.load_engine()
    original = engine.Engine.loss_and_gradient
    calls = []

    def loss_and_gradient(self, flat):
        calls.append(1)
        if len(calls) > 20:
            raise KeyboardInterrupt
        return original(self, flat)

    monkeypatch.setattr(engine.Engine, "loss_and_gradient", loss_and_gradient)
    model = MLPClassifier(solver="lbfgs", random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model.fit(X, Y)
    assert 0 < model.n_iter_ == len(model.history_["loss"]) < 20
    assert model.loss_ == model.history_["loss"][-1] < model.history_["loss"][0]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")
def test_control_c():
    model = MLPClassifier((100,), max_iter=10**6, tol=0, n_iter_no_change=np.inf)
    clone(model).set_params(max_iter=1).fit(X, Y)  # compiled before the clock starts
    main = threading.main_thread().ident
    timer = threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    started = time.perf_counter()
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model.fit(X, Y)
    assert time.perf_counter() - started < 5
    assert model.score(X, Y) > 0.9
