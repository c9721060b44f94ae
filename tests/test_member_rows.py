"""Members that share weights with rows of each one's own, in training."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV
from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from nnfit.cuda.data import Data
from nnfit.network.members import ADAPTERS, Members
from tests import numpy_engine
from tests.cuda import tiles
from tests.engines import (
    assert_same_training,
    is_in_parts,
    make_data,
    make_engine,
    make_network,
    results_of,
    tolerance_of,
    train,
)
from tests.graphs import (
    EXAMPLES,
    GRAPHS,
    OF_BATCHES,
    OF_MEMBERS,
    OF_PAIRS,
    dense,
    graph,
    head,
    members,
    name_of,
    sparse_features,
)
from tests.pairs import in_turn, pairwise

OPTIONS = {
    "plain": {},
    "mixup": dict(mixup=0.4),
    "noise": dict(input_noise=0.3),
    "dropout": dict(input_dropout=0.3, dropout=(0.2, 0.4)),
    "all, clipped": dict(
        mixup=0.4, input_noise=0.1, input_dropout=0.2, dropout=(0.3, 0.2), clip_norm=0.1
    ),
}
DATA = ["plain", "weights", "weights of losses", "some rows", "sparse"]
#: Layers that may stand before the members.
BEFORE = [
    case
    for case in EXAMPLES
    if case not in OF_MEMBERS | OF_BATCHES and case[0] not in OF_PAIRS | {"members"}
]
FIRST = {kind: (kind, what) for kind, what in reversed(BEFORE)}.values()
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
own_rows = partial(assert_same_training, own_rows=True)


def of_members(n_members, adapters, dtype="float64", sizes=(5, 7, 6, 3), **options):
    shared = Members(n_members, adapters)
    return make_network(sizes, "tanh", dtype=dtype, members=shared, **options)


def data_of(name, network, n_rows):
    """Data, and options that belong to them."""
    rng = np.random.default_rng(3)
    weights = rng.integers(0, 3, n_rows).astype(float), rng.uniform(size=n_rows)
    X, y = make_data(network, n_rows)
    if name == "sparse":
        return (scipy.sparse.csr_matrix(sparse_features(X)), y), {}
    if name == "some rows":
        return (X, y, weights[0]), dict(rows=np.arange(2, n_rows - 3)[::-1].copy())
    return (X, y, *weights[: DATA.index(name)]), {}


# --------------------------------------------------------------- which rows they are


@pytest.mark.parametrize("module", [cpu, cuda])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_rows", [12, 13])
def test_members_see_each_row_once_an_epoch_and_others_in_a_step(
    module, shuffle, n_rows
):
    """A row of features of its own for each, so factors of it move with it alone."""
    network = of_members(3, "first", sizes=(n_rows, 4, 1))
    data = np.eye(n_rows), np.ones((n_rows, 1))
    with tiles.small_gpu():
        engine = make_engine(
            module, network, data, "sgd", batch_size=2, shuffle=shuffle, alpha=0.0,
            hyper=(0.0, 0.0), own_rows=True,
        )  # fmt: skip
        seen = np.zeros((3, n_rows), int)
        for _ in range(-(-n_rows // 2)):
            before = engine.get_weights().others[0]
            engine.train(1, seconds=0.0)  # a batch
            moved = engine.get_weights().others[0] != before
            assert moved.sum(axis=0).max() == 1
            seen += moved
        assert engine.progress.epoch == 1
        engine.close()
    assert (seen == 1).all()


# ---------------------------------------------------------------- against the naive


@pairwise(
    options=OPTIONS,
    data=DATA,
    adapters=ADAPTERS,
    shuffle=[False, True],
    dtype=["float32", "float64"],
)
def test_they_train_as_the_reference(options, data, adapters, shuffle, dtype):
    """Also with a smaller batch at the end, and a member that begins within one."""
    network = of_members(4, adapters, dtype, loss="softmax")
    data, rows = data_of(data, network, 45)
    own_rows(
        network, data, **tolerance_of(dtype), solver="adamw", batch_size=20,
        learning_rate_init=1e-3, shuffle=shuffle, **OPTIONS[options], **rows,
    )  # fmt: skip


@pytest.mark.slow
@in_turn(
    options=OPTIONS,
    data=["weights of losses", "some rows", "weights", "plain", "sparse"],
    shuffle=[False, True],
    launches=[False, True, True],
    window=[24, 48, None],
)
def test_they_train_on_a_gpu_as_the_reference(
    options, data, shuffle, launches, window, monkeypatch
):
    """Also where the device has room for the rows of one batch or two."""
    network = of_members(3, "all", loss="softmax")
    data, rows = data_of(data, network, 55)
    place, decided = Data.place, []

    def place_in_little(self, stream, free, batch):
        place(self, stream, free if window is None else self._bytes(window), batch)
        decided.append(self.window)

    monkeypatch.setattr(Data, "place", place_in_little)
    with tiles.small_gpu(launches=launches):
        own_rows(
            network, data, rtol=1e-8, atol=1e-10, solver="adamw", batch_size=8,
            learning_rate_init=1e-3, shuffle=shuffle, epochs=2,
            modules=(cuda, numpy_engine), **OPTIONS[options], **rows,
        )  # fmt: skip
    assert decided[0] == window


@pytest.mark.parametrize(
    ("module", "example"),
    [(cpu, example) for example in BEFORE]
    + [pytest.param(cuda, example, marks=pytest.mark.slow) for example in FIRST],
    ids=name_of,
)
def test_every_layer_before_them_trains_as_the_reference(module, example):
    """On a GPU the first of each kind; all are in tests/cuda/test_kinds.py."""
    after = members((1,), "normal"), dense((2,), 6), head((3,), 2)
    network = graph(5, EXAMPLES[example](0, 5), *after)
    data = make_data(network, 29)
    with tiles.small_gpu():
        own_rows(
            network, data, **tolerance_of("float64"), batch_size=12, epochs=2,
            modules=(module, numpy_engine),
        )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in GRAPHS if "member" in name])
def test_graphs_with_members_train_as_the_reference(name):
    network = graph(5, *GRAPHS[name])
    dropout = (0.2, 0.4)[: network.n_dropout]
    options = dict(batch_size=12, epochs=2, dropout=dropout)
    own_rows(network, make_data(network, 29), **tolerance_of("float64"), **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_the_number_of_threads(dtype):
    network = of_members(7, "all", dtype, sizes=(5, 20, 17, 2))
    data = *make_data(network, 203), np.random.default_rng(3).uniform(size=203)
    results = []
    for n_threads in (1, 2, 3, 4, 7, 16):
        engine = make_engine(
            cpu, network, data, "adam", n_threads, batch_size=60, shuffle=True,
            own_rows=True, **OPTIONS["all, clipped"],
        )  # fmt: skip
        results.append([train(engine, 2), *results_of(engine)])
    for others in results[1:]:
        for one, many in zip(results[0], others, strict=True):
            assert np.array_equal(one, many)


@pytest.mark.parametrize("adapters", ADAPTERS)
def test_bits_do_not_depend_on_the_parts_of_a_batch(adapters, set_parts):
    """A batch passes the end of the order, and a part of it, too."""
    network = of_members(7, adapters, "float32", sizes=(5, 20, 17, 2))
    data = *make_data(network, 203), np.random.default_rng(3).uniform(size=203)
    results = []
    for lines, n_threads in ((None, 1), (0, 1), (0, 3)):
        set_parts(lines)
        engine = make_engine(
            cpu, network, data, "adam", n_threads, batch_size=60, shuffle=True,
            own_rows=True, dropout=(0.3, 0.2), input_noise=0.1, clip_norm=0.1,
        )  # fmt: skip
        assert is_in_parts(engine) == (lines is not None)
        results.append([train(engine, 2), *results_of(engine)])
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("module", [cpu, cuda, numpy_engine])
def test_the_gradient_of_all_rows_does_not_depend_on_their_order(module):
    network = of_members(4, "all")
    data, _ = data_of("weights of losses", network, 29)
    found = []
    with tiles.small_gpu():
        for own in (False, True):
            options = dict(solver=None, batch_size=8, own_rows=own)
            engine = make_engine(module, network, data, **options)
            found.append(engine.loss_and_gradient(engine.flat))
            engine.close()
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-9, atol=1e-12)


def test_networks_without_members_are_as_they_were():
    network = make_network((5, 7, 3))
    assert network.with_own_rows is network
    own = of_members(4, "all").with_own_rows
    assert own.with_own_rows is own and own.lines[0] == 4
    assert own.tensors == of_members(4, "all").tensors


# ----------------------------------------------------------------------- estimators


def table(n=200):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    return X, np.sin(2.0 * X[:, 0]) + X[:, 1]


SMALL = dict(
    hidden_layer_sizes=(8,), n_shared_members=4, max_iter=10, batch_size=32,
    learning_rate_init=0.01, random_state=0, member_rows="own",
)  # fmt: skip


def test_it_is_a_way_to_train_that_may_change():
    """The network is the same: saved, warm started and predicted with as such."""
    X, y = table()
    own = MLPRegressor(**SMALL, warm_start=True).fit(X, y)
    shared = MLPRegressor(**{**SMALL, "member_rows": "shared"}).fit(X, y)
    assert [each.shape for each in own.coefs_] == [each.shape for each in shared.coefs_]
    assert not np.array_equal(own.coefs_[0], shared.coefs_[0])
    assert own.loss_ == pytest.approx(shared.loss_, rel=0.2)
    before = own.loss_
    own.set_params(member_rows="shared").fit(X, y)
    assert own.loss_ < before
    parts = MLPRegressor(**SMALL)
    for _ in range(20):
        parts.partial_fit(X, y)
    assert parts.loss_curve_[-1] < 0.5 * parts.loss_curve_[0]


def test_weights_count_rows_as_often():
    """Weights of 0 leave rows out of all members' batches."""
    X, y = table()
    weight = np.arange(200) % 2
    one = MLPRegressor(**{**SMALL, "batch_size": 200}).fit(X, y, weight)
    spoilt = np.where(weight == 0, 1e3, y)
    other = MLPRegressor(**{**SMALL, "batch_size": 200}).fit(X, spoilt, weight)
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_lbfgs_has_no_batches():
    X, y = table()
    options = {**SMALL, "solver": "lbfgs", "batch_size": "auto"}
    one = MLPRegressor(**options).fit(X, y)
    other = MLPRegressor(**{**options, "member_rows": "shared"}).fit(X, y)
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_a_search_compares_both():
    X, y = table()
    grid = {"member_rows": ["shared", "own"]}
    labels = (y > 0).astype(int)
    options = {**SMALL, "early_stopping": True}
    search = PopulationSearchCV(MLPClassifier(**options), grid, cv=2, random_state=0)
    scores = search.fit(X, labels).cv_results_["mean_test_score"]
    assert len(scores) == 2 and min(scores) > 0.7
