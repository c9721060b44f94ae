"""Data that a GPU has no room for: sent a window at a time, with the same results."""

import numpy as np
import pytest
import scipy.sparse

from nnfit import MLPClassifier
from nnfit.cpu.orders import shuffled_orders
from nnfit.cuda import driver, training_table
from nnfit.cuda import engine as cuda
from nnfit.cuda.data import Data
from nnfit.cuda.orders import Orders
from tests import numpy_engine
from tests.cuda import tiles
from tests.engines import assert_same_training, make_data, make_network
from tests.features import rounding, structured
from tests.pairs import pairwise

#: Bytes of room with which windows have 2 batches of 12 rows, and one; dense rows have
#: 64 bytes.
ROOM = (24 * 64, 12 * 64)


@pytest.fixture
def windows(room, monkeypatch, small_gpu):
    """`room` bytes for data; returns the windows that were decided on."""
    place, decided = Data.place, []

    def place_in_little(data, stream, free, batch):
        place(data, stream, room, batch)
        decided.append(data.window)

    monkeypatch.setattr(Data, "place", place_in_little)
    return decided


@pairwise(
    name=["l1", "mixup", "schedules", "batch normalisation, dropout, average"],
    room=ROOM,
    is_sparse=[False, True],
    weighted=[False, True],
    shuffle=[False, True],
)
def test_windows_train_as_the_reference(windows, name, is_sparse, weighted, shuffle):
    network, options = structured(name, sizes=(5, 9, 9, 6, 3))
    X, y = make_data(network, 43)
    if is_sparse:
        X = scipy.sparse.csr_matrix(np.where(np.abs(X) > 0.8, X, 0.0))
    data = (X, y)
    if weighted:
        weight = np.random.default_rng(0).integers(0, 3, 43).astype(np.float64)
        weight[12:24] = 0.0
        options |= dict(rows=np.arange(2, 40)[::-1].copy())
        data = (X, y, weight)
    assert_same_training(
        network,
        data,
        modules=(cuda, numpy_engine),
        **rounding(name),
        **{**options, "batch_size": 12, "epochs": 2, "shuffle": shuffle},
    )
    assert windows[0] in (12, 24)


def test_a_window_is_at_least_a_batch(emulated_gpu):
    data = Data(*make_data(make_network((600, 3, 1)), 300))
    stream = driver.open_device(0).stream()
    with pytest.raises(MemoryError, match=r"A batch of 300 rows .* 1\.378 MiB on Emul"):
        data.place(stream, 2**20, 300)
    data.place(stream, 2**20, 30)
    assert data.window == 150


@pytest.mark.slow
def test_an_estimator_whose_data_do_not_fit(monkeypatch):
    monkeypatch.setattr(training_table, "MAX_ORDERS", 2**12)
    X = np.random.default_rng(0).normal(size=(1000, 300)).astype(np.float32)
    y = X[:, 0] > 0
    options = dict(
        hidden_layer_sizes=(2,), max_iter=2, batch_size=100, early_stopping=True,
        random_state=0, validation_fraction=0.5,
    )  # fmt: skip
    with tiles.small_gpu(total_memory=3 * 2**18):
        with pytest.warns(match="Maximum iterations"):
            streamed = MLPClassifier(device="cuda", **options).fit(X, y)
    with pytest.warns(match="Maximum iterations"):
        on_cpu = MLPClassifier(**options).fit(X, y)
    np.testing.assert_allclose(streamed.loss_curve_, on_cpu.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(
        streamed.validation_scores_, on_cpu.validation_scores_, rtol=1e-5
    )


def test_orders_are_found_once():
    network = make_network((3, 2, 1))
    data = Data(*make_data(network, 20))
    orders = Orders(data, (6, 20), seed=3, shuffled_orders=shuffled_orders, n_lines=1)
    assert orders.know(4, 2)
    assert not orders.know(4, 1) and not orders.know(5, 1)
    assert orders.know(5, 2) and orders.first == 5
    expected = np.concatenate(orders.orders)
    np.testing.assert_array_equal(
        orders.rows(5, orders.places(12, 15)), expected[12:27]
    )
    sums = orders.weights(5, 2, 4)[:, 0]
    np.testing.assert_array_equal(sums, [6, 2, 6, 6])
