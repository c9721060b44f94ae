"""Predictions and validation on a GPU: those of the CPU, in any parts."""

import numpy as np
import pytest
import scipy.sparse

from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from nnfit.cuda import prediction
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.network import Weights
from tests.cuda import tiles
from tests.engines import (
    TIGHT,
    evaluate,
    make_data,
    make_engine,
    make_network,
    make_weights,
    tolerance_of,
)
from tests.pairs import in_turn, pairwise

pytestmark = pytest.mark.usefixtures("small_gpu")

#: Of hidden layers, of the input, seed and number of the pass.
DROPOUT = (0.3, 0.6), 0.2, 5, 3


def assert_predicts_as_the_cpu(network, X, **options):
    weights = make_weights(network)
    found, expected = (
        module.predict(network, weights, X, **options) for module in (cuda, cpu)
    )
    assert found.dtype == network.dtype
    np.testing.assert_allclose(found, expected, **tolerance_of(network.dtype))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    """In double precision; training shows both."""
    network = make_network((4, 6, 5, 2), name)
    assert_predicts_as_the_cpu(network, make_data(network, 11)[0])


@in_turn(name=LOSSES, n_outputs=[1, 3], raw=[False, False, True, True])
def test_every_loss(name, n_outputs, raw):
    network = make_network((4, 6, n_outputs), "tanh", name)
    assert_predicts_as_the_cpu(network, make_data(network, 11)[0], raw=raw)


@pairwise(
    normalization=[None, "layer", "batch"],
    dropout=[None, DROPOUT, ((0.5, 0.0), 0.0, 1, 0)],
    sparse=[False, True],
    residual=[False, True],
)
def test_every_structure_in_parts(
    residual, normalization, sparse, dropout, monkeypatch
):
    """Dropout is by the number of a row, whatever the part it is in."""
    network = make_network(
        (6, 9, 5, 2), "tanh", normalization=normalization, residual=residual
    )
    X, _ = make_data(network, 23)
    if sparse:
        X[np.random.default_rng(0).uniform(size=X.shape) > 0.3] = 0.0
        X = scipy.sparse.csr_array(X)
    assert_predicts_as_the_cpu(network, X, dropout=dropout)
    whole = cuda.predict(network, make_weights(network), X, dropout=dropout)
    monkeypatch.setattr(prediction, "PART_ROWS", 10)
    parts = cuda.predict(network, make_weights(network), X, dropout=dropout)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize(("n_threads", "n_rows"), [(1, 7), (4, 1), (8, 7)])
def test_predictions_do_not_depend_on_the_other_rows(n_rows, n_threads):
    network = make_network((5, 9, 6, 2), "gelu", "log_loss", "float32")
    X, _ = make_data(network, 20)
    weights = make_weights(network)
    with tiles.small_gpu(n_threads):
        together = cuda.predict(network, weights, X)
        parts = [X[i : i + n_rows].copy() for i in range(0, len(X), n_rows)]
        alone = [cuda.predict(network, weights, part) for part in parts]
    np.testing.assert_array_equal(np.concatenate(alone), together)
    expected = cpu.predict(network, weights, X)
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-6)


def test_there_is_memory_for_one_row(monkeypatch):
    monkeypatch.setattr(prediction, "PART_BYTES", 1)
    network = make_network((5, 9, 2), "tanh")
    assert_predicts_as_the_cpu(network, make_data(network, 3)[0])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_masks_are_those_of_the_cpu(rate):
    """Outputs are the units of the hidden layer, which are all larger than 0."""
    network = make_network((3, 20, 20), "softplus", "squared_error", "float32")
    coefs, intercepts, *_ = make_weights(network)
    weights = Weights([coefs[0], np.eye(20)], [intercepts[0], np.zeros(20)])
    X, _ = make_data(network, 30)
    masks = [
        module.predict(network, weights, X, dropout=((rate,), 0.0, 5, number)) == 0.0
        for module in (cuda, cpu)
        for number in (0, 3)
    ]
    np.testing.assert_array_equal(masks[:2], masks[2:])
    assert abs(np.mean(masks) - rate) < 0.1
    assert not np.array_equal(masks[0], masks[1])


# ------------------------------------------------------------------- scores


@pairwise(
    scored=[
        ("softmax", "accuracy", 4),
        ("log_loss", "multilabel_accuracy", 1),
        ("log_loss", "multilabel_accuracy", 2),
        ("squared_error", "r2", 1),
        ("squared_error", "r2", 3),
        ("poisson", "r2", 2),
        ("quantile", None, 3),
    ],
    dtype=["float32", "float64"],
    weighted=[False, True],
)
def test_scores_are_those_of_the_cpu(scored, dtype, weighted):
    loss, score, n_outputs = scored
    network = make_network((5, 6, n_outputs), "tanh", loss, dtype)
    X, y = make_data(network, 50)
    weight = np.random.default_rng(3).uniform(size=50) if weighted else None
    rows = np.random.default_rng(4).permutation(50)[:33].astype(np.int64)
    looks = [
        evaluate(engine, X, y, weight, chosen, score)
        for engine in (make_engine(module, network, (X, y)) for module in (cuda, cpu))
        for chosen in (None, rows)
    ]
    tolerance = dict(rtol=1e-4, atol=1e-5) if dtype == "float32" else TIGHT
    np.testing.assert_allclose(looks[:2], looks[2:], **tolerance)
    assert looks[0] != looks[1]
    copied = [None if a is None else a[rows] for a in (X, y, weight)]
    engine = make_engine(cuda, network, (X, y))
    assert evaluate(engine, *copied, score=score) == looks[1]
    weights = engine.get_weights()
    infinite = [coef * np.inf for coef in weights.coefs]
    engine.set_weights(weights._replace(coefs=infinite))
    assert np.isnan(evaluate(engine, X, y, score=score)[1])


def test_one_hot_targets_and_constant_ones_are_scored():
    network = make_network((3, 3), loss="squared_error")
    X = np.eye(3)
    engine = cuda.Engine(network, None)
    engine.set_weights(Weights([np.eye(3)], [np.zeros(3)]))
    y = np.eye(3)[[0, 1, 1]]
    assert evaluate(engine, X, y, score="accuracy")[1] == 2 / 3
    engine.set_weights(Weights([np.zeros((3, 3))], [np.array([1.0, 1.0, 0.0])]))
    y = np.array([[1.0, 2.0, -1.0], [1.0, 2.0, 0.0], [1.0, 2.0, 1.0]])
    # exact and constant 1, wrong and constant 0, the mean 0
    assert evaluate(engine, X, y, score="r2")[1] == pytest.approx(1 / 3)


@in_turn(name=LOSSES, weighted=[False, True], sparse=[False, False, True, True])
def test_every_loss_is_evaluated_in_parts(name, weighted, sparse, monkeypatch):
    network = make_network((4, 6, 3), "tanh", name)
    X, y = make_data(network, 30)
    if sparse:
        X[np.random.default_rng(0).uniform(size=X.shape) > 0.3] = 0.0
        X = scipy.sparse.csr_array(X)
    weight = np.random.default_rng(3).uniform(size=30) if weighted else None
    rows = np.random.default_rng(4).permutation(30)[:23].astype(np.int64)
    looks = []
    for module, part in ((cpu, None), (cuda, 2**16), (cuda, 10)):
        monkeypatch.setattr(prediction, "PART_ROWS", part)
        engine = make_engine(module, network, (X, y))
        looks += [evaluate(engine, X, y, weight, chosen)[0] for chosen in (None, rows)]
    np.testing.assert_allclose(looks[2:], looks[:2] * 2, **TIGHT)
