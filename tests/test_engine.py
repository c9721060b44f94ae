"""The compiled engine against the naive one in NumPy, and against itself."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfit.cpu import compiling, kernels, plans, training_plans
from nnfit.cpu import engine as cpu
from nnfit.cpu.kinds import dense
from nnfit.cpu.prediction import FEW_ROWS
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network.description import Weights
from tests import numpy_engine
from tests.engines import (
    PRECISIONS,
    TIGHT,
    assert_other_states_are_refused,
    assert_same_training,
    evaluate,
    make_data,
    make_engine,
    make_network,
    make_weights,
    numerical_gradient,
    tolerance_of,
    train,
    use_processor,
)
from tests.pairs import in_turn, pairwise

# --------------------------------------------------- against the naive engine


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_trains_as_the_reference(name, dtype):
    network = make_network((11, 19, 13, 3), name, "softmax", dtype)
    assert_same_training(network, make_data(network, 70), **tolerance_of(dtype))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_loss_trains_as_the_reference(name, dtype):
    network = make_network((7, 10, 3), "tanh", name, dtype)
    assert_same_training(network, make_data(network, 70), **tolerance_of(dtype))


@pytest.mark.parametrize("solver", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_optimizer_trains_as_the_reference(solver, dtype):
    network = make_network((7, 10, 2), "tanh", dtype=dtype)
    data = make_data(network, 70)
    assert_same_training(network, data, solver=solver, **tolerance_of(dtype))


def test_sample_weights_train_as_the_reference():
    network = make_network((7, 10, 2), "tanh")
    X, y = make_data(network, 70)
    weight = np.random.default_rng(3).integers(0, 3, size=70).astype(np.float64)
    weight[32:64] = 0.0  # a batch without any weight is skipped
    assert_same_training(network, (X, y, weight), **TIGHT)


@pytest.mark.parametrize("module", [cpu, numpy_engine])
def test_loss_weights_multiply_and_sample_weights_divide(module):
    """Against a sum written out; also in batches whose losses all weigh nothing."""
    network = make_network((7, 10, 1), "tanh")
    X, y = make_data(network, 70)
    rng = np.random.default_rng(3)
    weight, of_loss = rng.uniform(0.5, 2.0, size=(2, 70))
    of_loss[32:64] = 0.0
    for sample_weight in (weight, None):
        data = X, y, sample_weight, of_loss
        engine = make_engine(module, network, data, alpha=0.3)
        weights = engine.get_weights()
        of_rows = ((module.predict(network, weights, X) - y) ** 2)[:, 0] / 2
        penalty = 0.15 * sum((coef**2).sum() for coef in weights.coefs)
        part = slice(0, 32)
        total = 32 if sample_weight is None else weight[part].sum()
        expected = (of_loss[part] @ of_rows[part] + penalty) / total
        engine.keep_batch_losses = True
        losses = engine.train(1)["batch_loss"]
        assert losses[0] == pytest.approx(expected, rel=1e-12)
        assert 0.0 < losses[1] < 0.1  # the penalty alone
    options = {"solver": None, "alpha": 0.0}
    doubled = make_engine(module, network, (X, y, weight, 2.0 * of_loss), **options)
    single = make_engine(module, network, (X, y, weight, of_loss), **options)
    loss, gradient = single.loss_and_gradient(single.flat.copy())
    twice, twice_gradient = doubled.loss_and_gradient(doubled.flat.copy())
    assert twice == pytest.approx(2.0 * loss)
    np.testing.assert_allclose(twice_gradient, 2.0 * gradient, rtol=1e-12)


SIZES = st.one_of(st.integers(1, 20), st.sampled_from([31, 47, 48, 49, 97, 101, 193]))


@pytest.mark.parametrize(("cpu_name", "dtype"), PRECISIONS)
@settings(max_examples=6, deadline=None)
@given(
    sizes=st.lists(SIZES, min_size=2, max_size=5),
    n_rows=st.one_of(st.integers(1, 50), st.sampled_from([95, 97, 193, 257, 300])),
    batch_size=st.one_of(st.integers(1, 50), st.sampled_from([96, 257, 300])),
)
def test_any_shape_trains_as_the_reference(cpu_name, dtype, sizes, n_rows, batch_size):
    network = make_network(sizes, "tanh", dtype=dtype)
    tolerance = dict(rtol=2e-3, atol=2e-4) if dtype == "float32" else TIGHT
    with pytest.MonkeyPatch.context() as patch:
        use_processor(patch, cpu_name)
        assert_same_training(
            network,
            make_data(network, n_rows),
            epochs=1,
            solver="sgd",
            batch_size=min(batch_size, n_rows),
            learning_rate_init=1e-4,  # so that 300 steps do not amplify rounding
            **tolerance,
        )


@pairwise(
    scored=[
        ("softmax", "accuracy", 4),
        ("log_loss", "multilabel_accuracy", 1),
        ("log_loss", "multilabel_accuracy", 2),
        ("squared_error", "r2", 1),
        ("squared_error", "r2", 3),
        ("poisson", "r2", 2),
    ],
    dtype=["float32", "float64"],
    weighted=[False, True],
)
def test_scores_are_those_of_the_reference(scored, dtype, weighted):
    loss, score, n_outputs = scored
    network = make_network((7, 10, n_outputs), "tanh", loss, dtype)
    X, y = make_data(network, 250)
    weight = np.random.default_rng(3).uniform(size=250) if weighted else None
    rows = np.random.default_rng(4).permutation(250)[:203].astype(np.int64)
    looks = [
        evaluate(engine, X, y, weight, chosen, score)
        for engine in (
            make_engine(module, network, (X, y)) for module in (cpu, numpy_engine)
        )
        for chosen in (None, rows)
    ]
    tolerance = dict(rtol=1e-4, atol=1e-5) if dtype == "float32" else TIGHT
    np.testing.assert_allclose(looks[:2], looks[2:], **tolerance)
    assert looks[0] != looks[1]
    copied = [None if a is None else a[rows] for a in (X, y, weight)]
    engine = make_engine(cpu, network, (X, y))
    assert evaluate(engine, *copied, score=score) == looks[1]
    engine.flat[...] = np.inf
    assert np.isnan(evaluate(engine, X, y, score=score)[1])


def test_one_hot_targets_and_constant_ones_are_scored():
    network = make_network((3, 3), loss="squared_error")
    X = np.eye(3)
    engine = cpu.Engine(network, None)
    engine.set_weights(Weights([np.eye(3)], [np.zeros(3)]))
    y = np.eye(3)[[0, 1, 1]]
    assert evaluate(engine, X, y, score="accuracy")[1] == 2 / 3
    engine.set_weights(Weights([np.zeros((3, 3))], [np.array([1.0, 1.0, 0.0])]))
    y = np.array([[1.0, 2.0, -1.0], [1.0, 2.0, 0.0], [1.0, 2.0, 1.0]])
    # exact and constant 1, wrong and constant 0, the mean 0
    assert evaluate(engine, X, y, score="r2")[1] == pytest.approx(1 / 3)


# ------------------------------------------------------ numerical derivatives


@pytest.mark.parametrize(
    ("activation", "loss"),
    [(name, "squared_error") for name in ACTIVATIONS] + [("tanh", n) for n in LOSSES],
)
def test_gradient_is_the_derivative_of_the_loss(activation, loss):
    network = make_network((3, 4, 4, 2), activation, loss)
    X, y = make_data(network, 9)
    weight = np.random.default_rng(5).uniform(0.5, 2.0, size=9)
    engine = make_engine(cpu, network, (X, y, weight), solver=None, alpha=0.3)
    flat = engine.flat.copy()
    gradient = engine.loss_and_gradient(flat)[1].copy()
    used = engine.flat != 0.0  # the padding stands still and has no gradient
    expected = numerical_gradient(lambda at: engine.loss_and_gradient(at)[0], flat)
    error = np.abs(gradient - expected)[used].max() / np.abs(expected).max()
    assert error < 1e-6
    assert np.all(gradient[~used] == 0.0)


def test_loss_and_gradient_do_not_depend_on_the_number_of_blocks():
    network = make_network((5, 8, 1), "tanh")
    data = make_data(network, 3000)
    whole = make_engine(cpu, network, data, solver=None, batch_size=3000)
    parts = make_engine(cpu, network, data, solver=None, batch_size=1000)
    loss, gradient = whole.loss_and_gradient(whole.flat.copy())
    loss_of_parts, gradient_of_parts = parts.loss_and_gradient(parts.flat.copy())
    assert loss_of_parts == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(gradient_of_parts, gradient, rtol=1e-10, atol=1e-13)


# --------------------------------------------- the same bits whatever the path


def sparse_copy(X, of_indices, of_indptr):
    """A CSR matrix equal to X with indices of types of our choice."""
    matrix = scipy.sparse.csr_array(X)
    matrix.indices = matrix.indices.astype(of_indices)
    matrix.indptr = matrix.indptr.astype(of_indptr)
    return matrix


@pairwise(
    density=[0.02, 0.3],  # by entries, by gathered rows
    n_threads=[1, 3],
    index_dtypes=[("int32", "int32"), ("int64", "int64"), ("int32", "int64")],
    dtype=["float32", "float64"],
)
def test_sparse_rows_give_the_bits_of_dense_ones(
    dtype, index_dtypes, n_threads, density
):
    network = make_network((150, 30, 2), "tanh", dtype=dtype)
    X, y = make_data(network, 170)
    X[np.random.default_rng(0).uniform(size=X.shape) > density] = 0.0
    X[5] = 0.0
    sparse = sparse_copy(X, *index_dtypes)
    engines = [
        make_engine(cpu, network, (features, y), shuffle=True, n_threads=n_threads)
        for features in (X, sparse)
    ]
    losses = [train(engine, 5) for engine in engines]
    assert np.array_equal(*losses)
    assert np.array_equal(engines[0].flat, engines[1].flat)
    predicted = [
        cpu.predict(network, engine.get_weights(), data)
        for engine, data in zip(engines, (X, sparse), strict=True)
    ]
    assert np.array_equal(*predicted)
    rows = np.arange(160, 0, -2)
    for chosen in (None, rows):
        looks = [
            evaluate(engine, features, y, rows=chosen, score="r2")
            for engine, features in zip(engines, (X, sparse), strict=True)
        ]
        assert looks[0] == looks[1]


@in_turn(solver=OPTIMIZERS, dtype=["float32", "float64"])
def test_weights_do_not_depend_on_the_number_of_threads(solver, dtype):
    network = make_network((30, 70, 41, 3), "gelu", "softmax", dtype)
    X, y = make_data(network, 150)
    weight = np.random.default_rng(3).uniform(size=150)
    results = []
    for threads in (1, 2, 3, 4, 7, 16):
        engine = make_engine(
            cpu, network, (X, y, weight), solver, threads, shuffle=True, batch_size=64
        )
        results.append(
            (train(engine, 3), engine.flat.copy(), engine.get_state()["moments"])
        )
    for others in results[1:]:
        for one, many in zip(results[0], others, strict=True):
            assert np.array_equal(one, many)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_gradient_does_not_depend_on_the_number_of_threads(n_threads):
    network = make_network((30, 70, 3), "tanh", "softmax")
    data = make_data(network, 500)
    results = []
    for threads in (1, n_threads):
        engine = make_engine(cpu, network, data, None, threads)
        results.append(engine.loss_and_gradient(engine.flat.copy()))
    assert results[0][0] == results[1][0]
    assert np.array_equal(results[0][1], results[1][1])


def test_the_block_of_rows_does_not_change_a_bit(monkeypatch):
    """Networks with large layers take larger blocks."""
    network = make_network((30, 70, 41, 3), "gelu", "softmax", "float32")
    X, y = make_data(network, 700)
    results = []
    for largest in (plans.LARGE_WEIGHTS, 0):
        monkeypatch.setattr(plans, "LARGE_WEIGHTS", largest)
        training_plans.training_plan.cache_clear()
        plans.forward_plan.cache_clear()
        engine = make_engine(cpu, network, (X, y), batch_size=300)
        losses = train(engine, 2)
        predicted = cpu.predict(network, engine.get_weights(), X)
        results.append((losses, engine.flat.copy(), predicted))
        assert engine._tables.ints[cpu.at.ROW_BLOCK] == (96 if largest else 256)
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)
    training_plans.training_plan.cache_clear()
    plans.forward_plan.cache_clear()


@pytest.mark.parametrize(("cpu_name", "dtype"), PRECISIONS)
def test_copies_for_the_gradient_do_not_change_a_bit(monkeypatch, cpu_name, dtype):
    use_processor(monkeypatch, cpu_name)
    network = make_network((30, 53, 19, 1), "tanh", dtype=dtype)
    data = make_data(network, 77)
    pack = compiling.load(kernels.DENSE, dtype).address("pack_inputs")
    results = []
    for size, copies in ((1, True), (1 << 40, False)):
        monkeypatch.setattr(dense, "PACK_SIZE", size)
        monkeypatch.setattr(dense, "PACK_FROM", 0)
        training_plans.training_plan.cache_clear()
        engine = make_engine(cpu, network, data, batch_size=40)
        results.append((train(engine, 2), engine.flat.copy()))
        assert (pack in engine._tables.ints) == copies
    training_plans.training_plan.cache_clear()
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


def test_chosen_rows_train_as_a_matrix_of_these_rows():
    network = make_network((6, 9, 1), "tanh")
    X, y = make_data(network, 90)
    weight = np.random.default_rng(3).uniform(size=90)
    rows = np.random.default_rng(4).permutation(90)[:61].astype(np.int64)
    chosen = make_engine(cpu, network, (X, y, weight), rows=rows, shuffle=True)
    copied = make_engine(cpu, network, (X[rows], y[rows], weight[rows]), shuffle=True)
    assert np.array_equal(train(chosen, 4), train(copied, 4))
    assert np.array_equal(chosen.flat, copied.flat)


def test_short_calls_train_as_long_ones(monkeypatch):
    network = make_network((6, 9, 1), "tanh")
    data = make_data(network, 90)
    long = make_engine(cpu, network, data, shuffle=True, batch_size=20)
    losses = train(long, 6)
    short = make_engine(cpu, network, data, shuffle=True, batch_size=20)
    monkeypatch.setattr(short, "_batches_in", lambda seconds: 2)
    assert np.array_equal(train(short, 6), losses)
    assert np.array_equal(short.flat, long.flat)


@pytest.mark.parametrize("sizes", [(30, 70, 41, 3), (7, 96, 1), (5, 2)])
@pytest.mark.parametrize(("cpu_name", "dtype"), PRECISIONS)
def test_predictions_do_not_depend_on_the_other_rows(
    cpu_name, dtype, sizes, monkeypatch
):
    use_processor(monkeypatch, cpu_name)
    network = make_network(sizes, "gelu", "log_loss", dtype)
    X, _ = make_data(network, 120)
    weights = make_weights(network)
    together = cpu.predict(network, weights, X)
    for n_rows in (1, 3, FEW_ROWS, FEW_ROWS + 1, 97):
        parts = [X[i : i + n_rows].copy() for i in range(0, len(X), n_rows)]
        alone = [cpu.predict(network, weights, part) for part in parts]
        assert np.array_equal(together, np.concatenate(alone))
        as_sparse = [scipy.sparse.csr_array(part) for part in parts]
        alone = [cpu.predict(network, weights, part) for part in as_sparse]
        assert np.array_equal(together, np.concatenate(alone))


def test_weights_survive_the_engine_in_any_memory_order():
    network = make_network((30, 70, 17, 1), dtype="float32")
    weights = make_weights(network)
    coefs, intercepts, *_ = weights
    engine = cpu.Engine(network, None)
    engine.flat[...] = np.nan  # padding too becomes zero
    given = [np.asfortranarray(coef, np.float64) for coef in coefs]
    engine.set_weights(Weights(given, [b.astype(np.float64) for b in intercepts]))
    X, _ = make_data(network, 20)
    expected = cpu.predict(network, weights, X)
    assert np.array_equal(cpu.predict(network, engine.get_weights(), X), expected)
    for arrays, expected in zip(engine.get_weights(), weights, strict=True):
        for array, other in zip(arrays, expected, strict=True):
            assert np.array_equal(array, other)
            assert array.dtype == np.float32


@pytest.mark.parametrize("n_rows", [1, 100])
def test_weights_of_another_shape_are_refused(n_rows):
    network = make_network((30, 70, 3))
    coefs, intercepts, *_ = make_weights(network)
    X, _ = make_data(network, n_rows)
    with pytest.raises(ValueError, match=r"coefs_\[1\] must have the shape \(70, 3\)"):
        cpu.predict(network, Weights([coefs[0], coefs[1][1:]], intercepts), X)
    with pytest.raises(ValueError, match=r"intercepts_\[0\] must .* shape \(70,\)"):
        cpu.predict(network, Weights(coefs, [intercepts[0][1:], intercepts[1]]), X)


def test_state_and_weights_survive_a_round_trip():
    network = make_network((6, 9, 2), "tanh")
    data = make_data(network, 90)
    first = make_engine(cpu, network, data, shuffle=True)
    train(first, 3)
    second = make_engine(cpu, network, data, shuffle=True)
    second.set_weights(first.get_weights())
    second.set_state(first.get_state())
    second.progress.epoch, second.progress.step = 3, first.progress.step
    assert np.array_equal(train(first, 6), train(second, 6))
    assert np.array_equal(first.flat, second.flat)


def test_the_state_of_another_network_is_refused():
    assert_other_states_are_refused(cpu)


# ------------------------------------------------------------------- the rest


def test_every_epoch_has_an_order_of_its_own():
    network = make_network((2, 3, 1))
    engine = make_engine(cpu, network, make_data(network, 200), shuffle=True)
    orders = []
    for epoch in range(1, 4):
        engine.train(epoch)
        orders.append(engine._tables.order.copy())  # already of the epoch that follows
    assert all(np.array_equal(np.sort(order), np.arange(200)) for order in orders)
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[1], orders[2])


def test_shuffling_is_uniform():
    """Where row 0 goes, over many epochs: chi-squared with 9 degrees of freedom."""
    network = make_network((1, 1))
    engine = make_engine(cpu, network, make_data(network, 10), shuffle=True)
    counts = np.zeros(10)
    for epoch in range(1, 2001):
        engine.train(epoch)
        counts[np.flatnonzero(engine._tables.order == 0)] += 1
    assert ((counts - 200.0) ** 2 / 200.0).sum() < 33.7  # p = 1e-4


def test_divergence_is_seen():
    network = make_network((6, 9, 1))
    engine = make_engine(
        cpu, network, make_data(network, 90), "sgd", learning_rate_init=1e6
    )
    train(engine, 100)
    assert engine.progress.stopped == 2


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive", "plateau"])
def test_stopping_and_schedules_follow_the_reference(schedule):
    network = make_network((6, 9, 1), "tanh")
    data = make_data(network, 90)
    results = []
    for module in (cpu, numpy_engine):
        engine = make_engine(
            module, network, data, "sgd", schedule=schedule, monitor_loss=True,
            tol=1e-3, n_iter_no_change=2, learning_rate_init=0.1,
        )  # fmt: skip
        rates = []
        while engine.progress.epoch < 60 and not engine.progress.stopped:
            rates.extend(engine.train(60)["learning_rate"])
        progress = engine.progress
        results.append(
            (len(rates), rates[-1], progress.stopped, progress.t, progress.best_loss)
        )
    assert results[0] == pytest.approx(results[1])
    assert schedule == "adaptive" or results[0][2] == 1
