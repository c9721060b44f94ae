"""Normalised and residual layers of the compiled engine."""

import numpy as np
import pytest
import scipy.sparse

from nnfit import MLPClassifier, MLPRegressor
from nnfit.cpu import engine as cpu
from nnfit.cpu.prediction import FEW_ROWS
from nnfit.network import Weights
from tests import numpy_engine
from tests.engines import (
    HOST,
    OTHERS,
    TIGHT,
    evaluate,
    make_data,
    make_engine,
    make_network,
    make_weights,
    numerical_gradient,
    tolerance_of,
    use_processor,
)
from tests.pairs import pairwise

#: Identity and projections, in residual networks.
SIZES = (3, 4, 4, 2, 5, 2)
STRUCTURES = {
    "plain": {},
    "residual": dict(residual=True),
    "layer": dict(normalization="layer"),
    "batch": dict(normalization="batch"),
    "residual layer": dict(normalization="layer", residual=True),
    "residual batch": dict(normalization="batch", residual=True),
}
ALL = pytest.mark.parametrize("structure", STRUCTURES)

# ------------------------------------------------------ numerical derivatives

RANDOM = dict(dropout=(0.3, 0.0, 0.6, 0.2), input_dropout=0.2, mixup=0.4)


@ALL
@pytest.mark.parametrize("options", [{}, RANDOM, {"l1": 0.1}], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_follows_the_derivative_of_the_loss(structure, options, weighted):
    """Plain gradient descent at rate 1 moves the weights by the gradient."""
    network = make_network(SIZES, "tanh", "softmax", **STRUCTURES[structure])
    X, y = make_data(network, 9)
    weight = np.random.default_rng(5).uniform(0.5, 2.0, size=9)
    engine = make_engine(
        cpu, network, (X, y, weight) if weighted else (X, y), "sgd", batch_size=9,
        learning_rate_init=1.0, hyper=(0.0,), **options,
    )  # fmt: skip
    engine.keep_batch_losses = True
    begin = engine.flat.copy()

    def step(flat):
        """Loss of the first batch; the random numbers are those of the first step."""
        engine.flat[...] = flat
        engine.progress.epoch = engine.progress.step = 0
        return engine.train(1)["batch_loss"][0]

    step(begin)
    moved = engine.get_weights(begin - engine.flat)
    expected = engine.get_weights(numerical_gradient(step, begin))
    for weights in (moved, expected):
        for norm in weights.norms:
            norm[1:] = 0.0  # statistics, which no gradient moves
    size = max(np.abs(array).max() for part in expected for array in part)
    for part, others in zip(moved, expected, strict=True):
        for gradient, other in zip(part, others, strict=True):
            assert np.abs(gradient - other).max() < 1e-7 * size


@pytest.mark.parametrize("structure", ["residual", "layer", "residual layer"])
def test_gradient_of_all_data(structure):
    """As L-BFGS takes it, in several blocks of rows and on several threads."""
    network = make_network(SIZES, "tanh", "softmax", **STRUCTURES[structure])
    data = (*make_data(network, 25), np.random.default_rng(5).uniform(size=25))
    engines = [
        make_engine(cpu, network, data, None, n_threads, batch_size=10)
        for n_threads in (1, 3)
    ]
    flat = engines[0].flat.copy()
    loss, gradient = engines[0].loss_and_gradient(flat)
    expected = numerical_gradient(lambda at: engines[0].loss_and_gradient(at)[0], flat)
    error = np.abs(gradient - expected)[flat != 0.0].max() / np.abs(expected).max()
    assert error < 1e-7
    loss_of_many, gradient_of_many = engines[1].loss_and_gradient(flat)
    assert loss_of_many == loss
    assert np.array_equal(gradient_of_many, gradient)
    naive = make_engine(numpy_engine, network, data, None)
    assert naive.loss_and_gradient(naive.flat)[0] == pytest.approx(loss, rel=1e-12)


# ----------------------------------------------------------------- evaluation


@pairwise(
    lambda case: case["processor"] in OTHERS,
    structure=STRUCTURES,
    processor=[*HOST, *OTHERS],
    sizes=[(30, 70, 70, 41, 3), (7, 96, 12, 12, 1)],
)
def test_predictions_of_few_rows_and_of_many(sizes, processor, structure, monkeypatch):
    cpu_name, dtype = processor
    use_processor(monkeypatch, cpu_name)
    network = make_network(sizes, "gelu", "log_loss", dtype, **STRUCTURES[structure])
    X, _ = make_data(network, 120)
    weights = make_weights(network)
    together = cpu.predict(network, weights, X, n_threads=2)
    expected = numpy_engine.predict(network, weights, X)
    np.testing.assert_allclose(together, expected, **tolerance_of(dtype))
    for n_rows in (1, FEW_ROWS, FEW_ROWS + 1, 97):
        parts = [X[i : i + n_rows].copy() for i in range(0, len(X), n_rows)]
        alone = [cpu.predict(network, weights, part) for part in parts]
        assert np.array_equal(together, np.concatenate(alone))
        as_sparse = [scipy.sparse.csr_array(part) for part in parts]
        alone = [cpu.predict(network, weights, part) for part in as_sparse]
        assert np.array_equal(together, np.concatenate(alone))


@ALL
@pytest.mark.parametrize(
    ("loss", "score"),
    [("softmax", "accuracy"), ("log_loss", "multilabel_accuracy"), ("poisson", "r2")],
)
def test_scores_are_those_of_the_reference(structure, loss, score):
    network = make_network((7, 10, 10, 3), "tanh", loss, **STRUCTURES[structure])
    X, y = make_data(network, 250)
    weight = np.random.default_rng(3).uniform(size=250)
    rows = np.random.default_rng(4).permutation(250)[:203].astype(np.int64)
    looks = [
        evaluate(make_engine(module, network, (X, y)), X, y, weight, rows, score)
        for module in (cpu, numpy_engine)
    ]
    np.testing.assert_allclose(*looks, **TIGHT)


# -------------------------------------------------------------------- weights


@ALL
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_survive_the_engine(structure, dtype):
    network = make_network((30, 70, 70, 17, 1), dtype=dtype, **STRUCTURES[structure])
    weights = make_weights(network)
    engine = cpu.Engine(network, None)
    engine.flat[...] = np.nan  # padding too becomes zero
    engine.set_weights(
        Weights(*([np.asfortranarray(a, np.float64) for a in part] for part in weights))
    )
    for arrays, expected in zip(engine.get_weights(), weights, strict=True):
        for array, other in zip(arrays, expected, strict=True):
            assert np.array_equal(array, other)
            assert array.dtype == dtype


@pytest.mark.emulated
@pytest.mark.parametrize("Model", [MLPClassifier, MLPRegressor])
def test_one_row_of_partial_fit_is_as_a_last_batch_of_fit(any_engine, Model):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 3)), rng.integers(0, 2, size=9)
    options = dict(normalization="batch", shuffle=False, random_state=0, max_iter=1)
    with pytest.warns(match="Maximum iterations"):
        whole = Model(hidden_layer_sizes=(4,), batch_size=8, **options).fit(X, y)
    parts = Model(hidden_layer_sizes=(4,), **options)
    classes = {"classes": [0, 1]} if Model is MLPClassifier else {}
    parts.partial_fit(X[:8], y[:8], **classes)
    parts.partial_fit(X[8:], y[8:])
    for one, other in zip(
        [*whole.coefs_, *whole.norms_], [*parts.coefs_, *parts.norms_], strict=True
    ):
        np.testing.assert_array_equal(one, other)
    alone = Model(hidden_layer_sizes=(4,), **options)
    alone.partial_fit(X[:1], y[:1], **classes).partial_fit(X[1:2], y[1:2])
    assert np.isfinite(alone.predict(X)).all()
    np.testing.assert_array_equal(alone.norms_[0][1:], [[0.0] * 4, [1.0] * 4])


@pytest.mark.parametrize("n_rows", [1, 100])
@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_norms_of_another_shape_are_refused(n_rows, normalization):
    network = make_network((30, 70, 3), normalization=normalization)
    coefs, intercepts, norms, _ = make_weights(network)
    X, _ = make_data(network, n_rows)
    with pytest.raises(ValueError, match=r"norms_\[0\] must .* \([13], 70\), got"):
        cpu.predict(network, Weights(coefs, intercepts, [norms[0][:, 1:]]), X)
