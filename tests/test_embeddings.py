"""`numeric_embedding`, `categorical_features` and `category_embedding` of estimators.

The layers themselves are tested by `tests.test_kinds`.
"""

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV, find_learning_rate
from nnfit.estimators.embeddings import NUMERIC
from nnfit.network import fitted
from tests import numpy_engine

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = dict(hidden_layer_sizes=(8,), max_iter=3, random_state=0, n_jobs=1)
NUMERIC_SMALL = {
    "piecewise_linear": {"n_bins": 4, "n_outputs": 3},
    "piecewise_linear_encoding": {"n_bins": 4, "keep_input": True},
    "periodic": {"n_frequencies": 3, "n_outputs": 2, "sigma": 0.3},
    "pbld": {"n_frequencies": 3, "n_outputs": 2},
}
WAYS = {
    **{
        kind: {"numeric_embedding": {"kind": kind, **options}}
        for kind, options in NUMERIC_SMALL.items()
    },
    "categories": {
        "categorical_features": [1, 3],
        "category_embedding": {"max_one_hot": 3, "n_outputs": 2},
    },
    "both": {
        "numeric_embedding": {"kind": "pbld", "features": [0], "n_frequencies": 2},
        "categorical_features": [False, True, False, True],
        "category_embedding": {"max_one_hot": 3, "n_outputs": 2, "mask": 0.3},
    },
    "scaled": {"scaling": "standard"},
    "scaled beside categories": {
        "scaling": "robust",
        "categorical_features": [1],
        "category_embedding": {"max_one_hot": 3, "n_outputs": 2},
    },
    "scaled before an embedding": {
        "scaling": "quantile",
        "numeric_embedding": {
            "kind": "piecewise_linear_encoding",
            "n_bins": 4,
            "features": [2, 3],
        },
        "categorical_features": [1],
    },
    "members": {"n_shared_members": 3},
    "members of scaled numbers": {
        "n_shared_members": 3,
        "scaling": "robust",
        "numeric_embedding": {"kind": "pbld", "features": [2], "n_frequencies": 2},
    },
    "members with own rows": {
        "n_shared_members": 3,
        "member_rows": "own",
        "numeric_embedding": {"kind": "pbld", "features": [0], "n_frequencies": 2},
        "categorical_features": [1],
        "category_embedding": {"max_one_hot": 3, "n_outputs": 2},
    },
    "members behind the first adapter": {
        "n_shared_members": 2,
        "member_adapters": "first",
        "residual": True,
        "hidden_layer_sizes": (8, 6),
        "numeric_embedding": {"kind": "pbld", "features": [0], "n_frequencies": 2},
        "categorical_features": [1],
    },
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


def make_data(n=60, seed=0):
    """Two numbers, and codes of six and of three categories."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    X[:, 1], X[:, 3] = rng.integers(6, size=n), rng.integers(3, size=n)
    y = X[:, 0] + (X[:, 1] % 2) - (X[:, 3] == 1)
    return X, y


def assert_same(one, other):
    """Two fits have the same weights to the bit."""
    for name in ("coefs_", "intercepts_", "others_"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(a, b)


def reference_outputs(model, X):
    """Predictions by the NumPy functions of the kinds."""
    weights = model._weights()
    sizes = fitted.sizes_of(weights.coefs, model._fitted.get("members"))
    network = fitted.network_for(model._fitted, model._link, sizes, "float64")
    return numpy_engine.predict(network, weights, X)


# ------------------------------------------------------------- what is computed


@EVERY_WAY
def test_predictions_are_those_of_the_formulas(way):
    X, y = make_data()
    model = MLPRegressor(**{**SMALL, **WAYS[way]}, dtype="float64").fit(X, y)
    expected = reference_outputs(model, X).ravel()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-10, atol=1e-12)
    assert model.n_features_in_ == 4


@EVERY_WAY
def test_all_that_trains_goes_on_and_travels(way):
    """Pickle, clone, warm start, partial_fit, early stopping, one thread and three."""
    X, y = make_data()
    given = {**SMALL, **WAYS[way]}
    stopping = {"early_stopping": True, "validation_fraction": 0.2}
    assert_same(*(MLPRegressor(**given, **stopping).fit(X, y) for _ in range(2)))
    model = MLPRegressor(**given).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    assert_same(clone(model).set_params(n_jobs=3).fit(X, y), model)
    before = [each.copy() for each in model.others_]
    model.set_params(warm_start=True).fit(X[::-1], y[::-1])
    fixed = _fixed(model)
    for number, (old, new) in enumerate(zip(before, model.others_, strict=True)):
        assert np.array_equal(old, new) == (number in fixed)
    parts = MLPRegressor(**given)
    parts.partial_fit(X[:30], y[:30])
    bins = [parts.others_[number].copy() for number in fixed]
    parts.partial_fit(10.0 * X[30:], y[30:])
    for number, old in zip(fixed, bins, strict=True):
        np.testing.assert_array_equal(parts.others_[number], old)


def _fixed(model):
    """Numbers of the arrays that come from the data."""
    sizes = fitted.sizes_of(model.coefs_, model._fitted.get("members"))
    network = fitted.network_for(model._fitted, model._link, sizes, "float64")
    others = [tensor for tensor in network.tensors if tensor.place == "others"]
    return [number for number, each in enumerate(others) if each.n_trained == 0]


@EVERY_WAY
def test_sparse_rows_give_the_bits_of_dense_ones(way):
    X, y = make_data()
    X[np.random.default_rng(1).uniform(size=X.shape) < 0.5] = 0.0
    model = MLPRegressor(**{**SMALL, **WAYS[way]})
    if model.n_shared_members == 1:
        model.set_params(initialization="data_driven")
    dense = clone(model).fit(X, y)
    sparse = clone(model).fit(scipy.sparse.csr_array(X), y)
    assert_same(dense, sparse)


@pytest.mark.parametrize("way", [way for way in WAYS if "members" not in way])
def test_data_driven_units_vary_by_one(way):
    X, y = make_data(300)
    model = MLPRegressor(
        **{**SMALL, "max_iter": 1}, **WAYS[way], initialization="data_driven",
        learning_rate_init=1e-12, dtype="float64",
    ).fit(X, y)  # fmt: skip
    deviation = reference_outputs(model, X).std(axis=0)
    np.testing.assert_allclose(deviation, 1.0, rtol=1e-6)


@EVERY_WAY
def test_every_kind_of_target(way):
    """Weights, several outputs, labels and multilabel, L-BFGS, ensembles."""
    X, y = make_data()
    weights = np.random.default_rng(2).uniform(size=len(y))
    labels = (y > 0).astype(int)
    several = np.column_stack([y, -y])
    given = {**SMALL, **WAYS[way]}
    assert MLPRegressor(**given).fit(X, several, weights).predict(X).shape == (60, 2)
    model = MLPClassifier(**given, class_weight="balanced").fit(X, labels)
    assert model.predict_proba(X).shape == (60, 2)
    both = np.column_stack([labels, X[:, 2] > 0])
    assert MLPClassifier(**given).fit(X, both).predict(X).shape == (60, 2)
    bfgs = MLPRegressor(**{**given, "max_iter": 20}, solver="lbfgs").fit(X, y)
    assert bfgs.loss_ < 0.4 * np.var(y)
    many = MLPClassifier(**given, n_members=2).fit(X, labels)
    assert len({each.coefs_[0].tobytes() for each in many.members_}) == 2
    np.testing.assert_allclose(many.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)


def test_searches_and_scores_of_scikit_learn():
    X, y = make_data(90)
    model = MLPRegressor(**SMALL, numeric_embedding={"kind": "pbld", "n_outputs": 2})
    assert len(cross_val_score(make_pipeline(StandardScaler(), model), X, y, cv=3)) == 3
    grid = {"numeric_embedding": [None, "pbld", {"kind": "periodic", "lite": True}]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    found = PopulationSearchCV(model, grid, cv=3, random_state=0).fit(X, y)
    assert search.best_params_["numeric_embedding"] in grid["numeric_embedding"]
    assert found.best_params_["numeric_embedding"] in grid["numeric_embedding"]
    display = find_learning_rate(model, X, y, n_steps=10)
    assert np.isfinite(display.losses).any()


def test_bins_come_from_the_rows_to_train_on_alone():
    X, y = make_data(200)
    model = MLPRegressor(
        **SMALL, numeric_embedding="piecewise_linear", early_stopping=True,
        validation_fraction=0.5,
    )  # fmt: skip
    one = clone(model).fit(X, y)
    changed = X.copy()
    rows = resplit(one, X, y)
    changed[rows] *= 100.0
    other = clone(model).fit(changed, y)
    np.testing.assert_array_equal(one.others_[0], other.others_[0])


def resplit(model, X, y):
    """Rows that a fit of the same parameters sets aside."""
    from nnfit.training.splits import validation_split

    random_state = np.random.RandomState(model.random_state)
    return validation_split(len(y), model.validation_fraction, random_state, None)[1]


def test_a_tree_on_the_target_finds_where_it_changes():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(1000, 2))
    labels = (X[:, 0] > 0.7).astype(int)
    embedding = {"kind": "piecewise_linear", "bins": "tree", "n_bins": 4}
    model = MLPClassifier(**SMALL, numeric_embedding=embedding).fit(X, labels)
    assert np.abs(model.others_[0][0] - 0.7).min() < 0.01


# ------------------------------------------------------------------ categories


def test_unseen_and_missing_categories_are_one():
    X, y = make_data(200)
    X[:5, 1] = -1.0  # missing
    model = MLPRegressor(**SMALL, **WAYS["categories"]).fit(X, y)
    rows = np.repeat(X[:1], 4, axis=0)
    rows[:, 1] = (-1, -7, 6, 2.0**24 - 1)
    assert len(set(model.predict(rows).tolist())) == 1
    rows[0, 1] = 2
    assert len(set(model.predict(rows).tolist())) == 2


def test_codes_need_not_follow_each_other():
    """Gaps take no vectors, and the categories are what counts."""
    X, y = make_data(200)
    spread = X.copy()
    spread[:, 1] = np.array([3, 40, 41, 500, 1000, 90001])[X[:, 1].astype(int)]
    models = [
        MLPRegressor(**SMALL, **WAYS["categories"]).fit(data, y) for data in (X, spread)
    ]
    assert_same_but_lines = [models[0].coefs_, models[1].coefs_]
    for one, other in zip(*assert_same_but_lines, strict=True):
        np.testing.assert_array_equal(one, other)
    assert models[1].others_[1].shape == (7, 2)  # of six categories and none


def test_large_codes_are_not_standardised():
    X, y = make_data(200)
    X[:, 1] += 2.0**20
    model = MLPRegressor(**SMALL, **WAYS["categories"]).fit(X, y)
    assert model.feature_shifts_[1] == 0.0


def test_columns_by_name_or_mask():
    pandas = pytest.importorskip("pandas")
    X, y = make_data()
    table = pandas.DataFrame(X, columns=list("abcd"))
    fits = [
        MLPRegressor(**SMALL, categorical_features=given).fit(table, y)
        for given in (["b", "d"], [1, 3], [False, True, False, True], [-3, -1])
    ]
    for other in fits[1:]:
        assert_same(fits[0], other)


def test_columns_of_one_value_or_none_and_of_two():
    X, y = make_data()
    X[:, 1], X[:, 3] = -1.0, 4.0
    model = MLPRegressor(**SMALL, categorical_features=[1, 3]).fit(X, y)
    assert model.coefs_[0].shape[0] == 3  # two numbers, and whether it is a 4
    X[:, 0], X[:, 2] = 7.0, np.arange(60) % 2
    for kind in NUMERIC:
        model = MLPRegressor(**SMALL, numeric_embedding=kind).fit(X[:, [0, 2]], y)
        assert np.isfinite(model.predict(X[:, [0, 2]])).all()


# ---------------------------------------------------------------------- refused

REFUSED = {
    "numeric_embedding must be None, 'piecewise_linear', ": dict(
        numeric_embedding="splines"
    ),
    "as 'kind', got {'n_bins': 4}": dict(numeric_embedding={"n_bins": 4}),
    "has the keys 'features', 'n_frequencies', .* got 'n_bins'": dict(
        numeric_embedding={"kind": "pbld", "n_bins": 4}
    ),
    "needs as 'n_bins' an integer of at least 1, got 0": dict(
        numeric_embedding={"kind": "piecewise_linear", "n_bins": 0}
    ),
    "needs as 'bins' 'quantile', 'tree', got 'kmeans'": dict(
        numeric_embedding={"kind": "piecewise_linear", "bins": "kmeans"}
    ),
    "category_embedding needs categorical_features": dict(
        category_embedding={"n_outputs": 3}
    ),
    "category_embedding needs as 'mask' a number in": dict(
        categorical_features=[1], category_embedding={"mask": 1.0}
    ),
    "category_embedding takes no 'features'": dict(
        categorical_features=[1], category_embedding={"features": [1]}
    ),
    "mixup changes features, .* got mixup=0.2 .* or take cutmix": dict(
        categorical_features=[1], mixup=0.2
    ),
    "column 0 of X must hold codes of categories, integers": dict(
        categorical_features=[0]
    ),
    "categorical_features must be numbers of columns below 4": dict(
        categorical_features=[4]
    ),
    "must have an entry for each of the 4 features": dict(categorical_features=[True]),
    "holds names, .* but X has none": dict(categorical_features=["b"]),
    "n_shared_members=3 .* cannot have normalization='batch'": dict(
        n_shared_members=3, normalization="batch"
    ),
    "cannot have residual=True. Choose member_adapters='first'": dict(
        n_shared_members=3, residual=True
    ),
    "cannot have initialization='data_driven'": dict(
        n_shared_members=3, initialization="data_driven"
    ),
    "column 1 of X is in categorical_features and in the 'features'": dict(
        categorical_features=[1],
        numeric_embedding={"kind": "pbld", "features": [0, 1]},
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_sentence_says_what_is_wrong(message):
    X, y = make_data()
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**SMALL, **REFUSED[message]).fit(X, y)


def test_no_columns_are_none():
    X, y = make_data()
    none = dict(categorical_features=[], numeric_embedding={"kind": "pbld"})
    none["numeric_embedding"]["features"] = []
    assert_same(
        MLPRegressor(**SMALL, **none).fit(X, y), MLPRegressor(**SMALL).fit(X, y)
    )


def test_codes_that_single_precision_does_not_hold():
    X, y = make_data()
    X[0, 1] = 2.0**24
    with pytest.raises(ValueError, match=r"column 1 of X must hold codes .* below"):
        MLPRegressor(**SMALL, categorical_features=[1]).fit(X, y)


def test_another_embedding_cannot_go_on():
    X, y = make_data()
    model = MLPRegressor(**SMALL, numeric_embedding="pbld", warm_start=True).fit(X, y)
    model.set_params(numeric_embedding="periodic")
    with pytest.raises(ValueError, match="numeric_embedding='pbld' as one with"):
        model.fit(X, y)


def test_nan_among_codes_is_a_missing_category():
    rows, y = make_data()
    rows[::5, 1] = -1
    as_nan = np.where(rows == -1, np.nan, rows)
    model = MLPRegressor(**SMALL, categorical_features=[1]).fit(rows, y)
    same = MLPRegressor(**SMALL, categorical_features=[1]).fit(as_nan, y)
    np.testing.assert_array_equal(same.predict(as_nan), model.predict(rows))
