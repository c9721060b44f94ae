"""What rows and classes weigh, whatever the size of batches."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from nnfit import MLPClassifier, MLPRegressor
from nnfit.estimators import mlp, watching
from nnfit.network import Weights

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*[Ii]teration"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
]

# ------------------------------------------------- the population that is promised


def rare_class(seed, n_rows, n_positive):
    """Features that tell nothing, and labels of which few are 1."""
    y = np.zeros(n_rows, int)
    y[:n_positive] = 1
    return np.zeros((n_rows, 1)), np.random.default_rng(seed).permutation(y)


def learnt_share(X, y, batch_size, epochs, rate, seed, solver="sgd", beta_2=0.999):
    """Probability of the class 1 that a constant learns with balanced classes."""
    model = MLPClassifier(
        (), class_weight="balanced", alpha=0, learning_rate="cosine", tol=0,
        n_iter_no_change=10**6, batch_size=batch_size, max_iter=epochs, solver=solver,
        learning_rate_init=rate, random_state=seed, n_jobs=1, beta_2=beta_2,
    )  # fmt: skip
    return model.fit(X, y).predict_proba(X[:1])[0, 1]


#: Sizes of batches, epochs and learning rates with which SGD comes to rest.
SCHEDULES = [(1, 20, 5e-4), (32, 60, 5e-3), (200, 150, 2e-2), (1000, 300, 0.1)]


@pytest.mark.parametrize(("batch_size", "epochs", "rate"), SCHEDULES)
def test_balanced_classes_are_equally_probable(batch_size, epochs, rate):
    """Though most batches have no row of the rare one: there are 5 in 1000."""
    for seed in range(5):
        X, y = rare_class(seed, 1000, 5)
        share = learnt_share(X, y, batch_size, epochs, rate, seed)
        assert share == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("n_positive", [100, 2000])
@pytest.mark.parametrize(
    ("solver", "batch_size", "epochs", "rate"),
    [
        ("sgd", 1, 10, 1e-4),
        ("sgd", 32, 40, 1e-3),
        ("sgd", 200, 100, 1e-2),
        ("sgd", 20000, 300, 0.1),
        ("adam", 1, 10, 0.01),
        ("adam", 32, 40, 0.01),
        ("adam", 200, 100, 0.01),
    ],
)
def test_many_rows_of_balanced_classes(solver, batch_size, epochs, rate, n_positive):
    # Adam's mean of squares forgets a rare row before the next, if not told otherwise.
    beta_2 = 0.9999 if batch_size == 1 else 0.999
    for seed in range(2):
        X, y = rare_class(seed, 20000, n_positive)
        share = learnt_share(X, y, batch_size, epochs, rate, seed, solver, beta_2)
        assert share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("batch_size", "epochs"), [(32, 200), (600, 3000)])
def test_weighted_classes_as_logistic_regression(batch_size, epochs):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y = (X @ [1.0, -2.0] + rng.normal(size=600) > 3.0).astype(int)
    weights = {0: 0.5, 1: 20.0}
    expected = LogisticRegression(C=1.0, class_weight=weights).fit(X, y)
    model = MLPClassifier(
        (), class_weight=weights, alpha=batch_size / 600, batch_size=batch_size,
        learning_rate="cosine", learning_rate_init=0.05, max_iter=epochs, tol=0,
        n_iter_no_change=10**6, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert_allclose(model.coefs_[0].T, expected.coef_, rtol=0.05)
    assert_allclose(model.intercepts_[0], expected.intercept_, rtol=0.05)


# ----------------------------------------------------------- a sum that is written out

RNG = np.random.default_rng(1)
N, ALPHA, RATE = 40, 0.3, 0.2
X = RNG.normal(size=(N, 3)) * (RNG.uniform(size=(N, 3)) < 0.6)
LABELS = (RNG.uniform(size=(N, 2)) < 0.3).astype(int)
Y = LABELS[:, 0]
WEIGHT = RNG.uniform(0.5, 2.0, size=N)
OF_CLASSES, OF_LABELS = {0: 0.7, 1: 6.0}, [{0: 0.7, 1: 6.0}, {0: 2.0, 1: 0.5}]
OF_ROWS = np.where(Y, 6.0, 0.7)
OF_BOTH = OF_ROWS * np.where(LABELS[:, 1], 0.5, 2.0)


@pytest.fixture
def plain(monkeypatch):
    """Make a classifier whose training is a sum, from weights of zero."""

    def zeros(network, *others, **_):
        coefs = [np.zeros((layer.n_in, layer.n_out)) for layer in network.layers]
        return Weights(coefs, [np.zeros(coef.shape[1]) for coef in coefs])

    monkeypatch.setattr(mlp, "initial_weights", zeros)

    def make(**options):
        defaults = {
            "solver": "sgd", "momentum": 0.0, "alpha": ALPHA, "dtype": "float64",
            "learning_rate_init": RATE, "shuffle": False, "max_iter": 2,
            "random_state": 0,
        }  # fmt: skip
        return MLPClassifier((), **{**defaults, **options})

    return make


def descend(start, target, of_rows, rows, size, weight=None, mean=None, epochs=2):
    """Gradient descent with class weights of rows; returns coefficients, intercepts."""
    weight = np.ones(N) if weight is None else weight
    if mean is None:
        mean = np.average(of_rows[rows], weights=weight[rows])
    w, b = (np.array(part) for part in start)
    for _ in range(epochs):
        for first in range(0, len(rows), size):
            batch = rows[first : first + size]
            divisor = weight[batch].sum() * mean
            error = expit(X[batch] @ w + b) - target[batch]
            error *= (of_rows * weight)[batch, None]
            w -= RATE * (X[batch].T @ error + ALPHA * w) / divisor
            b -= RATE * error.sum(axis=0) / divisor
    return w, b


def assert_weights(model, expected):
    assert_allclose(model.coefs_[0], expected[0], rtol=1e-9)
    assert_allclose(model.intercepts_[0], expected[1], rtol=1e-9)


ALL, COLUMN = np.arange(N), Y[:, None]
ZERO, ZEROS = (np.zeros((3, 1)), np.zeros(1)), (np.zeros((3, 2)), np.zeros(2))


@pytest.mark.emulated
@pytest.mark.parametrize("size", [1, 7, N])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_class_weights_multiply_losses(any_engine, plain, weight, size):
    options = {"batch_size": size, "class_weight": OF_CLASSES}
    model = plain(**options).fit(X, Y, weight)
    expected = descend(ZERO, COLUMN, OF_ROWS, ALL, size, weight)
    assert_weights(model, expected)
    sparse = plain(**options).fit(scipy.sparse.csr_array(X), Y, weight)
    assert_weights(sparse, expected)
    labels = plain(batch_size=size, class_weight=OF_LABELS).fit(X, LABELS, weight)
    assert_weights(labels, descend(ZEROS, LABELS, OF_BOTH, ALL, size, weight))


def test_a_split_counts_the_rows_that_are_trained_on(any_engine, plain, monkeypatch):
    rows, held_out = np.r_[20:40, 0:9], np.arange(9, 20)
    split = rows, held_out
    monkeypatch.setattr(watching, "validation_split", lambda *args: split)
    options = {"early_stopping": True, "scoring": "loss", "batch_size": 7}
    model = plain(class_weight=OF_CLASSES, **options).fit(X, Y, WEIGHT)
    assert_weights(model, descend(ZERO, COLUMN, OF_ROWS, rows, 7, WEIGHT))
    p = model.predict_proba(X[held_out])[np.arange(11), Y[held_out]]
    loss = np.average(-np.log(p), weights=(OF_ROWS * WEIGHT)[held_out])
    assert model.validation_scores_[-1] == pytest.approx(-loss)


def test_warm_starts_count_their_own_rows(any_engine, plain):
    model = plain(class_weight=OF_CLASSES, warm_start=True, batch_size=7)
    expected = ZERO
    for rows in (np.arange(25), np.arange(20, N)):
        model.fit(X[rows], Y[rows])
        expected = descend(expected, COLUMN, OF_ROWS, rows, 7)
        assert_weights(model, expected)


def test_parts_count_all_rows_seen_so_far(any_engine, plain):
    """Also those before a pickle; they begin anew with other class weights."""
    model = plain(class_weight=OF_CLASSES, batch_size=7)
    expected, seen = ZERO, []
    for part in (slice(3), slice(3, 4), slice(4, 21), slice(15, N)):
        rows = ALL[part]
        model.partial_fit(X[rows], Y[rows], WEIGHT[rows], classes=[0, 1])
        seen.extend(rows)
        mean = np.average(OF_ROWS[seen], weights=WEIGHT[seen])
        expected = descend(expected, COLUMN, OF_ROWS, rows, 7, WEIGHT, mean, epochs=1)
        assert_weights(model, expected)
        model = pickle.loads(pickle.dumps(model))
    model.set_params(class_weight={0: 70.0, 1: 600.0})
    model.partial_fit(X[rows], Y[rows], WEIGHT[rows])
    others = 100.0 * OF_ROWS
    expected = descend(expected, COLUMN, others, rows, 7, WEIGHT, epochs=1)
    assert_weights(model, expected)


def test_balanced_in_parts_counts_all_calls(any_engine, plain):
    model = plain(class_weight="balanced", batch_size=7)
    expected, seen, sums = ZERO, np.zeros(2), np.zeros(2)
    for part in (slice(0, 20), slice(15, 30), slice(25, N)):
        rows = ALL[part]
        model.partial_fit(X[rows], Y[rows], classes=[0, 1])
        seen += np.bincount(Y[rows], minlength=2)
        of_rows = (seen.sum() / (2 * seen))[Y]
        sums += of_rows[rows].sum(), len(rows)
        mean = sums[0] / sums[1]
        expected = descend(expected, COLUMN, of_rows, rows, 7, mean=mean, epochs=1)
        assert_weights(model, expected)


def test_members_count_as_one_network(plain):
    rows = np.arange(15, N)
    model = plain(class_weight=OF_CLASSES, batch_size=7, n_members=2, n_jobs=1)
    model.partial_fit(X[:15], Y[:15], classes=[0, 1])
    expected = descend(ZERO, COLUMN, OF_ROWS, np.arange(15), 7, epochs=1)
    mean = OF_ROWS.mean()
    expected = descend(expected, COLUMN, OF_ROWS, rows, 7, mean=mean, epochs=1)
    model.partial_fit(X[rows], Y[rows])
    for member in model.members_:
        assert_weights(member, expected)


def test_statistics_of_a_batch_are_those_of_the_rows(any_engine):
    """Class weights weigh the loss alone, as the guide says."""
    options = {
        "hidden_layer_sizes": (4,), "normalization": "batch", "solver": "sgd",
        "learning_rate_init": 1e-12, "max_iter": 1, "random_state": 0,
        "dtype": "float64",
    }  # fmt: skip
    plain = MLPClassifier(**options).fit(X, Y, WEIGHT)
    weighted = MLPClassifier(class_weight=OF_CLASSES, **options).fit(X, Y, WEIGHT)
    assert_allclose(weighted.norms_[0], plain.norms_[0], rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("names", [[0, 1, 2], ["a", "b", "c"]])
def test_over_all_rows_class_weights_are_sample_weights(solver, names):
    index = RNG.integers(0, 3, size=N)
    y = np.array(names)[index]
    balanced = (N / (3 * np.bincount(index)))[index]
    common = {"solver": solver, "max_iter": 20, "random_state": 0, "dtype": "float64"}
    by_class = MLPClassifier(class_weight="balanced", **common).fit(X, y)
    by_sample = MLPClassifier(**common).fit(X, y, sample_weight=balanced)
    assert_allclose(by_class.coefs_[0], by_sample.coefs_[0], rtol=1e-6)
    assert by_class.loss_ == pytest.approx(by_sample.loss_)

    weights = dict(zip(names, [1.0, 2.0, 0.5], strict=True))
    by_class = MLPClassifier(class_weight=weights, **common)
    by_class.fit(X, y, sample_weight=balanced)
    product = balanced * np.array([1.0, 2.0, 0.5])[index]
    by_sample.fit(X, y, sample_weight=product)
    assert_allclose(by_class.coefs_[0], by_sample.coefs_[0], rtol=1e-6)


# ------------------------------------------------------------------------- bad weights


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, None, "2", 1j, 10**400])
@pytest.mark.parametrize(
    "options",
    [{}, {"n_members": 2}, {"solver": "lbfgs"}, {"early_stopping": True}],
    ids=str,
)
def test_bad_class_weights(options, weight):
    message = r"class_weight must hold finite numbers .* got .* for the class 1\."
    model = MLPClassifier(class_weight={0: 1.0, 1: weight}, **options)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    model.set_params(class_weight=[{0: 1.0, 1: 2.0}, {0: 1.0, 1: weight}])
    with pytest.raises(ValueError, match=message):
        model.fit(X, LABELS)
    if not options:
        with pytest.raises(ValueError, match=message):
            model.partial_fit(X, LABELS, classes=[0, 1])


def test_weights_without_a_sum():
    sum_of = "must have a sum between 1e-100 and 1e.100, got"
    for weight in (1e-320, 1e-150, 1e150, 1e307):
        for model in (MLPClassifier(), MLPRegressor()):
            with pytest.raises(ValueError, match=f"^sample_weight {sum_of}"):
                model.fit(X, Y, np.full(N, weight))
    model = MLPClassifier(class_weight={0: 1.0, 1: 1e90})
    with pytest.raises(ValueError, match=f"^class_weight times sample_weight {sum_of}"):
        model.fit(X, Y, np.full(N, 1e90))
    with pytest.raises(ValueError, match=f"^sample_weight_val {sum_of}"):
        model.fit(X, Y, X_val=X, y_val=Y, sample_weight_val=np.full(N, 1e120))


def test_classes_of_no_weight():
    """Nothing is left to train on, or to watch."""
    model = MLPClassifier(class_weight={0: 0.0, 1: 1.0})
    with pytest.raises(ValueError, match=r"^class_weight times sample_weight_val must"):
        model.fit(X, Y, X_val=X[Y == 0], y_val=Y[Y == 0])
    y = np.where(ALL == 0, 1, np.where(ALL % 2, 0, 2))
    model = MLPClassifier(class_weight={0: 0, 1: 1, 2: 0}, early_stopping=True)
    with pytest.raises(ValueError, match=r"of all \w+ samples of the split by"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="a list of 2 dicts"):
        MLPClassifier(class_weight=["balanced"] * 2).fit(X, LABELS)
