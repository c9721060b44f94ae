"""When training ends: groups, time, plateaus, early stopping of partial_fit."""

import pickle
import time

import numpy as np
import pytest
import sklearn
from hypothesis import given as drawn
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier, MLPRegressor
from nnfit.training.splits import group_split

ignore_convergence = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"
)

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
X_VAL, Y_VAL = X[::3], Y[::3]
QUICK = {"hidden_layer_sizes": (5,), "random_state": 0}
GIVEN = {"X_val": X_VAL, "y_val": Y_VAL}


# groups ----------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("n_groups", [3, 10, 60])
def test_groups_are_split_as_scikit_learn_splits_them(n_groups, fraction):
    groups = np.random.RandomState(0).randint(n_groups, size=150)
    ours = group_split(groups, fraction, np.random.RandomState(1))
    split = GroupShuffleSplit(1, test_size=fraction, random_state=1)
    ((train, validation),) = split.split(X, Y, groups)
    assert_array_equal(ours[0], train)
    assert_array_equal(ours[1], validation)
    assert not set(groups[train]) & set(groups[validation])
    assert len(train) + len(validation) == 150


@drawn(
    groups=st.lists(st.integers(0, 9), min_size=2, max_size=80),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_groups_are_split_whole_or_refused(groups, fraction, seed):
    groups = np.array(groups)
    try:
        train, validation = group_split(groups, fraction, np.random.RandomState(seed))
    except ValueError as error:
        assert "groups" in str(error)
        return
    assert sorted([*train, *validation]) == list(range(len(groups)))
    assert not set(groups[train]) & set(groups[validation])
    assert len(train) >= 1 and len(validation) >= 2


@ignore_convergence
@pytest.mark.parametrize(
    "names", [np.arange(15), list("abcdefghijklmno")], ids=["numbers", "names"]
)
def test_validation_takes_whole_groups(names):
    groups = np.repeat(names, 10)
    rows = np.random.RandomState(0).permutation(150)  # the only feature
    group_of = dict(zip(rows, groups, strict=True))
    seen = []

    def scorer(estimator, X_val, y_val):
        seen.append(sorted(group_of[int(row)] for (row,) in X_val))
        return 0.0

    model = MLPClassifier(
        early_stopping=True,
        scoring=scorer,
        warm_start=True,
        max_iter=1,
        validation_fraction=0.2,
        **QUICK,
    )
    for _ in range(2):
        model.fit(rows[:, None], Y, groups=groups)
    assert seen[0] == seen[1]
    assert [seen[0].count(group) for group in set(seen[0])] == [10, 10, 10]


@ignore_convergence
def test_groups_without_a_split_change_nothing():
    groups = np.arange(150) // 10
    for parameters, given in (({}, {}), ({"early_stopping": True}, GIVEN)):
        model = MLPClassifier(max_iter=3, **QUICK, **parameters)
        plain = clone(model).fit(X, Y, **given)
        grouped = clone(model).fit(X, Y, groups=groups, **given)
        assert_array_equal(plain.coefs_[0], grouped.coefs_[0])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.arange(149), r"each of the 150 samples, got the shape \(149,\)"),
        (np.zeros(150), "at least 2 different groups, .* got 1. Pass X_val"),
        (np.full(150, np.nan), "Input groups contains NaN"),
        (np.zeros((150, 2)), r"each of the 150 samples, got the shape \(150, 2\)"),
        (np.arange(150) > 0, "validation set is too (small|large).*=0.5 of 2 groups"),
    ],
)
def test_groups_that_cannot_be_used(groups, message):
    model = MLPClassifier(early_stopping=True, validation_fraction=0.5, **QUICK)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, groups=groups)


@ignore_convergence
def test_groups_reach_the_estimator_of_a_search():
    """In a pipeline in a search, beside the groups of the splitter."""
    groups = np.arange(150) % 10
    seen = []

    class Spy(MLPClassifier):
        """Remembers the groups it gets."""

        def fit(self, X, y, groups=None):
            """Fit."""
            seen.append(groups)
            return super().fit(X, y, groups=groups)

    with sklearn.config_context(enable_metadata_routing=True):
        for estimator in (MLPClassifier, Spy):
            net = estimator(early_stopping=True, max_iter=2, **QUICK)
            pipeline = make_pipeline(StandardScaler(), net.set_fit_request(groups=True))
            step = pipeline.steps[-1][0]
            search = GridSearchCV(
                pipeline, {f"{step}__alpha": [0.0, 1.0]}, cv=GroupKFold(5)
            )
            search.fit(X, Y, groups=groups)
            assert search.best_score_ > 0
    assert len(seen) == 11
    assert {len(set(part)) for part in seen} == {8, 10}


