"""Attributes, warnings and errors beside scikit-learn's, situation by situation."""

import contextlib
import inspect
import io
import warnings

import numpy as np
import pytest
from sklearn import neural_network as sklearn_mlp
from sklearn.datasets import load_iris

import nnfit

NAMES = ["MLPClassifier", "MLPRegressor"]
X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
OURS_ONLY = {"history_", "n_threads_", "device_", "norms_", "others_"}


def public_attributes(estimator):
    return {
        name
        for name in vars(estimator)
        if name.endswith("_") and not name.startswith("_")
    }


def run(library, name, situation):
    """What happens: attributes and their kinds, warnings, error, output."""
    estimator = getattr(library, name)(hidden_layer_sizes=(5,), random_state=0)
    output = io.StringIO()
    error = None
    with warnings.catch_warnings(record=True) as caught, contextlib.ExitStack() as all_:
        all_.enter_context(contextlib.redirect_stdout(output))
        warnings.simplefilter("always")
        try:
            estimator = situation(estimator)
        except Exception as raised:
            error = raised
    messages = [(w.category, str(w.message)) for w in caught]
    return estimator, messages, error, output.getvalue()


def fit(y=Y, X=X, sample_weight=None, **parameters):
    def situation(estimator):
        return estimator.set_params(**parameters).fit(X, y, sample_weight)

    return situation


def fit_twice(estimator):
    estimator.set_params(warm_start=True, max_iter=3, solver="sgd")
    return estimator.fit(X, Y).fit(X, Y)


def partial_fit_twice(estimator):
    classes = {"classes": [0, 1, 2]} if hasattr(estimator, "predict_proba") else {}
    return estimator.partial_fit(X, Y, **classes).partial_fit(X, Y)


