"""What the estimators offer beyond scikit-learn's."""

import math
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.metrics import (
    accuracy_score,
    d2_pinball_score,
    log_loss,
    mean_pinball_loss,
    r2_score,
    roc_auc_score,
)

from nnfit import MLPClassifier, MLPRegressor
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
LABELS = np.column_stack([Y == 0, Y == 1, X[:, 0] > 0]).astype(int)


def swish(z):
    s = 1.0 / (1.0 + math.exp(-z)) if z > -700.0 else 0.0
    return z * s, s + z * s * (1.0 - s)


def squared(raw_prediction, y):
    r = raw_prediction - y
    return 0.5 * r * r, r


# activations and initial weights ---------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_learns(activation):
    model = MLPClassifier(
        (20,), activation, learning_rate_init=0.01, max_iter=100, random_state=0
    )
    assert model.fit(X, Y).score(X, Y) > 0.9


def test_activation_per_layer():
    parameters = {"hidden_layer_sizes": (8, 6), "max_iter": 5, "random_state": 0}
    both = MLPClassifier(activation=["tanh", "relu"], **parameters).fit(X, Y)
    one = MLPClassifier(activation="tanh", **parameters).fit(X, Y)
    same = MLPClassifier(activation=("tanh", "tanh"), **parameters).fit(X, Y)
    assert_array_equal(one.coefs_[0], same.coefs_[0])
    assert not np.array_equal(one.coefs_[0], both.coefs_[0])


def test_own_activation(any_engine):
    parameters = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}
    own = MLPClassifier(activation=swish, **parameters).fit(X, Y)
    named = MLPClassifier(activation="silu", **parameters).fit(X, Y)
    assert_allclose(own.predict_proba(X), named.predict_proba(X), atol=1e-5)
    assert clone(own).activation is swish


def test_he_initialization():
    model = MLPClassifier(
        (400,), initialization="he", max_iter=1, learning_rate_init=1e-30
    ).fit(X, Y)
    assert model.coefs_[0].std() == pytest.approx(math.sqrt(2 / 4), rel=0.1)
    assert_allclose(model.intercepts_[0], 0, atol=1e-29)


# regression losses -----------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [name for name, row in LOSSES.items() if row.task == "regression"]
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_every_loss_falls(loss, solver):
    y = np.exp(0.3 * X[:, 0]) + 0.1
    model = MLPRegressor(
        loss,
        (20,),
        solver=solver,
        learning_rate_init=0.01,
        max_iter=100,
        random_state=0,
    )
    model.fit(X, y)
    losses = model.history_["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert model.score(X, y) > 0.3
    expected = "exp" if LOSSES[loss].link == "exp" else "identity"
    assert model.out_activation_ == expected
    if expected == "exp":
        assert (model.predict(X) > 0).all()


@pytest.mark.emulated
def test_own_loss(any_engine):
    parameters = {"hidden_layer_sizes": (5,), "max_iter": 5, "random_state": 0}
    y = X[:, 1]
    own = MLPRegressor(squared, **parameters).fit(X, y)
    named = MLPRegressor("squared_error", **parameters).fit(X, y)
    assert_allclose(own.predict(X), named.predict(X), atol=1e-5)
    assert own.out_activation_ == "identity"


def test_quantiles_never_cross():
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (400, 1))
    y = x[:, 0] + rng.standard_normal(400)
    levels = [0.1, 0.5, 0.9]
    model = MLPRegressor(
        "quantile", quantile=levels, learning_rate_init=0.01, random_state=0
    )
    model.fit(x, y)
    predictions = model.predict(x)
    assert predictions.shape == (400, 3)
    assert (np.diff(predictions, axis=1) >= 0).all()
    below = (y[:, None] < predictions).mean(axis=0)
    assert_allclose(below, levels, atol=0.06)
    expected = [
        d2_pinball_score(y, predictions[:, j], alpha=level)
        for j, level in enumerate(levels)
    ]
    assert model.score(x, y) == pytest.approx(np.mean(expected))
    assert model.out_activation_ == "identity"
    assert model.n_outputs_ == 3


def test_quantile_stops_by_pinball_loss():
    y = X[:, 0] ** 2
    model = MLPRegressor(
        "quantile", quantile=0.8, alpha=0, max_iter=5, dtype="float64", random_state=0
    )
    model.set_params(early_stopping=True)
    model.fit(X, y, X_val=X[:40], y_val=y[:40])
    assert model.predict(X).shape == (150,)
    best = max(model.validation_scores_)
    pinball = mean_pinball_loss(y[:40], model.predict(X[:40]), alpha=0.8)
    assert best == pytest.approx(-pinball)


@pytest.mark.parametrize("quantile", [[0.9, 0.1], [0.5, 0.5], [0.0, 0.5], [], [1.5]])
def test_wrong_quantiles(quantile):
    with pytest.raises(ValueError, match="quantile must be a level between 0 and 1"):
        MLPRegressor("quantile", quantile=quantile).fit(X, X[:, 0])


