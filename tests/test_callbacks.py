"""Callbacks: what they see of a fit, and what they may do to it."""

import pickle
import sys
import types
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    PopulationSearchCV,
    RealMLPClassifier,
    TabularClassifier,
    find_learning_rate,
)
from nnfit.callbacks import Callback, EarlyStopAt, MLflowLog, OptunaPruning, alone
from nnfit.callbacks.support import are_propagated
from nnfit.cpu.engine import Engine
from tests.pairs import quick_every

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
needs_propagation = pytest.mark.skipif(
    not are_propagated, reason="scikit-learn hands callbacks on from 1.9 on"
)

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
SMALL = {"hidden_layer_sizes": (6,), "batch_size": 40, "max_iter": 4, "random_state": 0}
GIVEN = {"X_val": X[::3], "y_val": Y[::3]}
#: Parameters, arguments of fit, and rows.
PATHS = {
    "plain": ({}, {}, X),
    "early stopping": ({"early_stopping": True}, {}, X),
    "validated": ({}, GIVEN, X),
    "lbfgs": ({"solver": "lbfgs"}, GIVEN, X),
    "sparse, weighted": ({}, {"sample_weight": 1.0 + Y}, csr_array(X)),
    "members": ({"n_members": 2}, {}, X),
    "average": ({"ema_decay": 0.9, "normalization": "batch"}, {}, X),
    "schedule-free": ({"solver": "schedule_free", "normalization": "batch"}, {}, X),
    "threads": ({"n_jobs": 2}, {}, X),
}


def network(*callbacks, **parameters):
    return MLPClassifier(**SMALL | parameters).set_callbacks(*callbacks)


def networks_of(model):
    return getattr(model, "members_", [model])


def arrays_of(model):
    return [a for one in networks_of(model) for a in (*one.coefs_, *one.intercepts_)]


def assert_same(model, other):
    for array, its in zip(arrays_of(model), arrays_of(other), strict=True):
        assert_array_equal(array, its)


class Recorder(Callback):
    """Keeps what it is told, and scores the model of the moment."""

    def __init__(self):
        self.hooks, self.epochs, self.scores, self.others = [], {}, {}, []

    def setup(self, estimator, context):
        self.hooks.append("setup")

    def teardown(self, estimator, context):
        self.hooks.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X):
        self.hooks.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator, metadata):
        self.hooks.append(f"end {context.task_name}")
        score = fitted_estimator.score(X, y, **(metadata or {}))
        self.scores[id(estimator)] = score
        if context.task_name == "epoch":
            self.epochs.setdefault(id(estimator), []).append(context.task_id)
            if context.parent.task_name == "fit":
                assert len(estimator.history_["loss"]) == context.task_id + 1
            pickle.dumps(estimator)


