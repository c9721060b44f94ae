"""Initial weights: their distributions, and what they do to a signal."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits

from nnfit import MLPClassifier
from nnfit.cpu import engine as cpu
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.custom import custom_activation
from nnfit.functions.losses import LOSSES
from nnfit.network import INITIALIZATIONS, Network, initial_weights
from nnfit.network import initialisation as module
from nnfit.training import device
from tests.numpy_engine.functions import activate

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = DIGITS / 16.0


def describe(sizes, activation="relu", dtype="float64", **kw):
    if isinstance(activation, str):
        activation = ACTIVATIONS[activation]
    hidden = [activation] * (len(sizes) - 2)
    return Network.dense(sizes, hidden, LOSSES["squared_error"], (), dtype, **kw)


def draw(network, initialization, seed=0, X=DIGITS):
    X = X.astype(network.dtype)
    engine = device.load_engine()
    return initial_weights(
        network, np.random.RandomState(seed), initialization, X, engine=engine
    )


def weighted_inputs(network, weights, X):
    """Weighted inputs of every layer, before normalisation and intercept."""
    a, z, found, norms = X, None, [], list(weights.norms)
    for layer, coef, intercept in zip(
        network.layers, weights.coefs, weights.intercepts, strict=True
    ):
        a = np.hstack([a, z]) if layer.skip == "projection" else a
        z = a @ coef + (z if layer.skip == "identity" else 0.0)
        found.append(z)
        u = z
        if layer.normalization is not None:
            norm = norms.pop(0)
            mean, variance = z.mean(1, keepdims=True), z.var(1, keepdims=True)
            if layer.normalization == "batch":
                mean, variance = norm[1], norm[2]
            u = norm[0] * (z - mean) / np.sqrt(variance + 1e-5)
        a = activate(layer.activation, u + intercept)[0]
    return found


# distributions ---------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    n_in=st.integers(1, 200),
    n_out=st.integers(1, 200),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    initialization=st.sampled_from(["glorot", "he", "lecun", "uniform"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_uniform_variances(n_in, n_out, activation, initialization, seed):
    network = describe([n_in, n_out, 1], activation)
    coefs, intercepts, norms, _ = draw(network, initialization, seed)
    factor = 2 / 3 if activation == "logistic" else 2
    variance = {
        "glorot": factor / (n_in + n_out),
        "he": 2 / n_in,
        "lecun": 1 / n_in,
        "uniform": 1 / (3 * n_in),
    }[initialization]
    assert coefs[0].shape == (n_in, n_out) and intercepts[0].shape == (n_out,)
    assert np.abs(coefs[0]).max() <= math.sqrt(3 * variance)
    # The mean of n squares of a uniform distribution has the relative standard
    # deviation 0.9 / sqrt(n).
    tolerance = 6 * 0.9 / math.sqrt(n_in * n_out)
    assert np.mean(coefs[0] ** 2) == pytest.approx(variance, rel=tolerance)
    assert intercepts[0].any() == (initialization in ("glorot", "uniform"))
    assert norms == []


@settings(deadline=None, max_examples=30)
@given(
    n_in=st.integers(1, 60),
    n_out=st.integers(1, 60),
    activation=st.sampled_from(["identity", "relu", "tanh"]),
)
def test_orthogonal(n_in, n_out, activation):
    network = describe([n_in, n_in, n_out], activation)
    coefs, intercepts, *_ = draw(network, "orthogonal")
    factors = {"identity": 1.0, "relu": math.sqrt(2), "tanh": 1.5924}
    # The first layer sees the features, which no activation has made smaller.
    for coef, factor in zip(coefs, (1.0, factors[activation]), strict=True):
        small = coef if coef.shape[0] >= coef.shape[1] else coef.T
        eye = factor**2 * np.eye(small.shape[1])
        assert_allclose(small.T @ small, eye, atol=1e-3)
    assert not intercepts[0].any() and not intercepts[1].any()


def test_orthogonal_matrices_are_not_biased():
    diagonal = [
        np.diagonal(draw(describe([3, 3]), "orthogonal", seed).coefs[0])
        for seed in range(200)
    ]
    # Without the correction of signs LAPACK's are negative more often than not.
    assert abs(np.mean(diagonal)) < 6 * math.sqrt(1 / 3 / 600)


def test_gains():
    assert module.gain(None) == 1
    assert module.gain(ACTIVATIONS["relu"]) == pytest.approx(math.sqrt(2))
    slope = module.gain(ACTIVATIONS["leaky_relu"])
    assert slope == pytest.approx(math.sqrt(2 / (1 + 0.01**2)))
    assert module.gain(ACTIVATIONS["selu"]) == pytest.approx(1, abs=0.01)
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    for row in ACTIVATIONS.values():
        squares = [row.function(float(x))[0] ** 2 for x in z]
        mean = np.trapezoid(squares * density, z)
        assert module.gain(row) == pytest.approx(1 / math.sqrt(mean), rel=2e-3)
    assert module.gain(custom_activation(lambda z: (0.0 * z, 0.0))) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("initialization", INITIALIZATIONS)
@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
@pytest.mark.parametrize("residual", [False, True])
def test_arrays(initialization, dtype, normalization, residual):
    sizes = [64, 9, 9, 5, 3]
    network = describe(
        sizes, dtype=dtype, normalization=normalization, residual=residual
    )
    weights = draw(network, initialization)
    expected = [(64, 9), (9, 9), (18 if residual else 9, 5), (5, 3)]
    assert [coef.shape for coef in weights.coefs] == expected
    assert [intercept.shape for intercept in weights.intercepts] == [
        (n,) for n in sizes[1:]
    ]
    rows = {None: 0, "layer": 1, "batch": 3}[normalization]
    assert [norm.shape for norm in weights.norms] == [
        (rows, n) for n in sizes[1:-1] if rows
    ]
    for norm in weights.norms:
        assert_array_equal(norm[0], 1)
        if normalization == "batch" and initialization != "data_driven":
            assert_array_equal(norm[1:].T, np.tile([0, 1], (norm.shape[1], 1)))
    for array in [array for arrays in weights for array in arrays]:
        assert array.dtype == dtype and array.flags.c_contiguous
        assert array.flags.writeable and np.isfinite(array).all()
    again, other = draw(network, initialization), draw(network, initialization, 1)
    for one, same, different in zip(weights[0], again[0], other[0], strict=True):
        assert_array_equal(one, same)
        assert not np.array_equal(one, different) or not one.any()


def test_normal_weights_end_in_zeros():
    weights = draw(describe([200, 300, 200, 3]), "normal")
    assert not weights.coefs[-1].any() and not weights.intercepts[-1].any()
    for coef, intercept in zip(*weights[:2], strict=True):
        if coef.any():
            assert abs(coef.std() * np.sqrt(len(coef)) - 1.0) < 0.02
            assert 0.8 < intercept.std() < 1.2


def test_residual_networks():
    plain = draw(describe([30, 30, 30, 30, 20, 2]), "he")
    weights = draw(describe([30, 30, 30, 30, 20, 2], residual=True), "he")
    # Only layers with a skip are scaled: the second, third and fourth.
    assert_array_equal(weights.coefs[0], plain.coefs[0])
    for i in (1, 2):
        assert_allclose(weights.coefs[i], plain.coefs[i] / math.sqrt(3))
    branch, projection = np.split(weights.coefs[3], 2)
    assert_allclose(branch, plain.coefs[3] / math.sqrt(3))
    assert np.mean(projection**2) == pytest.approx(1 / 30, rel=0.2)
    assert np.abs(projection).max() <= math.sqrt(3 / 30)
    assert np.mean(weights.coefs[4] ** 2) == pytest.approx(2 / 20, rel=0.5)


# signals ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initialization", "activation", "residual"),
    [
        ("he", "relu", False),
        ("lecun", "selu", False),
        ("orthogonal", "relu", False),
        ("orthogonal", "tanh", False),
        ("data_driven", "relu", False),
        ("data_driven", "selu", False),
        ("glorot", "relu", True),
        ("he", "relu", True),
        ("orthogonal", "relu", True),
        ("data_driven", "relu", True),
    ],
)
def test_a_signal_keeps_its_size_through_50_layers(
    initialization, activation, residual
):
    X = np.random.default_rng(0).normal(size=(100, 128))
    network = describe([128] * 51, activation, residual=residual)
    weights = draw(network, initialization, X=X)
    sizes = [np.sqrt(np.mean(z**2)) for z in weighted_inputs(network, weights, X)]
    assert 0.2 < min(sizes) and max(sizes) < 5


def test_a_signal_gets_lost_with_lecun_and_relu():
    X = np.random.default_rng(0).normal(size=(100, 128))
    network = describe([128] * 51)
    last = weighted_inputs(network, draw(network, "lecun"), X)[-1]
    assert np.sqrt(np.mean(last**2)) < 1e-4


# data-driven -----------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("normalization", "residual"),
    [(None, False), ("layer", False), ("batch", False), (None, True), ("batch", True)],
)
def test_data_driven_products_have_the_deviation_1(
    any_engine, normalization, residual, sparse
):
    X = DIGITS[:200]
    network = describe(
        [64, 20, 20, 10, 3], "silu", normalization=normalization, residual=residual
    )
    given = csr_array(X) if sparse else X
    weights = draw(network, "data_driven", X=given)
    found = weighted_inputs(network, weights, X)
    for i, (layer, z) in enumerate(zip(network.layers, found, strict=True)):
        if layer.skip == "identity":
            z = math.sqrt(2) * (z - found[i - 1])
        elif layer.skip == "projection":
            projection = weights.coefs[i][layer.n_in // 2 :]
            z = math.sqrt(2) * (z - found[i - 1] @ projection)
        assert_allclose(z.std(axis=0), 1, rtol=1e-6)
    for norm, z in zip(weights.norms, found, strict=False):
        if normalization == "batch":
            assert_allclose(norm[1:], [z.mean(axis=0), z.var(axis=0)], atol=1e-6)
    for layer, intercept, z in zip(
        network.layers, weights.intercepts, found, strict=True
    ):
        if layer.normalization is None:
            # A mean over rows lies among them.
            assert (z.min(axis=0) < -intercept).all()
            assert (-intercept < z.max(axis=0)).all()
            assert len(np.unique(intercept)) == len(intercept)
        else:
            assert not intercept.any()


def test_data_driven_takes_a_sample(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 50)
    seen = []

    def predict(network, weights, X, **kw):
        seen.append(X.shape[0])
        return cpu.predict(network, weights, X, **kw)

    network, rows = describe([64, 7, 2]), np.arange(1000, 1700)
    engine = SimpleNamespace(predict=predict, activate=cpu.activate)
    weights = initial_weights(
        network, np.random.RandomState(0), "data_driven", DIGITS, rows, engine
    )
    assert seen == [50, 50]  # a product for each layer, and no other
    for z in weighted_inputs(network, weights, DIGITS[rows]):
        assert_allclose(z.std(axis=0), 1, rtol=0.6)


def test_data_driven_looks_at_training_rows_alone():
    network, seed = describe([64, 7, 2]), np.random.RandomState
    rows = np.arange(1000, 1700)
    of_rows = initial_weights(network, seed(0), "data_driven", DIGITS, rows, cpu)
    copied = initial_weights(network, seed(0), "data_driven", DIGITS[rows], engine=cpu)
    for one, other in zip(of_rows.coefs, copied.coefs, strict=True):
        assert_array_equal(one, other)


def test_data_driven_of_columns_without_information():
    network = describe([3, 5, 2], dtype="float32")
    for X in (
        np.zeros((20, 3)),
        np.full((20, 3), 1e4),
        np.full((1, 3), 0.1),
        np.array([[0.0, 5.0, k] for k in range(20)]),
        np.full((20, 3), 1e38) * np.arange(20)[:, None] / 20,
        np.random.default_rng(0).normal(size=(20, 3)) * 1e-39,
    ):
        weights = draw(network, "data_driven", X=X)
        for arrays in weights:
            assert all(np.isfinite(array).all() for array in arrays)
        size = np.abs(weighted_inputs(network, weights, X)[0]).max()
        assert size < 1e4


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_estimators_learn_from_every_start(initialization, early_stopping, sparse):
    X = csr_array(DIGITS) if sparse else DIGITS
    model = MLPClassifier(
        (50, 50),
        initialization=initialization,
        early_stopping=early_stopping,
        max_iter=20,
        random_state=0,
    )
    assert model.fit(X, LABELS).score(X, LABELS) > 0.88
    again = clone(model).fit(X, LABELS)
    assert_array_equal(model.coefs_[1], again.coefs_[1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_first_partial_fit_draws_from_its_rows():
    model = MLPClassifier(
        (10,), initialization="data_driven", learning_rate_init=1e-30, random_state=0
    )
    model.partial_fit(DIGITS[:100], LABELS[:100], classes=range(10))
    product = DIGITS[:100] @ model.coefs_[0]
    assert_allclose(product.std(axis=0), 1, rtol=1e-4)
    before = model.coefs_[0].copy()
    model.partial_fit(DIGITS[100:], LABELS[100:])
    assert_allclose(model.coefs_[0], before)
