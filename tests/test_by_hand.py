"""Fitted attributes that users set, copy from scikit-learn or override."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import neural_network as sklearn_mlp
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import LabelBinarizer

import nnfit
from nnfit import MLPClassifier, MLPRegressor
from nnfit.estimators import by_hand

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
LABELS = np.column_stack([Y == 0, Y < 2, X[:, 0] > 0]).astype(int)
PARAMETERS = {
    "hidden_layer_sizes": (6, 5),
    "activation": "tanh",
    "max_iter": 5,
    "random_state": 0,
}
#: Estimator, its own parameters and targets.
KINDS = {
    "two classes": ("MLPClassifier", {}, np.array(["no", "yes"])[(Y > 0).astype(int)]),
    "three classes": ("MLPClassifier", {}, Y),
    "labels": ("MLPClassifier", {}, LABELS),
    "number": ("MLPRegressor", {}, Y),
    "numbers": ("MLPRegressor", {}, np.column_stack([Y, X[:, 0]])),
    "counts": ("MLPRegressor", {"loss": "poisson"}, Y),
}


@pytest.fixture(scope="module")
def theirs():
    """Networks of scikit-learn's."""
    return {
        kind: getattr(sklearn_mlp, name)(**PARAMETERS | own).fit(X, y)
        for kind, (name, own, y) in KINDS.items()
    }


def set_one_by_one(model, source, names):
    for name in names:
        if hasattr(source, name):
            setattr(model, name, getattr(source, name))


#: Ways of scripts to give a new estimator what another has learnt.
WAYS = {
    "few attributes": lambda model, source: set_one_by_one(
        model, source, ["coefs_", "intercepts_", "classes_", "out_activation_"]
    ),
    "binarizer": lambda model, source: set_one_by_one(
        model,
        source,
        ["coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_"]
        + ["_label_binarizer"],
    ),
    "all attributes": lambda model, source: set_one_by_one(
        model, source, [name for name in vars(source) if name.endswith("_")]
    ),
    "dict": lambda model, source: model.__dict__.update(vars(source)),
    "state": lambda model, source: model.__setstate__(source.__getstate__()),
}


