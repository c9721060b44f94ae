"""TabularClassifier and TabularRegressor: mixtures of models for tables."""

import inspect
import pickle
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import PopulationSearchCV, TabularClassifier, TabularRegressor
from nnfit.callbacks import Checkpoint
from nnfit.estimators import documentation
from nnfit.estimators.tabular_network import TabularNetworkClassifier
from nnfit.inspection import input_gradients
from nnfit.interruption import interrupted_by
from nnfit.tabular import families, training
from nnfit.tabular.data import Data, Rows
from nnfit.tabular.holdouts import split_rows
from nnfit.tabular.intervals import Intervals
from nnfit.tabular.models import BoostingModel, Columns
from tests.cuda import tiles
from tests.test_callbacks import FailAt, StopAt
from tests.test_checkpoints import KillAt, Killed

SMALL = dict(preset="fast", max_iter=3, random_state=0, n_jobs=1)
X, Y = make_classification(
    90, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=0
)
T = 40.0 * X[:, 0] - 25.0 * X[:, 1]
TASKS = {"classification": (TabularClassifier, Y), "regression": (TabularRegressor, T)}
BOTH = pytest.mark.parametrize("task", TASKS)
BOOSTING = "HistGradientBoosting"


def fitted(task, X=X, target=None, sample_weight=None, rows=(), **parameters):
    estimator, own = TASKS[task]
    target = own if target is None else target
    return estimator(**{**SMALL, **parameters}).fit(
        X, target, sample_weight, **dict(rows)
    )


@pytest.fixture(scope="module")
def best():
    """A classifier of every family."""
    return fitted("classification", preset="best", n_members=2)


@pytest.fixture(scope="module")
def regressor():
    """A regressor of networks and trees."""
    return fitted("regression", partner="hist_gradient_boosting")


# --------------------------------------------------------------------------- what it is


def test_a_mixture_is_the_weighted_mean_of_its_families(best, regressor):
    board = best.leaderboard_
    assert set(board["family"]) == {*families.NETWORKS, BOOSTING}
    assert len({len(column) for column in board.values()}) == 1
    assert sum(board["weight"]) == pytest.approx(1.0)
    assert board["n_members"] == [2] * 4
    rows, expected = X.astype(np.float32), 0.0
    for part in best._parts:
        for model in part.models:
            raw = model.raw(rows) / part.temperature
            of_model = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
            expected = expected + part.weight / 2 * of_model
    assert best._temperature != 1.0
    expected = expected ** (1 / best._temperature)
    expected /= expected.sum(axis=1, keepdims=True)
    proba = best.predict_proba(X)
    np.testing.assert_allclose(proba, expected, atol=1e-6)
    assert np.array_equal(best.predict(X), proba.argmax(axis=1))
    np.testing.assert_allclose(best.predict_log_proba(X), np.log(proba))
    values = [m.raw(rows)[:, 0] for m in regressor._parts[0].models]
    for value in values:
        assert value.shape == (90,)
    assert set(regressor.leaderboard_) >= {"rmse", "weight", "seconds", "score"}


def test_choices_are_told_in_lines_of_80_columns(best):
    told = best.explain_choice()
    assert max(map(len, told.splitlines())) <= 80
    for word in ("RealMLP", "TabM", BOOSTING, "accuracy", "log_loss", "temperature"):
        assert word in told


@pytest.mark.parametrize("kind", ["two", "three", "labels", "sparse labels"])
def test_kinds_of_classes(kind):
    target = {
        "two": np.where(Y > 0, "yes", "no"),
        "three": Y,
        "labels": np.column_stack([Y > 0, Y > 1, Y == 0]).astype(int),
    }[kind.removeprefix("sparse ")]
    given = scipy.sparse.csr_array(target) if kind.startswith("sparse") else target
    model = fitted("classification", target=given, max_iter=20)
    proba = model.predict_proba(X)
    assert proba.shape == (90, len(model.classes_))
    found = model.predict(X)
    found = found.toarray() if scipy.sparse.issparse(found) else found
    assert np.mean(found == target) > 0.7
    if "labels" not in kind:
        np.testing.assert_allclose(proba.sum(axis=1), 1.0)
        assert model.score(X, target) == np.mean(found == target)


