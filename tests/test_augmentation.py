"""Swapped entries and columns of partners: compiled engines beside the naive one."""

import numpy as np
import pytest
import scipy.sparse

from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from tests import numpy_engine
from tests.cuda import tiles
from tests.engines import assert_same_training, make_data, make_network, tolerance_of
from tests.graphs import GRAPHS, graph

#: Of batches of twelve rows and of one.
N_ROWS, BATCH = 25, 12
SCALES = (1.0, 0.0, 2.0, 0.5, 1.0)


def assert_trains_as_the_reference(network, data, module=cpu, **options):
    options = dict(batch_size=BATCH, epochs=2, shuffle=True, solver="adam", **options)
    options |= dict(modules=(module, numpy_engine), **tolerance_of(network.dtype))
    if module is cpu:
        assert_same_training(network, data, **options)
        return
    with tiles.small_gpu():
        assert_same_training(network, data, **options)


@pytest.mark.parametrize("module", [cpu, cuda])
@pytest.mark.parametrize("values", [(), (0.0, 1.0, -1.0, 0.5, 9.0)])
def test_the_mask_of_swapped_entries_is_a_target(module, values):
    """Columns 1 to 5 of seven targets."""
    network = make_network((5, 9, 7), "relu", dtype="float32")
    X, y = make_data(network, N_ROWS)
    assert_trains_as_the_reference(
        network, (X, y), module, feature_swap=0.3, swap_values=values, swap_mask=1,
    )  # fmt: skip


@pytest.mark.parametrize("module", [cpu, cuda])
def test_noise_has_a_deviation_for_each_column(module):
    network = make_network((5, 9, 2), "relu", dtype="float32")
    data = make_data(network, N_ROWS)
    options = dict(input_noise=0.5, noise_scales=SCALES)
    assert_trains_as_the_reference(network, data, module, **options)


@pytest.mark.parametrize("module", [cpu, cuda])
def test_codes_are_swapped_for_codes(module):
    """Which any mixture of two would not be: the engines look vectors up by them."""
    network = graph(5, *GRAPHS["codes beside numbers"], dtype="float32")
    data = make_data(network, N_ROWS)
    assert_trains_as_the_reference(network, data, module, cutmix=0.7, feature_swap=0.2)


@pytest.mark.parametrize("module", [cpu, cuda])
@pytest.mark.parametrize("own_rows", [False, True])
def test_members_swap_for_themselves_where_rows_are_their_own(module, own_rows):
    network = graph(5, *GRAPHS["members"], dtype="float32")
    data = make_data(network, N_ROWS)
    options = dict(cutmix=0.7, feature_swap=0.2, own_rows=own_rows)
    assert_trains_as_the_reference(network, data, module, **options)


@pytest.mark.parametrize("module", [cpu, cuda])
def test_sparse_rows_are_swapped_as_dense_ones(module):
    """With a column twice in a row."""
    network = make_network((5, 9, 2), "relu", dtype="float32")
    X, y = make_data(network, N_ROWS)
    X[np.random.default_rng(0).uniform(size=X.shape) > 0.4] = 0.0
    X = scipy.sparse.csr_array(X)
    X.indices[1] = X.indices[0]
    X.has_canonical_format = False
    assert_trains_as_the_reference(
        network, (X, y), module, cutmix=1.0, feature_swap=0.3
    )
