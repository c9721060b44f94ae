"""Monte Carlo dropout, temperature scaling, calibration and intervals."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from nnfit import MLPClassifier, MLPRegressor
from nnfit.estimators.calibration import find_temperature

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
LABELS = np.column_stack([Y == 0, Y == 1, X[:, 0] > 0]).astype(int)
#: Labels of which a tenth are wrong, so that no network can be sure.
NOISY = np.where(np.arange(150) % 10 == 3, (Y + 1) % 3, Y)
WEIGHTS = np.random.default_rng(0).uniform(size=150)
DEFAULTS = {"hidden_layer_sizes": (20, 10), "max_iter": 20, "random_state": 0}


def classifier(**parameters):
    return MLPClassifier(**(DEFAULTS | parameters))


def regressor(**parameters):
    return MLPRegressor(**(DEFAULTS | parameters))


def predict_mean(model, X, **keywords):
    """The prediction that comes with a spread."""
    return getattr(model, "predict_proba", model.predict)(X, **keywords)


def squared(raw_prediction, y):
    return 0.5 * (raw_prediction - y) ** 2, raw_prediction - y


# Monte Carlo dropout ---------------------------------------------------------

DROPOUT = {
    "classes": (classifier(dropout=0.3), Y),
    "two classes": (classifier(dropout=[0.0, 0.5]), Y > 0),
    "labels": (classifier(input_dropout=0.2, dtype="float64"), LABELS),
    "own loss": (classifier(loss=squared, dropout=0.1), Y),
    "number": (regressor(dropout=0.3), X[:, 0] + Y),
    "columns": (regressor(dropout=0.3, input_dropout=0.1), X[:, :2]),
    "counts": (regressor(dropout=0.3, loss="poisson"), Y),
    "quantiles": (regressor(dropout=0.3, loss="quantile", quantile=[0.1, 0.9]), Y),
}


@pytest.mark.parametrize("situation", DROPOUT)
def test_passes_are_averaged(any_engine, situation):
    model, y = DROPOUT[situation]
    rows = X[::5]
    model = clone(model).fit(X, y)
    mean, std = predict_mean(model, rows, n_passes=7, return_std=True)
    plain = predict_mean(model, rows)
    assert mean.shape == std.shape == plain.shape
    assert mean.dtype == std.dtype == plain.dtype
    # The passes one by one: n times a mean less n - 1 times the one before.
    means = [predict_mean(model, rows, n_passes=n) for n in range(1, 8)]
    sums = np.cumsum(np.ones(7))[:, None] * np.reshape(means, (7, -1)).astype(float)
    passes = np.diff(sums, axis=0, prepend=0).reshape(7, *mean.shape)
    assert_allclose(mean, passes.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert_allclose(std, passes.std(axis=0), rtol=1e-3, atol=1e-5)
    assert (std > 0).mean() > 0.9
    assert not np.allclose(passes[0], passes[1])
    if hasattr(model, "classes_") and y is not LABELS:
        assert_allclose(mean.sum(axis=1), 1, atol=1e-6)
    again = predict_mean(pickle.loads(pickle.dumps(model)), rows, n_passes=7)
    assert_array_equal(mean, again)
    # A prediction without passes knows nothing of dropout.
    assert_array_equal(predict_mean(model, rows), plain)
    single, zero = predict_mean(model, rows, n_passes=1, return_std=True)
    assert_array_equal(single, means[0])
    assert not zero.any()


def test_many_passes_of_a_linear_network_agree_with_none():
    model = regressor(activation="identity", dropout=0.3, input_dropout=0.2)
    model.fit(X, X[:, 0])
    mean, std = model.predict(X, n_passes=2000, return_std=True)
    error = (mean - model.predict(X)) / (std / np.sqrt(2000))
    assert np.abs(error).max() < 6
    assert abs(error.mean()) < 0.6  # the rows have masks of their own


def test_other_networks_have_other_masks():
    first, second = (classifier(dropout=0.3, random_state=s).fit(X, Y) for s in (0, 1))
    for name in ("coefs_", "intercepts_"):
        setattr(second, name, getattr(first, name))
    assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    one, other = (model.predict_proba(X, n_passes=3) for model in (first, second))
    assert not np.allclose(one, other)


def test_passes_do_not_depend_on_threads_or_layout():
    rows = np.tile(X, (20, 1))
    model = classifier(dropout=0.3, input_dropout=0.1).fit(X, Y)
    expected = model.set_params(n_jobs=1).predict_proba(rows, n_passes=3)
    for n_jobs in (2, 3):
        model.set_params(n_jobs=n_jobs)
        assert_array_equal(model.predict_proba(rows, n_passes=3), expected)
    sparse = model.predict_proba(csr_array(rows), n_passes=3)
    assert_allclose(sparse, expected, rtol=1e-5)
    # Equal rows at other places have masks of their own.
    assert not np.allclose(expected[:150], expected[150:300])


def test_passes_of_an_ensemble():
    model = classifier(dropout=0.3, n_members=3).fit(X, Y)
    of_members = [m.predict_proba(X, 5, return_std=True) for m in model.members_]
    mean, std = model.predict_proba(X, n_passes=5, return_std=True)
    means, stds = np.swapaxes(of_members, 0, 1).astype(float)
    assert_allclose(mean, means.mean(axis=0), rtol=1e-5)
    # Variance within the members, and of their means.
    variance = (stds**2).mean(axis=0) + means.var(axis=0)
    assert_allclose(std, np.sqrt(variance), rtol=1e-3, atol=1e-5)
    assert not np.allclose(*(member._seed for member in model.members_[:2]))


@pytest.mark.parametrize("model", [classifier(), regressor(n_members=2)])
def test_passes_need_dropout(model):
    model.fit(X, Y)
    with pytest.raises(ValueError, match="needs a network with dropout, got dropout=0"):
        predict_mean(model, X, n_passes=10)


@pytest.mark.parametrize("n_passes, error", [(0, ValueError), (2.5, TypeError)])
def test_invalid_n_passes(n_passes, error):
    with pytest.raises(error, match="n_passes"):
        regressor(dropout=0.1).fit(X, Y).predict(X, n_passes=n_passes)


@pytest.mark.parametrize("model", [classifier(), regressor(dropout=0.5)])
def test_a_spread_needs_several_predictions(model):
    model.fit(X, Y)
    with pytest.raises(ValueError, match="needs several predictions of the same rows"):
        predict_mean(model, X, return_std=True)


# temperature scaling ---------------------------------------------------------

TEMPERATURE = {
    "classes": ({}, NOISY),
    "two classes": ({}, NOISY > 0),
    "labels": ({}, np.column_stack([NOISY == 0, NOISY == 1]).astype(int)),
    "own loss": ({"loss": squared}, NOISY),
    "own loss, two classes": ({"loss": squared}, NOISY > 0),
    "lbfgs": ({"solver": "lbfgs", "max_iter": 200}, NOISY),
    "label smoothing": ({"label_smoothing": 0.2}, Y),
    "float64": ({"dtype": "float64"}, NOISY),
}


def weighted_loss(probability, y, weight):
    """Log-loss over classes or labels."""
    if y.ndim == 2:
        chosen = np.where(y > 0, probability, 1 - probability)
        return -np.average(np.log(chosen).sum(axis=1), weights=weight)
    return log_loss(y, probability, sample_weight=weight)


@pytest.mark.parametrize("situation", TEMPERATURE)
def test_temperature_is_the_best(situation):
    parameters, y = TEMPERATURE[situation]
    common = {"learning_rate_init": 0.02, "max_iter": 100} | parameters
    train, validation = np.arange(150) % 2 == 0, np.arange(150) % 2 == 1
    given = {
        "X_val": X[validation],
        "y_val": y[validation],
        "sample_weight_val": WEIGHTS[validation],
    }
    model, plain = (
        classifier(temperature_scaling=on, **common).fit(X[train], y[train], **given)
        for on in (True, False)
    )
    assert isinstance(model.temperature_, float) and 0.05 < model.temperature_ < 1000
    assert not hasattr(plain, "temperature_")
    assert_array_equal(model.coefs_[0], plain.coefs_[0])
    raw = plain.decision_function(X)
    assert_allclose(model.decision_function(X) * model.temperature_, raw, rtol=1e-5)
    assert_array_equal(model.predict(X), plain.predict(X))

    def loss(temperature):
        model.temperature_ = temperature
        probability = model.predict_proba(X[validation])
        return weighted_loss(probability, y[validation], WEIGHTS[validation])

    found = model.temperature_
    assert loss(found) < loss(1.0)
    assert loss(found) <= min(loss(found * 1.02), loss(found / 1.02))
    model.temperature_ = found
    if situation == "two classes":
        scaled = expit(raw / found)
        assert_allclose(model.predict_proba(X)[:, 1], scaled, rtol=1e-4)
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_temperature_of_the_rows_set_aside():
    model = classifier(
        temperature_scaling=True, early_stopping=True, validation_fraction=0.3
    )
    model.fit(X, NOISY, sample_weight=WEIGHTS)
    seen = []

    def watch(estimator, X, y, sample_weight):
        seen.append((X, y, sample_weight))
        return 0.0

    clone(model).set_params(scoring=watch).fit(X, NOISY, sample_weight=WEIGHTS)
    rows, y, weight = seen[0]
    assert len(y) == 45
    raw = model.decision_function(rows) * np.float32(model.temperature_)
    expected = find_temperature(raw, y[:, None], weight, "multiclass", "softmax")
    assert model.temperature_ == pytest.approx(expected, rel=1e-3)


def test_class_weights_count_for_the_temperature():
    y = (NOISY > 0).astype(int)
    common = {"temperature_scaling": True, "solver": "lbfgs"}
    weights = {0: 5.0, 1: 1.0}
    by_class = classifier(class_weight=weights, **common).fit(X, y, X_val=X, y_val=y)
    by_row = np.where(y == 0, 5.0, 1.0)
    by_sample = classifier(**common).fit(
        X, y, by_row, X_val=X, y_val=y, sample_weight_val=by_row
    )
    assert by_class.temperature_ == pytest.approx(by_sample.temperature_)


def test_validation_data_without_a_mistake():
    raw = np.array([[4.0, 0.0], [0.0, 4.0]])
    target = np.array([[0.0], [1.0]])
    found = find_temperature(raw, target, None, "multiclass", "softmax")
    assert 0.05 < found < 0.1
    found = find_temperature(-raw, target, None, "multiclass", "softmax")
    assert found == pytest.approx(1000, rel=0.01)


def test_temperature_follows_the_weights():
    given = {"X_val": X[1::2], "y_val": NOISY[1::2]}
    model = classifier(temperature_scaling=True, warm_start=True)
    first = model.fit(X, NOISY, **given).temperature_
    assert model.fit(X, NOISY, **given).temperature_ != first
    loss = log_loss(NOISY[1::2], model.predict_proba(X[1::2]))
    model.partial_fit(X, NOISY, **given)
    assert log_loss(NOISY[1::2], model.predict_proba(X[1::2])) != loss
    model.set_params(temperature_scaling=False).fit(X, NOISY)
    assert not hasattr(model, "temperature_")


def test_scores_of_an_epoch_are_of_uncalibrated_networks():
    common = {"warm_start": True, "scoring": "neg_log_loss", "random_state": 0}
    scaled, plain = (
        classifier(temperature_scaling=on, **common) for on in (True, False)
    )
    for _ in range(2):
        for model in (scaled, plain):
            model.fit(X, NOISY, X_val=X[::2], y_val=NOISY[::2])
    assert scaled.history_["val_score"] == plain.history_["val_score"]


def test_every_member_has_its_temperature():
    model = classifier(temperature_scaling=True, n_members=3)
    model.fit(X[::2], NOISY[::2], X_val=X[1::2], y_val=NOISY[1::2])
    assert len({member.temperature_ for member in model.members_}) == 3
    expected = np.mean([m.predict_proba(X) for m in model.members_], axis=0)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    assert_allclose(np.exp(model.decision_function(X)), expected, rtol=1e-4)


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize(
    "parameters", [{}, {"solver": "lbfgs", "early_stopping": True}], ids=str
)
def test_temperature_needs_validation_data(parameters, n_members):
    model = classifier(temperature_scaling=True, n_members=n_members, **parameters)
    with pytest.raises(ValueError, match="temperature_scaling=True needs validation"):
        model.fit(X, Y)
    if not parameters:
        with pytest.raises(ValueError, match="needs validation data"):
            model.partial_fit(X, Y, classes=[0, 1, 2])


# scikit-learn's calibration --------------------------------------------------


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("y", [Y, Y > 0], ids=["classes", "two classes"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_members": 2},
        {"dropout": 0.2, "n_members": 2},
        {"temperature_scaling": True, "early_stopping": True},
        {"solver": "lbfgs"},
        {"class_weight": "balanced", "dtype": "float64"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of isotonic regression
def test_calibrated_classifier(parameters, y, method):
    parameters = {"learning_rate_init": 0.02, "validation_fraction": 0.2} | parameters
    calibrated = CalibratedClassifierCV(classifier(**parameters), method=method, cv=2)
    calibrated.fit(X, y, sample_weight=WEIGHTS)
    assert calibrated.score(X, y) > 0.7
    frozen = FrozenEstimator(classifier(**parameters).fit(X[::2], y[::2]))
    calibrated = CalibratedClassifierCV(frozen, method=method).fit(X[1::2], y[1::2])
    assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)


# intervals -------------------------------------------------------------------


def test_quantiles_of_an_ensemble_never_cross():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 1))
    y = x[:, 0] + rng.standard_normal(400)
    model = regressor(
        loss="quantile",
        quantile=[0.1, 0.5, 0.9],
        n_members=3,
        learning_rate_init=0.01,
        max_iter=100,
    )
    predictions, spread = model.fit(x, y).predict(x, return_std=True)
    assert predictions.shape == spread.shape == (400, 3)
    assert (np.diff(predictions, axis=1) >= 0).all()
    below = (y[:, None] < predictions).mean(axis=0)
    assert_allclose(below, [0.1, 0.5, 0.9], atol=0.06)
    assert 0 < model.score(x, y) < 1