def test_several_targets_stay_within_their_ranges():
    targets = np.column_stack([T, -2.0 * T])
    model = fitted("regression", target=targets, max_iter=30)
    found = model.predict(50 * X)
    assert (found >= targets.min(axis=0)).all() and (found <= targets.max(axis=0)).all()
    assert model.score(X, targets) > 0.3
    assert model.predict_quantiles(X, [0.1, 0.5, 0.9]).shape == (90, 2, 3)
    with pytest.raises(
        ValueError, match=r"no targets of several outputs\. Set partner"
    ):
        fitted("regression", target=targets, partner="hist_gradient_boosting")


# --------------------------------------------------------------------------- rows of it


def test_rows_held_out():
    labels = np.repeat([0, 1, 2], [60, 38, 2])
    weight = np.ones(100)
    weight[:5] = 0.0
    splits = split_rows(5, labels, None, weight, np.random.RandomState(0))
    held = np.concatenate([rows for _, rows in splits])
    assert sorted(held) == list(range(5, 100))
    for train, own in splits:
        assert not set(train) & set(own) and len(train) + len(own) == 100
        assert set(labels[train]) == {0, 1, 2}
    # A class of one row is always trained on; more members have the same folds again.
    labels[-2:] = [3, 4]
    few = split_rows(7, labels[80:], None, weight[80:], np.random.RandomState(0))
    assert len(few) == 7 and all({18, 19} <= set(train) for train, _ in few)
    groups = np.arange(100) // 10
    for train, own in split_rows(2, labels, groups, weight, np.random.RandomState(0)):
        assert not set(groups[train]) & set(groups[own])
    with pytest.raises(ValueError, match="at least 2 different groups"):
        split_rows(2, labels, np.zeros(100), weight, np.random.RandomState(0))


