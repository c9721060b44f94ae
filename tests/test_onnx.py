"""Estimators as ONNX models, which onnxruntime runs."""

import math

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    RealMLPRegressor,
    TabMClassifier,
    TabMRegressor,
    TabularClassifier,
    TabularRegressor,
)
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.pools import POOLS
from nnfit.network.kinds import KINDS, OF_TRAINING, Node, kind_of
from nnfit.network.passes import forward
from nnfit.onnx import activations, links, networks, to_onnx
from nnfit.onnx.graph import OPSET, Graph
from nnfit.onnx.models import nodes_of, tensors_of
from tests.engines import make_data, make_weights
from tests.graphs import EXAMPLES, first, name_of
from tests.numpy_engine.functions import activate
from tests.onnx_models import assert_same, onnx, run

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TYPES = {"float32": (1, 2e-6), "float64": (11, 1e-12)}
FEW = {"max_iter": 3, "random_state": 0, "batch_size": 32, "hidden_layer_sizes": (6,)}


def computed(build, x, dtype):
    """What a graph makes of an array."""
    number, _ = TYPES[dtype]
    graph = Graph()
    graph.dtype = dtype
    graph.op("Identity", build(graph), output="y")
    helper = onnx.helper
    x = np.asarray(x, dtype)
    own = helper.make_graph(
        nodes_of(graph),
        "test",
        [helper.make_tensor_value_info("x", number, [None, *x.shape[1:]])],
        [helper.make_tensor_value_info("y", number, [None, None])],
        tensors_of(graph),
    )
    model = helper.make_model(
        own,
        opset_imports=[
            helper.make_opsetid("", OPSET),
            helper.make_opsetid("ai.onnx.ml", 3),
        ],
        ir_version=8,
    )
    return run(model, x)["y"]


# ------------------------------------------------------------------ the registries


@pytest.mark.parametrize("dtype", TYPES)
def test_all_activations(dtype):
    """In one graph, whose outputs lie side by side."""
    assert list(activations.CONVERTED) == list(ACTIVATIONS)
    z = np.concatenate([np.linspace(-9, 9, 73), [0.0, -60.0, 60.0, 1e-4, -1e-4]])

    def build(graph):
        rows = ACTIVATIONS.values()
        return graph.concatenated([activations.activated(graph, r, "x") for r in rows])

    found = computed(build, z[:, None], dtype)
    for own, (name, row) in zip(found.T, ACTIVATIONS.items(), strict=True):
        expected = [row.function(each)[0] for each in z.tolist()]
        # onnxruntime has the error function in float32 alone.
        exact = 2e-6 if name == "gelu" else TYPES[dtype][1]
        np.testing.assert_allclose(own, expected, exact, exact, err_msg=name)


def test_all_links_and_pools():
    assert list(links.LINKS) == list(LINKS) and list(links.POOLS) == list(POOLS)
    raw = np.random.default_rng(0).normal(scale=3.0, size=(20, 4, 3))

    def build(graph):
        lines = graph.reshaped("x", -1, 4, 3)
        found = [pool(graph, lines, 4, 3) for pool in links.POOLS.values()]
        mean = found[0]
        return graph.concatenated(
            [*found, *(link(graph, mean, 3) for link in links.LINKS.values())]
        )

    found = computed(build, raw.reshape(20, 12), "float64").reshape(20, -1, 3)
    for number, name in enumerate(POOLS):
        out = np.zeros((20, 3))
        for own, row in zip(out, raw, strict=True):
            POOLS[name](row.ravel().copy(), 3, own, 4, 3)
        np.testing.assert_allclose(found[:, number], out, 1e-12, 1e-12)
    for number, name in enumerate(LINKS, start=len(POOLS)):
        out = np.zeros((20, 3))
        for own, row in zip(out, raw.mean(axis=1), strict=True):
            LINKS[name](row, own, 3)
        np.testing.assert_allclose(found[:, number], out, 1e-12, 1e-12, err_msg=name)


CONVERTED = [example for example in EXAMPLES if KINDS[example[0]].onnx]


