"""Parameters that nothing in a fit reads are named by a warning."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from nnfit import MLPClassifier, MLPRegressor
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS

pytestmark = [
    pytest.mark.usefixtures("naive_engine"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X, Y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (5,), "max_iter": 1, "random_state": 0}

#: A parameter that has no effect, what it needs, and parameters with which it has one.
UNUSED = [
    (
        MLPClassifier,
        {"weight_decay": 0.1},
        "solver='adamw', 'lion'",
        {"solver": "lion"},
    ),
    (MLPClassifier, {"rho": 0.5}, "solver='rmsprop', got", {"solver": "rmsprop"}),
    (
        MLPRegressor,
        {"quantile": [0.1, 0.9]},
        "loss='quantile', g",
        {"loss": "quantile"},
    ),
    (MLPRegressor, {"huber_delta": 2.0}, "loss='huber', got", {"loss": "huber"}),
    (MLPClassifier, {"focal_gamma": 1.0}, "loss='focal', got", {"loss": "focal"}),
    (
        MLPClassifier,
        {"scoring": "accuracy"},
        "validation data: X_v",
        {"early_stopping": True},
    ),
    (MLPRegressor, {"layer_width": 7}, "n_layers", {"n_layers": 2}),
    (MLPRegressor, {"taper": 0.5}, "n_layers", {"n_layers": 2}),
    (MLPRegressor, {"member_rows": "own"}, "n_shared_m", {"n_shared_members": 2}),
    (
        MLPClassifier,
        {"learning_rate_decay": 0.5},
        "a schedule 'plateau', 'step' or 'exp",
        {"learning_rate": "plateau"},
    ),
    (
        MLPClassifier,
        {"learning_rate_cycles": 4},
        "a schedule 'cosine_restarts' or",
        {"dropout_schedule": "cosine_restarts", "dropout": [0.1]},
    ),
    (MLPClassifier, {"dropout_schedule": "cosine"}, "dropout or", {"dropout": [0.1]}),
]


@pytest.mark.parametrize(("estimator", "unused", "need", "others"), UNUSED, ids=str)
def test_parameters_without_effect(estimator, unused, need, others):
    (name,) = unused
    with pytest.warns(UserWarning, match=f"^{name}=.* has no effect: it needs {need}"):
        estimator(**QUICK, **unused).fit(X, Y)
    with pytest.warns(UserWarning, match=f"^{name}=.* has no effect"):
        estimator(**QUICK, **unused).partial_fit(
            X, Y, **{"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
        )
    estimator(**QUICK, **unused, **others).fit(X, Y)  # a warning is an error


def test_lbfgs_reads_no_weight_decay():
    with pytest.warns(UserWarning, match="weight_decay=0.1 .*got solver='lbfgs'"):
        MLPClassifier(solver="lbfgs", weight_decay=0.1, **QUICK).fit(X, Y)


def test_defaults_and_parameters_of_scikit_learn_say_nothing():
    for model in (
        MLPClassifier(**QUICK, momentum=0.5, beta_1=0.5, epsilon=1e-3, power_t=0.1),
        MLPRegressor(**QUICK, quantile=np.array(0.5), validation_fraction=0.5),
    ):
        for solver in (
            "lbfgs",
            *(name for name in OPTIMIZERS if name != "sgd_nesterov"),
        ):
            if solver != "lbfgs":
                model.set_params(solver=solver).fit(X, Y)


def test_every_parameter_of_the_registries_is_known():
    """What a solver or loss of the future reads, others do not."""
    names = {name for row in (*OPTIMIZERS.values(), *LOSSES.values())
             for name in row.parameters}  # fmt: skip
    known = {*MLPClassifier().get_params(), *MLPRegressor().get_params()}
    assert names <= known


def test_a_search_over_solvers_keeps_its_weight_decay():
    grid = {"solver": ["adam", "adamw", "sgd"]}
    search = GridSearchCV(
        MLPClassifier(**QUICK, weight_decay=0.1), grid, error_score="raise", cv=2
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, Y)
    texts = {str(w.message) for w in caught if "no effect" in str(w.message)}
    assert {text.split("got ")[1] for text in texts} == {
        "solver='adam'.",
        "solver='sgd'.",
    }
