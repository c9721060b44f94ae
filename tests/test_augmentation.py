"""Swapped entries and columns of partners: compiled engines beside the naive one."""

import numpy as np
import pytest
import scipy.sparse
from scipy import stats
from sklearn.base import clone

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    PopulationSearchCV,
    RealMLPClassifier,
    RealMLPRegressor,
    TabMRegressor,
)
from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from tests import numpy_engine
from tests.cuda import tiles
from tests.engines import assert_same_training, make_data, make_network, tolerance_of
from tests.graphs import GRAPHS, graph
from tests.numpy_engine.randomness import Draws

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


# ------------------------------------------------------------------ what is drawn


def test_donors_are_all_other_rows_equally_often():
    draws = [Draws(0, step, 0) for step in range(40)]
    swapped = np.array([each.swapped(0.3, (12, 50)) for each in draws])
    part = np.sqrt(0.3 * 0.7 / swapped.size)
    assert abs(swapped.mean() - 0.3) < 4 * part
    away = np.array([each.donors((12, 50)) for each in draws]) - np.arange(12)[:, None]
    counts = np.bincount((away % 12).ravel(), minlength=12)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 0.01
    assert stats.chisquare(np.bincount(away[swapped] % 12)[1:]).pvalue > 0.01


def test_a_share_of_columns_is_kept_on_average():
    kept = np.array([Draws(0, step, 0).kept(0.7, (12, 50)) for step in range(40)])
    assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.3 * 0.7 / kept.size)
    assert not np.array_equal(kept[0, 0], kept[0, 1])
    assert Draws(0, 1, 0).kept(1.0, (12, 50)).all()


# --------------------------------------------------------------------- estimators

RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=(120, 3)), RNG.integers(0, 4, size=120)])
X[::7, 1] = X[::11, 3] = np.nan
Y = (np.nan_to_num(X[:, 3]) > 1).astype(int) + (X[:, 0] > 0.5)
SMALL = dict(
    hidden_layer_sizes=(8,), max_iter=3, batch_size=40, random_state=0,
    categorical_features=[3], scaling="standard", cutmix=0.7, feature_swap=0.2,
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize(
    "more", [{}, {"n_members": 2}, {"n_shared_members": 2}], ids=str
)
def test_tables_with_categories_and_missing_values_are_swapped(more):
    """Where noise is refused; the same on any number of threads and on a GPU."""
    model = MLPClassifier(**SMALL, **more)
    found = [model.set_params(n_jobs=n).fit(X, Y).predict_proba(X) for n in (1, 3)]
    np.testing.assert_array_equal(*found)
    with tiles.small_gpu():
        other = model.set_params(device="cuda").fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-6)
    plain = MLPClassifier(**SMALL | {"cutmix": 0.0}, **more).fit(X, Y).predict_proba(X)
    assert abs(plain - found[0]).max() > 1e-4


def test_single_rows_are_left_alone():
    """Of partial_fit; and in a search, where networks with and without it train."""
    model, plain = (
        MLPRegressor(hidden_layer_sizes=(8,), random_state=0, **options)
        for options in (dict(cutmix=1.0, feature_swap=0.5), {})
    )
    for each in (model, plain):
        each.partial_fit(X[:1, :3], Y[:1])
    np.testing.assert_allclose(model.predict(X[:, :3][:1]), plain.predict(X[:1, :3]))


def test_a_search_trains_networks_with_and_without():
    grid = {"cutmix": [0.0, 0.7], "feature_swap": [0.0, 0.2]}
    search = PopulationSearchCV(MLPClassifier(**SMALL), grid, n_iter=4, cv=2)
    scores = search.fit(X, Y).cv_results_["mean_test_score"]
    assert len(scores) == 4 and np.isfinite(scores).all()


@pytest.mark.parametrize("recipe", [RealMLPClassifier, RealMLPRegressor, TabMRegressor])
@pytest.mark.parametrize("change", [{"cutmix": 1.0}, {"feature_swap": 0.3}])
def test_recipes_have_them(recipe, change):
    """With categories and missing values, which both leave as they are."""
    X = np.column_stack([np.linspace(-1.0, 1.0, 60), np.arange(60) % 3])
    y = (X[:, 0] > 0).astype(int)
    X[::7, 0] = np.nan
    given = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
    plain = recipe(**given, categorical_features=[1])
    changed = clone(plain).set_params(**change)
    weights = [model.fit(X, y).coefs_[-1] for model in (plain, changed)]
    assert not np.array_equal(*weights)
