"""Explanations of fitted estimators."""

import pickle
import sys
from itertools import combinations
from math import comb

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.pipeline import make_pipeline

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    TabMRegressor,
    TabularClassifier,
    TabularRegressor,
)
from nnfit.inspection import (
    AttributionDisplay,
    attribution_summary,
    expected_gradients,
    first_layer_importance,
    input_gradients,
    integrated_gradients,
    smooth_grad,
)
from tests.cuda import tiles

pytestmark = pytest.mark.filterwarnings(
    "ignore:Stochastic Optimizer", "ignore:integrated_gradients misses"
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
CODES = RNG.integers(0, 12, size=(80, 1))
SCORE = X[:, 0] * X[:, 1] + X[:, 2] + 0.3 * (CODES[:, 0] % 3)
CLASSES = np.digitize(SCORE, [-0.5, 0.5])
WITH_HOLES = np.where(RNG.uniform(size=X.shape) < 0.1, np.nan, X)
TABLE = np.hstack([WITH_HOLES, CODES])
FEW = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
SMALL = {"n_layers": 1, "layer_size": 8, "max_iter": 2, "random_state": 0}


def uncut(mixture):
    """In float64, and without the cut to the range of the targets."""
    mixture.dtype, mixture._range = "float64", (-np.inf, np.inf)
    for network in mixture._as_mixture().networks:
        network._fitted["range"] = None
    return mixture


CASES = {
    "regressor": lambda: MLPRegressor(dtype="float64", **FEW).fit(X, SCORE),
    "far targets": lambda: MLPRegressor(**FEW).fit(X, 1e4 + SCORE),
    "binary": lambda: MLPClassifier(**FEW).fit(X, SCORE > 0),
    "ensemble": lambda: MLPClassifier(n_members=2, **FEW).fit(X, CLASSES),
    "categories": lambda: MLPRegressor(
        categorical_features=[4], numeric_embedding="piecewise_linear", **FEW
    ).fit(TABLE, SCORE),
    "ensemble of categories": lambda: MLPClassifier(
        n_members=2, categorical_features=[4], scaling="quantile", **FEW
    ).fit(TABLE, CLASSES),
    "RealMLP": lambda: RealMLPClassifier(categorical_features=[4], **FEW).fit(
        TABLE, CLASSES
    ),
    "TabM": lambda: TabMRegressor(**FEW).fit(X, SCORE),
    "Tabular": lambda: TabularClassifier(
        "best", partner=None, n_members=1, max_iter=2, random_state=0,
        categorical_features=[4],
    ).fit(TABLE, CLASSES),
    "Tabular of numbers": lambda: uncut(
        TabularRegressor("fast", max_iter=2, random_state=0).fit(X, SCORE)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    return {}


@pytest.fixture(params=CASES)
def case(request, fitted):
    """A fitted estimator, and rows to explain."""
    name = request.param
    if name not in fitted:
        fitted[name] = CASES[name]()
    n = fitted[name].n_features_in_
    return fitted[name], (X if n == 4 else TABLE)[:12]


def of_method(estimator, rows, method):
    """What a method predicts: of several classes, of the one that is predicted."""
    values = getattr(estimator, method)(rows)
    if values.ndim == 1:
        return values
    if values.shape[1] == 2:
        return values[:, 1]
    places = np.searchsorted(estimator.classes_, estimator.predict(rows))
    return values[np.arange(len(rows)), places]


def methods_of(estimator):
    return [
        method
        for method in ("decision_function", "predict_proba")
        if hasattr(estimator, method)
    ] or ["predict"]


def test_attributions_add_up_to_the_predictions(case):
    estimator, rows = case
    for method in methods_of(estimator):
        found = integrated_gradients(estimator, rows, rows[0], response_method=method)
        expected = of_method(estimator, rows, method)
        np.testing.assert_allclose(found.outputs, expected, rtol=1e-5, atol=1e-5)
        difference = found.outputs - found.base_values
        missed = np.abs(found.values.sum(axis=1) - difference)
        assert (missed <= found.errors + 1e-12).all()
        is_double = getattr(estimator, "dtype", None) == "float64"
        tol = 1e-4 if is_double else 0.03  # a bin may be narrower than a float32
        assert found.errors.max() <= tol * np.abs(difference).max()
        assert not found.values[0].any()


def test_expected_gradients_are_shapley_values(case):
    estimator, rows = case
    rows, background = rows[:2], rows[2:]
    exact = shapley_values(estimator, rows, background)
    found = expected_gradients(estimator, rows, background, n_orders=16, random_state=0)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(found.values, exact, atol=0.1 * scale)
    error = np.sqrt(np.mean((found.values - exact) ** 2))
    assert error <= 1e-5 * scale + 4 * np.sqrt(np.mean(found.standard_errors**2))
    assert found.errors.max() <= 1e-5 * scale
    staged = expected_gradients(
        estimator, rows, background, n_stages=2, n_orders=8, random_state=0
    )
    np.testing.assert_allclose(staged.values, exact, atol=0.25 * scale)


def shapley_values(estimator, rows, background):
    """By enumeration of all coalitions."""
    n = rows.shape[1]
    method = methods_of(estimator)[0]

    def value(row, place, coalition):
        mixed = background.copy()
        mixed[:, coalition] = row[list(coalition)]
        values = getattr(estimator, method)(mixed)
        return (values if values.ndim == 1 else values[:, place]).mean()

    places = np.zeros(len(rows), int)
    if len(getattr(estimator, "classes_", ())) > 2:
        places = np.searchsorted(estimator.classes_, estimator.predict(rows))
    found = np.zeros(rows.shape)
    for i, j in np.ndindex(rows.shape):
        others = [k for k in range(n) if k != j]
        for size in range(n):
            for chosen in combinations(others, size):
                gain = value(rows[i], places[i], [*chosen, j])
                gain -= value(rows[i], places[i], list(chosen))
                found[i, j] += gain / (n * comb(n - 1, size))
    return found


def test_slopes_are_derivatives_of_predictions(fitted):
    estimator = fitted.setdefault("regressor", CASES["regressor"]())
    step = 1e-6
    slopes = input_gradients(estimator, X)
    for j in range(4):
        ends = [estimator.predict(X + d * (np.arange(4) == j)) for d in (step, -step)]
        expected = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slopes[:, j], expected, atol=1e-7)
    smooth = smooth_grad(estimator, X, noise=0.0, n_samples=1)
    np.testing.assert_array_equal(smooth, slopes)
    smooth = smooth_grad(estimator, X, n_samples=5, random_state=0)
    assert 0 < np.abs(smooth - slopes).mean() < np.abs(slopes).mean()


def test_slopes_are_in_the_units_of_the_features():
    scales = np.array([1.0, 1000.0, 1e-3, 1.0])
    far = X * scales + [0, 1e5, 0, 500]  # columns 1 and 3 are standardised
    estimator = MLPRegressor(dtype="float64", **FEW).fit(far, SCORE)
    assert estimator.feature_scales_[1] > 100
    slopes, step = input_gradients(estimator, far), 1e-5 * scales
    for j in range(4):
        ends = [
            estimator.predict(far + d * step * (np.arange(4) == j)) for d in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * step[j])
        np.testing.assert_allclose(
            slopes[:, j] * scales[j], expected * scales[j], atol=1e-5
        )


def test_linear_models_are_explained_exactly():
    estimator = MLPRegressor(hidden_layer_sizes=(), dtype="float64", max_iter=5)
    coefs = estimator.fit(X, SCORE).coefs_[0][:, 0]
    expected = coefs * (X[:5] - X[5:].mean(axis=0))
    np.testing.assert_allclose(
        input_gradients(estimator, X[:5]), np.tile(coefs, (5, 1))
    )
    for n_stages in (1, 3, 4):
        found = expected_gradients(
            estimator, X[:5], X[5:], n_stages=n_stages, n_orders=1
        )
        np.testing.assert_allclose(found.values, expected, atol=1e-12)
        assert np.isnan(found.standard_errors).all()
    found = integrated_gradients(estimator, X[:5], X[5:].mean(axis=0))
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    np.testing.assert_allclose(first_layer_importance(estimator), np.abs(coefs))


def test_sparse_rows_other_devices_and_threads_give_the_same(fitted):
    estimator = fitted.setdefault("binary", CASES["binary"]())
    expected = input_gradients(estimator, X)
    sparse = scipy.sparse.csr_array(X)
    np.testing.assert_array_equal(input_gradients(estimator, sparse), expected)
    zero = np.zeros(4)
    found = integrated_gradients(estimator, sparse, zero).values
    np.testing.assert_array_equal(
        found, integrated_gradients(estimator, X, zero).values
    )
    many = np.tile(X, (40, 1))
    for parameters in ({"device": "cuda"}, {"n_jobs": 2}):
        other = MLPClassifier(**FEW | parameters)
        vars(other).update(vars(estimator) | parameters)
        np.testing.assert_array_equal(input_gradients(other, many)[:80], expected)


def test_what_a_gpu_has_trained_is_explained_alike():
    given = {"device": "cuda", "n_members": 2, "max_iter": 1, "random_state": 0}
    estimator = MLPClassifier((5,), dtype="float64", **given)
    with tiles.small_gpu():
        estimator.fit(X[:40], CLASSES[:40])
        there = explanations(estimator)
    assert {each.device_ for each in estimator.members_} == {"cuda:0"}
    other = pickle.loads(pickle.dumps(estimator))
    for each in (other, *other.members_):
        each.device = "cpu"
    for found in (there, explanations(estimator)):  # with the GPU, and without
        for mine, its in zip(found, explanations(other), strict=True):
            np.testing.assert_array_equal(mine, its)


def explanations(estimator):
    return (
        input_gradients(estimator, X),
        smooth_grad(estimator, X, n_samples=2, random_state=0),
        integrated_gradients(estimator, X[:3], X[3], max_steps=20).values,
        expected_gradients(estimator, X[:3], X[3:9], random_state=0).values,
        first_layer_importance(estimator),
    )


def test_targets_choose_outputs():
    both = np.stack([SCORE, 2 * SCORE], axis=1)
    regressor = MLPRegressor(hidden_layer_sizes=(), max_iter=5).fit(X, both)
    for target in (0, 1):
        slopes = input_gradients(regressor, X[:1], target=target)[0]
        np.testing.assert_allclose(slopes, regressor.coefs_[0][:, target])
    classifier = MLPClassifier(hidden_layer_sizes=(), max_iter=5).fit(
        X, np.array(["no", "yes"])[(SCORE > 0).astype(int)]
    )
    slopes = [
        input_gradients(classifier, X, target=each) for each in ("no", "yes", None)
    ]
    np.testing.assert_array_equal(slopes[0], -slopes[1])
    np.testing.assert_array_equal(slopes[1], slopes[2])


def test_weights_set_by_hand_and_functions_of_the_user(fitted):
    estimator = fitted.setdefault("regressor", CASES["regressor"]())
    other = MLPRegressor.from_arrays(estimator.coefs_, estimator.intercepts_)
    expected = input_gradients(estimator, X)
    np.testing.assert_allclose(input_gradients(other, X), expected, rtol=1e-12)
    np.testing.assert_allclose(
        first_layer_importance(other), first_layer_importance(estimator)
    )
    squared = MLPRegressor(activation=lambda z: (z * z, z + z), **FEW).fit(X, SCORE)
    coefs, last = squared.coefs_
    z = X @ coefs + squared.intercepts_[0]
    expected = (2 * z * last[:, 0]) @ coefs.T
    np.testing.assert_allclose(
        input_gradients(squared, X), expected, rtol=1e-3, atol=1e-4
    )


def test_a_row_is_explained_alike_beside_others(fitted):
    estimator = fitted.setdefault("ensemble", CASES["ensemble"]())
    whole = expected_gradients(estimator, X[:9], X[20:30], random_state=0)
    alone = expected_gradients(estimator, X[4:5], X[20:30], random_state=0)
    np.testing.assert_allclose(alone.values[0], whole.values[4], rtol=1e-5, atol=1e-7)


def test_steps_that_do_not_suffice_are_reported(fitted):
    estimator = fitted.setdefault("regressor", CASES["regressor"]())
    with pytest.warns(ConvergenceWarning, match="Raise max_steps, or tol"):
        found = integrated_gradients(estimator, X, np.zeros(4), tol=1e-12, max_steps=9)
    assert found.n_evaluations.max() == 16


def test_rounding_that_is_too_large_is_reported(fitted):
    in_float32 = fitted.setdefault("far targets", CASES["far targets"]())
    in_float64 = fitted.setdefault("regressor", CASES["regressor"]())
    for estimator, cure in (
        (in_float32, r"by the rounding of float32\. Fit .* dtype='float64', or raise"),
        (in_float64, r"by the rounding of float64\. Raise tol\."),
    ):
        with pytest.warns(ConvergenceWarning, match=cure):
            found = integrated_gradients(estimator, X[:3], X[3], tol=0.0)
        missed = found.values.sum(axis=1) - (found.outputs - found.base_values)
        assert (np.abs(missed) <= found.errors + 1e-12).all()


def test_steps_are_halved_where_they_miss_most(fitted):
    estimator = fitted.setdefault("categories", CASES["categories"]())
    found = integrated_gradients(estimator, TABLE[:12], TABLE[12], max_steps=400)
    assert found.n_evaluations.max() <= 800
    difference = found.outputs - found.base_values
    assert found.errors.max() <= 0.015 * np.abs(difference).max()


def test_all_families_of_a_mixture_are_explained(fitted):
    if "Tabular" not in fitted:
        fitted["Tabular"] = CASES["Tabular"]()
    model = fitted["Tabular"]
    for part, weight in zip(model._parts, (0.5, 0.3, 0.2), strict=False):
        part.weight = weight  # whatever the choice has been
    mixture = model._as_mixture()
    assert len(mixture.networks) == len(model._parts)
    model.set_params(dtype="float64")
    given = {"target": 2, "response_method": "predict_proba"}
    found = integrated_gradients(model, TABLE[:2], TABLE[12], **given)
    expected = model.predict_proba(TABLE[:2])[:, 2]
    model.set_params(dtype=None)
    np.testing.assert_allclose(found.outputs, expected, atol=1e-12)
    difference = found.outputs - found.base_values
    missed = np.abs(found.values.sum(axis=1) - difference)
    assert missed.max() <= 1e-4 * np.abs(difference).max()


@pytest.mark.parametrize("kind", ["two", "labels"])
def test_probabilities_of_a_mixture_are_those_that_it_predicts(kind):
    target = SCORE > 0 if kind == "two" else np.stack([SCORE > 0, X[:, 0] > 0], axis=1)
    model = TabularClassifier("fast", max_iter=1, random_state=0)
    model.fit(X, target.astype(int))
    assert model._temperature != 1.0
    found = integrated_gradients(model, X[:3], X[3], target=1, max_steps=8)
    np.testing.assert_allclose(found.outputs, model.predict_proba(X[:3])[:, 1])


def test_regressions_are_explained_before_they_are_cut():
    model = TabularRegressor("fast", n_members=1, max_iter=2, random_state=0)
    model.fit(X, SCORE)
    far = 20.0 * X[:3]
    slopes = input_gradients(model, far)
    assert np.isin(model.predict(far), model._range).any() and slopes.any(axis=1).all()
    np.testing.assert_allclose(input_gradients(uncut(model), far), slopes, rtol=1e-3)


# ------------------------------------------------------------------ many rows


def test_importances_select_features(fitted):
    noise = np.random.default_rng(1).normal(size=(80, 2))
    wide = np.hstack([X[:, 2:3], noise])
    estimator = MLPRegressor(
        **FEW | {"hidden_layer_sizes": (), "learning_rate_init": 0.1}
    )
    estimator.fit(wide, X[:, 2])
    summary = attribution_summary(estimator, wide, random_state=0, store=True)
    np.testing.assert_array_equal(
        estimator.attribution_importances_, np.abs(summary.attributions).mean(axis=0)
    )
    assert str(summary).splitlines()[1].startswith("feature 0")
    selector = SelectFromModel(
        estimator, prefit=True, importance_getter="attribution_importances_"
    )
    assert selector.transform(wide).shape == (80, 1)
    rfe = RFE(
        estimator, n_features_to_select=1, importance_getter=first_layer_importance
    )
    assert rfe.fit(wide, X[:, 2]).support_.tolist() == [True, False, False]
    estimator.fit(wide, X[:, 2])
    assert not hasattr(estimator, "attribution_importances_")


def test_first_layers_count_what_is_made_of_a_column(case):
    estimator, rows = case
    found = first_layer_importance(estimator)
    assert found.shape == (rows.shape[1],) and (found > 0).all()


def test_summaries_have_names(fitted):
    estimator = fitted.setdefault("regressor", CASES["regressor"]())
    names = ["a", "b", "c", "d"]
    assert attribution_summary(estimator, X[:5], names).feature_names == names
    with pytest.raises(ValueError, match="a name for each of the 4 features, got 1"):
        attribution_summary(estimator, X[:5], ["a"])


# -------------------------------------------------------------------- pictures


@pytest.fixture(scope="module")
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    return pytest.importorskip("matplotlib.pyplot")


def test_display(case, pyplot):
    estimator, rows = case
    display = AttributionDisplay.from_estimator(estimator, rows, max_features=3)
    assert len(display.ax_.get_yticks()) == 3
    assert display.figure_ is display.ax_.figure
    classes = getattr(estimator, "classes_", ())
    name = {0: "prediction", 2: "score of True", 3: "score of the predicted class"}
    expected = f"attribution to the {name[len(classes)]}"
    if not hasattr(estimator, "decision_function"):
        expected = expected.replace("score", "probability")
    assert display.ax_.get_xlabel() == expected
    _, ax = pyplot.subplots()
    assert display.plot(kind="bar", ax=ax).ax_ is ax
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == sorted(widths, reverse=True)
    pyplot.close("all")


def test_display_colours_the_numbers_of_a_table(pyplot):
    table = WITH_HOLES.astype(object)
    table[:, 3] = np.where(X[:, 3] > 0, "yes", "no")
    model = MLPRegressor(**FEW, categorical_features=[3]).fit(table, SCORE)
    display = AttributionDisplay.from_estimator(model, table)
    is_grey = np.isnan(WITH_HOLES) | (np.arange(4) == 3)
    order = np.argsort(-np.abs(display.attributions).mean(axis=0), kind="stable")
    for points, j in zip(display.ax_.collections, order, strict=True):
        assert not np.ma.is_masked(points.get_offsets())
        colours = points.to_rgba(points.get_array())[:, :3]
        np.testing.assert_array_equal(np.ptp(colours, axis=1) == 0, is_grey[:, j])
    model = MLPRegressor(**FEW, categorical_features=[0]).fit(table[:, 3:], SCORE)
    display = AttributionDisplay.from_estimator(model, table[:, 3:])
    assert display.features is None
    pyplot.close("all")


def test_display_refuses(fitted, monkeypatch):
    display = AttributionDisplay(attributions=X, feature_names=list("abcd"))
    with pytest.raises(ValueError, match="kind must be one of"):
        display.plot(kind="waterfall")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"AttributionDisplay.plot.*matplotlib"):
        display.plot()


# ------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "explain",
    [
        input_gradients,
        smooth_grad,
        attribution_summary,
        lambda estimator, rows: integrated_gradients(estimator, rows, rows[0]),
        lambda estimator, rows: expected_gradients(estimator, rows, rows),
    ],
    ids=["input", "smooth", "summary", "integrated", "expected"],
)
def test_wrong_estimators_and_rows(explain, fitted):
    estimator = fitted.setdefault("regressor", CASES["regressor"]())
    with pytest.raises(NotFittedError):
        explain(MLPRegressor(), X)
    with pytest.raises(ValueError, match="4 features"):
        explain(estimator, X[:, :3])
    with pytest.raises(TypeError, match="Pass its last step"):
        explain(make_pipeline(estimator), X)
    with pytest.raises(NotFittedError):
        explain(TabularRegressor(), X)
    with pytest.raises(TypeError, match="got str"):
        explain("network", X)


