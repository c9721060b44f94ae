"""Parameters that cannot act together, and lists of the wrong length or range."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.utils._param_validation import InvalidParameterError

from nnfit import MLPClassifier, MLPRegressor
from nnfit.estimators.validation import check_dropout, hidden_sizes
from tests.conftest import identify

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (5, 4), "max_iter": 2, "random_state": 0}


@pytest.mark.parametrize(
    "parameters",
    [
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"input_dropout": 1.0},
        {"l1": -1.0},
        {"max_norm": 0.0},
        {"mixup": -0.1},
        {"cutmix": -0.1},
        {"feature_swap": 1.0},
        {"input_noise": -0.1},
        {"ema_decay": 1.0},
        {"ema_decay": 0.0},
        {"swa": 1.0},
        {"normalization": "group"},
        {"residual": "yes"},
        {"clip_norm": 0.0},
        {"clip_value": -1.0},
        {"rho": 1.0},
        {"solver": "sophia"},
        {"learning_rate": "cosinus"},
        {"warmup": 1.0},
        {"learning_rate_decay": 0.0},
        {"learning_rate_decay": 1.5},
        {"learning_rate_cycles": 0},
        {"learning_rate_cycles": 1.5},
        {"weight_decay_schedule": "plateau"},
        {"dropout_schedule": "invscaling"},
        {"momentum_schedule": "cosinus"},
        {"learning_rate_factors": 0.5},
        {"max_time": 0.0},
        {"n_layers": -1},
        {"n_layers": 2.0},
        {"layer_width": 0},
        {"taper": 0.0},
        {"n_members": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_values_that_no_parameter_takes(estimator, parameters):
    (name,) = parameters
    message = f"The '{name}' parameter of {estimator.__name__} must be"
    with pytest.raises(InvalidParameterError, match=message):
        estimator(**QUICK | parameters).fit(X, Y)


LBFGS = {
    "dropout": 0.1,
    "input_dropout": 0.1,
    "mixup": 0.2,
    "cutmix": 0.2,
    "feature_swap": 0.1,
    "input_noise": 0.1,
    "l1": 1e-3,
    "max_norm": 2.0,
    "clip_norm": 1.0,
    "clip_value": 1.0,
    "ema_decay": 0.9,
    "swa": 0.25,
    "warmup": 0.1,
    "learning_rate_factors": [1.0, 1.0, 0.5],
    "weight_decay_schedule": "cosine",
    "dropout_schedule": math.cos,
    "momentum_schedule": "cosine",
}


@pytest.mark.parametrize("name", LBFGS)
def test_what_acts_on_steps_is_not_for_lbfgs(name):
    model = MLPClassifier(solver="lbfgs", **QUICK, **{name: LBFGS[name]})
    message = f"^{name} acts on the steps of mini-batches, got .*solver='lbfgs'.*leave"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("learning_rate", ["cosine", "plateau", math.cos])
def test_schedules_are_not_for_lbfgs(learning_rate):
    model = MLPClassifier(solver="lbfgs", learning_rate=learning_rate, **QUICK)
    with pytest.raises(ValueError, match="no learning rate, got learning_rate="):
        model.fit(X, Y)


@pytest.mark.filterwarnings("ignore:.*has no effect")
def test_what_acts_with_lbfgs():
    """Parameters that a grid may hold: unused ones, and those of the network."""
    for parameters in (
        {"learning_rate": "adaptive"},
        {"dropout": [0.0, 0.0], "learning_rate_decay": 0.5, "rho": 0.5},
        {"dropout": (), "hidden_layer_sizes": ()},
        {"max_time": 60.0, "n_layers": 1, "layer_width": 3},
    ):
        MLPClassifier(solver="lbfgs", **QUICK | parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"normalization": "batch", "solver": "lbfgs"},
            "'batch' needs mini-batches, got solver='lbfgs'.*'layer'",
        ),
        ({"normalization": "batch", "batch_size": 1}, "at least 2 rows.*batch_size=1"),
        ({"ema_decay": 0.9, "swa": 0.5}, "ema_decay=0.9 and swa=0.5. Set one"),
        (
            {"mixup": 0.2, "cutmix": 1.0},
            "mixup=0.2 and cutmix=1.0. Set one of them to 0",
        ),
        ({"weight_decay_schedule": "cosine"}, "decays weights.*got solver='adam'"),
        (
            {"momentum_schedule": "cosine", "solver": "rmsprop"},
            "with a momentum or beta_1, got solver='rmsprop'",
        ),
        (
            {"dropout": [0.1]},
            r"a rate or a list of one number per hidden layer, 2 here, got 1: \[0.1\]",
        ),
        ({"dropout": [0.1, 0.2, 0.3]}, "2 here, got 3"),
        ({"dropout": [0.1, 1.0]}, r"rates in \[0, 1\), got \[0.1, 1.0\]"),
        ({"dropout": [0.1, np.nan]}, r"rates in \[0, 1\)"),
        ({"dropout": ["a", "b"]}, "of one number per hidden layer, got"),
        ({"dropout": [[0.1], [0.2, 0.3]]}, "of one number per hidden layer, got"),
        (
            {"learning_rate_factors": [1.0, 1.0]},
            "per layer, the last one included, 3 here, got 2",
        ),
        ({"learning_rate_factors": [1.0, 1.0, -1.0]}, "at least 0, got"),
        ({"learning_rate_factors": [1.0, 1.0, np.inf]}, "finite and at least 0"),
        ({"n_layers": 400, "taper": 10.0}, "layer_width, times taper=10 .* Lower one"),
        (
            {"n_layers": 2, "activation": ["relu"]},
            "one per hidden layer, 2 here, got 1",
        ),
        ({"n_layers": 1, "dropout": [0.1, 0.1]}, "1 here, got 2"),
        ({"learning_rate": lambda t: "high"}, "learning_rate must return a finite num"),
        ({"learning_rate": lambda t: -1.0}, "returned -1.0 at 0"),
        ({"learning_rate": lambda t: math.nan}, "returned nan at 0"),
        ({"momentum_schedule": lambda t: 2.0}, r"momentum_schedule must .* in \[0, 1]"),
        (
            {"dropout_schedule": lambda t: 2.0, "dropout": 0.1},
            r"dropout_schedule must .* in \[0, 1\]",
        ),
    ],
    ids=identify,
)
def test_parameters_that_do_not_fit_together(naive_engine, parameters, message):
    for estimator in (MLPClassifier, MLPRegressor):
        model = estimator(**QUICK | parameters)
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y)
        assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ema_decay": 0.9}, "by itself, got ema_decay=0.9"),
        ({"swa": 0.5}, "by itself, got swa=0.5"),
        ({"beta_1": 0.0}, "needs beta_1 > 0.*got 0"),
    ],
)
def test_schedule_free_averages_by_itself(parameters, message):
    model = MLPClassifier(solver="schedule_free", **QUICK, **parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)


def test_batch_normalisation_of_single_rows():
    model = MLPRegressor(normalization="batch", **QUICK)
    message = r"at least 2 rows, .*n_samples=1 to train"
    with pytest.raises(ValueError, match=message):
        model.fit(X[:1], Y[:1])
    model.set_params(early_stopping=True, validation_fraction=0.7)
    with pytest.raises(ValueError, match=message):
        model.fit(X[:4], Y[:4])


@pytest.mark.parametrize(
    "parameters", [{}, {"solver": "lbfgs", "early_stopping": True}], ids=str
)
def test_temperature_without_validation_data(parameters):
    model = MLPClassifier(temperature_scaling=True, **QUICK, **parameters)
    with pytest.raises(ValueError, match="needs validation data, got none"):
        model.fit(X, Y)


def test_sizes_by_number_and_width(naive_engine):
    parameters = {"n_layers": 3, "layer_width": 8, "taper": 0.5, "max_iter": 1}
    model = MLPRegressor(hidden_layer_sizes=(7,), **parameters).fit(X, Y)
    assert [coef.shape for coef in model.coefs_] == [(4, 8), (8, 4), (4, 2), (2, 1)]
    model.set_params(n_layers=4, layer_width=2, taper=0.1).fit(X, Y)
    assert [coef.shape[1] for coef in model.coefs_] == [2, 1, 1, 1, 1]
    model.set_params(n_layers=0).fit(X, Y)
    assert [coef.shape for coef in model.coefs_] == [(4, 1)]


@given(
    n_layers=st.integers(0, 30),
    width=st.integers(1, 2000),
    taper=st.floats(0.01, 3.0, exclude_min=True),
)
def test_any_number_width_and_taper(n_layers, width, taper):
    model = MLPRegressor(n_layers=n_layers, layer_width=width, taper=taper)
    sizes = hidden_sizes(model)
    assert len(sizes) == n_layers
    assert sizes[:1] == [width][:n_layers]
    assert all(isinstance(size, int) and size >= 1 for size in sizes)
    for size, following in pairwise(sizes):
        # Each is rounded by itself, so that errors do not add up.
        assert abs(following - max(1, size * taper)) <= 0.5 * (1 + taper) + 1e-9 * size


@given(st.lists(st.floats(0.0, 0.99), max_size=5))
def test_any_rates_of_dropout(rates):
    for given_rates in (rates, tuple(rates), np.array(rates)):
        checked = check_dropout(given_rates, len(rates))
        assert checked == (tuple(rates) if any(rates) else ())


def test_residual_network_without_hidden_layers(naive_engine):
    plain, residual = (
        MLPClassifier((), residual=residual, max_iter=3, random_state=0).fit(X, Y)
        for residual in (False, True)
    )
    np.testing.assert_array_equal(plain.coefs_[0], residual.coefs_[0])
    np.testing.assert_array_equal(plain.predict_proba(X), residual.predict_proba(X))