def assert_like(model, source):
    if hasattr(source, "predict_proba"):
        assert_array_equal(model.predict(X), source.predict(X))
        assert_allclose(model.predict_proba(X), source.predict_proba(X), rtol=1e-6)
        binarizers = model._label_binarizer, source._label_binarizer
        assert binarizers[0].y_type_ == binarizers[1].y_type_
        assert_array_equal(*(each.classes_ for each in binarizers))
    else:
        assert_allclose(model.predict(X), source.predict(X), rtol=1e-6, atol=1e-9)
    outputs = model._forward_pass_fast(X), source._forward_pass_fast(X)
    assert_allclose(*outputs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_scikit_learn_predict_and_train_on(theirs, kind, way):
    name, own, y = KINDS[kind]
    model = getattr(nnfit, name)(**PARAMETERS | own, dtype="float64")
    source = pickle.loads(pickle.dumps(theirs[kind]))
    WAYS[way](model, source)
    assert_like(model, source)
    assert_like(pickle.loads(pickle.dumps(model)), source)
    before = [coef.copy() for coef in model.coefs_]
    assert model.score(X, y) == pytest.approx(source.score(X, y))
    model.partial_fit(X, y)
    assert 0 < np.abs(model.coefs_[0] - before[0]).max() < 0.1
    model.set_params(warm_start=True, activation="tanh").fit(X, y)
    assert model.n_features_in_ == 4


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_fitted_estimator_takes_other_weights(theirs, n_members):
    """Of more layers than it was fitted with."""
    source = theirs["three classes"]
    model = MLPClassifier((3,), activation="tanh", max_iter=2, n_members=n_members)
    model.fit(X, Y)
    for network in getattr(model, "members_", [model]):
        set_one_by_one(network, source, ["coefs_", "intercepts_", "n_layers_"])
    assert_array_equal(model.predict(X), source.predict(X))


@pytest.mark.parametrize("kind", KINDS)
def test_from_arrays(theirs, kind):
    name, own, y = KINDS[kind]
    source = theirs[kind]
    arguments = [source.coefs_, [array.tolist() for array in source.intercepts_]]
    keywords = dict(own)
    if name == "MLPClassifier":
        arguments.append(source.classes_.tolist())
        keywords["multilabel"] = kind == "labels"
    model = getattr(nnfit, name).from_arrays(*arguments, activation="tanh", **keywords)
    assert_like(model, source)
    assert_like(pickle.loads(pickle.dumps(model)), source)
    assert model.coefs_[0] is not source.coefs_[0]
    model.set_params(activation="relu")
    assert_like(model, source)
    model.set_params(activation="tanh", warm_start=True, max_iter=3).fit(X, y)
    assert model.n_iter_ == 3


def test_from_arrays_of_all_that_a_network_has(any_engine):
    parameters = {"normalization": "batch", "residual": True, "activation": "silu"}
    parameters |= {"loss": "quantile", "quantile": [0.2, 0.8], "dropout": 0.2}
    model = MLPRegressor(
        hidden_layer_sizes=(6, 6, 5), max_iter=2, random_state=0, **parameters
    )
    model.fit(X, Y)
    arrays = model.coefs_, model.intercepts_
    made = MLPRegressor.from_arrays(*arrays, norms=model.norms_, **parameters)
    assert_array_equal(made.predict(X), model.predict(X))
    assert made.predict(X, n_passes=2).shape == (150, 2)
    assert made.score(X, Y) == model.score(X, Y)


COEFS = [np.ones((4, 5)), np.ones((5, 3))]
INTERCEPTS = [np.ones(5), np.ones(3)]


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (
            (COEFS[1:], INTERCEPTS, [0, 1, 2]),
            {},
            "intercepts_ must hold 1 arr",
        ),
        (
            ([COEFS[0]] * 2, INTERCEPTS, [0, 1, 2]),
            {},
            r"coefs_\[1\] must .* \(5, 5",
        ),
        (([], [], [0, 1]), {}, "coefs_ must be a list of matrices"),
        ((INTERCEPTS, INTERCEPTS, [0, 1]), {}, "coefs_ must be a list of matrices"),
        ((COEFS, INTERCEPTS, [0, 1]), {}, r"coefs_\[-1\] must have 2 columns"),
        ((COEFS, INTERCEPTS, [2, 1, 0]), {}, "classes must be different and sorted"),
        ((COEFS, INTERCEPTS, [0, 1, 2]), {"activation": "no"}, "'activation' param"),
        (
            ([COEFS[0], np.nan * COEFS[1]], INTERCEPTS, [0, 1, 2]),
            {},
            "coefs must hold .* finite numbers, got for layer 1: ",
        ),
        (
            (COEFS, [["a"] * 5, INTERCEPTS[1]], [0, 1, 2]),
            {},
            "intercepts must hold .* got for layer 0: ",
        ),
        (
            (COEFS, INTERCEPTS, [0, 1, 2]),
            {"normalization": "layer"},
            "norms_ must hold 1 arrays, one for each layer that has such, got 0",
        ),
        (
            (COEFS, INTERCEPTS, [0, 1, 2]),
            {"norms": [np.ones((1, 5))]},
            "norms_ must hold 0 arrays, one for each layer that has such, got 1",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, keywords, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier.from_arrays(*arguments, **keywords)


@pytest.mark.parametrize("n_rows", [1, 150])
@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"n_layers_": 2}, "n_layers_ must be 3"),
        ({"coefs_": COEFS + COEFS}, "n_layers_ must be 5"),
        ({"intercepts_": INTERCEPTS[:1]}, "intercepts_ must hold 2 arrays.* got 1"),
        ({"coefs_": [COEFS[0], COEFS[1][1:]]}, r"coefs_\[1\] must have the shape"),
        ({"coefs_": [COEFS[0], COEFS[1][:, 1:]]}, "must have 3 columns"),
        ({"classes_": np.arange(4)}, "must have 4 columns"),
        ({"coefs_": INTERCEPTS}, "coefs_ must be a list of matrices"),
        ({"out_activation_": "tanh"}, "out_activation_ must be one of identity, log"),
        ({"norms_": [np.ones((1, 5))]}, "norms_ must hold 0 arrays.* got 1"),
        ({"members_": []}, "members_ and coefs_ are both there"),
    ],
)
def test_attributes_that_do_not_fit_are_refused(attributes, message, n_rows):
    model = MLPClassifier.from_arrays(COEFS, INTERCEPTS, [0, 1, 2])
    vars(model).update(attributes)
    with pytest.raises(ValueError, match=message):
        model.predict(X[:n_rows])


