"""Every feature of training on a GPU: against the naive engine, and bits against bits.

What is listed in `FEATURES` is tested on arrival, with every way to give data.
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
    make_network,
    results_of,
    train,
)
from tests.features import (
    BY_KERNEL,
    FEATURES,
    SINGLE,
    batch_factors,
    rounding,
    structured,
)
from tests.pairs import in_turn, pairs, quick_every

#: Small, and with the blocks of `tests.features.SIZES`; layers of more than a tile.
SIZES = (5, 9, 9, 6, 3)
BATCH = 12
MODULES = cuda, numpy_engine


def weights_of(n_rows):
    """Weights of rows of which some, and the whole second batch, are 0; of losses."""
    rng = np.random.default_rng(3)
    weight = rng.integers(0, 3, size=n_rows).astype(np.float64)
    weight[BATCH : 2 * BATCH] = 0.0
    weight[2 * BATCH :] = 1.0
    return weight, weight * rng.integers(0, 4, size=n_rows)


#: Features that change the rows of the data, where a sparse row is read otherwise.
OF_ROWS = [
    name
    for name, options in FEATURES.items()
    if {"input_dropout", "input_noise", "mixup", "cutmix", "feature_swap"}
    & set(options)
]
#: Any two values meet in one of them.
WAYS = pairs(
    dtype=["float32", "float64"],
    is_sparse=[False, True],
    weighted=[False, True],
    chosen=[False, True],
    shuffle=[False, True],
    launches=[False, True],
)


@in_turn(name=quick_every(2, FEATURES), way=WAYS)
def test_every_feature_trains_as_the_reference(name, way):
    assert_trains_as_the_reference(name, **way)


@pytest.mark.slow
@in_turn(name=OF_ROWS, way=[dict(way, is_sparse=True) for way in WAYS])
def test_sparse_rows_are_changed_as_in_the_reference(name, way):
    assert_trains_as_the_reference(name, **way)


def assert_trains_as_the_reference(
    name, dtype, is_sparse, weighted, chosen, shuffle, launches
):
    """Two epochs; the last batch has one row or seven."""
    network, options = structured(name, dtype, sizes=SIZES)
    X, y = make_data(network, 25)
    if is_sparse:
        X[np.random.default_rng(0).uniform(size=X.shape) > 0.4] = 0.0
        X = scipy.sparse.csr_array(X)
    data = (X, y, *weights_of(25)) if weighted else (X, y)
    if chosen:
        options["rows"] = np.random.default_rng(4).permutation(25)[:19]
    with tiles.small_gpu(launches=launches) as gpu:
        assert_same_training(
            network, data, modules=MODULES, **rounding(name, dtype),
            **{**options, "batch_size": BATCH, "epochs": 2, "shuffle": shuffle},
        )  # fmt: skip
    assert {launch[0] for launch in gpu.launches} == {
        "run_operation" if launches else "train", "predict", "evaluate",
    }  # fmt: skip


# --------------------------------------------- the same bits whatever the path


def bits_of(name, module=cuda, epochs=2, prepare=None, **options):
    """Losses of a training, and all that it leaves."""
    network, more = structured(name, "float32", sizes=SIZES)
    data = (*make_data(network, 25), *weights_of(25))
    options = {**more, "shuffle": True, "batch_size": BATCH, **options}
    engine = make_engine(module, network, data, **options)
    if prepare is not None:
        prepare(engine)
    return [train(engine, epochs), *results_of(engine)]


def assert_equal(results, expected):
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", BY_KERNEL)
def test_no_feature_depends_on_the_number_of_blocks(name):
    results = []
    for n_blocks in (1, 3):
        with tiles.small_gpu(4, n_blocks) as gpu:
            results.append(bits_of(name, epochs=1))
        assert {launch[1] for launch in gpu.launches if launch[0] == "train"} == {
            n_blocks
        }
    assert_equal(results[1], results[0])


@in_turn(name=BY_KERNEL, launches=[False, True])
def test_short_calls_train_as_long_ones(name, launches):
    def shorten(engine):
        engine._batches_in = lambda seconds, n_blocks: 2

    with tiles.small_gpu(launches=launches):
        long, short = (bits_of(name, prepare=p) for p in (None, shorten))
    assert_equal(short, long)


def test_losses_do_not_depend_on_where_calls_begin():
    def shorten(engine):
        engine._batches_in = lambda seconds, n_blocks: 1

    network = make_network((17, 30, 3), loss="softmax")
    data = make_data(network, 12)
    with tiles.small_gpu(8):
        losses = []
        for prepare in (None, shorten):
            engine = make_engine(cuda, network, data, alpha=1.0, batch_size=2)
            if prepare is not None:
                prepare(engine)
            losses.append(train(engine, 2))
    np.testing.assert_array_equal(*losses)


#: Each optimizer, whose state goes from device to device, and averages.
MOVED = [
    "mixup",
    "batch normalisation, dropout, average",
    "batch normalisation, schedule-free",
    "everything, layer normalisation",
    *(name for name in SINGLE if "solver" in SINGLE[name]),
]


@in_turn(name=MOVED, modules=[(cuda, cpu), (cpu, cuda)])
def test_training_goes_on_on_another_device(small_gpu, name, modules):
    """As between calls of partial_fit."""
    network, options = structured(name, sizes=SIZES)
    data = make_data(network, 19)
    options |= dict(shuffle=True, batch_size=BATCH)
    whole = make_engine(cpu, network, data, **options)
    losses = train(whole, 4)
    first = make_engine(modules[0], network, data, **options)
    start = train(first, 2)
    if "batch_factors" in options:  # counts the batches of a fit
        options["batch_factors"] = lambda batch, count: batch_factors(4 + batch, count)
    second = make_engine(modules[1], network, data, **options)
    second.set_weights(first.get_weights())
    second.set_state(first.get_state())
    second.set_evaluated(first.get_weights(first.evaluated()))
    second.progress.epoch, second.progress.step = 2, first.progress.step
    tolerance = rounding(name)
    np.testing.assert_allclose([*start, *train(second, 4)], losses, **tolerance)
    *expected, memory = results_of(whole)
    *results, other_memory = results_of(second)
    # Its other row may be of the step that was to come next.
    row = whole.progress.step % 2
    np.testing.assert_allclose(other_memory[row], memory[row], **tolerance)
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)