@BOTH
def test_weights_groups_and_validation_data(task):
    _, target = TASKS[task]
    plain = fitted(task)
    weighted = fitted(task, sample_weight=np.arange(90.0))
    assert not np.array_equal(plain.predict(X), weighted.predict(X))
    grouped = fitted(task, rows={"groups": np.arange(90) // 9})
    assert "were held out" in grouped.explain_choice()
    given = {"X_val": X[60:], "y_val": target[60:]}
    model = fitted(task, X[:60], target[:60], rows=given)
    assert "30 rows of X_val" in model.explain_choice()
    if task == "regression":
        given = {"X_val": X, "y_val": np.column_stack([target, target])}
        with pytest.raises(ValueError, match="y_val must have 1 columns as y, got 2"):
            fitted(task, rows=given)
    with pytest.raises(ValueError, match="y_val was not provided"):
        fitted(task, rows={"X_val": X})


def test_class_weights_move_the_classes():
    two = (X[:, 0] + X[:, 1] > 1.5).astype(int)
    plain, heavy = (
        fitted("classification", target=two, class_weight=weight, max_iter=10)
        for weight in (None, {0: 1.0, 1: 30.0})
    )
    assert heavy.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


def test_scoring_decides_on_smoothing_epochs_and_weights():
    smoothed, honest = (
        fitted("classification", scoring=scoring, max_iter=2)._parts[0].models[0]
        for scoring in (None, "neg_log_loss")
    )
    assert smoothed.estimator._value("label_smoothing") == 0.1
    assert honest.estimator._value("label_smoothing") == 0.0
    model = fitted("classification", scoring="neg_log_loss", max_iter=2)
    board = model.leaderboard_
    assert board["score"][0] == pytest.approx(-board["log_loss"][0])
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    model = fitted("regression", scoring=scorer, partner="hist_gradient_boosting")
    assert all(score < 0 for score in model.leaderboard_["score"])
    with pytest.raises(ValueError, match="a regressor does not have"):
        fitted("regression", scoring="roc_auc")


def test_the_partner_can_be_switched():
    def names(**parameters):
        model = fitted("regression", n_members=1, max_iter=1, **parameters)
        return model.leaderboard_["family"]

    assert BOOSTING in names(partner="hist_gradient_boosting")
    assert BOOSTING not in names()
    assert BOOSTING not in names(preset="best", partner=None)
    assert BOOSTING in names(preset="best")
    labels = np.column_stack([Y > 0, Y > 1]).astype(int)
    model = fitted("classification", target=labels, preset="best", n_members=1)
    assert "it has no multilabel targets" in " ".join(model.explain_choice().split())
    with pytest.raises(ValueError, match=r"has no multilabel targets\. Set partner"):
        fitted("classification", target=labels, partner="hist_gradient_boosting")


# --------------------------------------------------------------------- time and threads


@BOTH
def test_results_do_not_depend_on_threads(task):
    one, two = (
        fitted(task, partner="hist_gradient_boosting", n_jobs=n_jobs, max_iter=2)
        for n_jobs in (1, 2)
    )
    assert np.array_equal(one.predict(X), two.predict(X))
    assert one.leaderboard_["weight"] == two.leaderboard_["weight"]


def test_models_without_time_are_left_out(monkeypatch):
    few = fitted("classification", n_members=2)
    clock = training.Clock(1.0, time.perf_counter())
    clock.seconds["RealMLP"] = 5.0
    assert clock.left("RealMLP") == 0 and 0.5 < clock.left("TabM") <= 0.95
    assert training.Clock(0.1, 0.0).left("TabM") == 0.01  # one model has to be
    ends = iter([9.0, 9.0])
    monkeypatch.setattr(training.Clock, "left", lambda self, name: next(ends, 0))
    model = fitted("classification", n_members=4, max_time=9.0)
    assert model.leaderboard_["n_members"] == [2]
    assert np.array_equal(model.predict_proba(X), few.predict_proba(X))
    assert "2 of 4 models are left out" in model.explain_choice()


def test_max_time_is_kept():
    start = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match="max_time has ended the first model"):
        model = fitted("regression", preset="best", max_iter=None, max_time=1e-3)
    assert time.perf_counter() - start < 1.0
    assert np.isfinite(model.predict(X)).all()


def test_ctrl_c_keeps_what_is_trained(monkeypatch):
    done = threading.Event()
    fit = families.NetworkModel.fit

    def interrupting(self, *arguments):
        if done.is_set():
            signal.raise_signal(signal.SIGINT)
            assert interrupted_by.get().wait(10)  # the main thread wakes up
        done.set()
        return fit(self, *arguments)

    monkeypatch.setattr(families.NetworkModel, "fit", interrupting)
    with pytest.warns(UserWarning, match="Of 3 models 1 are kept"):
        model = fitted("classification", n_members=3)
    assert model.leaderboard_["n_members"] == [1]
    assert model.predict_proba(X).shape == (90, 3)


def test_a_bar_shows_how_many_models_are_trained(capsys):
    fitted("classification", verbose=1, n_members=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("2 of 2 models, 0 s left")


def listened(*callbacks, resume_from=None, **parameters):
    """A classifier that is told of, or goes on from, what callbacks did."""
    model = TabularClassifier(**SMALL | {"max_iter": 4, "n_members": 2} | parameters)
    return model.set_callbacks(*callbacks).fit(X, Y, resume_from=resume_from)


def test_callbacks_look_at_every_network():
    assert listened(StopAt(2)).n_iter_ == 2
    with pytest.raises(RuntimeError, match="a callback's"):
        listened(FailAt(2))


def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path):
    with pytest.raises(Killed):
        listened(Checkpoint(tmp_path, every=1), KillAt(3))
    resumed = listened(resume_from=tmp_path).predict_proba(X)
    assert np.array_equal(resumed, listened().predict_proba(X))
    with pytest.raises(
        ValueError, match="set random_state to an int in both, got None"
    ):
        listened(resume_from=tmp_path, random_state=None)
    for callbacks, path in (((), "a.npz"), ((Checkpoint("a.npz"),), None)):
        with pytest.raises(ValueError, match="is one file, and the networks of"):
            listened(*callbacks, resume_from=path)


def test_each_model_has_a_line(capsys):
    fitted("classification", verbose=2, n_members=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("TabularNetwork, member 2 of 2: accuracy 0.")


def test_networks_train_where_they_are_told(monkeypatch):
    small = partial(TabularNetworkClassifier, hidden_layer_sizes=(5,))
    monkeypatch.setitem(families.NETWORKS, "TabularNetwork", (small, None))
    given = dict(n_members=2, max_iter=1, dtype="float64")
    with tiles.small_gpu():
        model = fitted("classification", X[:40], Y[:40], device="cuda", **given)
    networks = model._as_mixture().networks
    assert {each.device_ for each in networks} == {"cuda:0"}
    slopes = input_gradients(model, X)
    for each in (model, *networks):
        each.device = "cpu"
    np.testing.assert_array_equal(input_gradients(model, X), slopes)


# ---------------------------------------------------------------------- in scikit-learn


def test_in_searches_and_pipelines():
    model = TabularClassifier(**{**SMALL, "max_iter": 1, "n_members": 1})
    grid = {"tabularclassifier__class_weight": [None, "balanced"]}
    search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=2)
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()
    scores = cross_val_score(model, X, Y, cv=2, scoring="roc_auc_ovr")
    assert np.isfinite(scores).all()
    with pytest.raises(ValueError, match="Use scikit-learn's GridSearchCV"):
        PopulationSearchCV(model, {"n_members": [1, 2]}).fit(X, Y)


def test_fitted_models_are_small(best):
    text = pickle.dumps(best)
    again = pickle.loads(text)
    assert np.array_equal(again.predict_proba(X), best.predict_proba(X))
    networks = [
        model.estimator
        for part in best._parts
        for model in part.models
        if not isinstance(model, BoostingModel)
    ]
    size = sum(
        a.nbytes for net in networks for arrays in net._weights() for a in arrays
    )
    assert len(text) < 1.2 * size + 400_000
    assert clone(best).get_params() == best.get_params()


@pytest.mark.parametrize("estimator", [TabularClassifier, TabularRegressor])
def test_parameters_are_described_in_order(estimator):
    names = list(inspect.signature(estimator).parameters)
    section = documentation.section_of(
        inspect.cleandoc(estimator.__doc__), "Parameters"
    )
    entries = documentation.entries(section)
    assert list(entries) == names
    for name, parameter in inspect.signature(estimator).parameters.items():
        assert eval(entries[name].split("default=")[1].splitlines()[0]) == (
            parameter.default
        )
    estimator()._validate_params()


@pytest.mark.parametrize("estimator", [TabularClassifier, TabularRegressor])
def test_docstrings_as_scikit_learn_checks_them(estimator):
    pytest.importorskip("numpydoc")
    from sklearn.utils._testing import check_docstring_parameters

    own = [estimator.fit, estimator.predict, estimator.explain_choice]
    for name in ("predict_proba", "predict_log_proba", "predict_quantiles"):
        own += [getattr(estimator, name)] if hasattr(estimator, name) else []
    for documented in (estimator, *own):
        assert check_docstring_parameters(documented) == []


# ---------------------------------------------------------------------------- quantiles


def test_quantiles_cover_and_follow_the_size_of_errors():
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (6000, 2))
    scale = np.where(rows[:, 0] > 0, 4.0, 1.0)
    errors = rng.normal(size=6000) * scale
    known, new = slice(None, 2000), slice(2000, None)
    parts = np.arange(2000) % 4
    model = Intervals(TabularRegressor(), rows[known], errors[known], None, parts, [])
    found = model.quantiles(rows[new], [0.05, 0.5, 0.95])
    inside = (errors[new] > found[:, 0]) & (errors[new] < found[:, 2])
    assert 0.88 < inside.mean() < 0.92
    wide = scale[new] > 1
    assert 0.87 < inside[wide].mean() < 0.93 and 0.87 < inside[~wide].mean() < 0.93
    assert (np.diff(found, axis=1) >= 0).all()
    assert np.median(found[wide, 2]) > 3 * np.median(found[~wide, 2])
    assert len(pickle.dumps(model)) < 300_000
    # Of nine rows like a new one each is the largest one time of ten.
    few = Intervals(TabularRegressor(), rows[:9], np.arange(9.0), None, parts[:9], [])
    assert few.quantiles(rows[:1], [0.1, 0.9, 0.99]).tolist() == [[0.0, 8.0, 8.0]]


