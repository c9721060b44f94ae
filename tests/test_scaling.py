"""Missing numbers, `scaling` and `target_scaling` of estimators.

The layers themselves are tested by `tests.test_kinds`.
"""

import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV, find_learning_rate
from nnfit.estimators.numeric_columns import TrainingRows, find_numbers
from nnfit.network import fitted
from nnfit.network.kinds.quantile_scaling import mapped
from nnfit.network.kinds.scaling import scaled
from nnfit.network.scalings import normal, present, robust, standard
from tests.test_embeddings import (
    EVERY_WAY,
    SMALL,
    WAYS,
    assert_same,
    reference_outputs,
    resplit,
)
from tests.test_embeddings import make_data as rows_of_ways

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
HOW = pytest.mark.parametrize("how", ["standard", "robust", "quantile"])


def make_data(n=120, seed=0):
    """Four columns of different shapes."""
    rng = np.random.default_rng(seed)
    X = rng.lognormal(size=(n, 4))
    X[:, 1] = rng.poisson(2.0, size=n)
    X[:, 2] = 5.0
    return X, np.log(X[:, 0]) + X[:, 1]


def with_holes(X, *columns, share=0.2, seed=1):
    X, rng = X.copy(), np.random.default_rng(seed)
    for column in columns:
        X[rng.uniform(size=len(X)) < share, column] = np.nan
    return X


# ------------------------------------------------------------- what is found


def column(name, n=500, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "normal": rng.normal(size=n),
        "skewed": rng.lognormal(size=n),
        "counts": rng.poisson(0.7, size=n),
        "many zeros": np.where(rng.uniform(size=n) < 0.6, 0, rng.normal(size=n)),
        "two": np.arange(n) % 2,
        "constant": np.full(n, 0.1),
        "tiny": 1e-42 * rng.normal(size=n),
        "huge": 1e37 * rng.normal(size=n),
    }[name]
    return x.astype(np.float64)


COLUMNS = (
    *("normal", "skewed", "counts", "many zeros", "two", "constant", "tiny", "huge"),
)


def test_standard_is_that_of_scikit_learn():
    for name in ("normal", "skewed", "counts", "constant", "huge"):
        x = column(name)
        scaler = StandardScaler().fit(x[:, None])
        shift, scale, cut = standard(x.copy())
        assert_allclose([shift, scale], [scaler.mean_[0], 1 / scaler.scale_[0]])
        assert cut == 0.0


