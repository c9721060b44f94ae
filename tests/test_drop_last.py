"""Epochs that leave out the rows that fill no batch."""

from itertools import pairwise as neighbours

import numpy as np
import pytest

from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from nnfit.cuda.data import Data
from nnfit.engine_settings import EngineSettings
from nnfit.network.members import Members
from tests import numpy_engine
from tests.cuda import tiles
from tests.engines import (
    assert_same_training,
    make_data,
    make_engine,
    make_network,
    tolerance_of,
)
from tests.pairs import in_turn, pairwise


def data_of(name, network, n_rows=45):
    data = make_data(network, n_rows)
    if name == "weights":
        weights = np.random.default_rng(3).integers(0, 3, n_rows).astype(float)
        return (*data, weights), {}
    rows = np.arange(2, n_rows - 3)[::-1].copy()
    return data, {"rows": rows} if name == "some rows" else {}


@pairwise(
    data=["plain", "weights", "some rows"],
    shuffle=[False, True],
    normalization=[None, "batch"],
    own_rows=[False, True],
)
def test_they_train_as_the_reference(data, shuffle, normalization, own_rows):
    members = Members(3) if own_rows else None
    normalization = None if own_rows else normalization
    network = make_network(
        (5, 7, 3), "tanh", normalization=normalization, members=members
    )
    data, rows = data_of(data, network)
    assert_same_training(
        network, data, **tolerance_of("float64"), batch_size=20, shuffle=shuffle,
        drop_last=True, own_rows=own_rows, schedule="invscaling", **rows,
    )  # fmt: skip


@in_turn(
    data=["plain", "weights", "some rows"],
    shuffle=[True, True, False],
    launches=[False, True],
    window=[None, 16, 16],
)
def test_they_train_on_a_gpu_as_the_reference(
    data, shuffle, launches, window, monkeypatch
):
    network = make_network((5, 7, 3), "tanh", normalization="batch")
    data, rows = data_of(data, network, 37)
    place = Data.place

    def place_in_little(self, stream, free, batch):
        place(self, stream, free if window is None else self._bytes(window), batch)

    monkeypatch.setattr(Data, "place", place_in_little)
    with tiles.small_gpu(launches=launches):
        assert_same_training(
            network, data, rtol=1e-8, atol=1e-10, batch_size=8, shuffle=shuffle,
            drop_last=True, modules=(cuda, numpy_engine), **rows,
        )  # fmt: skip


@pytest.mark.parametrize("module", [cpu, cuda])
def test_each_epoch_leaves_out_others(module):
    """A row of features of its own for each, so weights of it move with it alone."""
    network = make_network((7, 1), "tanh")
    data = np.eye(7), np.ones((7, 1))
    with tiles.small_gpu():
        engine = make_engine(
            module, network, data, "sgd", batch_size=3, shuffle=True, alpha=0.0,
            hyper=(0.0, 0.0), drop_last=True,
        )  # fmt: skip
        weights = []
        for epoch in range(12):
            weights.append(engine.get_weights().coefs[0].copy())
            assert len(engine.train(epoch + 1)["loss"]) == 1
        engine.close()
    moved = np.array([(a != b).ravel() for a, b in neighbours(weights)])
    assert (moved.sum(axis=1) == 6).all()
    assert moved.any(axis=0).all() and len(set(moved.argmin(axis=1))) > 2


def test_few_rows_are_one_batch():
    plain = {field: None for field in ("alpha", "weight_decay", "power_t", "tol")}
    settings = EngineSettings(
        batch_size=8, shuffle=True, seed=0, learning_rate_init=0.1, hyper=(),
        schedule="constant", n_iter_no_change=1, monitor_loss=True, drop_last=True,
        **plain,
    )  # fmt: skip
    assert [settings.rows_of_epoch(n) for n in (5, 8, 15, 16)] == [5, 8, 8, 16]
    assert [settings.batches_of_epoch(n) for n in (5, 8, 15, 16)] == [1, 1, 1, 2]