def test_regressors_predict_quantiles_that_cover():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(1400, 3))
    target = rows[:, 0] + np.exp(0.5 * rows[:, 1]) * rng.normal(size=1400)
    model = fitted("regression", rows[:400], target[:400], max_iter=15)
    low, high = model.predict_quantiles(rows[400:], [0.1, 0.9]).T
    covered = np.mean((low < target[400:]) & (target[400:] < high))
    assert 0.74 < covered < 0.88
    assert model.predict_quantiles(rows[:5], 0.5).shape == (5, 1)
    with pytest.raises(ValueError, match="quantiles must be levels between 0 and 1"):
        model.predict_quantiles(rows, [0.5, 1.0])


# ------------------------------------------------------------------- tables as they are


def make_table(n=60):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "c": rng.choice(["x", "y"], n),
            "d": rng.normal(size=n),
        }
    )
    table.loc[::7, "d"] = np.nan
    return pd, table, np.where(table["a"] + (table["c"] == "x") > 0.5, "p", "n")


TABLE = dict(partner="hist_gradient_boosting", max_iter=1)


@pytest.mark.parametrize(
    "case",
    ["all missing", "all None", "one category", "new category", "mixed", "date",
     "many codes", "20 rows", "rare class", "rare class, scored", "several groups"],
)  # fmt: skip
def test_bad_tables_work(case):
    pd, table, y = make_table()
    given, parameters = {}, dict(TABLE)
    new = None
    if case == "all missing":
        table["m"] = np.nan
    elif case == "all None":
        table["m"] = None
    elif case == "one category":
        table["m"] = "same"
    elif case == "new category":
        new = table.assign(c="z")
    elif case == "mixed":
        table["m"] = [1, "one"] * 30
    elif case == "date":
        table["m"] = pd.date_range("2020-01-01", periods=60)
    elif case == "many codes":
        table["m"] = np.linspace(0, 99_999, 60).astype(int)
        parameters["categorical_features"] = ["c", "m"]
    elif case == "20 rows":
        table, y = table[:20], y[:20]
    elif case.startswith("rare class"):
        y[3:5] = ["r", "r"]
        if "scored" in case:
            parameters["scoring"] = "roc_auc_ovr"
    elif case == "several groups":
        given["groups"] = [f"group {i % 3}" for i in range(60)]
    model = fitted("classification", table, y, rows=given, **parameters)
    proba = model.predict_proba(table if new is None else new)
    assert np.isfinite(proba).all() and proba.shape[1] == len(model.classes_)
    if "scored" in case:
        told = " ".join(model.explain_choice().split())
        assert "needs rows of every class" in told


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda X, y: X.loc.__setitem__((5, "a"), np.inf), "column 'a' of X, row 5"),
        (lambda X, y: y.__setitem__(slice(1, None), "n"), None),
    ],
)
def test_what_does_not_work_is_told(change, sentence):
    _, table, y = make_table()
    y[0] = "p"
    change(table, y)
    if sentence is None:  # a class of a single row
        assert fitted("classification", table, y, **TABLE).classes_.tolist() == [
            "n",
            "p",
        ]
        return
    with pytest.raises(ValueError, match=sentence):
        fitted("classification", table, y, **TABLE)