def test_robust_is_that_of_realmlp():
    """z = s (x - median), cut off as z / sqrt(1 + (z / 3)^2)."""
    for name in ("normal", "skewed", "counts", "two", "many zeros", "constant"):
        x = column(name)
        low, first, third, high = np.quantile(x, [0, 0.25, 0.75, 1])
        if third > first:
            scale = 1 / (third - first)
        else:
            scale = 2 / (high - low) if high > low else 0.0
        z = scale * (x - np.median(x))
        found = np.array(robust(x.copy()))[:, None]
        assert_allclose(scaled(x[:, None], found)[:, 0], z / np.sqrt(1 + (z / 3) ** 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quantiles_are_those_of_scikit_learn(dtype):
    """But for a value that several of them share at an end, and a constant."""
    for name in ("normal", "skewed", "many zeros"):
        x = column(name, 1000)
        theirs = QuantileTransformer(n_quantiles=33, output_distribution="normal")
        expected = theirs.fit_transform(x[:, None])[:, 0]
        knots, values = normal(x.copy(), dtype=dtype)
        assert_allclose(mapped(x, knots, values)[0], expected, atol=0.05)
    knots, values = normal(column("constant"), dtype=dtype)
    assert_array_equal(mapped(np.array([0.1, 7.0]), knots, values)[0], 0.0)
    counts = column("counts")
    knots, values = normal(counts.copy(), dtype=dtype)
    middle = mapped(np.zeros(1), knots, values)[0][0]
    assert -1.0 < middle < 0.0  # half of its rows, not the end


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_found_is_finite_and_increases(name, dtype):
    x = column(name).astype(dtype).astype(np.float64)
    for find in (standard, robust):
        found = np.array(find(x.copy()), dtype)[:, None]
        assert np.isfinite(found).all()
        assert np.isfinite(scaled(x.astype(dtype)[:, None], found)).all()
    knots, values = normal(x.copy(), dtype=dtype)
    steps = np.diff(knots.astype(dtype))
    assert (steps >= np.finfo(dtype).tiny).all()
    assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize("find", [standard, robust, normal])
def test_weights_are_repeats_and_zero_is_absent(find):
    rng = np.random.default_rng(0)
    x, weights = column("skewed", 60), rng.integers(0, 4, size=60).astype(float)
    x[5] = np.nan
    found = find(*present(x, weights))
    zero = weights == 0
    x[zero] = 1e9
    assert_array_equal(find(*present(x, weights)), found)
    assert_array_equal(find(*present(x[~zero], weights[~zero])), found)
    if find is standard:
        repeated = np.repeat(x, weights.astype(int))
        assert_allclose(find(*present(repeated)), found, rtol=1e-12)


@pytest.mark.parametrize("find", [standard, robust, normal])
def test_nothing_is_found_of_an_empty_column(find):
    assert np.isfinite(find(*present(np.full(9, np.nan)))).all()


# --------------------------------------------------------------- in a network


@HOW
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_fit_is_that_on_scaled_columns(how, solver):
    """With the same random numbers, up to rounding."""
    X, y = make_data()
    model = MLPRegressor(
        hidden_layer_sizes=(8,), max_iter=3, random_state=0, solver=solver,
        dtype="float64", scaling=how,
    )  # fmt: skip
    if how == "quantile":
        parts = [normal(x.copy()) for x in X.T]
        Z = np.stack([mapped(x, *p)[0] for x, p in zip(X.T, parts, strict=True)], 1)
    else:
        find = {"standard": standard, "robust": robust}[how]
        Z = scaled(X, np.array([find(x.copy()) for x in X.T]).T)
    ours = model.fit(X, y)
    theirs = clone(model).set_params(scaling=None).fit(Z, y)
    assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-7, atol=1e-9)
    assert_allclose(ours.predict(X), theirs.predict(Z), rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_missing_numbers_are_filled_and_indicated(dtype):
    X, y = make_data()
    holes = with_holes(X, 0, 1)
    model = MLPRegressor(**SMALL, dtype=dtype)
    ours = clone(model).fit(holes, y)
    imputer = SimpleImputer(add_indicator=True)
    theirs = clone(model).fit(imputer.fit_transform(holes), y)
    rtol = 1e-9 if dtype == "float64" else 1e-4
    assert_allclose(ours.others_[0], imputer.statistics_, rtol=1e-6)
    assert ours.n_features_in_ == 4
    assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol, 1e-6)
    rows = with_holes(X, 0, 1, 3, seed=2)  # one more column than in training
    rows[:, 3] = np.where(np.isnan(rows[:, 3]), ours.others_[0][3], rows[:, 3])
    expected = theirs.predict(imputer.transform(rows))
    assert_allclose(ours.predict(rows), expected, rtol, 1e-5)


def test_rows_may_miss_what_training_rows_had():
    X, y = make_data()
    weights = np.random.default_rng(0).uniform(size=len(y))
    stopping = {"early_stopping": True, "scaling": "standard"}
    for given in ({}, {"n_members": 2}, stopping):
        model = MLPRegressor(**SMALL, **given).fit(X, y, weights)
        rows = with_holes(X, 0, 3)
        for one in getattr(model, "members_", [model]):
            means = np.average(X, axis=0, weights=weights)
            if "early_stopping" in given:
                left = np.setdiff1d(np.arange(len(y)), resplit(model, X, y))
                means = np.average(X[left], axis=0, weights=weights[left])
            full = np.where(np.isnan(rows), means, rows)
            assert_allclose(one.predict(rows), one.predict(full), rtol=1e-5)
        assert np.isfinite(model.predict(rows)).all()
    table = scipy.sparse.csr_array(X)
    model = MLPRegressor(**SMALL).fit(table, y, weights)
    assert_allclose(model._fitted["means"], np.average(X, axis=0, weights=weights))


def test_later_calls_fill_in_what_the_first_had():
    X, y = make_data()
    full, holes = MLPRegressor(**SMALL), with_holes(X, 1)
    filled = np.where(np.isnan(holes), X.mean(axis=0), holes)
    models = [clone(full).partial_fit(X, y).partial_fit(x, y) for x in (holes, filled)]
    assert_same(*models)
    models = [clone(full).fit(X, y, X_val=x, y_val=y) for x in (holes, filled)]
    assert_array_equal(models[0].history_["val_loss"], models[1].history_["val_loss"])


@EVERY_WAY
def test_every_way_takes_missing_numbers(way):
    """Formulas, pickles, threads, early stopping, L-BFGS, ensembles and searches."""
    X, y = rows_of_ways()
    X = with_holes(X, 0, 2)
    given = {**SMALL, **WAYS[way]}
    model = MLPRegressor(**given, dtype="float64").fit(X, y)
    expected = reference_outputs(model, X).ravel()
    assert_allclose(model.predict(X), expected, rtol=1e-10, atol=1e-12)
    assert_same(clone(model).set_params(n_jobs=3).fit(X, y), model)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X), model.predict(X))
    stopping = MLPRegressor(**given, early_stopping=True, scoring="r2")
    assert np.isfinite(stopping.fit(X, y).validation_scores_).all()
    assert np.isfinite(MLPRegressor(**given, solver="lbfgs").fit(X, y).loss_)
    labels = (y > 0).astype(int)
    many = MLPClassifier(**given, n_members=2).fit(X, labels)
    assert np.isfinite(many.predict_proba(X)).all()
    many.set_params(warm_start=True).fit(X, labels)


