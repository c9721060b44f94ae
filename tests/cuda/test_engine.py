"""The engine on a GPU against the naive one, against the CPU's, and against itself."""

import gc

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfit import population
from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from nnfit.cuda import launching
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.custom import custom_activation, custom_loss
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.functions.stopping import CONVERGED, DIVERGED
from nnfit.network import Network, Weights
from tests import numpy_engine
from tests.cuda import tiles
from tests.cuda.emulated_device import CUresult
from tests.engines import (
    TIGHT,
    assert_other_states_are_refused,
    assert_same_training,
    evaluate,
    make_data,
    make_engine,
    make_network,
    make_weights,
    numerical_gradient,
    results_of,
    tolerance_of,
    train,
)
from tests.pairs import in_turn
from tests.test_custom_functions import squared, swish

pytestmark = pytest.mark.usefixtures("small_gpu")

MODULES = cuda, numpy_engine


def assert_trains_as_the_reference(network, n_rows=19, **options):
    """Two epochs; the last batch has 3 rows."""
    options = {"batch_size": 8, "epochs": 2, **tolerance_of(network.dtype), **options}
    data = make_data(network, n_rows)
    assert_same_training(network, data, modules=MODULES, **options)


# ------------------------------------------------- each row of each registry


@in_turn(name=ACTIVATIONS, dtype=["float32", "float64"])
def test_every_activation_trains_as_the_reference(name, dtype):
    network = make_network((5, 9, 6, 3), name, "softmax", dtype)
    assert_trains_as_the_reference(network)


@in_turn(name=LOSSES, dtype=["float32", "float64"])
def test_every_loss_trains_as_the_reference(name, dtype):
    """And predicts, by its inverse link."""
    network = make_network((4, 7, 3), "tanh", name, dtype)
    assert_trains_as_the_reference(network)


@in_turn(solver=OPTIMIZERS, dtype=["float32", "float64"])
def test_every_optimizer_trains_as_the_reference(solver, dtype):
    network = make_network((4, 7, 2), "tanh", dtype=dtype)
    assert_trains_as_the_reference(network, solver=solver)


def test_activations_by_layer():
    rows = [ACTIVATIONS[name] for name in ("tanh", "identity", "relu", "tanh")]
    loss = LOSSES["squared_error"]
    network = Network.dense((4, 7, 6, 5, 4, 2), rows, loss, (), "float64")
    assert_trains_as_the_reference(network)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_the_user(dtype):
    loss = custom_loss(squared, "regression")
    own = Network.dense((4, 7, 5, 2), [custom_activation(swish)] * 2, loss, (), dtype)
    known = make_network((4, 7, 5, 2), "silu", dtype=dtype)
    data = make_data(known, 19)
    own, known = (
        make_engine(cuda, network, data, batch_size=8) for network in (own, known)
    )
    tolerance = tolerance_of(dtype)
    train(own, 3), train(known, 3)
    for one, other in zip(results_of(own), results_of(known), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)
    looks = [evaluate(engine, *data, score="r2") for engine in (own, known)]
    assert looks[0][0] == pytest.approx(2.0 * looks[1][0], rel=1e-4)
    assert looks[0][1] == pytest.approx(looks[1][1], rel=1e-4)


# -------------------------------------------------------------- any shape


SIZES = st.one_of(st.integers(1, 9), st.sampled_from([12, 16, 17]))


@settings(max_examples=8, deadline=None)
@given(
    sizes=st.lists(SIZES, min_size=2, max_size=4),
    n_rows=st.integers(1, 20),
    batch_size=st.integers(1, 20),
    dtype=st.sampled_from(["float32", "float64"]),
    density=st.sampled_from([None, 0.1, 0.5]),
    weighted=st.booleans(),
    n_threads=st.sampled_from([1, 1, 1, 4]),
    launches=st.booleans(),
)
def test_any_shape_trains_as_the_reference(
    sizes, n_rows, batch_size, dtype, density, weighted, n_threads, launches
):
    network = make_network(sizes, "tanh", dtype=dtype)
    rng = np.random.default_rng(0)
    X, y = make_data(network, n_rows)
    if density is not None:
        X = scipy.sparse.csr_array(np.where(rng.uniform(size=X.shape) < density, X, 0))
    weight = rng.integers(0, 3, size=n_rows).astype(np.float64)
    weight[0] = 1.0
    with tiles.small_gpu(n_threads, launches=launches):
        assert_same_training(
            network,
            (X, y, weight) if weighted else (X, y),
            modules=MODULES,
            epochs=1,
            solver="sgd",
            batch_size=min(batch_size, n_rows),
            learning_rate_init=1e-3,
            **tolerance_of(dtype),
        )