@pytest.mark.parametrize("example", CONVERTED, ids=name_of)
def test_every_kind(example):
    """A layer and a dense one, compared with the NumPy functions of the kinds."""
    dtype = "float64"
    network = first(example, dtype=dtype)
    weights, (X, _) = make_weights(network), make_data(network, 40)
    expected = forward(network, weights, X, activate)[-1].output
    if network.lines[-1] > 1:
        expected = expected.reshape(40, -1, network.n_outputs).mean(axis=1)

    def build(graph):
        return networks.raw_predictions(graph, network, weights, "x")

    found = computed(build, X, dtype)
    is_single = any(node.activation is ACTIVATIONS["gelu"] for node in network.nodes)
    exact = 1e-6 if is_single else 1e-10
    np.testing.assert_allclose(found, expected, exact, exact)


def test_every_kind_has_a_module():
    """But those of training alone, which are refused by their names."""
    assert {kind for kind, _ in CONVERTED} == set(KINDS) - set(OF_TRAINING)
    assert all(hasattr(kind_of(Node(k, (0,)), "onnx"), "convert") for k, _ in CONVERTED)
    network = first(("views", ""))
    with pytest.raises(ValueError, match="kind 'views' cannot be converted"):
        networks.raw_predictions(Graph(), network, make_weights(network), "x")


# ------------------------------------------------------------------ estimators


