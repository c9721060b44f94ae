"""`unfreeze_at`: frozen layers that learn from an epoch on."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris

from nnfit import MLPClassifier, MLPRegressor, RealMLPClassifier
from nnfit.engine_settings import MISSED
from tests.test_callbacks import assert_same
from tests.test_checkpoints import assert_resumes

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
COMMON = {"hidden_layer_sizes": (7, 5), "max_iter": 2, "random_state": 0}
FROZEN = {**COMMON, "freeze": "body", "unfreeze_at": 2}
#: What else a training keeps from epoch to epoch, and how rows come.
TRAININGS = {
    "plain": {},
    "normalised": {"normalization": "batch", "residual": True, "dropout": 0.2},
    "rates": {"learning_rate_factors": (0.1, 0.5, 1.0), "solver": "adamw"},
    "matrices": {"solver": "muon", "freeze": 1},
}


@pytest.mark.parametrize("name", TRAININGS)
def test_it_is_a_warm_start_without_freeze(name, any_engine):
    model = MLPClassifier(**FROZEN | TRAININGS[name], warm_start=True).fit(X, Y)
    first = model.coefs_[0].copy()
    whole = clone(model).set_params(max_iter=4).fit(X, Y)
    model.set_params(freeze=None, unfreeze_at=None).fit(X, Y)
    assert not np.array_equal(model.coefs_[0], first)
    assert_same(whole, model)


@pytest.mark.emulated
def test_on_a_gpu_too(any_engine):
    small = {"hidden_layer_sizes": (3, 2), "batch_size": 30, "max_iter": 1}
    model = MLPClassifier(**FROZEN | small | {"unfreeze_at": 1}, warm_start=True)
    whole = clone(model).set_params(max_iter=2).fit(X[::5], Y[::5])
    model.fit(X[::5], Y[::5]).set_params(freeze=None, unfreeze_at=None)
    start = model.coefs_[0].copy()
    assert_same(whole, model.fit(X[::5], Y[::5]))
    assert_is_a_first_step(model, start)


def assert_is_a_first_step(model, start, share=1.0):
    """Weights have moved by so many learning rates, unless their gradient is 0."""
    moved = np.abs(model.coefs_[0] - start)
    moved = moved[moved > 0] / model.learning_rate_init
    assert len(moved) > start.size // 2
    assert_allclose(moved, share, rtol=0.01)


@pytest.mark.parametrize(
    ("solver", "share"),
    [("adam", 1.0), ("nadam", 1 + 0.9 * 0.1 / (1 - 0.9**2)), ("schedule_free", 1.0)],
)
def test_layers_that_join_count_their_own_steps(solver, share, any_engine):
    """As those of a new network; the others go on with theirs."""
    whole_batch = {"batch_size": len(X), "solver": solver, "dtype": "float64"}
    model = MLPClassifier(**COMMON | whole_batch, freeze="body", warm_start=True)
    model.set_params(max_iter=20, learning_rate_init=0.01, alpha=0.0).fit(X, Y)
    start = model.coefs_[0].copy()
    model.set_params(freeze=None, max_iter=1).fit(X, Y)
    assert_is_a_first_step(model, start, share)


def test_steps_before_layers_were_frozen_count_too():
    model = MLPClassifier(**COMMON, batch_size=len(X), warm_start=True).fit(X, Y)
    for freeze, missed in ((1, {0, 2}), (None, {0, 2}), ([2], {0, 2})):
        model.set_params(freeze=freeze).fit(X, Y)
        memory = model._training_state["optimizer"]["memory"]
        assert set(memory[model._training_state["step"] % 2, :, MISSED]) == missed


def test_sparse_and_weighted_rows_with_validation_data():
    weight, given = 1.0 + Y, {"X_val": X[::3], "y_val": Y[::3]}
    model = MLPClassifier(**FROZEN | {"max_iter": 4}, early_stopping=True)
    still = clone(model).set_params(unfreeze_at=None)
    for each in (model, still):
        each.fit(csr_array(X), Y, weight, **given)
    assert model.loss_curve_[:2] == still.loss_curve_[:2]
    assert model.validation_scores_[:2] == still.validation_scores_[:2]
    assert model.loss_curve_[2] != still.loss_curve_[2]


def test_epochs_of_all_calls_count():
    """A call of `partial_fit` is an epoch; a fit without `warm_start` begins anew."""
    model, start = MLPRegressor(**FROZEN), MLPRegressor(**FROZEN).fit(X, Y).coefs_[0]
    for call in range(4):
        model.partial_fit(X, Y)
        assert np.array_equal(model.coefs_[0], start) == (call < 2)
    assert_array_equal(model.fit(X, Y).coefs_[0], start)
    model.set_params(warm_start=True).fit(X, Y)
    assert not np.array_equal(model.coefs_[0], start)


def test_threads_and_members_do_not_matter():
    model = RealMLPClassifier(
        **FROZEN | {"hidden_layer_sizes": (8, 6), "max_iter": 4}, n_members=2
    )
    one, two = (clone(model).set_params(n_jobs=n).fit(X, Y) for n in (1, 2))
    assert_same(one, two)
    still = clone(model).set_params(unfreeze_at=None, n_jobs=1).fit(X, Y)
    for own, before in zip(one.members_, still.members_, strict=True):
        assert not np.array_equal(own.coefs_[0], before.coefs_[0])


@pytest.mark.parametrize("border", [3, 5, 6])
def test_a_killed_fit_goes_on_to_the_same_bits(border, tmp_path):
    """Killed in epoch 5 after a checkpoint at 4: before, at and after the border."""
    parameters = {"unfreeze_at": border, "max_iter": 7, "ema_decay": 0.9}
    model = MLPClassifier(**FROZEN | parameters, normalization="batch")
    assert_resumes(model, tmp_path, X, Y)


@pytest.mark.parametrize("value", [0, -1, 2.5, "body", [1]])
def test_what_is_no_number_of_epochs_is_refused(value):
    with pytest.raises(ValueError, match="The 'unfreeze_at' parameter"):
        MLPClassifier(**FROZEN | {"unfreeze_at": value}).fit(X, Y)


def test_it_needs_epochs_and_frozen_layers():
    with pytest.raises(ValueError, match="unfreeze_at acts on the steps of mini-"):
        MLPClassifier(**FROZEN, solver="lbfgs").fit(X, Y)
    with pytest.warns(UserWarning, match="unfreeze_at=2 has no effect: it needs free"):
        MLPClassifier(**FROZEN | {"freeze": None}).fit(X, Y)
