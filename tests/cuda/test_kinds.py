"""Every kind of layer, and networks that are graphs, on a GPU: as the naive engine.

Cases come from `tests.graphs`, as those of the CPU.
"""

import numpy as np
import pytest
import scipy.sparse

from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from tests import numpy_engine
from tests.cuda import tiles
from tests.engines import (
    assert_same_training,
    make_data,
    make_engine,
    make_weights,
    results_of,
    tolerance_of,
    train,
)
from tests.features import CLIPPED, batch_factors
from tests.graphs import (
    EXAMPLES,
    GRAPHS,
    PLACES,
    categories,
    dense,
    graph,
    name_of,
    sparse_features,
)
from tests.pairs import in_turn, pairs, quick_every

MODULES = cuda, numpy_engine
OPTIONS = {
    "plain": {},
    "dropped": dict(dropout=(0.3, 0.5)),
    "clipped": dict(CLIPPED, solver="muon"),
    "scheduled": dict(
        batch_factors=batch_factors, average=True, solver="adamw",
        learning_rate_factors=(0.5, 2.0, 1.0),
    ),
}  # fmt: skip


def make(name, dtype):
    """Network of a graph, and its options with as many rates of dropout as it has."""
    return graph(5, *GRAPHS[name], dtype=dtype)


def options_of(name, network):
    options = dict(OPTIONS[name])
    if "dropout" in options:
        options["dropout"] = options["dropout"][: network.n_dropout]
    return options


#: Every fourth graph in the quick part.
SOME = pytest.mark.parametrize("name", quick_every(4, GRAPHS))
#: Of each kind the first example is in the quick part.
FIRST = {kind: (kind, what) for kind, what in reversed(EXAMPLES)}.values()


@in_turn(
    example=[
        example if example in FIRST else pytest.param(example, marks=pytest.mark.slow)
        for example in EXAMPLES
    ],
    way=pairs(place=PLACES, dtype=["float32", "float64"], launches=[False, True]),
)
def test_every_kind_trains_as_the_reference(example, way):
    dtype = way["dtype"]
    network = PLACES[way["place"]](example, dtype=dtype)
    data = make_data(network, 13)
    with tiles.small_gpu(launches=way["launches"]):
        assert_same_training(
            network, data, modules=MODULES, **tolerance_of(dtype), batch_size=8,
            epochs=2,
        )  # fmt: skip


@pytest.mark.slow
@in_turn(
    name=GRAPHS,
    way=pairs(
        options=OPTIONS,
        dtype=["float32", "float64"],
        sparse=[False, True],
        launches=[False, True],
    ),
)
def test_a_graph_trains_as_the_reference(name, way):
    dtype = way["dtype"]
    network = make(name, dtype)
    X, y = make_data(network, 13)
    if way["sparse"]:
        X = scipy.sparse.csr_array(sparse_features(X))
    options = {"learning_rate_init": 1e-3, **options_of(way["options"], network)}
    with tiles.small_gpu(launches=way["launches"]):
        assert_same_training(
            network, (X, y), modules=MODULES, **tolerance_of(dtype), batch_size=8,
            epochs=2, **options,
        )  # fmt: skip


@SOME
def test_a_graph_does_not_depend_on_the_number_of_blocks(name):
    network = make(name, "float32")
    results = []
    for n_threads, n_blocks in ((4, 1), (4, 3)):
        with tiles.small_gpu(n_threads, n_blocks):
            options = options_of("dropped", network)
            data = make_data(network, 9)
            engine = make_engine(cuda, network, data, batch_size=5, **options)
            results.append([train(engine, 1), *results_of(engine)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@SOME
def test_a_graph_predicts_as_the_cpu(small_gpu, name):
    """Also with units dropped."""
    network = make(name, "float64")
    weights, (X, _) = make_weights(network), make_data(network, 11)
    for dropout in (None, ((0.3, 0.6)[: network.n_dropout], 0.2, 5, 3)):
        found, expected = (
            module.predict(network, weights, X, dropout=dropout)
            for module in (cuda, cpu)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("options", [{}, CLIPPED], ids=["plain", "clipped"])
def test_lines_that_a_batch_does_not_have_keep_their_bits(small_gpu, options):
    """Values and moments."""
    network = graph(2, categories(0, 2, "ee"), dense((1,), 2))
    X, y = make_data(network, 13)
    engine = make_engine(cuda, network, (X, y), batch_size=8, **options)
    train(engine, 1)
    before = engine.get_weights().others[1], engine.get_state()["moments"]
    engine.set_data(np.ones_like(X), y)  # code 1 of both columns, line 2
    train(engine, 2)
    after = engine.get_weights().others[1], engine.get_state()["moments"]
    kept = ~np.isin(np.arange(len(before[0])), (2, 3 + 2))
    of_vectors = slice(-before[0].size, None)
    parts = [
        (part[0], *part[1][:, of_vectors].reshape(2, *part[0].shape))
        for part in (before, after)
    ]
    for one, other in zip(*parts, strict=True):
        assert np.array_equal(one[kept], other[kept])
        assert (one[~kept] != other[~kept]).all()


@pytest.mark.parametrize("example", quick_every(3, FIRST), ids=name_of)
def test_state_goes_from_device_to_device(small_gpu, example):
    network = PLACES["between"](example)
    data = make_data(network, 13)
    engines = [make_engine(module, network, data) for module in (cuda, cpu)]
    states = []
    for engine in engines:
        train(engine, 2)
        states.append(engine.get_state())
    for name, values in states[0].items():
        np.testing.assert_allclose(values, states[1][name], rtol=1e-8, atol=1e-11)
    engines[0].set_state(states[1])
    engines[1].set_state(states[0])