@pytest.fixture(scope="module")
def data():
    """Numbers, of which some are missing in the second table, and three classes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4)).astype(np.float32)
    y = np.digitize(X[:, 0] + 0.5 * X[:, 1] ** 2, [-0.2, 0.8])
    missing = X.copy()
    missing[::7, 2] = np.nan
    return X, missing, y


@pytest.fixture(scope="module")
def table():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    n = 160
    return pandas.DataFrame(
        {
            "a": rng.normal(size=n),
            "city": rng.choice(np.array(["rome", "oslo", "bern", None], object), n),
            "k": pandas.Categorical(rng.choice([3, 5, 9], n)),
            "b": np.where(rng.uniform(size=n) < 0.1, np.nan, rng.normal(size=n)),
            "many": rng.choice([f"m{i}" for i in range(30)], n),
        }
    )


CLASSIFIERS = {
    "plain": {},
    "float64": {"dtype": "float64"},
    "normalised": {"normalization": "batch", "hidden_layer_sizes": (6, 6)},
    "residual": {
        "normalization": "layer",
        "residual": True,
        "hidden_layer_sizes": (6, 6),
    },
    "ensemble": {"n_members": 2},
    "tempered": {"temperature_scaling": True, "early_stopping": True},
    "scores": {"loss": "squared_hinge"},
    "embedded": {"numeric_embedding": "piecewise_linear", "scaling": "quantile"},
}


@pytest.mark.parametrize("targets", ["two", "three", "labels"])
@pytest.mark.parametrize("case", CLASSIFIERS)
def test_classifiers(case, targets, data):
    X, _, y = data
    y = {
        "two": np.array(["no", "yes"])[(y > 0).astype(int)],
        "three": y,
        "labels": np.stack([y > 0, y > 1, X[:, 2] > 0], axis=1).astype(int),
    }[targets]
    classifier = MLPClassifier(**{**FEW, **CLASSIFIERS[case]}).fit(X, y)
    assert_same(classifier, to_onnx(classifier), X)


REGRESSORS = {
    "poisson": {"loss": "poisson"},
    "quantiles": {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
    "ensemble": {"n_members": 2},
}


@pytest.mark.parametrize("case", REGRESSORS)
def test_regressors(case, data):
    X, _, y = data
    regressor = MLPRegressor(**FEW, **REGRESSORS[case]).fit(X, y + 0.5)
    assert_same(regressor, to_onnx(regressor), X)


def test_columns_and_targets_far_from_zero(data):
    X, _, y = data
    X = X + np.array([1.7e9, 0.0, 0.0, 0.0])
    regressor = MLPRegressor(**FEW).fit(X, y + 1e6)
    assert_same(regressor, to_onnx(regressor), X)


def test_missing_numbers_that_the_training_did_and_did_not_have(data):
    X, missing, y = data
    for rows in (X, missing):
        classifier = MLPClassifier(**FEW).fit(rows, y)
        assert_same(classifier, to_onnx(classifier), missing)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls", [RealMLPClassifier, RealMLPRegressor, TabMClassifier, TabMRegressor]
)
def test_recipes(cls, data):
    _, missing, y = data
    estimator = cls(max_iter=2, random_state=0).fit(missing, y)
    assert_same(estimator, to_onnx(estimator), missing)


def test_categories_by_their_values(table):
    y = np.where((table.a > 0) ^ (table.city == "oslo"), "yes", "no")
    classifier = MLPClassifier(**FEW, categorical_features="from_dtype")
    classifier.fit(table, y)
    model = to_onnx(classifier)
    assert [each.name for each in model.graph.input] == list(table.columns)
    unknown = table.assign(city="paris", k=4)
    for rows in (table, unknown):
        assert_same(classifier, model, rows)


@pytest.mark.slow
@pytest.mark.parametrize("partner", [None, "hist_gradient_boosting"])
def test_mixtures(table, partner):
    settings = {"preset": "fast", "max_iter": 2, "random_state": 0, "partner": partner}
    y = np.digitize(table.a + (table.many < "m2"), [0.0, 1.0])
    for estimator in (TabularClassifier(**settings), TabularRegressor(**settings)):
        estimator.fit(table, y)
        for part in estimator._parts:
            part.weight = 1 / len(estimator._parts)
        assert_same(estimator, to_onnx(estimator), table)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_quantiles_of_a_mixture(table, n_outputs):
    """Of 200 rows held out or more by trees, which tell how large errors are."""
    table = table.iloc[np.tile(np.arange(len(table)), 1 if n_outputs == 1 else 5)]
    y = np.column_stack([table.a, 1000.0 - table.a])[:, :n_outputs]
    settings = {"preset": "fast", "max_iter": 1, "random_state": 0}
    regressor = TabularRegressor(**settings).fit(table, y if n_outputs > 1 else y[:, 0])
    assert bool(regressor._intervals[0]._sizes) == (n_outputs == 2)
    levels = [0.05, 0.5, 0.9]
    found = run(to_onnx(regressor, quantiles=levels), table)["quantiles"]
    expected = regressor.predict_quantiles(table, levels)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * y.std())
    with pytest.raises(ValueError, match=r"between 0 and 1, got \[2\]"):
        to_onnx(regressor, quantiles=[2])


@pytest.mark.slow
def test_trees_with_categories(table):
    """They have all of the weight, whatever is best."""
    y = table.a + (table.many < "m2") + (table.city == "oslo") + 1000
    for cls, target in ((TabularRegressor, y), (TabularClassifier, y > 1000.5)):
        estimator = cls(
            preset="fast",
            max_iter=1,
            random_state=0,
            partner="hist_gradient_boosting",
        ).fit(table, target)
        (trees,) = [p for p in estimator._parts if p.name == "HistGradientBoosting"]
        trees.weight, estimator._parts = 1.0, [trees]
        unknown = table.assign(city="paris")
        for rows in (table, unknown):
            assert_same(estimator, to_onnx(estimator), rows)


# ------------------------------------------------------------------ bad input


def swish(z):
    s = 1.0 / (1.0 + math.exp(-z))
    return z * s, s + z * s * (1.0 - s)


def test_a_function_of_the_users_is_refused_by_its_name():
    arrays = [np.ones((4, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    regressor = MLPRegressor.from_arrays(*arrays, activation=swish)
    with pytest.raises(ValueError, match="activation 'swish' is a Python function"):
        to_onnx(regressor)


def test_what_is_no_fitted_estimator_is_refused():
    plain = MLPRegressor.from_arrays([np.ones((2, 1))], [np.zeros(1)])
    with pytest.raises(ValueError, match="those of a TabularRegressor, got MLPRegr"):
        to_onnx(plain, quantiles=0.5)
    with pytest.raises(TypeError, match=r"of nnfit can be converted.*got dict"):
        to_onnx({})
    with pytest.raises(NotFittedError):
        to_onnx(MLPClassifier())


def test_classes_that_onnx_does_not_have_are_refused():
    classifier = MLPClassifier.from_arrays(
        [np.ones((2, 1))], [np.zeros(1)], classes=np.array([1, 2])
    )
    classifier.classes_ = np.array([1, "a"], object)
    with pytest.raises(ValueError, match=r"strings or numbers.*\[1, 'a'\]"):
        to_onnx(classifier)
