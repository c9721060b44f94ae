"""Searches whose networks train side by side."""

import pickle
import signal
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from joblib.parallel import get_active_backend
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV
from nnfit.interruption import interrupted_by
from nnfit.training import device, threads
from tests.conftest import use_numpy_engine
from tests.pairs import in_turn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
WEIGHTS = np.random.default_rng(0).uniform(size=150)
GROUPS = np.arange(150) % 7
GRID = {"learning_rate_init": [0.1, 0.01], "hidden_layer_sizes": [(4,), (3, 3)]}
VALIDATION = {"X_val": X[::3], "y_val": Y[::3]}


@pytest.fixture(autouse=True)
def no_threads_left():
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        # One that Ctrl-C came to while it was being started is not waited for.
        if thread.name.startswith("nnfit"):
            thread.join(2)
            assert not thread.is_alive()


def classifier(**parameters):
    defaults = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0}
    return MLPClassifier(**(defaults | parameters))


def search(**parameters):
    return PopulationSearchCV(**{"estimator": classifier(), "cv": 3, **parameters})


def last(estimator):
    """The network of a fitted pipeline, of a search or the like."""
    while not hasattr(estimator, "coefs_") and not hasattr(estimator, "members_"):
        for name in ("best_estimator_", "regressor_"):
            estimator = getattr(estimator, name, estimator)
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
    return estimator


def assert_same_results(mine, its):
    assert set(mine.cv_results_) == set(its.cv_results_)
    for name, values in its.cv_results_.items():
        if name == "params":
            assert mine.cv_results_["params"] == values
        elif not name.endswith("_time"):
            assert_array_equal(mine.cv_results_[name], values, err_msg=name)
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_"):
        assert getattr(mine, name, None) == getattr(its, name, None)
    assert mine.multimetric_ == its.multimetric_
    assert hasattr(mine, "best_estimator_") == hasattr(its, "best_estimator_")
    if hasattr(its, "best_estimator_"):
        for a, b in zip(
            last(mine)._weights().coefs, last(its)._weights().coefs, strict=True
        ):
            assert_array_equal(a, b)


# results ---------------------------------------------------------------------

PIPELINE = make_pipeline(StandardScaler(), classifier())
REGRESSOR = TransformedTargetRegressor(
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=4, random_state=0),
    transformer=StandardScaler(),
)
SITUATIONS = {
    "plain": ({}, {}),
    "scores": (
        {
            "scoring": ["accuracy", "neg_log_loss"],
            "refit": "neg_log_loss",
            "return_train_score": True,
        },
        {},
    ),
    "one score": ({"scoring": "f1_macro"}, {}),
    "scorers": ({"scoring": {"mine": get_scorer("accuracy")}, "refit": False}, {}),
    "own scores": (
        {
            "scoring": lambda model, X, y: {"a": model.score(X, y), "b": 1.0},
            "refit": "a",
        },
        {},
    ),
    "own choice": ({"refit": lambda results: 2}, {}),
    "not refitted": ({"refit": False}, {}),
    "list of grids": (
        {"param_grid": [{"alpha": [0.1, 1.0]}, {"solver": ["sgd", "lbfgs"]}]},
        {},
    ),
    "weights": ({}, {"sample_weight": WEIGHTS}),
    "validation": ({"estimator": classifier(early_stopping=True)}, VALIDATION),
    "groups": ({"cv": GroupKFold(3)}, {"groups": GROUPS}),
    "iterable": ({"cv": [(np.arange(100), np.arange(100, 150))]}, {}),
    "pipeline": (
        {
            "estimator": PIPELINE,
            "param_grid": {
                "mlpclassifier__alpha": [0.1, 1.0],
                "standardscaler": [StandardScaler(), "passthrough"],
            },
        },
        {"mlpclassifier__sample_weight": WEIGHTS},
    ),
    "target": (
        {"estimator": REGRESSOR, "param_grid": {"regressor__alpha": [0.1, 1.0]}},
        {},
    ),
    "networks to choose from": (
        {
            "estimator": Pipeline([("last", LogisticRegression())]),
            "param_grid": {"last": [classifier(), classifier(alpha=1.0)]},
        },
        {},
    ),
}


@in_turn(name=SITUATIONS, n_jobs=[None, 1, 3])
def test_results_are_those_of_a_grid_search(name, n_jobs):
    changes, fit_parameters = SITUATIONS[name]
    parameters = {"estimator": classifier(), "param_grid": GRID, "cv": 3, **changes}
    one = PopulationSearchCV(**parameters, n_jobs=n_jobs).fit(X, Y, **fit_parameters)
    other = GridSearchCV(**parameters).fit(X, Y, **fit_parameters)
    assert_same_results(one, other)


@pytest.mark.parametrize("n_jobs", [None, 1, 3])
def test_results_are_those_of_a_random_search(n_jobs):
    parameters = {
        "param_distributions": {"alpha": loguniform(1e-3, 1), "solver": ["sgd"]},
        "n_iter": 4,
        "random_state": 0,
        "cv": 3,
    }
    one = PopulationSearchCV(classifier(), n_jobs=n_jobs, **parameters).fit(X, Y)
    assert_same_results(one, RandomizedSearchCV(classifier(), **parameters).fit(X, Y))