# time ------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_time_ends_training(any_engine, solver, early_stopping):
    model = MLPClassifier(
        (100, 100),
        solver=solver,
        alpha=0.0,
        tol=0.0,
        max_fun=10**9,
        early_stopping=early_stopping,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    rng = np.random.RandomState(0)
    noise, labels = rng.standard_normal((3000, 20)), rng.randint(2, size=3000)
    with pytest.warns(ConvergenceWarning):
        clone(model).set_params(max_iter=1).fit(noise, labels)  # compiled
    model.set_params(max_time=0.3, max_iter=10**6)
    started = time.perf_counter()
    message = r"Training ended after max_time=0.3 seconds and \d+ finished iterations"
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(noise, labels)
    assert time.perf_counter() - started < 3
    assert len(model.history_["loss"]) == model.n_iter_
    # On a busy machine the others may not come to the end of an iteration.
    if any_engine == "compiled":
        assert model.n_iter_ >= 1
        assert 0.2 < model.history_["seconds"][-1] < 3
    assert np.isfinite(model.predict_proba(noise)).all()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_time_that_ends_within_the_first_epoch(early_stopping):
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((20_000, 50)), rng.randint(2, size=20_000)
    model = MLPClassifier((64,), early_stopping=early_stopping, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.set_params(max_iter=1).fit(X[:500], y[:500])  # compiled
    model.set_params(max_time=1e-6, max_iter=10, batch_size=10)
    with pytest.warns(ConvergenceWarning, match="and 0 finished iterations"):
        model.fit(X, y)
    start = clone(model).set_params(learning_rate_init=1e-30)
    with pytest.warns(ConvergenceWarning, match="and 0 finished iterations"):
        start.fit(X, y)
    assert model.n_iter_ == 0 == len(model.loss_curve_)
    assert np.isnan(model.loss_)
    assert np.abs(model.coefs_[0] - start.coefs_[0]).max() > 1e-4  # it has learnt
    assert np.isfinite(model.predict_proba(X[:10])).all()


@ignore_convergence
def test_time_is_that_of_a_fit():
    model = MLPClassifier(max_time=1e-9, **QUICK)
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert len(model.loss_curve_) == 3
    model.set_params(max_time=60.0, max_iter=5, warm_start=True).fit(X, Y)
    assert len(model.loss_curve_) == 8


# plateau ---------------------------------------------------------------------


@pytest.mark.emulated
@ignore_convergence
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("patience", [1, 4, 7])
def test_plateau_lowers_the_rate_twice_before_the_end(any_engine, solver, patience):
    model = MLPClassifier(
        solver=solver,
        learning_rate="plateau",
        learning_rate_decay=0.5,
        learning_rate_init=0.01,
        n_iter_no_change=patience,
        tol=100.0,  # no epoch but the first is an improvement
        **QUICK,
    )
    inside = clone(model).fit(X, Y)
    outside = clone(model).fit(X, Y, **GIVEN)
    half = max(1, patience // 2)
    # The rate of the epoch that ends training is that after the last reduction.
    expected = [0.01 * 0.5 ** ((epoch - 1) // half) for epoch in range(1, patience + 2)]
    rates = inside.history_["learning_rate"]
    np.testing.assert_allclose(rates, [0.01, *expected])
    assert rates == outside.history_["learning_rate"]
    assert_array_equal(inside.coefs_[0], outside.coefs_[0])


@ignore_convergence
def test_plateau_of_the_validation_score(any_engine):
    scores = iter([0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3])
    model = MLPClassifier(
        learning_rate="plateau",
        learning_rate_init=0.01,
        early_stopping=True,
        scoring=lambda estimator, X, y: next(scores),
        n_iter_no_change=4,
        **QUICK,
    )
    model.fit(X, Y, **GIVEN)
    rates = np.divide(model.history_["learning_rate"], 0.01)
    np.testing.assert_allclose(rates, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 1e-3])
    assert model.n_iter_ == 10


@ignore_convergence
def test_plateau_with_infinite_patience(any_engine):
    model = MLPClassifier(
        learning_rate="plateau", n_iter_no_change=np.inf, tol=1e9, max_iter=5, **QUICK
    )
    for given in ({}, GIVEN):
        assert model.fit(X, Y, **given).history_["learning_rate"] == [0.001] * 5


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            MLPRegressor(scoring="roc_auc"),
            "'roc_auc' needs 'decision_function' or 'pred",
        ),
        (
            MLPRegressor(scoring="neg_log_loss"),
            "'neg_log_loss' needs 'predict_proba', w",
        ),
        (MLPClassifier(scoring="roc_auc"), "'roc_auc' cannot score .*'ovr'"),
        (MLPClassifier(scoring="f1"), "'f1' cannot score .* multiclass but average="),
    ],
    ids=str,
)
def test_a_score_that_cannot_be_is_refused_before_an_epoch(capsys, model, message):
    model = clone(model).set_params(verbose=True, **QUICK)
    with pytest.raises(ValueError, match=f"^scoring={message}"):
        model.fit(X, Y, **GIVEN)
    assert capsys.readouterr().out == ""
    model.set_params(early_stopping=True)
    with pytest.raises(ValueError, match=f"^scoring={message}"):
        model.fit(X, Y)
    assert capsys.readouterr().out == ""


@ignore_convergence
def test_a_named_score_is_named_where_it_fails():
    model = MLPRegressor(scoring="accuracy", early_stopping=True, **QUICK)
    with pytest.raises(
        ValueError, match=r"^scoring='accuracy' cannot score the validat"
    ):
        model.fit(X, Y + 0.5)


# early stopping of partial_fit -----------------------------------------------


def stopping_by(scores, **parameters):
    """A classifier whose validation scores are given."""
    scores = iter(scores)
    return MLPClassifier(
        early_stopping=True,
        scoring=lambda estimator, X, y: next(scores),
        learning_rate_init=0.01,
        **QUICK | parameters,
    )


@pytest.mark.emulated
@pytest.mark.parametrize("averaged", [False, True])
def test_partial_fit_stops_and_restores_the_best_weights(any_engine, averaged):
    more = {"ema_decay": 0.9} if averaged else {}
    model = stopping_by([0.5, 0.7, 0.6, 0.65, 0.7, 0.9], n_iter_no_change=2, **more)
    weights, stopped = [], []
    for _ in range(7):
        model.partial_fit(X, Y, classes=[0, 1, 2], **GIVEN)
        weights.append(model.coefs_[0].copy())
        stopped.append(model.stopped_)
    # Three calls after the best one bring nothing: the fifth is the last.
    assert stopped == [False] * 4 + [True] * 3
    assert model.validation_scores_ == [0.5, 0.7, 0.6, 0.65, 0.7]
    assert model.best_validation_score_ == 0.7
    assert (len(model.loss_curve_), model.n_iter_, model.t_) == (5, 0, 750)
    assert not np.array_equal(weights[2], weights[1])
    for later in weights[4:]:
        assert_array_equal(later, weights[1])
    # What it trains on is the same until then.
    other = clone(model).set_params(early_stopping=False, scoring=None)
    for k in range(4):
        other.partial_fit(X, Y, classes=[0, 1, 2])
        assert_array_equal(other.coefs_[0], weights[k])


def test_early_stopping_of_partial_fit_goes_through_a_pickle(any_engine):
    parameters = {"n_iter_no_change": 2, "ema_decay": 0.9, "max_iter": 20}
    parameters |= {"scoring": None, "learning_rate_init": 0.1, **QUICK}
    straight, pickled = (
        MLPClassifier(early_stopping=True, **parameters) for _ in range(2)
    )
    calls = 0
    while not getattr(straight, "stopped_", False):
        straight.partial_fit(X, Y, classes=[0, 1, 2], **GIVEN)
        pickled.partial_fit(X, Y, classes=[0, 1, 2], **GIVEN)
        pickled = pickle.loads(pickle.dumps(pickled))
        assert_array_equal(pickled.coefs_[0], straight.coefs_[0])
        calls += 1
        assert calls < 100
    assert pickled.stopped_
    assert straight.score(X_VAL, Y_VAL) == straight.best_validation_score_


@ignore_convergence
def test_a_fit_starts_a_stopped_estimator_again(any_engine):
    model = stopping_by([0.5] * 50, n_iter_no_change=1, max_iter=3)
    while not getattr(model, "stopped_", False):
        model.partial_fit(X, Y, classes=[0, 1, 2], **GIVEN)
    model.set_params(scoring=None)
    model.fit(X, Y, **GIVEN)
    assert not hasattr(model, "stopped_")
    model.partial_fit(X, Y, **GIVEN)
    assert not model.stopped_
    model.set_params(early_stopping=False).partial_fit(X, Y)
    assert not hasattr(model, "stopped_")


@ignore_convergence
def test_partial_fit_after_a_fit_keeps_its_best_weights(any_engine):
    model = stopping_by([0.9, 0.8, 0.1, 0.1, 0.1], n_iter_no_change=1, max_iter=2)
    model.fit(X, Y, **GIVEN)
    best = model.coefs_[0].copy()
    while not getattr(model, "stopped_", False):
        model.partial_fit(X, Y, **GIVEN)
    assert_array_equal(model.coefs_[0], best)
    assert model.best_validation_score_ == 0.9


@pytest.mark.emulated
def test_partial_fit_that_diverges_restores_the_best_weights(any_engine):
    model = MLPRegressor(
        early_stopping=True,
        solver="sgd",
        activation="identity",
        batch_size=10,
        **QUICK,
    )
    target = X @ [1.0, 2.0, 3.0, 4.0]
    given = {"X_val": X, "y_val": target}
    model.partial_fit(X, target, **given)
    best = model.coefs_[0].copy()
    model.set_params(learning_rate_init=1e30)
    with pytest.warns(ConvergenceWarning, match="best weights before it were restored"):
        model.partial_fit(X, target, **given)
    assert model.stopped_
    assert_array_equal(model.coefs_[0], best)
    fresh = clone(model)
    with pytest.raises(ValueError, match="non-finite"):
        fresh.partial_fit(X, target, **given)
    assert not hasattr(fresh, "coefs_")


@pytest.mark.emulated
@pytest.mark.parametrize("average", [{}, {"ema_decay": 0.9}, {"swa": 0.5}], ids=str)
def test_weights_that_explode_are_not_scored(any_engine, average):
    # One step an epoch: it ends with the step that is too far.
    parameters = {"solver": "sgd", "activation": "identity", "batch_size": 150}
    model = stopping_by([0.5, 0.6, 0.9], **parameters, **average)
    model.partial_fit(X, Y, classes=[0, 1, 2], **GIVEN)
    best = model.coefs_[0].copy()
    model.set_params(learning_rate_init=3e38, loss="squared_hinge")
    with pytest.warns(ConvergenceWarning, match="best weights before it were restored"):
        model.partial_fit(X, Y, **GIVEN)
    assert model.stopped_
    assert_array_equal(model.coefs_[0], best)
    assert_array_equal(model.validation_scores_, [0.5, np.nan])


@ignore_convergence
@pytest.mark.emulated
def test_partial_fit_that_diverges_without_early_stopping(any_engine):
    def explode(model, **given):
        before = np.copy(model.coefs_[0]) if hasattr(model, "coefs_") else None
        model.set_params(learning_rate_init=1e30)
        with pytest.raises(ValueError, match=r"^Solver produced non-finite parameter"):
            model.partial_fit(X, X @ [1.0, 2.0, 3.0, 4.0], **given)
        assert_array_equal(getattr(model, "coefs_", [None])[0], before)

    parameters = {"solver": "sgd", "activation": "identity", "batch_size": 10, **QUICK}
    explode(MLPRegressor(**parameters))
    explode(MLPRegressor(**parameters), **GIVEN)
    explode(MLPRegressor(**parameters).partial_fit(X, Y))
    # Nor was anything scored where early stopping begins after other calls.
    fitted = MLPRegressor(**parameters).fit(X, Y)
    explode(fitted.set_params(early_stopping=True), **GIVEN)


def test_partial_fit_with_early_stopping_needs_data():
    model = MLPClassifier(early_stopping=True, **QUICK)
    message = "partial_fit does not support early_stopping=True without X_val"
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="X_val is provided, but y_val was not"):
        model.partial_fit(X, Y, classes=[0, 1, 2], X_val=X_VAL)


def test_partial_fit_records_validation_data():
    model = MLPRegressor(**QUICK)
    model.partial_fit(X, Y).partial_fit(X, Y, **GIVEN)
    scores = model.history_["val_score"]
    assert np.isnan(scores[0])
    assert scores[1] == pytest.approx(model.score(X_VAL, Y_VAL), rel=1e-4)
    assert not hasattr(model, "stopped_")
