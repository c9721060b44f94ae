"""Networks that are graphs, of many readers and sums, against the naive engine."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnfit.cpu import engine as cpu
from nnfit.cpu.prediction import FEW_ROWS
from nnfit.network.kinds import Factors, Node
from nnfit.network.passes import in_order
from tests import numpy_engine
from tests.engines import (
    TIGHT,
    assert_same_training,
    make_data,
    make_engine,
    make_weights,
    numerical_gradient,
    results_of,
    some_places,
    tolerance_of,
    train,
    trained_elements,
)
from tests.features import CLIPPED, batch_factors
from tests.graphs import (
    GRAPHS,
    TANH,
    dense,
    graph,
    graphs,
    normed,
    reads_codes,
    sparse_features,
    together,
)
from tests.numpy_engine.network import split
from tests.numpy_engine.randomness import Draws
from tests.pairs import in_turn, pairs, pairwise, quick_every

ALL = pytest.mark.parametrize("name", GRAPHS)
N_FEATURES = 5
OPTIONS = {
    "plain": {},
    "dropped": dict(dropout=(0.3, 0.5)),
    "augmented": dict(dropout=(0.3, 0.5), input_dropout=0.2, mixup=0.4),
    "clipped": CLIPPED,
    "scheduled": dict(
        batch_factors=batch_factors,
        average=True,
        learning_rate_factors=(0.5, 2.0, 1.0),
    ),
}


def make(name, dtype="float64"):
    return graph(N_FEATURES, *GRAPHS[name], dtype=dtype)


def options_of(name, network):
    """Options of an engine, with as many rates of dropout as there are."""
    options = dict(OPTIONS[name])
    if "dropout" in options:
        options["dropout"] = options["dropout"][: network.n_dropout]
    if "learning_rate_factors" in options:
        factors = options["learning_rate_factors"]
        options["learning_rate_factors"] = factors[: network.n_layers]
    if reads_codes(network):  # a mixture of equal codes is one, or the number beside it
        options.pop("mixup", None)
    return options


#: Any two values meet in one of them.
WAYS = pairs(
    options=OPTIONS,
    solver=["sgd", "adamw", "muon", "schedule_free"],
    dtype=["float32", "float64"],
    sparse=[False, True],
    weighted=[False, True],
)


@pytest.mark.slow
@in_turn(name=GRAPHS, way=WAYS)
def test_a_graph_trains_as_the_reference(name, way):
    dtype, solver = way["dtype"], way["solver"]
    network = make(name, dtype)
    options = options_of(way["options"], network)
    X, y = make_data(network, 65)
    if way["sparse"]:
        X = scipy.sparse.csr_array(sparse_features(X))
    if solver == "schedule_free":  # an average itself
        options.pop("average", None)
    weight = np.random.default_rng(3).integers(0, 3, size=65).astype(float)
    data = (X, y, weight) if way["weighted"] else (X, y)
    assert_same_training(
        network, data, **tolerance_of(dtype), solver=solver, learning_rate_init=1e-3,
        **options,
    )  # fmt: skip


def test_a_rate_of_zero_drops_nothing_of_a_layer_without_slopes():
    network = make("embedded numbers")
    data = make_data(network, 20)
    assert_same_training(network, data, **tolerance_of("float64"), dropout=(0.0, 0.5))


@pytest.mark.parametrize("name", quick_every(2, GRAPHS))
def test_gradient_of_all_data(name):
    """As L-BFGS takes it: the derivative, and that of the naive engine."""
    network = make(name)
    if network.has_statistics or name == "contrast":
        pytest.skip("estimators refuse lbfgs where rows depend on those of a batch")
    data = *make_data(network, 9), np.random.default_rng(5).uniform(0.5, 2.0, size=9)
    engine = make_engine(cpu, network, data, None, 2, alpha=0.3, batch_size=4)
    flat = engine.flat.copy()
    loss, gradient = engine.loss_and_gradient(flat)
    used = trained_elements(network, flat)
    places = some_places(used, 40)  # all elements are compared below
    expected = numerical_gradient(
        lambda at: engine.loss_and_gradient(at)[0], flat, places=places
    )
    assert np.abs(gradient - expected)[places].max() < 1e-7 * np.abs(expected).max()
    assert not gradient[~used].any()
    naive = make_engine(numpy_engine, network, data, None, alpha=0.3)
    loss_of_naive, gradient_of_naive = naive.loss_and_gradient(naive.flat)
    assert loss == pytest.approx(loss_of_naive, rel=1e-12)
    parts = zip(
        engine.get_weights(gradient), naive.get_weights(gradient_of_naive), strict=True
    )
    for part, others in parts:
        for one, other in zip(part, others, strict=True):
            np.testing.assert_allclose(one, other, **TIGHT)


@pytest.mark.slow
@ALL
def test_the_naive_gradient_is_the_derivative_of_the_naive_loss(name):
    """With units dropped and statistics of the batch."""
    network = make(name)
    data = make_data(network, 7)
    engine = make_engine(numpy_engine, network, data, dropout=(0.3, 0.5))
    rows, draws = np.arange(7), Draws(seed=3, step=8, position=11)
    gradient = engine.batch(engine.flat, rows, draws)[1]
    places = some_places(np.ones(len(engine.flat), bool), 60)
    expected = numerical_gradient(
        lambda at: engine.batch(at, rows, draws)[0], engine.flat, places=places
    )
    arrays = in_order(split(network, expected))
    for tensor, array in zip(network.tensors, arrays, strict=True):
        if tensor.n_trained is not None:
            array[tensor.n_trained :] = 0.0  # statistics and what comes from data
    assert np.abs(gradient - expected)[places].max() < 1e-7 * np.abs(expected).max()


@in_turn(name=GRAPHS, options=OPTIONS, dtype=["float32", "float64"])
def test_bits_do_not_depend_on_threads_and_blocks(name, options, dtype, set_parts):
    network = make(name, dtype)
    options = options_of(options, network)
    data = make_data(network, 217)
    results = []
    for n_threads, lines in ((1, None), (1, 0), (2, None), (3, 30), (7, 0)):
        set_parts(lines)
        engine = make_engine(
            cpu, network, data, "adam", n_threads, batch_size=120, **options
        )
        results.append([train(engine, 2), *results_of(engine)])
    for others in results[1:]:
        for one, many in zip(results[0], others, strict=True):
            assert np.array_equal(one, many)


@pairwise(name=GRAPHS, dtype=["float32", "float64"])
def test_predictions_do_not_depend_on_the_other_rows(name, dtype):
    network = make(name, dtype)
    X, _ = make_data(network, 197)
    X = sparse_features(X)
    weights = make_weights(network)
    together = cpu.predict(network, weights, X, n_threads=2)
    expected = numpy_engine.predict(network, weights, X)
    np.testing.assert_allclose(together, expected, **tolerance_of(dtype))
    for n_rows in (1, FEW_ROWS, FEW_ROWS + 1, 97):
        parts = [X[i : i + n_rows].copy() for i in range(0, len(X), n_rows)]
        for change in (np.asarray, scipy.sparse.csr_array):
            alone = [cpu.predict(network, weights, change(part)) for part in parts]
            assert np.array_equal(together, np.concatenate(alone))


@ALL
def test_units_are_dropped_from_predictions_as_in_the_reference(name):
    network = make(name)
    X, _ = make_data(network, 40)
    rates = options_of("dropped", network)["dropout"]
    weights, dropout = make_weights(network), (rates, 0.2, 7, 3)
    results = [
        module.predict(network, weights, X, dropout=dropout)
        for module in (cpu, numpy_engine)
    ]
    np.testing.assert_allclose(*results, **TIGHT)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    network=graphs(),
    name=st.sampled_from(list(OPTIONS)),
    solver=st.sampled_from(["sgd", "muon"]),
    n_threads=st.integers(1, 3),
)
def test_any_graph_trains_as_the_reference(network, name, solver, n_threads):
    tolerance = tolerance_of(network.dtype)
    if solver == "muon":  # which makes a step of rounding where a gradient is 0
        network = replace(network, dtype="float64")
        tolerance = dict(rtol=1e-5, atol=1e-7)
    assert_same_training(
        network, make_data(network, 19), epochs=2, solver=solver, batch_size=7,
        n_threads=n_threads, **options_of(name, network), learning_rate_init=1e-4,
        **tolerance,
    )  # fmt: skip


def test_factors_of_a_tensor_are_those_of_its_step():
    """Of plain gradient descent: rate, decay and penalty, of this tensor alone."""
    factors = Factors(0.5, 3.0, 2.0), Factors(0.25)
    networks = [
        graph(4, dense((0,), 3, TANH, factors=given), dense((1,), 2))
        for given in ((), factors)
    ]
    data = make_data(networks[0], 20)
    options = dict(batch_size=20, learning_rate_init=0.1, hyper=(0.0,))

    def steps_of(network, **others):
        engine = make_engine(cpu, network, data, "sgd", **{**options, **others})
        before = engine.get_weights()
        train(engine, 1)
        return [
            one - other
            for part, others in zip(engine.get_weights(), before, strict=True)
            for one, other in zip(part, others, strict=True)
        ]

    plain, changed = (steps_of(network, alpha=0.0) for network in networks)
    for rate, one, other in zip((0.5, 1.0, 0.25, 1.0), plain, changed, strict=True):
        np.testing.assert_allclose(other, rate * one, rtol=1e-12)
    of_penalty = [
        [a - b for a, b in zip(steps_of(n, alpha=0.4), s, strict=True)]
        for n, s in zip(networks, (plain, changed), strict=True)
    ]
    for rate, one, other in zip((1.0, 1.0), *of_penalty, strict=False):
        np.testing.assert_allclose(other, rate * one, rtol=1e-9)


# ------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "needs at least one node, got none"),
        (
            (dense((0,), 3), dense((3,), 3), dense((2,), 3)),
            r"Node 1 \('dense'\) reads value 3, but only values 0 to 1 come before it: "
            "a graph must not have a circle",
        ),
        (
            (dense((1,), 3),),
            r"Node 0 \('dense'\) reads value 1, but only values 0",
        ),
        ((dense((-1,), 3),), r"Node 0 \('dense'\) reads value -1"),
        (
            (dense((0,), 3), dense((1, 0), 4)),
            r"Node 1 \('dense'\) does not fit its inputs of \[3, 5\] units: .* its 4 "
            "units, got 5",
        ),
        ((dense((0,), 0),), r"Node 0 \('dense'\) .* n_out must be at least 1, got 0"),
        ((dense((), 3),), r"Node 0 \('dense'\) .* takes one or two inputs, got 0"),
        ((dense((0, 0, 0), 5),), r"Node 0 \('dense'\) .* one or two inputs, got 3"),
        ((together(0), dense((1,), 2)), r"Node 0 \('concatenation'\) .* two inputs"),
        ((normed((0, 0), "layer", None),), r"Node 0 \('normalization'\) .* one input"),
        ((Node("scale", (0, 0)),), r"Node 0 \('scale'\) .* takes one input, got 2"),
        (
            (Node("parametric_activation", (0,)), dense((1,), 2)),
            r"Node 0 \('parametric_activation'\) .* needs an activation, got None",
        ),
        (
            (dense((0,), 3), Node("attention", (1,))),
            r"Node 1 \('attention'\).* kind must be one of .* got 'attention'",
        ),
        ((dense((0,), 3), dense((0,), 2)), r"Node 0 \('dense'\) is read by no other"),
        (
            (dense((0,), 3), dense((1,), 2, TANH)),
            r"Node 1 \('dense'\), the last one, must have neither activation",
        ),
        ((dense((0,), 3, dropout=0),), r"Node 0 .* neither activation nor dropout"),
        ((together(0, 0),), "needs parameters to train, got none"),
        (
            (dense((0,), 3, factors=(Factors(),)),),
            r"Node 0 \('dense'\) must have factors for each of its 2 arrays.* got 1",
        ),
        (
            (dense((0,), 3, factors=(Factors(), Factors(is_penalised=True))),),
            "'intercept' is one that can decay, and not be penalised, got .* 1.0",
        ),
    ],
)
def test_graphs_that_do_not_fit_are_refused(nodes, message):
    with pytest.raises(ValueError, match=message):
        graph(N_FEATURES, *nodes)