def test_results_are_those_of_fitting_alone():
    folds = [(np.arange(100), np.arange(100, 150)), (np.arange(50, 150), np.arange(50))]
    found = search(param_grid=GRID, cv=folds, n_jobs=2).fit(X, Y)
    for i, parameters in enumerate(found.cv_results_["params"]):
        for k, (train, test) in enumerate(folds):
            model = classifier(**parameters).fit(X[train], Y[train])
            score = model.score(X[test], Y[test])
            assert found.cv_results_[f"split{k}_test_score"][i] == score


@pytest.mark.parametrize("kind", ["sparse", "pandas"])
def test_kinds_of_data(kind):
    if kind == "sparse":
        data = csr_array(X)
    else:
        data = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    one = search(param_grid=GRID, n_jobs=2).fit(data, Y)
    assert_same_results(one, GridSearchCV(classifier(), GRID, cv=3).fit(data, Y))
    assert one.n_features_in_ == 4
    assert hasattr(one, "feature_names_in_") == (kind == "pandas")


def test_metadata_routing():
    with config_context(enable_metadata_routing=True):
        net = classifier().set_fit_request(sample_weight=True, groups=True)
        net.set_score_request(sample_weight=True)
        parameters = {"param_grid": GRID, "cv": GroupKFold(3)}
        given = {"sample_weight": WEIGHTS, "groups": GROUPS}
        one = PopulationSearchCV(net, **parameters, n_jobs=2).fit(X, Y, **given)
        assert_same_results(one, GridSearchCV(net, **parameters).fit(X, Y, **given))
        weighted = one.score(X, Y, sample_weight=WEIGHTS)
        best = one.best_estimator_
        assert weighted == best.score(X, Y, sample_weight=WEIGHTS)


