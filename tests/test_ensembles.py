"""Ensembles: several networks in one estimator."""

import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_info

from nnfit import MLPClassifier, MLPRegressor
from nnfit.interruption import interrupted_by
from nnfit.training import device, threads
from tests.conftest import use_numpy_engine

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
LABELS = np.column_stack([Y == 0, Y == 1, X[:, 0] > 0]).astype(int)
WEIGHTS = np.random.default_rng(0).uniform(size=150)
DEFAULTS = {
    "hidden_layer_sizes": (10,),
    "n_members": 3,
    "max_iter": 8,
    "random_state": 0,
}
VALIDATION = {"X_val": X[::3], "y_val": Y[::3], "sample_weight_val": WEIGHTS[::3]}


def classifier(**parameters):
    return MLPClassifier(**(DEFAULTS | parameters))


def regressor(**parameters):
    return MLPRegressor(**(DEFAULTS | parameters))


def alone(member):
    """The same network as an estimator that nobody has trained."""
    assert member.n_members == 1
    return clone(member)


def assert_same_networks(one, other):
    for mine, its in zip(one.members_, other.members_, strict=True):
        for a, b in zip(mine.coefs_, its.coefs_, strict=True):
            assert_array_equal(a, b)


# members ---------------------------------------------------------------------

SITUATIONS = {
    "classes": (classifier(), (X, NAMES), {}),
    "two classes": (classifier(), (X, Y > 0), {}),
    "labels": (classifier(), (X, LABELS), {}),
    "sparse": (classifier(), (csr_array(X), csr_matrix(LABELS)), {}),
    "weights": (classifier(class_weight="balanced"), (X, Y, WEIGHTS), {}),
    "early stopping": (classifier(early_stopping=True), (X, Y), {}),
    "validation": (classifier(scoring="neg_log_loss"), (X, Y), VALIDATION),
    "lbfgs": (classifier(solver="lbfgs"), (X, Y), {}),
    "dropout": (classifier(dropout=0.2, initialization="data_driven"), (X, Y), {}),
    "staged": (
        classifier(
            hidden_layer_sizes=(10, 10),
            normalization="batch",
            residual=True,
            ema_decay=0.9,
            learning_rate="one_cycle",
        ),
        (X, Y),
        {},
    ),
    "numbers": (regressor(), (X, X[:, 0]), {}),
    "columns": (regressor(early_stopping=True), (X, X[:, :2]), {}),
    "counts": (regressor(loss="poisson", solver="sgd"), (X, Y), {}),
    "quantiles": (regressor(loss="quantile", quantile=[0.1, 0.9]), (X, Y), {}),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_members_are_estimators_of_their_own(any_engine, situation):
    model, data, keywords = SITUATIONS[situation]
    model = clone(model).fit(*data, **keywords)
    assert len(model.members_) == 3
    assert len({member.random_state for member in model.members_}) == 3
    for member in model.members_:
        single = alone(member).fit(*data, **keywords)
        for one, other in zip(single.coefs_, member.coefs_, strict=True):
            assert_array_equal(one, other)
        assert single.history_["loss"] == member.history_["loss"]
    first, second, _ = model.members_
    assert not np.array_equal(first.coefs_[0], second.coefs_[0])
    predict = getattr(model, "predict_proba", model.predict)
    of_members = [
        getattr(member, predict.__name__)(data[0]) for member in model.members_
    ]
    mean, std = predict(data[0], return_std=True)
    assert mean.dtype == std.dtype == of_members[0].dtype
    assert_allclose(mean, np.mean(of_members, axis=0), rtol=1e-5, atol=1e-7)
    assert_allclose(std, np.std(of_members, axis=0), rtol=1e-4, atol=1e-6)
    assert_array_equal(mean, predict(data[0]))
    assert model.n_iter_ == max(member.n_iter_ for member in model.members_)
    losses = [member.loss_ for member in model.members_]
    assert model.loss_ == pytest.approx(np.mean(losses))
    for name in ("n_outputs_", "n_layers_", "out_activation_", "n_features_in_"):
        assert getattr(model, name) == getattr(first, name)
    assert not hasattr(model, "coefs_") and not hasattr(model, "history_")


@pytest.mark.parametrize("loss", ["log_loss", "own"])
@pytest.mark.parametrize("y", [Y, NAMES, Y > 0, LABELS, 0 * Y], ids=str)
def test_kinds_of_prediction_agree(y, loss):
    def squared(raw_prediction, y):
        return 0.5 * (raw_prediction - y) ** 2, raw_prediction - y

    model = classifier(loss=squared if loss == "own" else loss).fit(X, y)
    probability, decision = model.predict_proba(X), model.decision_function(X)
    predicted = model.predict(X)
    assert_allclose(model.predict_log_proba(X), np.log(probability), rtol=1e-5)
    if y is LABELS:
        assert_array_equal(predicted, probability > 0.5)
        assert_allclose(probability, 1 / (1 + np.exp(-decision)), rtol=1e-5)
        return
    assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert_array_equal(model.classes_, np.unique(y))
    if len(model.classes_) == 1:
        assert_array_equal(predicted, 0)
        return
    assert_array_equal(predicted, model.classes_[probability.argmax(axis=1)])
    if len(model.classes_) == 2:
        assert_allclose(probability[:, 1], 1 / (1 + np.exp(-decision)), rtol=1e-5)
    else:
        assert_allclose(probability, np.exp(decision), rtol=1e-5)


def test_odds_differ_where_probabilities_round():
    model = classifier().fit(X, Y > 0)
    for member in model.members_:
        member.coefs_[-1][...] *= 1e3
    decision = model.decision_function(X)
    assert len(np.unique(decision)) > 100 and np.isfinite(decision).all()
    assert ((0 < model.predict_proba(X)) & (model.predict_proba(X) < 1)).all()


def test_sparse_labels_stay_sparse():
    model = classifier().fit(X, csr_matrix(LABELS))
    assert issparse(model.predict(X))
    assert not issparse(model.predict_proba(X))


def test_an_ensemble_is_better_than_its_members_are_on_average():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    y = X[:, 0] + rng.normal(size=300) > 0
    model = classifier(
        hidden_layer_sizes=(50,), n_members=5, learning_rate_init=0.01, max_iter=60
    )
    model.fit(X[:150], y[:150])
    target = y[150:].astype(int)

    def loss(predictor):
        chosen = predictor.predict_proba(X[150:])[np.arange(150), target]
        return -np.log(chosen).mean()

    assert loss(model) < np.mean([loss(member) for member in model.members_])


# threads ---------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("initialization", ["glorot", "orthogonal"])
def test_results_do_not_depend_on_threads(solver, initialization):
    parameters = {
        "solver": solver,
        "initialization": initialization,
        "early_stopping": True,
    }
    reference = classifier(n_jobs=1, **parameters).fit(X, Y)
    assert reference.n_threads_ == 1
    for n_jobs, expected in ((2, 2), (3, 3), (7, 6)):
        model = classifier(n_jobs=n_jobs, **parameters).fit(X, Y)
        assert_same_networks(reference, model)
        assert model.n_threads_ == expected
        assert all(member.n_jobs == n_jobs for member in model.members_)
        assert_array_equal(model.predict_proba(X), reference.predict_proba(X))


def test_threads_are_shared_with_other_fits(monkeypatch):
    monkeypatch.setattr(threads, "usable_processors", lambda: 4)
    monkeypatch.setattr(threads, "ALL_OPERATIONS", 0)
    assert classifier().fit(X, Y).n_threads_ == 3
    with threads.reserve_threads(None, 2e6, 2e6) as others:
        assert others == 2
        assert classifier().fit(X, Y).n_threads_ == 2
    with threads.reserve_threads(None, 1e9, 1e9):
        assert classifier().fit(X, Y).n_threads_ == 1
    assert threads._taken == 0


@pytest.mark.usefixtures("two_blas_threads")
def test_blas_gets_its_threads_back():
    def n_threads():
        return [library["num_threads"] for library in threadpool_info()]

    before = n_threads()
    classifier(solver="lbfgs", n_jobs=3, initialization="orthogonal").fit(X, Y)
    assert n_threads() == before


def test_members_have_the_configuration_of_the_caller():
    seen = []

    def score(estimator, X, y):
        seen.append((get_config()["assume_finite"], np.geterr()["over"]))
        return 0.0

    with config_context(assume_finite=True), np.errstate(over="raise"):
        classifier(scoring=score, max_iter=1, n_jobs=2).fit(X, Y, X_val=X, y_val=Y)
    assert seen == [(True, "raise")] * 3


def test_members_share_max_time():
    model = classifier(max_time=6.0, n_jobs=2, max_iter=1).fit(X, Y)
    assert [member.max_time for member in model.members_] == [3.0] * 3


# going on --------------------------------------------------------------------


def test_a_smaller_ensemble_is_the_beginning_of_a_larger_one():
    small, large = classifier(n_members=2).fit(X, Y), classifier().fit(X, Y)
    for one, other in zip(small.members_, large.members_[:2], strict=True):
        assert_array_equal(one.coefs_[0], other.coefs_[0])
    other = classifier(random_state=1).fit(X, Y)
    assert not np.array_equal(large.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_start(early_stopping):
    common = {"early_stopping": early_stopping, "n_iter_no_change": 100}
    model = classifier(warm_start=True, max_iter=4, **common).fit(X, Y)
    members = model.members_
    model.fit(X, Y)
    assert all(a is b for a, b in zip(members, model.members_, strict=True))
    long = classifier(max_iter=8, **common).fit(X, Y)
    if not early_stopping:  # which restores the best weights after every fit
        assert_same_networks(model, long)
    assert len(model.members_[0].loss_curve_) == 8

    model.set_params(n_members=4).fit(X, Y)
    assert [len(m.loss_curve_) for m in model.members_] == [12, 12, 12, 4]
    new = alone(model.members_[3]).fit(X, Y)
    assert_array_equal(new.coefs_[0], model.members_[3].coefs_[0])


@pytest.mark.parametrize("through_pickle", [False, True])
def test_partial_fit(through_pickle):
    model = classifier(shuffle=False)
    for rows in (slice(0, 60), slice(40, 100), slice(90, 150)):
        model.partial_fit(X[rows], NAMES[rows], classes=np.unique(NAMES))
        if through_pickle:
            model = pickle.loads(pickle.dumps(model))
    for member in model.members_:
        single = alone(member)
        for rows in (slice(0, 60), slice(40, 100), slice(90, 150)):
            single.partial_fit(X[rows], NAMES[rows], classes=np.unique(NAMES))
        assert_array_equal(single.coefs_[0], member.coefs_[0])
    assert model.n_iter_ == 1
    reg = regressor().partial_fit(X, Y).partial_fit(X, Y, WEIGHTS)
    assert all(member.t_ == 300 for member in reg.members_)


def test_partial_fit_with_early_stopping():
    model = classifier(early_stopping=True, n_iter_no_change=1, tol=1.0)
    for _ in range(5):
        model.partial_fit(X, Y, classes=[0, 1, 2], X_val=X[::2], y_val=Y[::2])
    assert model.stopped_ and all(member.stopped_ for member in model.members_)
    assert model.n_iter_ == 0


def test_continuing_with_another_number():
    ensemble = classifier(warm_start=True).fit(X, Y)
    single = classifier(warm_start=True, n_members=1).fit(X, Y)
    with pytest.raises(ValueError, match="continue to train 3 networks with n_membe"):
        ensemble.set_params(n_members=2).fit(X, Y)
    with pytest.raises(ValueError, match="3 networks with n_members=1"):
        ensemble.set_params(n_members=1).partial_fit(X, Y)
    with pytest.raises(ValueError, match="1 network with n_members=2"):
        single.set_params(n_members=2).fit(X, Y)
    ensemble.set_params(warm_start=False).fit(X, Y)
    assert not hasattr(ensemble, "members_") and len(ensemble.coefs_) == 2
    single.set_params(warm_start=False).fit(X, Y)
    assert not hasattr(single, "coefs_") and len(single.members_) == 2
    assert not hasattr(single, "loss_curve_") and not hasattr(single, "history_")


def test_changed_parameters_reach_the_members():
    model = classifier(warm_start=True).fit(X, Y)
    before = [member.coefs_[0].copy() for member in model.members_]
    model.set_params(learning_rate_init=1e-30, max_iter=1).fit(X, Y)
    for member, coef in zip(model.members_, before, strict=True):
        assert_allclose(member.coefs_[0], coef)


# scikit-learn ----------------------------------------------------------------


def test_not_fitted_and_fitted():
    model = classifier()
    for call in (model.predict, model.predict_proba, model.decision_function):
        with pytest.raises(NotFittedError):
            call(X)
    check_is_fitted(model.fit(X, Y))
    assert not hasattr(clone(model), "members_")


@pytest.mark.parametrize("model", [classifier(), regressor(warm_start=True)])
def test_pickles(model):
    model.fit(X, Y)
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(model.predict(X), loaded.predict(X))
    loaded.fit(X, Y)
    assert_array_equal(loaded.predict(X), model.fit(X, Y).predict(X))


def test_pickles_are_small():
    model = classifier(hidden_layer_sizes=(300, 200), max_iter=2).fit(X, Y)
    arrays = [a for m in model.members_ for a in m.coefs_ + m.intercepts_]
    assert len(pickle.dumps(model)) < sum(a.nbytes for a in arrays) + 20_000


def test_tables():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd"))
    model = classifier().fit(table, NAMES, X_val=table[::2], y_val=NAMES[::2])
    assert_array_equal(model.feature_names_in_, list("abcd"))
    assert_array_equal(model.predict(table), classifier().fit(X, NAMES).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[["b", "a", "c", "d"]])


def test_groups_reach_the_members():
    groups = np.arange(150) // 10
    seen = []

    def score(estimator, X, y):
        seen.append(len(y))
        return 0.0

    model = classifier(early_stopping=True, scoring=score, max_iter=1)
    model.fit(X, Y, groups=groups)
    assert seen == [20] * 3  # two groups of fifteen


def test_pipeline_and_search():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier()),
        {"mlpclassifier__n_members": [1, 2]},
        cv=2,
        error_score="raise",
    )
    assert search.fit(X, Y).score(X, Y) == accuracy_score(Y, search.predict(X))