# --------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    ("activation", "loss"), [("gelu", "squared_error"), ("tanh", "softmax")]
)
def test_gradient_is_the_derivative_of_the_loss(activation, loss):
    """Other losses have gradients that train as the reference's."""
    network = make_network((2, 3, 2), activation, loss)
    check_gradient(network)


@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
def test_gradients_of_normalised_and_residual_layers(normalization):
    sizes = (2, 3, 3, 2)
    network = make_network(sizes, "tanh", normalization=normalization, residual=True)
    check_gradient(network)


def check_gradient(network):
    X, y = make_data(network, 5)
    weight = np.random.default_rng(5).uniform(0.5, 2.0, size=5)
    engine = make_engine(cuda, network, (X, y, weight), solver=None, alpha=0.3)
    flat = engine.flat
    gradient = engine.loss_and_gradient(flat)[1]
    expected = numerical_gradient(lambda at: engine.loss_and_gradient(at)[0], flat)
    assert np.abs(gradient - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("launches", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradient_are_those_of_the_reference(weighted, launches):
    """Whatever the batches; `numpy_engine` has one."""
    network = make_network((5, 8, 3), "tanh", "softmax")
    data = make_data(network, 30)
    if weighted:
        weight = np.random.default_rng(5).uniform(size=30)
        weight[7:14] = 0.0
        data = (*data, weight)
    naive = make_engine(numpy_engine, network, data, solver=None)
    loss, gradient = naive.loss_and_gradient(naive.flat)
    with tiles.small_gpu(launches=launches):
        for batch_size in (30, 7):
            engine = make_engine(
                cuda, network, data, solver=None, batch_size=batch_size
            )
            for _ in range(2):
                found = engine.loss_and_gradient(naive.flat)
                assert found[0] == pytest.approx(loss, rel=1e-12)
                np.testing.assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-12)


def test_a_gradient_after_one_that_is_not_finite():
    """A line search goes too far and comes back."""
    network = make_network((5, 8, 1), "relu")
    data = make_data(network, 30)
    engine = make_engine(cuda, network, data, solver=None, batch_size=7)
    flat = engine.flat
    loss, gradient = engine.loss_and_gradient(flat)
    assert not np.isfinite(engine.loss_and_gradient(flat * 1e150)[0])
    again = engine.loss_and_gradient(flat)
    assert again[0] == loss
    np.testing.assert_array_equal(again[1], gradient)


# --------------------------------------------- the same bits whatever the path


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparse_rows_give_the_bits_of_dense_ones(dtype, index_dtype):
    network = make_network((15, 6, 2), "tanh", dtype=dtype)
    X, y = make_data(network, 25)
    X[np.random.default_rng(0).uniform(size=X.shape) > 0.2] = 0.0
    X[5] = 0.0
    matrix = scipy.sparse.csr_array(X)
    matrix.indices = matrix.indices.astype(index_dtype)
    matrix.indptr = matrix.indptr.astype(index_dtype)
    engines = [
        make_engine(cuda, network, (features, y), shuffle=True, batch_size=10)
        for features in (X, matrix)
    ]
    assert np.array_equal(*[train(engine, 2) for engine in engines])
    assert np.array_equal(engines[0].flat, engines[1].flat)
    weights = engines[0].get_weights()
    assert np.array_equal(
        *[cuda.predict(network, weights, rows) for rows in (X, matrix)]
    )
    for chosen in (None, np.arange(20, 0, -2)):
        looks = [
            evaluate(engine, features, y, rows=chosen, score="r2")
            for engine, features in zip(engines, (X, matrix), strict=True)
        ]
        assert looks[0] == looks[1]


def test_chosen_rows_train_as_a_matrix_of_these_rows():
    network = make_network((6, 9, 1), "tanh")
    X, y = make_data(network, 40)
    weight = np.random.default_rng(3).uniform(size=40)
    rows = np.random.default_rng(4).permutation(40)[:27].astype(np.int64)
    options = dict(shuffle=True, batch_size=10)
    chosen = make_engine(cuda, network, (X, y, weight), rows=rows, **options)
    copied = make_engine(cuda, network, (X[rows], y[rows], weight[rows]), **options)
    assert np.array_equal(train(chosen, 3), train(copied, 3))
    assert np.array_equal(chosen.flat, copied.flat)


def test_tiles_change_nothing_but_rounding():
    network = make_network((9, 17, 6, 3), "tanh", "softmax")
    data = make_data(network, 23)
    results = []
    for n_threads in tiles.TILES:
        for launches in (False, True):
            with tiles.small_gpu(n_threads, launches=launches):
                engine = make_engine(cuda, network, data, batch_size=16, shuffle=True)
                results.append([train(engine, 1), *results_of(engine)])
    for other in results[1:]:
        for one, many in zip(results[0], other, strict=True):
            np.testing.assert_allclose(one, many, **TIGHT)


def test_networks_in_one_launch_train_as_alone():
    """Of different sizes, with different data and numbers of epochs."""
    networks = [
        make_network(sizes, "tanh", dtype="float32")
        for sizes in ((5, 9, 2), (3, 12, 8, 1), (7, 4, 2))
    ]

    def engines():
        return [
            make_engine(
                cuda, network, make_data(network, 20 + 3 * i), shuffle=True,
                batch_size=6 + i, learning_rate_init=0.01 * (i + 1),
            )
            for i, network in enumerate(networks)
        ]  # fmt: skip

    with tiles.small_gpu(4, 2, multiprocessors=6) as gpu:
        alone = [[train(engine, 2), *results_of(engine)] for engine in engines()]
        together = engines()
        assert len({engine.group for engine in together}) == 1
        del gpu.launches[:]
        losses = [[], [], []]
        while min(engine.progress.epoch for engine in together) < 2:
            for engine in together:
                engine.begin(2)
            cuda.run_together(together)
            for curve, engine in zip(losses, together, strict=True):
                curve.extend(engine.finish()["loss"])
        assert {launch[:2] for launch in gpu.launches} == {("train", 6)}
        for curve, engine, expected in zip(losses, together, alone, strict=True):
            for one, other in zip([curve, *results_of(engine)], expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_number_of_blocks_may_change_from_launch_to_launch():
    network = make_network((5, 9, 7, 3), "tanh", "softmax")
    data = make_data(network, 24)

    def engine():
        return make_engine(cuda, network, data, batch_size=24)

    with tiles.small_gpu(4, 3, multiprocessors=4):
        alone = engine()
        train(alone, 3)
        one, other = engine(), engine()
        for together in ([one], [one, other], [one]):  # on 3 blocks, 2 and 3
            for each in together:
                each._begin(3, 1)
            cuda.run_together(together)
            for each in together:
                each.finish()
        assert one.progress.epoch == 3
        np.testing.assert_array_equal(one.flat, alone.flat)


def test_a_call_counts_the_blocks_that_a_network_gets(monkeypatch):
    """Of four, each gets one, on which a batch takes longer than on three."""
    monkeypatch.setattr(launching, "launch_networks", lambda engines, addresses: None)
    network = make_network((5, 40, 40, 3), "tanh", "softmax")
    data = make_data(network, 24)
    with tiles.small_gpu(1, 3, multiprocessors=4):
        engines = [make_engine(cuda, network, data, batch_size=24) for _ in range(4)]

        def batches(together):
            for each in together:
                each._slowness = 1.0  # as estimated
                each.begin(10_000)
            cuda.run_together(together)
            return [
                int(each._tables.space.get("ints")[cuda.at.MAX_BATCHES])
                for each in together
            ]

        (alone,), shared = batches(engines[:1]), batches(engines)
        estimate = engines[0]._estimate
        assert len(set(shared)) == 1
        assert shared[0] == pytest.approx(alone * estimate(3) / estimate(1), rel=0.1)
        engines[0]._used = 1
        engines[0]._seconds = 100 * cuda.CALL_SECONDS  # it took longer than that
        engines[0].finish()
        engines[0].begin(10_000)
        assert engines[0]._tables.ints[cuda.at.MAX_BATCHES] == 1


def test_a_call_that_must_be_whole_is_not_shortened():
    network = make_network((5, 9, 3), "tanh", "softmax")
    data = make_data(network, 240)
    with tiles.small_gpu(4, 3, multiprocessors=4):
        engine = make_engine(cuda, network, data, None, batch_size=24)
        engine._slowness = 1e9
        expected = engine.loss_and_gradient(engine.flat)
        other = make_engine(cuda, network, data, None, batch_size=24)
        found = other.loss_and_gradient(other.flat)
    np.testing.assert_array_equal(expected[1], found[1])


def test_blocks_that_cannot_wait_for_one_another():
    """One block trains each network, with the bits of several."""
    network = make_network((5, 9, 7, 3), "tanh", "softmax")
    data, flats = make_data(network, 24), []
    for cooperative in (True, False):
        with tiles.small_gpu(4, 3, multiprocessors=4) as gpu:
            gpu.devices[0].cooperative = cooperative
            engine = make_engine(cuda, network, data, batch_size=24)
            train(engine, 3)
            flats.append(engine.flat)
            launches = {launch[1::3] for launch in gpu.launches if launch[0] == "train"}
        assert launches == {(3, True) if cooperative else (1, False)}
    np.testing.assert_array_equal(*flats)


# -------------------------------------------------------- agreement with the CPU


@in_turn(loss=["softmax", "squared_error"], solver=["sgd", "adam"])
def test_losses_in_single_precision_are_those_of_the_cpu(loss, solver):
    network = make_network((8, 12, 6, 3), "relu", loss, "float32")
    data = make_data(network, 60)
    options = dict(shuffle=True, batch_size=20, dropout=(0.2, 0.0))
    losses = [
        train(make_engine(module, network, data, solver, **options), 8)
        for module in (cuda, cpu)
    ]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-5)
    np.testing.assert_allclose(*losses, rtol=1e-3)


# ------------------------------------------------------------- going on, ending


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive", "plateau"])
def test_stopping_and_schedules_follow_the_reference(schedule):
    network = make_network((4, 6, 1), "tanh")
    data = make_data(network, 30)
    results = []
    for module in MODULES:
        engine = make_engine(
            module, network, data, "sgd", schedule=schedule, monitor_loss=True,
            tol=1e-3, n_iter_no_change=2, learning_rate_init=0.1, batch_size=10,
        )  # fmt: skip
        rates = []
        while engine.progress.epoch < 60 and not engine.progress.stopped:
            rates.extend(engine.train(60)["learning_rate"])
        progress = engine.progress
        results.append(
            (len(rates), rates[-1], progress.stopped, progress.t, progress.best_loss)
        )
    assert results[0] == pytest.approx(results[1])
    assert schedule == "adaptive" or results[0][2] == CONVERGED


@pytest.mark.parametrize("launches", [False, True])
def test_divergence_is_seen(launches):
    network = make_network((6, 9, 1))
    data = make_data(network, 30)
    with tiles.small_gpu(launches=launches):
        engine = make_engine(cuda, network, data, "sgd", learning_rate_init=1e6)
        train(engine, 100)
        assert engine.progress.stopped == DIVERGED
        assert len(engine.train(100)["loss"]) == 0


def test_a_call_ends_after_some_time():
    network = make_network((6, 9, 1))
    engine = make_engine(cuda, network, make_data(network, 30), batch_size=10)
    engine.keep_batch_losses = True
    assert len(engine.train(1000, 0.0)["batch_loss"]) == 1
    few = engine.train(1000, 0.05)
    assert 0 < len(few["batch_loss"]) < 1000


def test_every_epoch_has_an_order_of_its_own():
    """The CPU's; all are sent before a call."""
    network = make_network((2, 3, 1))
    orders = []
    for module in (cuda, cpu):
        engine = make_engine(
            module, network, make_data(network, 20), "sgd", shuffle=True, batch_size=1
        )
        engine.keep_batch_losses = True
        losses = []
        while engine.progress.epoch < 3:
            losses.extend(engine.train(3)["batch_loss"])
        orders.append(losses)
    np.testing.assert_allclose(*orders, **TIGHT)
    assert not np.allclose(orders[0][:20], orders[0][20:40])


def test_long_trainings_take_several_calls(monkeypatch):
    """Orders of rows, curves and factors have room for so many epochs."""
    from nnfit.cuda import training_table

    network = make_network((2, 3, 1))
    data = make_data(network, 4)
    options = dict(shuffle=True, batch_size=2)
    expected = train(make_engine(cuda, network, data, **options), 9)
    monkeypatch.setattr(training_table, "MAX_EPOCHS", 3)
    engine = make_engine(cuda, network, data, **options)
    calls = []
    while engine.progress.epoch < 9:
        calls.append(engine.train(9)["loss"])
    assert len(calls) > 3
    np.testing.assert_array_equal(np.concatenate(calls), expected)


# -------------------------------------------------------------------- weights


def test_weights_survive_the_engine_in_any_memory_order():
    network = make_network((5, 7, 4, 1), dtype="float32", normalization="batch")
    weights = make_weights(network)
    engine = cuda.Engine(network, None)
    engine.set_weights(
        Weights(*([np.asfortranarray(a, np.float64) for a in part] for part in weights))
    )
    for arrays, expected in zip(engine.get_weights(), weights, strict=True):
        for array, other in zip(arrays, expected, strict=True):
            assert np.array_equal(array, other)
            assert array.dtype == np.float32


def test_weights_of_another_shape_are_refused():
    network = make_network((30, 70, 3))
    coefs, intercepts, *_ = make_weights(network)
    X, _ = make_data(network, 10)
    for name, wrong in (
        ("coefs_", Weights([coefs[0], coefs[1][1:]], intercepts)),
        ("intercepts_", Weights(coefs, [intercepts[0][1:], intercepts[1]])),
        ("coefs_", Weights([coefs[0].T, coefs[1]], intercepts)),
    ):
        with pytest.raises(ValueError, match=name + r"\[\d\] must have the shape"):
            cuda.predict(network, wrong, X)
        with pytest.raises(ValueError, match=name + r"\[\d\] must have the shape"):
            cuda.Engine(network, None).set_weights(wrong)


# --------------------------------------------------------------------- memory


def test_a_closed_engine_leaves_no_memory(small_gpu):
    network = make_network((6, 9, 1), "tanh", normalization="batch")
    data = make_data(network, 30)
    engine = make_engine(cuda, network, data, average=True)
    engine.keep_batch_losses = True
    train(engine, 2)
    evaluate(engine, *data)
    cuda.predict(network, engine.get_weights(), data[0])
    assert small_gpu.devices[0].allocated > 0
    engine.close()
    gc.collect()
    assert small_gpu.devices[0].allocated == 0


def test_calls_reuse_what_they_need(small_gpu):
    """The driver frees memory when the whole device is idle."""
    network = make_network((6, 9, 1), "tanh")
    engine = make_engine(cuda, network, make_data(network, 30))
    engine.keep_batch_losses = True
    engine.train(1)
    del small_gpu.calls[:]
    for epoch in range(2, 6):
        engine.train(epoch)
    assert "cuMemAlloc" not in small_gpu.calls
    assert "cuMemFree" not in small_gpu.calls


def test_a_closed_engine_is_awaited_by_nobody(small_gpu):
    """Also where the device has failed."""
    network = make_network((6, 9, 1), "tanh")
    with population.population():
        engine = make_engine(cuda, network, make_data(network, 30))
        member = engine._member
        small_gpu.failures["cuStreamSynchronize"] = CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
        with pytest.raises(RuntimeError, match="restart it"):
            engine.close()
        small_gpu.failures.clear()
        assert not member.is_awaited


def test_a_network_too_large_for_the_device():
    network = make_network((6, 300, 300, 1))
    data = make_data(network, 3000)
    with tiles.small_gpu(total_memory=2**24):
        with pytest.raises(MemoryError, match=r"layers of \[6, 300, 300, 1\]") as info:
            make_engine(cuda, network, data, batch_size=3000)
    assert "batch_size" in str(info.value)


def test_the_state_of_another_network_is_refused():
    assert_other_states_are_refused(cuda)
