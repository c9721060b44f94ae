"""Members that share the weights of a chain: what they compute, and as one network."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logsumexp, softmax
from sklearn.metrics import accuracy_score, r2_score

from nnfit.cpu import engine as cpu
from nnfit.cpu import training_plans
from nnfit.cpu.kinds import dense as cpu_dense
from nnfit.functions.links import LINKS
from nnfit.functions.losses import LOSSES
from nnfit.functions.pools import POOLS
from nnfit.network import Weights, initial_weights
from nnfit.network.members import ADAPTERS, Members, member_nodes
from tests import numpy_engine
from tests.engines import (
    assert_same_training,
    evaluate,
    is_in_parts,
    make_data,
    make_engine,
    make_network,
    make_weights,
    results_of,
    tolerance_of,
    train,
)
from tests.graphs import adapter, dense, graph, head, members, normed

FORMS = pytest.mark.parametrize("adapters", ADAPTERS)
#: One loss for each link.
BY_LINK = {row.link: row.name for row in LOSSES.values()}


def of_members(plain, n_members, adapters, blocks=None):
    """The network of members that share the weights of a chain."""
    nodes = member_nodes(plain.layers, (), Members(n_members, adapters, blocks))
    return replace(plain, nodes=nodes, layers=())


def equal_members(network, weights):
    """Weights with which each member is a chain of given ones."""
    k = network.lines[-1]
    intercepts = [
        array if tensor.rows == 1 else np.tile(array, (k, 1))
        for tensor, array in zip(
            [each for each in network.tensors if each.place == "intercepts"],
            weights.intercepts,
            strict=True,
        )
    ]
    coefs = [*weights.coefs[:-1], np.tile(weights.coefs[-1].T, (k, 1))]
    others = [each for each in network.tensors if each.place == "others"]
    return Weights(
        [np.ascontiguousarray(array, network.dtype) for array in coefs],
        [array.astype(network.dtype) for array in intercepts],
        [],
        [np.ones(tensor.shape, network.dtype) for tensor in others],
    )


# ------------------------------------------------------------- the inverse link


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("n_members", [1, 2, 5])
def test_a_pool_is_the_mean_after_the_link(link, n_members):
    raw = np.random.default_rng(0).normal(scale=3.0, size=(n_members, 4))
    expected = np.zeros(4)
    for member in raw:
        out = np.empty(4)
        LINKS[link](member, out, 4)
        expected += out / n_members
    pooled, found = np.empty(4), np.empty(4)
    POOLS[link](raw.ravel().copy(), 4, pooled, n_members, 4)
    LINKS[link](pooled, found, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("link", LINKS)
def test_members_that_agree_are_what_they_agree_on(link):
    """To the bit where raw predictions have one form; probabilities to rounding."""
    one = np.array([-1.3, 0.2, 0.7])
    pooled, expected = np.empty(3), one
    POOLS[link](np.tile(one, 3), 3, pooled, 3, 3)
    if link == "softmax":
        expected = one - logsumexp(one)
    exact = dict(rtol=0, atol=0) if link in ("identity", "sorted", "exp") else {}
    np.testing.assert_allclose(pooled, expected, **{"rtol": 1e-15, **exact})


def test_pools_of_large_numbers_do_not_overflow():
    def pool(link, raw):
        out = np.empty(1 if link != "softmax" else 2)
        POOLS[link](np.array(raw), len(out), out, len(raw) // len(out), len(out))
        return out

    assert pool("logistic", [800.0, 900.0])[0] == pytest.approx(800.0 + math.log(2))
    assert pool("logistic", [-800.0, -900.0])[0] == pytest.approx(-800.0 - math.log(2))
    assert pool("logistic", [-800.0, 800.0])[0] == pytest.approx(0.0, abs=1e-12)
    assert pool("exp", [800.0, -800.0])[0] == pytest.approx(800.0 - math.log(2))
    first, second = pool("softmax", [900.0, 0.0, 0.0, 900.0])
    assert first == second == pytest.approx(-math.log(2))


# ------------------------------------------------------------------ one network


@FORMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("link", BY_LINK)
def test_equal_members_are_the_chain(adapters, dtype, link):
    """Few rows, with weights where they are, and many."""
    n_outputs = 1 if link == "logistic" else 3
    plain = make_network((6, 9, 8, n_outputs), "tanh", BY_LINK[link], dtype)
    network = of_members(plain, 4, adapters)
    weights = make_weights(plain)
    arrays = equal_members(network, weights)
    X, _ = make_data(plain, 40)
    expected = cpu.predict(plain, weights, X)
    for n_rows in (1, 4, 40):
        found = cpu.predict(network, arrays, X[:n_rows])
        np.testing.assert_allclose(found, expected[:n_rows], **tolerance_of(dtype))


@FORMS
def test_predictions_are_means_of_those_of_the_members(adapters):
    """Each of them a chain of its own weights."""
    plain = make_network((5, 7, 6, 3), "relu", "softmax")
    network = of_members(plain, 4, adapters)
    weights, (X, _) = make_weights(network), make_data(plain, 30)
    total = 0.0
    for member in range(4):
        others, coefs = iter(weights.others), []
        for coef in weights.coefs[:-1]:
            if adapters == "all" or not coefs:
                coef = next(others)[member][:, None] * coef
            if adapters == "all":
                coef = coef * next(others)[member]
            coefs.append(coef)
        coefs.append(weights.coefs[-1].reshape(4, 3, -1)[member].T)
        intercepts = [
            own if own.ndim == 1 else own[member] for own in weights.intercepts
        ]
        chain = [np.ascontiguousarray(array) for array in coefs], intercepts
        total = total + cpu.predict(plain, Weights(*chain), X) / 4
    np.testing.assert_allclose(cpu.predict(network, weights, X), total, rtol=1e-12)
    raw = cpu.predict(network, weights, X, raw=True)
    np.testing.assert_allclose(softmax(raw, axis=1), total, rtol=1e-12)


@FORMS
@pytest.mark.parametrize("loss", ["softmax", "log_loss", "poisson", "quantile"])
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_members_train_as_the_reference(adapters, loss, mixup):
    """Also with rows weighed, and losses by other weights."""
    network = of_members(make_network((5, 7, 6, 3), "tanh", loss), 4, adapters)
    rng = np.random.default_rng(3)
    data = *make_data(network, 45), rng.uniform(0.5, 2.0, 45), rng.uniform(size=45)
    tolerance = dict(rtol=1e-8, atol=1e-10)
    assert_same_training(
        network, data, **tolerance, solver="adamw", batch_size=20, mixup=mixup,
        dropout=(0.2, 0.4), learning_rate_init=1e-3, epochs=2,
    )  # fmt: skip


@FORMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_the_number_of_threads(adapters, dtype):
    """Batches of many blocks, with a number of members that tiles do not divide."""
    network = of_members(make_network((5, 20, 17, 2), dtype=dtype), 7, adapters)
    data = *make_data(network, 203), np.random.default_rng(3).uniform(size=203)
    results = []
    for n_threads in (1, 2, 3, 4, 7, 16):
        engine = make_engine(
            cpu, network, data, "adam", n_threads, batch_size=120, dropout=(0.2,)
        )
        weights = engine.get_weights()
        predictions = cpu.predict(network, weights, data[0], n_threads=n_threads)
        results.append([train(engine, 2), predictions, *results_of(engine)])
    for others in results[1:]:
        for one, many in zip(results[0], others, strict=True):
            assert np.array_equal(one, many)


@FORMS
@pytest.mark.parametrize(
    "options",
    [dict(dropout=(0.2, 0.4), clip_norm=0.1), dict(max_norm=0.5), dict(solver="muon")],
)
def test_bits_do_not_depend_on_the_parts_of_a_batch(adapters, options, set_parts):
    network = of_members(make_network((5, 20, 17, 2), dtype="float32"), 7, adapters)
    data, results = make_data(network, 203), []
    for lines, n_threads in ((None, 1), (0, 1), (120, 1), (0, 2), (0, 3)):
        set_parts(lines)
        engine = make_engine(
            cpu, network, data, n_threads=n_threads, batch_size=90, **options
        )
        assert is_in_parts(engine) == (lines is not None)
        results.append([train(engine, 2), *results_of(engine)])
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_buffers_that_layers_share_do_not_change_a_bit(monkeypatch, dtype):
    """Where inputs are copied, factors of all layers write to one buffer."""
    network = of_members(
        make_network((5, 21, 20, 19, 2), "tanh", dtype=dtype), 5, "all"
    )
    data, results = make_data(network, 103), []
    for size, n_threads in ((1 << 40, 1), (1, 1), (1, 3)):
        monkeypatch.setattr(cpu_dense, "PACK_SIZE", size)
        monkeypatch.setattr(cpu_dense, "PACK_FROM", 0)
        training_plans.training_plan.cache_clear()
        options = dict(batch_size=40, dropout=(0.2,))
        engine = make_engine(cpu, network, data, "adam", n_threads, **options)
        results.append([train(engine, 2), *results_of(engine)])
    training_plans.training_plan.cache_clear()
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            assert np.array_equal(one, other)


def test_loss_is_the_mean_of_those_of_the_members():
    plain = make_network((5, 7, 2), "tanh")
    network = of_members(plain, 4, "first")
    data = make_data(network, 20)
    engine = make_engine(cpu, network, data, batch_size=20, alpha=0.0)
    network_of_one = replace(network, nodes=of_members(plain, 1, "first").nodes)
    weights, losses = engine.get_weights(), []
    for member in range(4):
        part = slice(member, member + 1)
        alone = make_engine(cpu, network_of_one, data, batch_size=20, alpha=0.0)
        (factors,), (coef, head) = weights.others, weights.coefs
        intercept, of_head = weights.intercepts
        alone.set_weights(
            Weights(
                [coef, head[2 * member : 2 * member + 2].copy()],
                [intercept, of_head[part].copy()],
                [],
                [factors[part].copy()],
            )
        )
        losses.append(train(alone, 1)[0])
    assert train(engine, 1)[0] == pytest.approx(np.mean(losses), rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "score"),
    [("softmax", "accuracy"), ("log_loss", "multilabel_accuracy"), ("poisson", "r2")],
)
def test_validation_sees_one_prediction_of_a_row(loss, score):
    network = of_members(make_network((5, 7, 3), "tanh", loss), 4, "all")
    X, y = make_data(network, 130)
    engine = make_engine(cpu, network, (X, y))
    found = evaluate(engine, X, y, score=score)
    raw = cpu.predict(network, engine.get_weights(), X, raw=True)
    if score == "accuracy":
        losses = -np.log(softmax(raw, axis=1))[np.arange(130), y[:, 0].astype(int)]
        expected = accuracy_score(y[:, 0], raw.argmax(axis=1))
        smoothing = network.loss_parameters[0]
        losses = (1 - smoothing) * losses - smoothing * np.log(softmax(raw, 1)).mean(1)
        assert found[0] == pytest.approx(losses.mean(), rel=1e-9)
    elif score == "multilabel_accuracy":
        expected = accuracy_score(y, expit(raw) > 0.5)
    else:
        expected = r2_score(y, np.exp(raw))
    assert found[1] == pytest.approx(expected, rel=1e-9)
    naive = make_engine(numpy_engine, network, (X, y))
    np.testing.assert_allclose(found, evaluate(naive, X, y, score=score), rtol=1e-9)


# ---------------------------------------------------------------- starting values


@pytest.mark.parametrize("initialization", ["glorot", "he", "orthogonal"])
def test_members_start_apart_and_with_the_same_matrices(initialization):
    plain = make_network((5, 7, 6, 3))
    network = of_members(plain, 64, "all")
    start = initial_weights(network, np.random.RandomState(0), initialization)
    assert [coef.shape for coef in start.coefs] == [(5, 7), (7, 6), (192, 6)]
    first, *adapters = start.others
    assert set(np.unique(first)) == {-1.0, 1.0}
    for number, (n_in, n_out) in enumerate([(5, 7), (7, 6)]):
        bias = start.intercepts[number]
        assert bias.shape == (64, n_out) and (bias == bias[0]).all()
        assert 0.0 < np.abs(bias).max() <= 1 / np.sqrt(n_in)
    assert len(adapters) == 3 and all((array == 1.0).all() for array in adapters)
    for array in (start.coefs[-1], start.intercepts[-1]):
        assert 0.9 / np.sqrt(6) < np.abs(array).max() <= 1 / np.sqrt(6)
        assert len(np.unique(array)) == array.size


def test_columns_of_a_block_start_with_one_factor():
    network = of_members(make_network((5, 7, 3)), 200, "first", (2, 1, 2))
    first = initial_weights(network, np.random.RandomState(0)).others[0]
    assert (first[:, 0] == first[:, 1]).all() and (first[:, 3] == first[:, 4]).all()
    assert len(np.unique(first)) == 600
    assert abs(first.std() - 1.0) < 0.1


# ------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            (members((0,)), normed((1,), "batch", None)),
            r"Node 1 \('normalization'\) .* one line for each row, got 3 lines",
        ),
        (
            (dense((0,), 5), members((0,)), dense((1, 2), 5)),
            r"Node 2 .* same number of lines for each row, got \[1, 3\]",
        ),
        ((members((0,)), members((1,))), r"Node 1 .* have 1 lines .* got 3"),
        ((members((0,), None),), r"Node 0 .* must have 3 lines for each row, got 1"),
        ((adapter((0,), None),), r"Node 0 .* must have 3 lines .* got 1"),
        ((head((0,), 2),), r"Node 0 \('member_head'\) .* 3 lines for each row, .* 1"),
        ((members((0,)), head((1,), 0)), r"Node 1 .* n_out must be at least 1, got 0"),
        ((members((0,), "ones", (2, 2)),), r"all of its inputs, got 4"),
        ((members((0,), "twos"),), r"factors start from one of .* got 'twos'"),
        ((members((0, 0)),), "takes one input, got 2"),
    ],
)
def test_nodes_that_do_not_fit_are_refused(nodes, message):
    with pytest.raises(ValueError, match=message):
        graph(5, *nodes)


@pytest.mark.parametrize(
    ("structure", "n_members", "adapters", "message"),
    [
        (dict(normalization="batch"), 4, "first", "need normalization=None or 'layer'"),
        (dict(normalization="layer"), 4, "all", "Use adapters='first'"),
        (dict(residual=True), 4, "all", "without normalization and residual"),
        ({}, 0, "all", "n_members must be at least 1, got 0"),
        ({}, 4, "last", r"adapters must be one of \('all', 'first'\), got 'last'"),
    ],
)
def test_chains_that_members_cannot_share_are_refused(
    structure, n_members, adapters, message
):
    layers = make_network((5, 7, 3), **structure).layers
    with pytest.raises(ValueError, match=message):
        member_nodes(layers, (), Members(n_members, adapters))