@pytest.mark.parametrize("missing", ["coefs_", "intercepts_", "classes_"])
def test_missing_attributes_are_named(missing):
    model = MLPClassifier()
    model.coefs_, model.intercepts_, model.classes_ = COEFS, INTERCEPTS, np.arange(3)
    delattr(model, missing)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("n_members", [1, 2])
def test_out_activation_takes_effect(any_engine, n_members):
    model = MLPRegressor(
        hidden_layer_sizes=(5,), max_iter=2, random_state=0, n_members=n_members
    )
    raw = model.fit(X, Y).predict(X)
    model.out_activation_ = "logistic"
    expected = model.predict(X)
    assert ((expected > 0) & (expected < 1)).all()
    if n_members == 1:
        assert_allclose(expected, 1 / (1 + np.exp(-raw)), rtol=1e-5)


class WithInitialWeights(MLPRegressor):
    """As scripts for scikit-learn have it."""

    def _init_coef(self, fan_in, fan_out, dtype):
        return np.zeros((fan_in, fan_out), dtype), np.zeros(fan_out, dtype)


def test_overridden_methods_that_are_not_called_are_refused():
    for name in by_hand.NOT_CALLED:
        assert hasattr(sklearn_mlp.MLPClassifier, name)
    with pytest.raises(TypeError, match=r"_init_coef of its own, .* does not call"):
        WithInitialWeights().fit(X, Y)
    model = MLPRegressor(max_iter=1)
    model._forward_pass_fast = lambda X: X
    with pytest.raises(TypeError, match="from_arrays and warm_start"):
        model.fit(X, Y)


def test_label_binarizer_is_that_of_the_classes():
    model = MLPClassifier((3,), max_iter=1)
    assert not hasattr(model, "_label_binarizer")
    model.fit(X, np.array(["a", "b", "c"])[Y])
    expected = LabelBinarizer().fit(["a", "b", "c"])
    assert_array_equal(
        model._label_binarizer.transform(["b", "a"]), expected.transform(["b", "a"])
    )


def test_pickles_without_a_description_predict_by_their_parameters():
    """Those that earlier versions wrote, with fewer parameters."""
    model = MLPClassifier((5,), activation="tanh", max_iter=2, random_state=0)
    expected = model.fit(X, Y).predict_proba(X)
    state = model.__getstate__()
    for name in ("_fitted", "residual", "input_dropout"):
        del state[name]
    state |= {"_link": "softmax"}
    loaded = MLPClassifier.__new__(MLPClassifier)
    loaded.__setstate__(state)
    assert_array_equal(loaded.predict_proba(X), expected)
    assert loaded.get_params() == model.get_params()


def test_moments_of_another_size_are_refused():
    """They were read from beyond their end."""
    model = MLPRegressor(
        hidden_layer_sizes=(5,), max_iter=2, warm_start=True, random_state=0
    )
    model.fit(X, Y)
    other = MLPRegressor(hidden_layer_sizes=(40,), max_iter=2).fit(X, Y)
    model.set_params(hidden_layer_sizes=(40,))
    set_one_by_one(model, other, ["coefs_", "intercepts_"])
    with pytest.raises(ValueError, match="coefs_ have been set to arrays of another"):
        model.fit(X, Y)
    assert_array_equal(model.predict(X), other.predict(X))
    made = MLPRegressor.from_arrays(model.coefs_, model.intercepts_, max_iter=2)
    made.set_params(warm_start=True).fit(X, Y)
    assert made.hidden_layer_sizes == (40,)