def test_ensembles():
    net = classifier(n_members=2)
    one = PopulationSearchCV(net, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2).fit(X, Y)
    other = GridSearchCV(net, {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y)
    assert_array_equal(
        one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"]
    )
    assert_array_equal(one.predict_proba(X), other.predict_proba(X))


# as an estimator -------------------------------------------------------------


def test_methods_are_those_of_the_best_network():
    found = search(param_grid=GRID, n_jobs=2).fit(X, Y)
    best = found.best_estimator_
    for name in ("predict", "predict_proba", "predict_log_proba"):
        assert_array_equal(getattr(found, name)(X), getattr(best, name)(X))
    assert found.score(X, Y) == best.score(X, Y)
    assert_array_equal(found.classes_, [0, 1, 2])
    assert not hasattr(found, "transform") and found.refit_time_ > 0
    with pytest.raises(NotFittedError):
        clone(found).predict(X)


def test_parameters_and_pickles():
    model = search(param_grid=GRID, n_jobs=2)
    assert clone(model).get_params(deep=False).keys() == model.get_params(False).keys()
    assert "estimator__alpha" in model.get_params()
    assert "pre_dispatch" not in model.get_params()
    assert "PopulationSearchCV(" in repr(model) and "param_grid" in repr(model)
    model.set_params(estimator__alpha=0.5, n_jobs=1).fit(X, Y)
    assert model.best_estimator_.alpha == 0.5
    assert "best_estimator_" in model._repr_html_()
    copied = pickle.loads(pickle.dumps(model))
    assert_array_equal(copied.predict_proba(X), model.predict_proba(X))


@pytest.mark.slow
def test_inside_of_cross_validation():
    scores = cross_val_score(search(param_grid=GRID), X, Y, cv=3)
    assert_array_equal(
        scores, cross_val_score(GridSearchCV(classifier(), GRID, cv=3), X, Y, cv=3)
    )
    assert_array_equal(
        scores, cross_val_score(search(param_grid=GRID), X, Y, n_jobs=2, cv=3)
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({}, "either param_grid.* or param_distributions.* got neither"),
        ({"param_grid": GRID, "param_distributions": GRID}, "got both"),
        (
            {"estimator": RandomForestClassifier(), "param_grid": {"max_depth": [2]}},
            "estimator is a RandomForestClassifier without one. Use .*GridSearchCV",
        ),
        ({"estimator": MLPClassifier, "param_grid": GRID}, "without one"),
        ({"param_grid": GRID, "n_jobs": 0}, "n_jobs == 0 has no meaning"),
        ({"param_grid": GRID, "n_jobs": "two"}, "'n_jobs' parameter"),
        ({"param_grid": GRID, "scoring": "unknown"}, "'scoring' parameter"),
        ({"param_distributions": GRID, "n_iter": 0}, "'n_iter' parameter"),
        ({"param_grid": {"unknown": [1]}}, "Invalid parameter 'unknown'"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        search(**changes).fit(X, Y)
    assert get_active_backend()[1] is None


def test_a_fit_that_fails():
    failing = {"learning_rate_init": [0.01, 1e30], "solver": ["sgd"]}
    with pytest.warns() as caught:
        found = search(param_grid=failing, n_jobs=2).fit(X, Y)
    assert any(issubclass(one.category, FitFailedWarning) for one in caught)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [False, True]
    with pytest.raises(ValueError, match="lower learning_rate_init"):
        search(param_grid=failing, error_score="raise", n_jobs=2).fit(X, Y)


def test_progress(capsys):
    search(param_grid=GRID, verbose=2).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Fitting 3 folds for each of 4 candidates")
    assert sum("END" in line for line in lines) == 12


# threads ---------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    """Numbers of networks that were training when one began."""
    engine, lock = device.load_engine().Engine, threading.Lock()
    original, running, numbers = engine.train, set(), []

    def train(self, *arguments):
        with lock:
            running.add(threading.get_ident())
            numbers.append(len(running))
        time.sleep(0.03)  # while the others come so far
        try:
            return original(self, *arguments)
        finally:
            with lock:
                running.discard(threading.get_ident())

    monkeypatch.setattr(engine, "train", train)
    return numbers


@pytest.fixture
def four_processors(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads, "_is_worker", lambda: False)
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("n_jobs, expected", [(None, 4), (1, 1), (3, 3), (-2, 3)])
def test_number_of_threads(four_processors, at_once, n_jobs, expected):
    search(param_grid=GRID, n_jobs=n_jobs, refit=False).fit(X, Y)
    assert max(at_once) == expected and len(at_once) == 12


def test_processors_that_others_use(four_processors, at_once):
    with threads.reserve_threads(None, 2e6, 1e12) as taken:
        search(param_grid=GRID, refit=False).fit(X, Y)
    assert taken == max(at_once) == 2


def test_number_of_threads_of_joblib(at_once):
    with joblib.parallel_config(n_jobs=3):
        search(param_grid=GRID, refit=False).fit(X, Y)
    assert max(at_once) == 3


class Watching(TransformerMixin, BaseEstimator):
    """Records joblib's backend, NumPy's error handling and the thread of a fit."""

    seen = []

    def fit(self, X, y=None):
        here = threading.current_thread() is threading.main_thread()
        backend, n_jobs = get_active_backend()
        self.seen.append((here, type(backend).__name__, n_jobs, np.geterr()["under"]))
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_surroundings(n_jobs):
    """Joblib is as it was, and threads have what belongs to the context."""
    Watching.seen.clear()
    pipeline = make_pipeline(Watching(), classifier())
    grid = {"mlpclassifier__alpha": [0.1, 1.0]}
    with np.errstate(under="raise"):
        search(estimator=pipeline, param_grid=grid, n_jobs=n_jobs).fit(X, Y)
    *fits, refit = Watching.seen
    assert set(fits) == {(False, "ThreadingBackend", None, "raise")} and len(fits) == 6
    assert refit == (True, "LokyBackend", None, "raise")


def test_each_fit_has_one_thread(four_processors):
    seen = []

    def score(model, X, y):
        seen.append((model.n_threads_, threads.usable_processors()))
        return model.score(X, y)

    threads_before = threads._taken
    search(param_grid=GRID, scoring=score).fit(X, Y)
    assert {number for number, _ in seen} == {1}
    assert threads._taken == threads_before


def test_threads_leave_the_filters_of_warnings():
    """Each puts back what it has found, in whatever order they end."""
    entered, first = threading.Barrier(2), []

    def score(model, X, y):
        entered.wait(10)
        warnings.simplefilter("ignore", ResourceWarning)
        if not first:
            first.append(model)
        else:
            time.sleep(0.1)
        return model.score(X, y)

    before = warnings.filters[:]
    search(param_grid={"alpha": [0, 1]}, cv=2, scoring=score, n_jobs=2).fit(X, Y)
    assert warnings.filters == before


# interruption ----------------------------------------------------------------


def interrupt(monkeypatch, at):
    """Let Ctrl-C come when networks train for the time number `at`."""
    engine = device.load_engine().Engine
    original, lock, calls = engine.train, threading.Lock(), []

    def train(self, *arguments):
        with lock:
            calls.append(1)
            if len(calls) == at:
                signal.raise_signal(signal.SIGINT)
                assert interrupted_by.get().wait(10)  # the main thread wakes up
        return original(self, *arguments)

    monkeypatch.setattr(engine, "train", train)


@pytest.mark.filterwarnings("error")  # networks end without a word
@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupted(monkeypatch, n_jobs, n_members):
    use_numpy_engine(monkeypatch)
    interrupt(monkeypatch, 10)
    net = classifier(max_iter=10**5, tol=0, n_members=n_members)
    model = search(estimator=net, param_grid=GRID, n_jobs=n_jobs)
    before = vars(model).copy()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert vars(model) == before
    assert get_active_backend()[1] is None


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_control_c(n_jobs):
    net = classifier(max_iter=10**6, tol=0, n_iter_no_change=np.inf)
    model = search(estimator=net, param_grid=GRID, n_jobs=n_jobs)
    clone(net).set_params(max_iter=1).fit(X, Y)  # compiled before the clock starts
    main = threading.main_thread().ident
    timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert time.perf_counter() - started < 3