@HOW
@pytest.mark.parametrize("splits", [False, True])
def test_no_copy_of_the_table_is_made(how, splits):
    """Peak of what is found: of one column of twenty, and of another for a moment."""
    X = np.random.default_rng(0).normal(size=(40_000, 20)).astype(np.float32)
    X[::3, :5] = np.nan
    rows = np.arange(0, len(X), 2) if splits else None
    tracemalloc.start()
    table = TrainingRows(X, rows)
    find_numbers(MLPRegressor(scaling=how), X, table, None, list(range(20)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.2 * X.nbytes


def test_members_have_factors_for_all_numbers():
    X, y = make_data()
    embedding = {"kind": "pbld", "features": [0], "n_frequencies": 2, "n_outputs": 2}
    model = MLPRegressor(
        **SMALL, n_shared_members=2, scaling="robust", numeric_embedding=embedding
    ).fit(with_holes(X, 0, 3), y)
    _, _, blocks = model._fitted["members"]
    assert blocks == (3, 1, 1, 1, 1, 1)  # of column 0, three others, two indicators
    assert sum(blocks) == fitted.inputs_of(model._fitted["inputs"]).widths[-1]


@HOW
def test_sparse_rows_and_data_driven_weights(how):
    X, y = make_data()
    X[np.random.default_rng(1).uniform(size=X.shape) < 0.5] = 0.0
    model = MLPRegressor(**SMALL, scaling=how, initialization="data_driven")
    assert_same(clone(model).fit(X, y), clone(model).fit(scipy.sparse.csr_array(X), y))
    assert np.isfinite(model.fit(with_holes(X, 0), y).loss_)


@HOW
def test_statistics_are_of_the_rows_to_train_on(how):
    X, y = make_data(200)
    model = MLPRegressor(
        **SMALL, scaling=how, early_stopping=True, validation_fraction=0.5,
        target_scaling="standard",
    )  # fmt: skip
    one = clone(model).fit(X, y)
    changed, rows = X.copy(), resplit(one, X, y)
    changed[rows] = 100.0 * changed[rows] + 7.0
    other = clone(model).fit(changed, np.where(np.isin(np.arange(200), rows), 1e3, y))
    for a, b in zip(one.others_, other.others_, strict=True):
        assert_array_equal(a, b)
    assert one._fitted["targets"] == other._fitted["targets"]


@HOW
def test_statistics_are_kept(how):
    X, y = make_data()
    model = MLPRegressor(**SMALL, scaling=how).partial_fit(with_holes(X, 0), y)
    before = [array.copy() for array in model.others_]
    model.partial_fit(100.0 * X, y).set_params(warm_start=True).fit(3.0 * X, y)
    for old, new in zip(before, model.others_, strict=True):
        assert_array_equal(old, new)
    model.set_params(scaling=None)
    with pytest.raises(ValueError, match=f"scaling='{how}' as one with scaling=None"):
        model.fit(X, y)


@HOW
def test_odd_columns_are_scaled(how):
    """All missing, constant, two rows; huge values to predict."""
    X, y = make_data()
    X[:, 3] = np.nan
    model = MLPRegressor(**SMALL, scaling=how).fit(X, y)
    X[0] = 3e38
    assert np.isfinite(model.predict(X)).all()
    few = MLPRegressor(**SMALL, scaling=how).fit(X[1:3], y[1:3])
    assert np.isfinite(few.predict(X)).all()


def test_scaling_helps_on_raw_columns():
    X, y = make_data(400)
    X[:, 0], y = 1e4 * X[:, 0], np.log(X[:, 0])
    plain = MLPRegressor(random_state=0, max_iter=30, learning_rate_init=0.01)
    scores = {
        how: clone(plain).set_params(scaling=how).fit(X[:300], y[:300])
        .score(X[300:], y[300:])
        for how in (None, "standard", "robust", "quantile")
    }  # fmt: skip
    assert min(scores["robust"], scores["quantile"]) > 0.9 > scores[None]


def test_searches_and_scores():
    X, y = make_data(90)
    X = with_holes(X, 0)
    grid = {"scaling": [None, "standard", "robust", "quantile"]}
    model = MLPRegressor(**SMALL, target_scaling="standard")
    PopulationSearchCV(model, grid, cv=3, random_state=0, n_iter=4).fit(X, y)
    assert np.isfinite(cross_val_score(model, X, y, cv=3)).all()
    display = find_learning_rate(model.set_params(scaling="robust"), X, y, n_steps=5)
    assert np.isfinite(display.losses).any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scaling": "minmax"}, "must be a str among {'standard', 'robust'"),
        (
            {"scaling": "robust", "input_noise": 0.1},
            "before they are scaled, got",
        ),
        (
            {"scaling": "robust", "input_dropout": 0.1},
            "before they are scaled, got",
        ),
        (
            {"input_dropout": 0.1},
            r"missing ones \(NaN\), got input_dropout",
        ),
        ({"target_scaling": "standard", "loss": "poisson"}, "with loss='poisson'"),
    ],
)
def test_a_sentence_says_what_does_not_fit(given, message):
    X, y = make_data()
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**SMALL, **given).fit(with_holes(X, 0), np.abs(y))