def test_trees_beside_networks_are_refused():
    model = TabularRegressor(
        "fast", partner="hist_gradient_boosting", n_members=1, max_iter=1
    ).fit(X, SCORE)
    assert model._as_mixture().others
    for explain in (lambda model: input_gradients(model, X), first_layer_importance):
        with pytest.raises(TypeError, match=r"has a weight\. Fit it with partner=None"):
            explain(model)


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("binary", {"target": 2}, "target must be one of classes_, False, True, got 2"),
        ("regressor", {"target": 1}, "target must be one of the outputs, 0, got 1"),
        ("regressor", {"response_method": "predict_proba"}, "'auto' or one of"),
        ("Tabular", {"response_method": "decision_function"}, "'predict_proba'"),
    ],
)
def test_wrong_targets(name, given, message, fitted):
    if name not in fitted:
        fitted[name] = CASES[name]()
    rows = X if fitted[name].n_features_in_ == 4 else TABLE
    with pytest.raises(ValueError, match=message):
        input_gradients(fitted[name], rows, **given)


def test_wrong_parameters(fitted):
    estimator = fitted.setdefault("regressor", CASES["regressor"]())
    with pytest.raises(ValueError, match="baseline must have one row"):
        integrated_gradients(estimator, X[:5], X[:2])
    with pytest.raises(ValueError, match="noise must be a number from 0"):
        smooth_grad(estimator, X, noise=[1.0])
    with pytest.raises(ValueError, match="X has a single row"):
        smooth_grad(estimator, X[:1])
    with pytest.raises(ValueError, match="n_stages"):
        expected_gradients(estimator, X, X, n_stages=0)
    both = MLPRegressor(**FEW).fit(X, np.stack([SCORE, SCORE], axis=1))
    with pytest.raises(ValueError, match="target must say which of the 2 outputs"):
        input_gradients(both, X)