class StopAt(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def after_epoch(self, estimator, context):
        return len(estimator.history_["loss"]) == self.epoch


class FailAt(StopAt):
    def after_epoch(self, estimator, context):
        if super().after_epoch(estimator, context):
            raise RuntimeError("a callback's")


# what they see -----------------------------------------------------------------


@pytest.mark.parametrize("name", quick_every(2, PATHS))
def test_they_see_every_epoch_and_change_nothing(name, any_engine):
    parameters, given, rows = PATHS[name]
    recorder = Recorder()
    seen = network(recorder, **parameters).fit(rows, Y, **given)
    assert_same(seen, network(**parameters).fit(rows, Y, **given))
    for one in networks_of(seen):
        assert recorder.epochs[id(one)] == list(range(one.n_iter_))
        if "sample_weight" not in given:
            assert recorder.scores[id(one)] == one.score(rows, Y)
    assert recorder.hooks[:2] == ["setup", "begin fit"]
    assert recorder.hooks[-2:] == ["end fit", "teardown"]
    assert not {"_training", "_callback_fit_ctx"} & vars(seen).keys()


def test_calls_of_partial_fit_are_fits_of_an_epoch():
    recorder = Recorder()
    model = network(recorder).partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
    one = ["begin partial_fit", "begin epoch", "end epoch", "end partial_fit"]
    assert recorder.hooks == 2 * ["setup", *one, "teardown"]
    assert len(model.history_["loss"]) == 2


def test_recipes_and_regressors_have_them():
    model = RealMLPClassifier(max_iter=2, random_state=0).set_callbacks(StopAt(1))
    assert len(model.fit(X, Y).history_["loss"]) == 1
    regressor = MLPRegressor(**SMALL).set_callbacks(StopAt(2)).fit(X, Y)
    assert regressor.n_iter_ == 2


@pytest.mark.parametrize("callbacks", [(), (StopAt(10**6),)])
def test_python_looks_at_every_epoch_only_for_those_who_listen(callbacks, monkeypatch):
    calls, train = [], Engine.train
    monkeypatch.setattr(Engine, "train", lambda *a: calls.append(a[1]) or train(*a))
    network(*callbacks, max_iter=30, tol=0.0).fit(X, Y)
    assert len(calls) >= 30 if callbacks else len(calls) < 10


def test_clones_and_pickles_keep_them():
    model = network(StopAt(2))
    assert clone(model).fit(X, Y).n_iter_ == 2
    assert pickle.loads(pickle.dumps(model.fit(X, Y))).fit(X, Y).n_iter_ == 2
    assert model.set_callbacks().fit(X, Y).n_iter_ == 4
    ensemble = network(StopAt(2), n_members=2).fit(X, Y)
    assert "_skl_callbacks" not in vars(ensemble.members_[0])


# what they may do --------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_true_ends_the_fit(name):
    parameters, given, rows = PATHS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = network(StopAt(2), **parameters).fit(rows, Y, **given)
    assert [len(one.history_["loss"]) for one in networks_of(model)] == len(
        networks_of(model)
    ) * [2]


def test_the_best_weights_are_restored_at_the_end(naive_engine):
    rising = {"learning_rate_init": 3.0, "early_stopping": True, "scoring": "loss"}
    model = network(StopAt(4), max_iter=9, **rising).fit(X, Y)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < 4
    assert_same(model, network(max_iter=best, **rising).fit(X, Y))


@pytest.mark.parametrize("name", PATHS)
def test_after_an_error_the_model_is_that_of_the_epoch(name):
    parameters, given, rows = PATHS[name]
    recorder = Recorder()
    model = network(FailAt(2), recorder, **parameters)
    with pytest.raises(RuntimeError, match="a callback's"):
        model.fit(rows, Y, **given)
    assert recorder.hooks[-1] == "teardown"
    if "early_stopping" not in parameters and "n_members" not in parameters:
        assert_same(model, network(StopAt(2), **parameters).fit(rows, Y, **given))
    assert model.score(rows, Y) > 0
    assert {len(one.history_["loss"]) for one in networks_of(model)} <= {1, 2}
    assert model.set_callbacks().fit(rows, Y, **given).score(rows, Y) > 0


def test_they_are_torn_down_after_any_error():
    recorder = Recorder()
    model = network(recorder)
    for wrong in (X[:5], np.full_like(X, np.inf)):
        with pytest.raises(ValueError):
            model.fit(wrong, Y)
        assert recorder.hooks[-1] == "teardown"
    assert "coefs_" not in vars(model)

    class Interrupts(Callback):
        def after_epoch(self, estimator, context):
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        assert network(Interrupts()).fit(X, Y).n_iter_ == 1


def test_an_error_before_the_first_epoch_leaves_the_estimator_as_it_was():
    class Fails(Callback):
        def on_fit_task_begin(self, estimator, context):
            if context.task_name == "epoch":
                raise RuntimeError("a callback's")

    for parameters in ({}, {"n_members": 2}):
        model = network(Fails(), **parameters)
        with pytest.raises(RuntimeError, match="a callback's"):
            model.fit(X, Y)
        assert not [name for name in vars(model) if name.endswith("_")]


def test_a_range_test_tells_nobody(naive_engine):
    recorder = Recorder()
    find_learning_rate(network(recorder), X, Y, n_steps=30)
    assert recorder.hooks == []


def test_only_callbacks_are_set():
    for wrong in (StopAt, "no callback"):
        with pytest.raises(TypeError, match="FitCallback protocol"):
            network(wrong)


# searches and pipelines --------------------------------------------------------


class Propagated(Callback):
    """Reaches the estimators inside; keeps the paths of the epochs."""

    max_propagation_depth = None

    def __init__(self):
        self.paths = set()

    def after_epoch(self, estimator, context):
        names = []
        while context is not None:
            names.append(f"{context.estimator_name} {context.task_name}")
            context = context.parent
        self.paths.add(tuple(names))


@needs_propagation
@pytest.mark.parametrize("kind", [GridSearchCV, PopulationSearchCV])
def test_searches_hand_them_on(kind):
    callback, grid = Propagated(), {"mlpclassifier__alpha": [0.1, 1.0]}
    search = kind(make_pipeline(StandardScaler(), network()), grid, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        search.set_callbacks(callback).fit(X, Y)
    last = ("MLPClassifier epoch", "MLPClassifier fit", "Pipeline fit")
    name = kind.__name__
    assert callback.paths == {
        (*last, f"{name} search", f"{name} fit"),
        (*last, f"{name} fit"),
    }


@needs_propagation
def test_a_monitor_of_scikit_learn_scores_every_epoch_of_a_search():
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), network(monitor))
    grid = {"mlpclassifier__alpha": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    epochs = [e for e in monitor.get_logs().data if e["task_name"] == "epoch"]
    assert len(epochs) == 5 * 4
    assert epochs[3]["accuracy"] == search.score(X, Y)  # the refitted one comes first


@pytest.mark.skipif(are_propagated, reason="scikit-learn hands callbacks on")
def test_an_old_scikit_learn_hands_nothing_on():
    with pytest.raises(RuntimeError, match=r"with scikit-learn 1\.9 or later"):
        PopulationSearchCV(network(), {"alpha": [1.0]}).set_callbacks(StopAt(1))


class Toy(alone.CallbackSupportMixin, BaseEstimator):
    """An estimator with the callbacks that nnfit has for an older scikit-learn."""

    @alone.with_callbacks
    def fit(self, X, y):
        context = self._init_callback_context(max_subtasks=3)
        context.call_on_fit_task_begin(estimator=self, X=X)
        self.history_ = {"loss": []}
        for step in range(3):
            epoch = context.subcontext("epoch")
            assert (epoch.task_id, epoch.parent) == (step, context)
            self.history_["loss"].append(step)
            if epoch.call_on_fit_task_end(
                estimator=self,
                X=X,
                reconstruction_attributes=lambda step=step: {"a_": step},
            ):
                break
        context.call_on_fit_task_end(estimator=self)
        return self


class Reads(StopAt):
    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        if context.task_name == "epoch":
            self.seen = X, fitted_estimator.a_, hasattr(estimator, "a_")
            return self.after_epoch(estimator, context)


def test_callbacks_of_an_estimator_alone_are_as_those_of_scikit_learn():
    reads = Reads(2)
    toy = clone(Toy().set_callbacks(reads, StopAt(5))).fit("X", None)
    assert len(toy.history_["loss"]) == 2 and reads.seen == ("X", 1, False)
    assert "_callback_fit_ctx" not in vars(toy)
    with pytest.raises(RuntimeError):
        Toy().set_callbacks(FailAt(1)).fit(X, None)
    with pytest.raises(TypeError, match="FitCallback protocol, with the methods"):
        toy.set_callbacks(3)
    assert "_skl_callbacks" not in vars(toy.set_callbacks())


# ready ones --------------------------------------------------------------------


def test_early_stop_at_a_score(naive_engine):
    model = network(EarlyStopAt(score=0.5), max_iter=50, early_stopping=True).fit(X, Y)
    scores = model.history_["val_score"]
    assert model.n_iter_ < 50 and scores[-1] >= 0.5 > max(scores[:-1], default=0)
    with pytest.raises(ValueError, match=r"there are no validation data\. Set early"):
        network(EarlyStopAt(score=0.5)).fit(X, Y)
    with pytest.raises(ValueError, match="score must be a finite number, got nan"):
        EarlyStopAt(score=np.nan)


class Trial:
    """One of Optuna, which prunes after two epochs."""

    def __init__(self, direction):
        self.study = types.SimpleNamespace(
            direction=types.SimpleNamespace(name=direction)
        )
        self.values = {}

    def report(self, value, step):
        self.values[step] = value

    def should_prune(self):
        return len(self.values) == 2


def test_optuna_prunes(monkeypatch, naive_engine):
    class Pruned(Exception):
        pass

    module = types.SimpleNamespace(TrialPruned=Pruned)
    monkeypatch.setitem(sys.modules, "optuna", module)
    trial = Trial("MAXIMIZE")
    model = network(OptunaPruning(trial), early_stopping=True)
    with pytest.raises(Pruned, match=r"val_score=.* in epoch 2"):
        model.fit(X, Y)
    values = model.history_["val_score"]
    assert trial.values == dict(enumerate(values, 1)) and len(values) == 2
    with pytest.raises(ValueError, match="direction='minimize', got 'maximize'"):
        network(OptunaPruning(trial, "loss")).fit(X, Y)
    with pytest.raises(ValueError, match="column must be one of val_score"):
        OptunaPruning(trial, "score")
    several = network(OptunaPruning(trial), early_stopping=True, n_members=2)
    with pytest.raises(ValueError, match="one network, got n_members=2 of MLPCla"):
        several.fit(X, Y)
    tables = TabularClassifier(preset="fast").set_callbacks(OptunaPruning(trial))
    with pytest.raises(ValueError, match="n_members=None of TabularClassifier"):
        tables.fit(X, Y)


def test_mlflow_logs(monkeypatch, naive_engine):
    logged = []
    run = types.SimpleNamespace(info=types.SimpleNamespace(run_id="7"))
    module = types.SimpleNamespace(
        active_run=lambda: None,
        start_run=lambda: run,
        log_metrics=lambda metrics, step, run_id: logged.append(
            (step, run_id, metrics)
        ),
    )
    monkeypatch.setitem(sys.modules, "mlflow", module)
    model = network(MLflowLog(), max_iter=2).fit(X, Y)
    assert [entry[:2] for entry in logged] == [(1, "7"), (2, "7")]
    assert logged[1][2] == {
        name: values[-1]
        for name, values in model.history_.items()
        if name in ("loss", "learning_rate", "seconds")
    }
    logged.clear()
    network(MLflowLog(), max_iter=1, n_members=2).fit(X, Y)
    names = {name for entry in logged for name in entry[2] if "loss" in name}
    assert names == {"member_0/loss", "member_1/loss"}


@pytest.mark.parametrize(
    ("name", "callback"),
    [("optuna", OptunaPruning(Trial("MAXIMIZE"))), ("mlflow", MLflowLog())],
)
def test_what_is_not_installed_is_told(name, callback, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"Install it with: pip install {name}"):
        network(callback).fit(X, Y)