def test_huber_delta_matters():
    y = X[:, 0] * 5
    small, large = (
        MLPRegressor("huber", huber_delta=delta, max_iter=3, random_state=0).fit(X, y)
        for delta in (0.1, 1e6)
    )
    squared_error = MLPRegressor(max_iter=3, random_state=0).fit(X, y)
    assert_allclose(large.predict(X), squared_error.predict(X), rtol=1e-5)
    assert small.loss_ < large.loss_


# classification losses, weights ----------------------------------------------


def test_label_smoothing():
    parameters = {"solver": "lbfgs", "alpha": 0.0, "max_iter": 2000, "random_state": 0}
    for y, classes in ((Y, 3), ((Y > 0).astype(int), 2), (LABELS, 2)):
        sharp = MLPClassifier(**parameters).fit(X, y).predict_proba(X)
        smooth = MLPClassifier(label_smoothing=0.1, **parameters).fit(X, y)
        largest = smooth.predict_proba(X).max()
        assert sharp.max() > 0.99
        assert largest == pytest.approx(1 - 0.1 + 0.1 / classes, abs=0.02)


def own_log_loss(raw_prediction, y):
    p = 1.0 / (1.0 + math.exp(-raw_prediction))
    return -math.log(p) if y > 0.5 else -math.log(1.0 - p), p - y


@pytest.mark.parametrize("y", [Y, Y > 0, LABELS], ids=["multi", "binary", "labels"])
def test_own_classification_loss(any_engine, y):
    model = MLPClassifier(
        (8,), loss=own_log_loss, max_iter=40, learning_rate_init=0.01, random_state=0
    )
    model.fit(X, y)
    probability = model.predict_proba(X)
    assert model.score(X, y) > 0.6
    assert model.out_activation_ == "logistic"
    if y is not LABELS:
        assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
        assert_array_equal(model.predict(X), model.classes_[probability.argmax(1)])
    if y is not Y:
        named = clone(model).set_params(loss="log_loss").fit(X, y)
        assert_allclose(probability, named.predict_proba(X), atol=1e-4)


def test_class_weight_of_labels():
    common = {"max_iter": 5, "random_state": 0}
    weights = [{0: 1.0, 1: 3.0}, {0: 2.0, 1: 1.0}, {0: 1.0, 1: 1.0}]
    by_label = MLPClassifier(class_weight=weights, **common).fit(X, LABELS)
    product = np.where(LABELS[:, 0], 3.0, 1.0) * np.where(LABELS[:, 1], 1.0, 2.0)
    by_sample = MLPClassifier(**common).fit(X, LABELS, sample_weight=product)
    assert_allclose(by_label.coefs_[0], by_sample.coefs_[0], rtol=1e-4)
    MLPClassifier(class_weight="balanced", **common).fit(X, LABELS)


# predictions -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("y", [Y, Y > 0, LABELS], ids=["multi", "binary", "labels"])
def test_kinds_of_prediction_agree(any_engine, y, dtype):
    model = MLPClassifier(max_iter=30, random_state=0, dtype=dtype).fit(X, y)
    given = X.astype(dtype)
    probability, decision = model.predict_proba(given), model.decision_function(given)
    predicted = model.predict(given)
    assert probability.dtype == decision.dtype == dtype
    assert_allclose(model.predict_log_proba(given), np.log(probability), rtol=1e-5)
    if y is LABELS:
        assert_array_equal(predicted, decision > 0)
        return
    assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert_array_equal(predicted, model.classes_[probability.argmax(axis=1)])
    if y is Y:
        assert_array_equal(predicted, decision.argmax(axis=1))
        assert roc_auc_score(y, probability, multi_class="ovr") > 0.9
    else:
        assert decision.shape == (150,)
        assert_array_equal(predicted, decision > 0)
        assert_allclose(probability[:, 1], 1 / (1 + np.exp(-decision)), rtol=1e-5)


def test_logarithms_are_finite_where_probabilities_round():
    model = MLPClassifier(max_iter=1, random_state=0).fit(X, Y > 0)
    model.coefs_[-1][...] *= 1e6
    assert np.isfinite(model.predict_log_proba(X)).all()
    assert ((0 < model.predict_proba(X)) & (model.predict_proba(X) < 1)).all()


def test_predictions_do_not_depend_on_the_batch(any_engine):
    X, y = make_classification(700, 33, n_informative=9, random_state=0)
    model = MLPClassifier((65, 17), max_iter=3, random_state=0).fit(X, y)
    together = model.predict_proba(X)
    for rows in (slice(0, 1), slice(5, 12), slice(600, 700), slice(None, None, 3)):
        assert_array_equal(model.predict_proba(X[rows]), together[rows])


