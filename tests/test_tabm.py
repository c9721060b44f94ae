"""TabMClassifier and TabMRegressor: recipe, presets, and members that are selected."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import train_test_split

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    PopulationSearchCV,
    TabMClassifier,
    TabMRegressor,
    find_learning_rate,
)
from nnfit.estimators.selecting import greedy
from tests.cuda import tiles

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 160
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4))
NUMBERS = np.sin(2.0 * X[:, 0]) + X[:, 1] + 0.3 * RNG.normal(size=N)
CLASSES = np.digitize(NUMBERS, [-0.5, 0.5])
LABELS = np.column_stack([NUMBERS > 0, X[:, 2] > 0]).astype(int)
EMBEDDING = {"kind": "piecewise_linear", "n_bins": 4, "n_outputs": 3}
SMALL = {
    "n_shared_members": 4,
    "hidden_layer_sizes": (8,),
    "numeric_embedding": EMBEDDING,
    "max_iter": 4,
    "learning_rate_init": 0.01,
    "random_state": 0,
}
TARGETS = {
    "two classes": (TabMClassifier, NUMBERS > 0),
    "three classes": (TabMClassifier, CLASSES),
    "labels": (TabMClassifier, LABELS),
    "numbers": (TabMRegressor, 1e3 + 10.0 * NUMBERS),
    "two outputs": (TabMRegressor, np.column_stack([NUMBERS, 100.0 * X[:, 2]])),
}


def members_of(model):
    """Networks that have one of the members each."""
    from nnfit.estimators.selecting import _with_members

    n_members = model._fitted["members"][0]
    return [_with_members(model, [member]) for member in range(n_members)]


def predicted(model, X):
    """Probabilities (n, n_outputs), or numbers."""
    if isinstance(model, TabMRegressor):
        return model.predict(X)
    return model.predict_proba(X)


# The recipe --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "plain", "y"),
    [
        (TabMClassifier, MLPClassifier, CLASSES),
        (TabMRegressor, MLPRegressor, NUMBERS),
    ],
)
def test_it_is_a_plain_estimator_with_these_parameters(recipe, plain, y):
    small = {**SMALL, "max_iter": 40, "learning_rate_init": 0.05}
    options = {"member_adapters": "first", "member_rows": "own"}
    own = recipe(**small, **options, n_iter_no_change=2).fit(X, y)
    same = {"target_scaling": "standard"} if plain is MLPRegressor else {}
    other = plain(
        **small, **options, **same, early_stopping=True, n_iter_no_change=2, tol=1e-9,
        validation_fraction=0.2, batch_size=32, solver="adamw", weight_decay=3e-4,
        alpha=0.0, dropout=0.1, clip_norm=1.0, scaling="quantile",
        initialization="uniform",
    ).fit(X, y)  # fmt: skip
    assert own.n_iter_ == other.n_iter_ < 40
    for one, two in zip(own._weights(), other._weights(), strict=True):
        for mine, theirs in zip(one, two, strict=True):
            assert_array_equal(mine, theirs)


@pytest.mark.parametrize("estimator", [TabMClassifier, TabMRegressor])
def test_presets_give_what_is_left_open(estimator):
    paper = estimator("paper", member_rows="shared")
    assert paper._value("n_shared_members") == 32
    assert paper._value("hidden_layer_sizes") == (512, 512)
    assert paper._value("member_adapters") == "all"
    assert paper._value("member_rows") == "shared"
    small = estimator()
    assert small._value("n_shared_members") * small._value("hidden_layer_sizes")[0] < (
        32 * 512 / 4
    )


def test_batches_grow_with_the_rows():
    rows = [20, 2799, 2800, 4500, 6400, 31999, 32000]
    sizes = [TabMClassifier()._rules.batch_of(n) for n in rows]
    assert sizes == [20, 32, 64, 128, 256, 256, 512]


# Selection ---------------------------------------------------------------------


def test_greedy_adds_the_member_that_helps_most():
    errors = np.array([[2.0, 2.0], [1.0, 1.0], [-1.0, -0.9], [5.0, 5.0]])[:, :, None]

    def cost(mean):
        return np.mean(np.square(mean))

    assert greedy(errors, cost) == [1, 2]
    assert greedy(errors[:1], cost) == [0]
    # The mean of 2 and twice -1 is 0, which no mean of members taken once is.
    errors = np.array([[2.0], [-1.0]])[:, :, None]
    assert greedy(errors, cost) == [0, 1]
    assert greedy(errors, cost, 6) == [0, 1, 1]


def loss_of(name, y, mean):
    """The mean loss of predictions."""
    if name == "three classes":
        return log_loss(y, mean)
    if name == "two classes":
        return log_loss(y, mean[:, 1])
    if name == "labels":
        return np.mean([log_loss(y[:, j], mean[:, j]) for j in range(2)])
    return mean_squared_error(y, mean)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("adapters", ["all", "first"])
def test_selected_members_are_those_of_a_naive_search(name, adapters):
    estimator, y = TARGETS[name]
    small = {**SMALL, "member_adapters": adapters, "dtype": "float64"}
    X_train, X_val, y_train, y_val = train_test_split(X, y, random_state=0)
    given = {"X_val": X_val, "y_val": y_val}
    whole = estimator(**small).fit(X_train, y_train, **given)
    parts = [predicted(member, X_val) for member in members_of(whole)]
    assert_allclose(np.mean(parts, axis=0), predicted(whole, X_val), rtol=1e-9)

    chosen, least = [], np.inf
    while len(chosen) < len(parts):
        losses = {
            member: loss_of(
                name, y_val, np.mean([parts[i] for i in (*chosen, member)], axis=0)
            )
            for member in range(len(parts))
            if member not in chosen
        }
        best = min(losses, key=losses.get)
        if losses[best] >= least:
            break
        least = losses[best]
        chosen.append(best)

    few = estimator(**small, select_members=True).fit(X_train, y_train, **given)
    assert few.selected_members_ == sorted(chosen)
    assert few._fitted["members"][0] == len(chosen)
    mean = np.mean([parts[member] for member in chosen], axis=0)
    assert_allclose(predicted(few, X_val), mean, rtol=1e-9)
    assert not hasattr(whole, "selected_members_")


def test_selection_by_rows_that_were_set_aside_and_their_weights():
    weight = RNG.random(N)
    options = {**SMALL, "select_members": True}
    model = TabMClassifier(**options).fit(X, CLASSES, weight)
    assert 1 <= len(model.selected_members_) <= 4
    assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)


def few_members():
    """A fitted network of which members have been left out."""
    model = TabMRegressor(**SMALL, select_members=True, warm_start=True).fit(X, NUMBERS)
    assert len(model.selected_members_) < 4
    return model


def test_training_goes_on_with_those_that_are_left():
    model = few_members()
    before, shape = model.selected_members_, model.coefs_[-1].shape
    model.partial_fit(X, NUMBERS)
    assert model.selected_members_ == before
    assert model.coefs_[-1].shape == shape
    model.fit(X, NUMBERS)
    assert set(model.selected_members_) <= set(before)
    model.set_params(warm_start=False).fit(X, NUMBERS)
    assert model.coefs_[-1].shape == shape  # as the first fit


def test_calls_of_partial_fit_select_none():
    model = TabMRegressor(**SMALL, select_members=True)
    for _ in range(2):
        model.partial_fit(X, NUMBERS, X_val=X[:20], y_val=NUMBERS[:20])
    assert model._fitted["members"][0] == 4


def test_pickles_are_small():
    whole = TabMClassifier(**{**SMALL, "n_shared_members": 8}).fit(X, CLASSES)
    size = sum(array.nbytes for arrays in whole._weights() for array in arrays)
    assert len(pickle.dumps(whole)) < size + 4000
    options = {**SMALL, "n_shared_members": 8, "select_members": True}
    few = TabMClassifier(**options).fit(X, CLASSES)
    assert len(pickle.dumps(few)) < len(pickle.dumps(whole))
    again = pickle.loads(pickle.dumps(few))
    assert_array_equal(again.predict_proba(X), few.predict_proba(X))
    assert again.selected_members_ == few.selected_members_


# What all estimators do --------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_whole_networks_in_an_ensemble(name):
    estimator, y = TARGETS[name]
    model = estimator(**SMALL, n_members=2, select_members=True).fit(X, y)
    assert len(model.members_) == 2
    assert all(1 <= len(each.selected_members_) <= 4 for each in model.members_)
    parts = [predicted(each, X) for each in model.members_]
    assert_allclose(predicted(model, X), np.mean(parts, axis=0), rtol=1e-5)


def test_it_learns():
    model = TabMRegressor(**{**SMALL, "max_iter": 60}).fit(X, NUMBERS)
    assert model.score(X, NUMBERS) > 0.8
    model = TabMClassifier(**{**SMALL, "max_iter": 60}).fit(X, CLASSES)
    assert model.score(X, CLASSES) > 0.75


def test_groups_and_tables():
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["kind"] = pd.Categorical(np.where(X[:, 3] > 0, "high", "low"))
    frame.loc[3, "a"] = np.nan
    frame.loc[5, "kind"] = np.nan
    groups = np.repeat(np.arange(20), 8)
    model = TabMClassifier(**SMALL).fit(frame, CLASSES, groups=groups)
    assert model.predict(frame).shape == (N,)
    new = frame.assign(kind="unseen", b=np.nan)
    assert np.isfinite(model.predict_proba(new)).all()


def test_multilabel_targets_and_a_search():
    X, y = make_multilabel_classification(80, 5, n_classes=3, random_state=0)
    grid = {"n_shared_members": [2, 3], "select_members": [False, True]}
    search = PopulationSearchCV(TabMClassifier(**SMALL), grid, cv=2, random_state=0)
    search.fit(X, y)
    assert search.best_estimator_.predict(X).shape == (80, 3)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_partial_fit_and_warm_start():
    model = TabMClassifier(**SMALL)
    for _ in range(3):
        model.partial_fit(X, CLASSES, classes=[0, 1, 2])
    assert len(model.loss_curve_) == 3
    model.set_params(warm_start=True).fit(X, CLASSES)
    assert len(model.loss_curve_) == 7
    with pytest.raises(ValueError, match=r"n_shared_members=4 as one with .*=5"):
        model.set_params(n_shared_members=5).fit(X, CLASSES)


def test_range_test():
    model = TabMRegressor(**SMALL, select_members=True)
    assert find_learning_rate(model, X, NUMBERS).suggestion > 0.0


def test_words_for_what_cannot_be():
    with pytest.raises(ValueError, match=r"'preset' .* must be a str among"):
        TabMClassifier("large").fit(X, CLASSES)
    with pytest.raises(ValueError, match=r"'member_rows' .* must be a str among"):
        TabMClassifier(member_rows="all").fit(X, CLASSES)


def test_temperature_of_those_that_are_left():
    options = {**SMALL, "select_members": True, "temperature_scaling": True}
    model = TabMClassifier(**options).fit(X, CLASSES)
    assert len(model.selected_members_) < 4
    scaled = model.predict_proba(X)
    temperature = model.temperature_
    del model.temperature_
    logs = np.log(model.predict_proba(X)) / temperature
    expected = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    assert_allclose(scaled, expected, rtol=1e-5)


def test_one_member_is_a_network():
    options = {**SMALL, "n_shared_members": 1, "select_members": True}
    model = TabMRegressor(**options).fit(X, NUMBERS)
    assert not hasattr(model, "selected_members_")


def test_both_devices_fit_and_select_the_same():
    options = {**SMALL, "max_iter": 2, "dtype": "float64", "select_members": True}
    options["n_shared_members"] = 2
    small, y = X[:40], CLASSES[:40]
    here = TabMClassifier(**options).fit(small, y)
    with tiles.small_gpu():
        there = TabMClassifier(**options, device="cuda").fit(small, y)
    assert there.device_ == "cuda:0"
    assert there.selected_members_ == here.selected_members_
    assert_allclose(there.predict_proba(small), here.predict_proba(small), rtol=1e-6)