def test_a_network_without_means_refuses_missing_numbers():
    coefs = [np.ones((2, 1))]
    model = MLPRegressor.from_arrays(coefs, [np.zeros(1)])
    with pytest.raises(ValueError, match=r"contains NaN: column 1 of X\. Fill it in"):
        model.predict([[1.0, np.nan]])
    with pytest.raises(ValueError, match="Leave out scaling"):
        MLPRegressor.from_arrays(coefs, [np.zeros(1)], scaling="robust")


def test_mixtures_and_noise_leave_missing_what_is():
    X, y = make_data()
    X = with_holes(X, 0)
    model = MLPRegressor(**SMALL, mixup=0.3, scaling="robust").fit(X, y)
    assert np.isfinite(model.loss_)
    assert np.isfinite(MLPRegressor(**SMALL, input_noise=0.1).fit(X, y).loss_)


# ------------------------------------------------------------------- targets


def test_scaled_targets_are_predicted_in_their_units():
    X, y = make_data(300)
    X, y = StandardScaler().fit_transform(X), 50.0 + 20.0 * y
    model = MLPRegressor(random_state=0, max_iter=30, learning_rate_init=0.01)
    ours = clone(model).set_params(target_scaling="standard").fit(X, y)
    z = (y - y.mean()) / y.std()
    theirs = clone(model).fit(X, z)
    assert_allclose(ours.predict(X), theirs.predict(X) * y.std() + y.mean(), rtol=1e-4)
    assert_allclose(ours.loss_, theirs.loss_ * y.var(), rtol=1e-4)
    assert ours.score(X, y) > 0.9
    several = np.column_stack([y, 3.0 * y])
    ours.fit(X, several)
    assert ours.predict(X).shape == (300, 2)
    assert ours._fitted["targets"]["scale"] == pytest.approx(y.std() * np.sqrt(5))


def test_target_scaling_takes_weights_and_is_kept():
    X, y = make_data()
    weights = np.random.default_rng(0).integers(0, 3, size=len(y)).astype(float)
    model = MLPRegressor(**SMALL, target_scaling="standard").fit(X, y, weights)
    repeated = np.repeat(y, weights.astype(int))
    assert_allclose(model._fitted["targets"]["shift"], repeated.mean())
    assert_allclose(model._fitted["targets"]["scale"], repeated.std())
    y[weights == 0] = 1e9
    again = clone(model).fit(X, y, weights)
    assert_allclose(again._fitted["targets"]["scale"], repeated.std())
    parts = MLPRegressor(**SMALL, target_scaling="standard").partial_fit(X[:1], y[:1])
    parts.partial_fit(X, y)
    assert parts._fitted["targets"] == {"shift": y[:1], "scale": 1.0}
    plain = MLPRegressor(**SMALL).partial_fit(X, X[:, 0])
    plain.set_params(target_scaling="standard")
    with pytest.raises(ValueError, match="whose targets are not scaled with target_sc"):
        plain.partial_fit(X, X[:, 0])
    for given in ({"n_members": 2}, {"n_shared_members": 2}, {"solver": "lbfgs"}):
        other = MLPRegressor(**SMALL, **given, target_scaling="standard")
        assert other.fit(X, 1e6 + X[:, 1]).predict(X).min() > 1e5


@HOW
def test_weights_of_zero_are_as_no_rows(how):
    X, y = make_data()
    X = with_holes(X, 0)
    weights = np.ones(len(y))
    weights[::3] = 0.0
    given = dict(SMALL, solver="lbfgs", max_iter=20, dtype="float64")
    model = MLPRegressor(**given, scaling=how, target_scaling="standard")
    one = clone(model).fit(X, y, weights)
    other = clone(model).fit(X[weights > 0], y[weights > 0])
    assert_allclose(one.predict(X), other.predict(X), rtol=1e-6)