@pytest.mark.parametrize("n_rows", [1, 150])
def test_edited_weights_take_effect(any_engine, n_rows):
    model = MLPRegressor(max_iter=1, random_state=0).fit(X, Y)
    before = model.predict(X[:n_rows])
    model.intercepts_[-1][...] += 1.0
    assert_allclose(model.predict(X[:n_rows]), before + 1.0, rtol=1e-5, atol=1e-6)
    model.coefs_[-1] = np.asfortranarray(np.zeros((100, 1)))
    assert_array_equal(
        model.predict(X[:n_rows]), np.repeat(model.intercepts_[-1], n_rows)
    )
    model.coefs_[0] = model.coefs_[0][1:]
    with pytest.raises(ValueError, match="a row for each of the 4 features"):
        model.predict(X[:n_rows])


@pytest.mark.parametrize("n_rows", [1, 150])
def test_an_edited_function_takes_effect(n_rows):
    scale = 1.0

    def line(z):
        return scale * z, scale

    model = MLPRegressor(activation=line, hidden_layer_sizes=(5,), max_iter=1)
    model.fit(X, Y)
    before = model.predict(X[:n_rows]) - model.intercepts_[-1]
    scale = 3.0
    after = model.predict(X[:n_rows]) - model.intercepts_[-1]
    assert_allclose(after, 3.0 * before, rtol=1e-4, atol=1e-5)


def test_predict_from_many_threads():
    model = MLPClassifier((50,), max_iter=3, random_state=0).fit(X, Y)
    expected = model.predict_proba(X)
    results = [None] * 8

    def work(number):
        results[number] = [model.predict_proba(X) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        for probability in result:
            assert_array_equal(probability, expected)


def test_edited_weights_are_used():
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, Y)
    model.coefs_[-1][...] = 0
    model.intercepts_[-1][...] = 7
    assert_allclose(model.predict(X), 7)
    model.coefs_ = [np.asfortranarray(coef, dtype=np.float32) for coef in model.coefs_]
    assert_allclose(model.predict(X), 7)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "lbfgs"])
def test_same_random_state_same_weights(estimator, solver):
    model = estimator(solver=solver, max_iter=5, random_state=3)
    first, second = clone(model).fit(X, Y), clone(model).fit(X, Y)
    for one, other in zip(first.coefs_, second.coefs_, strict=True):
        assert_array_equal(one, other)
        assert one.flags.c_contiguous
    other = clone(model).set_params(random_state=4).fit(X, Y)
    assert not np.array_equal(first.coefs_[0], other.coefs_[0])


def test_adamw_decays_weights():
    plain, decayed = (
        MLPClassifier(
            solver="adamw", weight_decay=decay, alpha=0, max_iter=50, random_state=0
        ).fit(X, Y)
        for decay in (0.0, 10.0)
    )
    assert np.abs(decayed.coefs_[0]).mean() < 0.9 * np.abs(plain.coefs_[0]).mean()
    adam = MLPClassifier(alpha=0, max_iter=50, random_state=0).fit(X, Y)
    assert_array_equal(adam.coefs_[0], plain.coefs_[0])


# default scores --------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["multi", "binary", "labels", "numbers"])
def test_default_scores_equal_scikit_learns(any_engine, kind, weighted):
    numbers = np.column_stack([X[:, 0] * Y, np.full(len(X), 3.0)])
    y = {"multi": Y, "binary": Y > 0, "labels": LABELS, "numbers": numbers}[kind]
    estimator, metric = MLPClassifier, accuracy_score
    if kind == "numbers":
        estimator, metric = MLPRegressor, r2_score
    weight = np.random.RandomState(1).rand(150) if weighted else None
    model = estimator(max_iter=3, random_state=0, dtype="float64").fit(
        X, y, X_val=X, y_val=y, sample_weight_val=weight
    )
    expected = metric(y, model.predict(X), sample_weight=weight)
    assert model.history_["val_score"][-1] == pytest.approx(expected)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("estimator", "y", "scoring"),
    [
        (MLPClassifier, Y, "accuracy"),
        (MLPClassifier, Y > 0, "accuracy"),
        (MLPClassifier, LABELS, "accuracy"),
        (MLPRegressor, X[:, 0] * Y, "r2"),
    ],
)
def test_rows_of_the_split_are_scored_as_copies(
    any_engine, estimator, y, scoring, weighted, sparse
):
    """The default score reads them where they are, a scorer gets copies."""
    weight = np.random.RandomState(1).rand(150) if weighted else None
    data = csr_array(np.hstack([X, np.zeros((150, 60))])) if sparse else X
    parameters = dict(early_stopping=True, max_iter=4, random_state=0)
    default, named = (
        estimator(scoring=name, **parameters).fit(data, y, weight)
        for name in (None, scoring)
    )
    for column in ("val_loss", "val_score"):
        assert_allclose(default.history_[column], named.history_[column], rtol=1e-5)


def test_validation_loss_is_the_loss():
    model = MLPClassifier(max_iter=5, random_state=0, dtype="float64")
    model.fit(X, Y, X_val=X[::2], y_val=Y[::2])
    expected = log_loss(Y[::2], model.predict_proba(X[::2]))
    assert model.history_["val_loss"][-1] == pytest.approx(expected)
    assert model.history_["val_score"][-1] == model.score(X[::2], Y[::2])