# errors and interruption -----------------------------------------------------


@pytest.mark.parametrize(
    "data, message",
    [
        ((X, Y[:100]), "inconsistent numbers of samples"),
        ((X, Y, np.zeros(150)), "at least one non-zero"),
    ],
)
def test_errors_of_data(data, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(*data)


def test_a_failed_fit_leaves_the_former_one():
    model = classifier(warm_start=True, solver="sgd").fit(X, Y)
    before = model.predict_proba(X)
    curves = [list(member.loss_curve_) for member in model.members_]
    parameters = [member.get_params() for member in model.members_]
    model.set_params(learning_rate_init=1e30, n_jobs=2)
    with pytest.raises(ValueError, match="lower learning_rate_init"):
        model.fit(X, Y)
    assert_array_equal(model.predict_proba(X), before)
    assert [member.loss_curve_ for member in model.members_] == curves
    assert [member.get_params() for member in model.members_] == parameters
    fresh = clone(model)
    with pytest.raises(ValueError, match="lower learning_rate_init"):
        fresh.fit(X, Y)
    assert not hasattr(fresh, "members_")


def interrupt(monkeypatch, at, solver="adam"):
    """Let Ctrl-C come when a member trains its epoch (iteration) number `at`."""
    engine = device.load_engine().Engine
    name = "loss_and_gradient" if solver == "lbfgs" else "train"
    original, lock, calls = getattr(engine, name), threading.Lock(), []

    def step(self, *arguments):
        with lock:
            calls.append(1)
            if len(calls) == at:
                signal.raise_signal(signal.SIGINT)
                assert interrupted_by.get().wait(10)  # the main thread wakes up
        return original(self, *arguments)

    monkeypatch.setattr(engine, name, step)


@pytest.mark.filterwarnings("ignore:Training interrupted by user.$")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupted(monkeypatch, n_jobs, solver):
    use_numpy_engine(monkeypatch)
    with monkeypatch.context() as patch:
        interrupt(patch, 20, solver)
        model = classifier(max_iter=10**5, tol=0, n_jobs=n_jobs, solver=solver)
        with pytest.warns(UserWarning, match="interrupted by user. Of n_members=3 it"):
            model.fit(X, Y)
    # One alone if it comes before the second has begun.
    assert len(model.members_) in (1, n_jobs)
    assert model.predict_proba(X).shape == (150, 3)
    model.set_params(warm_start=True, max_iter=2).fit(X, Y)
    assert len(model.members_) == 3


def test_interrupted_before_anything_is_trained(monkeypatch):
    def submit(*arguments):
        raise KeyboardInterrupt

    model = classifier().fit(X, Y)
    before = model.predict_proba(X)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(random_state=1).fit(X, Y)
    assert_array_equal(model.predict_proba(X), before)


def test_interrupted_twice(monkeypatch):
    use_numpy_engine(monkeypatch)
    model = classifier(warm_start=True).fit(X, Y)
    before = model.predict_proba(X)
    interrupt(monkeypatch, 20)
    shutdown, calls = ThreadPoolExecutor.shutdown, []

    def interrupted_shutdown(self, *arguments, **keywords):
        shutdown(self, *arguments, **keywords)
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", interrupted_shutdown)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(max_iter=10**5, tol=0).fit(X, Y)
    assert_array_equal(model.predict_proba(X), before)
    assert len(model.members_[0].loss_curve_) == 8


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")
@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_control_c(n_jobs):
    model = classifier(max_iter=10**6, tol=0, n_iter_no_change=np.inf, n_jobs=n_jobs)
    clone(model).set_params(max_iter=1).fit(X, Y)  # compiled before the clock starts
    main = threading.main_thread().ident
    timer = threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    started = time.perf_counter()
    model.fit(X, Y)
    assert time.perf_counter() - started < 5
    assert len(model.members_) == n_jobs and model.score(X, Y) > 0.9