def test_sparse_rows_and_too_few_are_refused():
    with pytest.raises(ValueError, match=r"got a sparse matrix\. Pass X\.toarray"):
        fitted("classification", scipy.sparse.csr_array(X))
    with pytest.raises(ValueError, match="Every class has a single row"):
        fitted("classification", X[:3], [0, 1, 2])


def test_tables_of_all_libraries_are_alike():
    _, table, y = make_table()
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    given = [table, pl.from_pandas(table), pa.Table.from_pandas(table)]
    models = [fitted("classification", each, y, **TABLE) for each in given]
    expected = models[0].predict_proba(table)
    assert models[0].feature_names_in_.tolist() == ["a", "c", "d"]
    for model, each in zip(models, given, strict=True):
        assert np.array_equal(model.predict_proba(each), expected)


def test_rare_categories_of_trees_are_missing():
    codes = np.concatenate([np.arange(300), np.arange(46, 300)])[:, None]
    columns = Columns(codes.astype(np.float32), [0])
    found = columns.recoded(np.array([[0.0], [299.0], [-1.0], [np.nan], [500.0]]))
    assert np.isnan(found[[0, 2, 3, 4], 0]).all() and found[1, 0] == 253


def test_trees_have_as_many_iterations_as_there_is_time_for(monkeypatch):
    rows = Rows(X, T, T[:, None], None, None)
    data = Data(rows, None, {"categories": None}, {})
    model = families._boosting(TabularRegressor(), data).make(0)
    assert model.fit(data, None, 1, 1e-9) is None
    assert model.fit(data, None, 1, 1e9)
    model = families._boosting(TabularRegressor(), data).make(0)
    monkeypatch.setattr(BoostingModel, "_seconds", lambda *_: 0.1)
    assert model.fit(data, None, 1, 5.05) is False
    assert model.estimator.n_iter_ == 50