SITUATIONS = {
    "converges": fit(max_iter=1000, tol=1e-2),
    "does not converge": fit(max_iter=3),
    "early stopping": fit(early_stopping=True, max_iter=5),
    "lbfgs": fit(solver="lbfgs", max_iter=500, alpha=1.0),
    "lbfgs does not converge": fit(solver="lbfgs", max_iter=5),
    "sgd adaptive": fit(solver="sgd", learning_rate="adaptive", max_iter=5),
    "large batch": fit(batch_size=1000, max_iter=3),
    "column of targets": fit(y=Y[:, None], max_iter=3),
    "one class or value": fit(y=np.zeros(150, dtype=int), max_iter=3),
    "warm start": fit_twice,
    "partial_fit": partial_fit_twice,
    "no hidden layer": fit(hidden_layer_sizes=(), max_iter=3),
    "integer size": fit(hidden_layer_sizes=4, max_iter=3),
}
ERRORS = {
    "size 0": fit(hidden_layer_sizes=(5, 0)),
    "negative size": fit(hidden_layer_sizes=-1),
    "unknown activation": fit(activation="ghost"),
    "unknown solver": fit(solver="ghost"),
    "negative alpha": fit(alpha=-1.0),
    "batch size 0": fit(batch_size=0),
    "unknown learning rate": fit(learning_rate="ghost"),
    "learning rate 0": fit(learning_rate_init=0.0),
    "validation_fraction 1": fit(early_stopping=True, validation_fraction=1.0),
    "momentum 2": fit(momentum=2),
    "beta_1 1": fit(beta_1=1.0),
    "epsilon 0": fit(epsilon=0.0),
    "max_iter 0": fit(max_iter=0),
    "n_iter_no_change 0": fit(n_iter_no_change=0),
    "text as shuffle": fit(shuffle="true"),
    "infinity in X": fit(X=np.where(X == X[0, 0], np.inf, X)),
    "lengths differ": fit(y=Y[:-1]),
    "one row of X": fit(X=X[0], y=Y[:1]),
    "no rows": fit(X=X[:0], y=Y[:0]),
    "complex X": fit(X=X + 1j),
    "text in X": fit(X=np.full(X.shape, "a")),
    "weights too short": fit(sample_weight=np.ones(3)),
    "weights in two dimensions": fit(sample_weight=np.ones((150, 2))),
    "partial_fit with early stopping": lambda e: e.set_params(
        early_stopping=True
    ).partial_fit(X, Y, **({"classes": Y} if hasattr(e, "predict_proba") else {})),
    "not fitted": lambda e: e.predict(X),
    "other width": lambda e: e.set_params(max_iter=2).fit(X, Y).predict(X[:, :2]),
}
CLASSIFIER_ERRORS = {
    "continuous y": fit(y=Y + 0.5),
    "several multiclass outputs": fit(y=np.column_stack([Y, Y])),
    "first partial_fit without classes": lambda e: e.partial_fit(X, Y),
    "partial_fit with an unknown class": lambda e: e.partial_fit(X, Y, classes=[0, 1]),
    "partial_fit with other classes": lambda e: e.partial_fit(
        X, Y, classes=[0, 1, 2]
    ).partial_fit(X, Y, classes=[0, 1, 2, 3]),
    "warm start with fewer classes": lambda e: (
        e.set_params(warm_start=True).fit(X, Y).fit(X, np.minimum(Y, 1))
    ),
    "lbfgs partial_fit": lambda e: e.set_params(solver="lbfgs").partial_fit(X, Y),
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_come_first_and_have_the_same_defaults(name):
    theirs = inspect.signature(getattr(sklearn_mlp, name)).parameters
    ours = inspect.signature(getattr(nnfit, name)).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for key, parameter in theirs.items():
        assert (ours[key].default, ours[key].kind) == (
            parameter.default,
            parameter.kind,
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_same_attributes_and_warnings(name, situation):
    ours, our_warnings, our_error, _ = run(nnfit, name, SITUATIONS[situation])
    theirs, their_warnings, error, _ = run(sklearn_mlp, name, SITUATIONS[situation])
    assert our_error is error is None
    assert public_attributes(ours) - OURS_ONLY == public_attributes(theirs)
    converged = [category for category, _ in their_warnings]
    assert [category for category, _ in our_warnings] == converged
    if "lbfgs" not in situation:  # whose message tells its status
        assert our_warnings == their_warnings
    for attribute in sorted(public_attributes(theirs) - {"coefs_", "intercepts_"}):
        mine, other = getattr(ours, attribute), getattr(theirs, attribute)
        assert isinstance(mine, float) == isinstance(other, float), attribute
        assert isinstance(mine, list) == isinstance(other, list), attribute
        assert (mine is None) == (other is None), attribute
        if isinstance(other, str) or attribute in ("n_layers_", "n_outputs_"):
            assert mine == other
    if "converge" not in situation and "lbfgs" not in situation:
        assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
        assert len(ours.loss_curve_) == len(theirs.loss_curve_)


@pytest.mark.parametrize(
    ("name", "situation"),
    [
        *((name, situation) for name in NAMES for situation in ERRORS),
        *(("MLPClassifier", situation) for situation in CLASSIFIER_ERRORS),
    ],
)
def test_same_errors(name, situation):
    call = (ERRORS | CLASSIFIER_ERRORS)[situation]
    *_, ours, _ = run(nnfit, name, call)
    *_, theirs, _ = run(sklearn_mlp, name, call)
    assert theirs is not None
    assert type(ours) is type(theirs), (ours, theirs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "parameters",
    [
        {"max_iter": 3},
        {"max_iter": 3, "early_stopping": True},
        {"tol": 10.0, "n_iter_no_change": 2},
        {"tol": 10.0, "n_iter_no_change": 2, "early_stopping": True},
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "tol": 10.0,
            "n_iter_no_change": 1,
        },
    ],
)
def test_verbose_says_the_same_of_the_end(name, parameters):
    call = fit(verbose=True, shuffle=False, **parameters)
    *_, ours = run(nnfit, name, call)
    *_, theirs = run(sklearn_mlp, name, call)

    def sentences(text):
        return [line for line in text.splitlines() if "did not" in line]

    assert sentences(ours) == sentences(theirs)
    assert ours.startswith("epoch ")


def test_a_single_class():
    ours, *_ = run(nnfit, "MLPClassifier", SITUATIONS["one class or value"])
    theirs, *_ = run(sklearn_mlp, "MLPClassifier", SITUATIONS["one class or value"])
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predict_proba(X).shape == theirs.predict_proba(X).shape
