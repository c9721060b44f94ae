"""Every feature of training: against the naive engine, and bits against bits."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfit import MLPRegressor
from nnfit.cpu import engine as cpu
from nnfit.cpu import thread_choice
from tests import numpy_engine
from tests.engines import (
    PRECISIONS,
    TIGHT,
    assert_same_training,
    is_in_parts,
    make_data,
    make_engine,
    make_network,
    results_of,
    train,
    use_processor,
)
from tests.features import (
    BY_KERNEL,
    COMBINED,
    FEATURES,
    SIZES,
    batch_factors,
    rounding,
    structured,
)
from tests.pairs import pairwise


def weights_of(kind, n_rows):
    """Weights of rows of which some, and a whole batch, are 0; and others of losses."""
    rng = np.random.default_rng(3)
    weight = rng.integers(0, 3, size=n_rows).astype(np.float64)
    weight[32:64] = 0.0
    weight[64:] = 1.0
    of_loss = weight * rng.integers(0, 4, size=n_rows)
    return {"none": (), "sample": (weight,), "loss": (weight, of_loss)}[kind]


# --------------------------------------------------- against the naive engine


@pairwise(
    name=FEATURES,
    density=[None, 0.05, 0.4],
    n_rows=[65, 70, 71],
    dtype=["float32", "float64"],
    weights=["none", "sample", "loss"],
    shuffle=[False, True],
)
def test_every_feature_trains_as_the_reference(
    name, density, n_rows, dtype, weights, shuffle
):
    """Also with a last batch of one row and, before it, one without any weight."""
    sizes = SIZES if density is None else (60, *SIZES[1:])
    network, options = structured(name, dtype, sizes=sizes)
    X, y = make_data(network, n_rows)
    if density is not None:
        X[np.random.default_rng(0).uniform(size=X.shape) > density] = 0.0
        X = scipy.sparse.csr_array(X)
    data = (X, y, *weights_of(weights, n_rows))
    assert_same_training(
        network, data, **rounding(name, dtype), **options, shuffle=shuffle
    )


@pytest.mark.parametrize("name", COMBINED)
def test_wide_layers_and_chosen_rows_train_as_the_reference(name):
    """Layers whose inputs and gradients are copied for the products."""
    network, options = structured(name, sizes=(150, 140, 140, 129, 3))
    rows = np.random.default_rng(4).permutation(120)[:97].astype(np.int64)
    data = (*make_data(network, 120), np.random.default_rng(3).uniform(size=120))
    assert_same_training(network, data, **rounding(name), rows=rows, **options)


ANY_SIZE = st.one_of(st.integers(1, 20), st.sampled_from([31, 48, 49, 97, 130]))


def steady(sizes, n_rows, batch_size, dtype):
    """Sizes and batches with which normalised layers do not amplify rounding.

    Each of them divides by sqrt(1e-5) what two units, or two rows of a small batch,
    differ by. A few narrow layers are trained for one step alone.
    """
    if min([batch_size, *sizes[1:-1]]) >= 12:
        return sizes, batch_size
    if dtype == "float64" and len(sizes) <= 5:
        return sizes, n_rows
    return [sizes[0], *(size + 12 for size in sizes[1:-1]), sizes[-1]], batch_size + 12


@pytest.mark.parametrize(("cpu_name", "dtype"), PRECISIONS)
@settings(max_examples=6, deadline=None)
@given(
    sizes=st.lists(ANY_SIZE, min_size=2, max_size=6),
    repeat=st.booleans(),
    n_rows=st.one_of(st.integers(1, 50), st.sampled_from([95, 97, 193, 257])),
    batch_size=st.one_of(st.integers(1, 50), st.sampled_from([96, 257])),
    normalization=st.sampled_from([None, "layer", "batch"]),
    residual=st.booleans(),
    drops=st.booleans(),
)
def test_any_staged_shape_trains_as_the_reference(
    cpu_name, dtype, sizes, repeat, n_rows, batch_size, normalization, residual, drops
):
    if repeat:  # blocks of equal width
        sizes = [sizes[0], *np.repeat(sizes[1:-1], 2), sizes[-1]]
    tolerance = dict(rtol=2e-3, atol=2e-4) if dtype == "float32" else TIGHT
    if normalization is not None:
        sizes, batch_size = steady(sizes, n_rows, batch_size, dtype)
        tolerance = dict(rtol=1e-2, atol=1e-3)
        if dtype == "float64":
            tolerance = dict(rtol=1e-5, atol=1e-7)
    network = make_network(
        sizes, "tanh", dtype=dtype, normalization=normalization, residual=residual
    )
    with pytest.MonkeyPatch.context() as patch:
        use_processor(patch, cpu_name)
        assert_same_training(
            network,
            make_data(network, n_rows),
            epochs=1,
            solver="sgd",
            batch_size=min(batch_size, n_rows),
            learning_rate_init=1e-4,  # so that 300 steps do not amplify rounding
            dropout=(0.5,) * (len(sizes) - 2) if drops else (),
            **tolerance,
        )


@pytest.mark.parametrize(
    "cpu_name", ["host", pytest.param("plain", marks=pytest.mark.slow)]
)
@settings(max_examples=10, deadline=None)
@given(
    name=st.sampled_from([n for n in FEATURES if FEATURES[n].get("solver") != "lion"]),
    sizes=st.tuples(*5 * [ANY_SIZE]),
    n_rows=st.one_of(st.integers(1, 50), st.sampled_from([95, 97, 193, 257])),
    batch_size=st.one_of(st.integers(1, 50), st.sampled_from([96, 257])),
    density=st.sampled_from([None, 0.02, 0.5]),
    weighted=st.booleans(),
)
def test_any_feature_trains_as_the_reference_in_any_shape(
    cpu_name, name, sizes, n_rows, batch_size, density, weighted
):
    """Without Lion, which makes a step of the rounding of a gradient of zero."""
    if "normalization" in FEATURES[name]:
        sizes, batch_size = steady(sizes, n_rows, batch_size, "float64")
    network, options = structured(name, sizes=sizes, loss="squared_error")
    rng = np.random.default_rng(0)
    X, y = make_data(network, n_rows)
    if density is not None:
        X = scipy.sparse.csr_array(np.where(rng.uniform(size=X.shape) < density, X, 0))
    weight = rng.integers(0, 3, size=n_rows).astype(np.float64)
    weight[0] = 1.0
    with pytest.MonkeyPatch.context() as patch:
        use_processor(patch, cpu_name)
        assert_same_training(
            network,
            (X, y, weight) if weighted else (X, y),
            rtol=1e-4,
            atol=1e-6,
            epochs=1,
            batch_size=min(batch_size, n_rows),
            learning_rate_init=1e-4,
            **options,
        )


# --------------------------------------------- the same bits whatever the path


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(n, "float32") for n in FEATURES] + [(n, "float64") for n in BY_KERNEL],
)
def test_no_feature_depends_on_the_number_of_threads(name, dtype):
    network, options = structured(name, dtype, sizes=(30, 70, 70, 41, 3))
    X, y = make_data(network, 150)
    weight = np.random.default_rng(3).uniform(size=150)
    results = []
    for n_threads in (1, 2, 3, 7):
        engine = make_engine(
            cpu, network, (X, y, weight), n_threads=n_threads, shuffle=True,
            batch_size=64, **options,
        )  # fmt: skip
        losses = train(engine, 3)
        results.append([losses, *results_of(engine)])
        engine.close()
    for other in results[1:]:
        for one, many in zip(results[0], other, strict=True):
            assert np.array_equal(one, many)


@pytest.mark.parametrize(
    ("name", "has_parts"),
    [
        ("dropout of everything", True),
        ("dropout", True),
        ("clip_value", True),
        ("average", True),
        ("factors, schedules, decay", True),
        ("clip_norm", True),
        ("max_norm", True),
        ("residual, layer normalisation", True),
        ("clipping, muon", True),
        ("clipping, schedule-free", True),
        ("residual, batch normalisation", False),
        ("mixup", False),
        ("swaps", False),
    ],
)
def test_no_feature_depends_on_the_parts_of_a_batch(name, has_parts, set_parts):
    """The last batch is smaller than the others, and its last part than those."""
    network, options = structured(name, "float32", sizes=(30, 70, 70, 41, 3))
    data = (*make_data(network, 150), *weights_of("loss", 150))
    results = []
    for lines, n_threads in ((None, 1), (0, 1), (30, 1), (0, 3)):
        set_parts(lines)
        engine = make_engine(
            cpu, network, data, n_threads=n_threads, shuffle=True, batch_size=64,
            **options,
        )  # fmt: skip
        losses = train(engine, 3)
        results.append([losses, *results_of(engine)])
        assert is_in_parts(engine) == (has_parts and lines is not None)
        engine.close()
    for other in results[1:]:
        for one, many in zip(results[0], other, strict=True):
            assert np.array_equal(one, many)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_numbers_that_are_scaled_inside_do_not_depend_on_parts(set_parts):
    X, y = np.random.default_rng(0).standard_normal((2, 300, 4))
    X[::7, 1] = np.nan
    options = dict(batch_size=290, max_iter=2, random_state=0, n_jobs=1)
    models = []
    for lines in (None, 96):
        set_parts(lines)
        for scaling in ("robust", "quantile"):
            model = MLPRegressor(hidden_layer_sizes=8, scaling=scaling, **options)
            models.append(model.fit(X, y[:, 0]).coefs_[0])
    assert np.array_equal(models[0], models[2])
    assert np.array_equal(models[1], models[3])


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_KERNEL)
def test_no_feature_depends_on_when_threads_leave(name, monkeypatch):
    """Without patience, calls that begin on several threads end on one."""
    monkeypatch.setattr(cpu, "PATIENCE", 0.0)
    always = {True: (0, 0), False: (0, 0)}  # several threads in every other call
    monkeypatch.setattr(thread_choice, "PAUSES", always)
    network, options = structured(name, "float32")
    data = make_data(network, 200)
    results = []
    for n_threads in (1, 9):
        engine = make_engine(cpu, network, data, n_threads=n_threads, **options)
        losses = train(engine, 8)
        results.append([losses, *results_of(engine)])
        engine.close()
        assert engine.threads_used == n_threads
    for one, many in zip(*results, strict=True):
        assert np.array_equal(one, many)


@pytest.mark.parametrize("name", FEATURES)
def test_short_calls_of_any_feature_train_as_long_ones(name, monkeypatch):
    network, options = structured(name)
    data = make_data(network, 90)
    long, short = (
        make_engine(cpu, network, data, shuffle=True, batch_size=20, **options)
        for _ in range(2)
    )
    monkeypatch.setattr(short, "_batches_in", lambda seconds: 2)
    assert np.array_equal(train(short, 6), train(long, 6))
    for one, other in zip(results_of(short), results_of(long), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("module", [cpu, numpy_engine])
def test_any_feature_goes_on_in_another_engine(module, name):
    """As between calls of partial_fit."""
    network, options = structured(name)
    data = make_data(network, 90)
    options |= dict(shuffle=True, batch_size=20)
    whole = make_engine(module, network, data, **options)
    losses = train(whole, 6)
    first = make_engine(module, network, data, **options)
    start = train(first, 3)
    if "batch_factors" in options:  # counts the batches of a fit
        options["batch_factors"] = lambda batch, count: batch_factors(15 + batch, count)
    second = make_engine(module, network, data, **options)
    second.set_weights(first.get_weights())
    second.set_state(first.get_state())
    second.set_evaluated(first.get_weights(first.evaluated()))
    second.progress.epoch, second.progress.step = 3, first.progress.step
    assert np.array_equal([*start, *train(second, 6)], losses)
    for one, other in zip(results_of(second), results_of(whole), strict=True):
        assert np.array_equal(one, other)
