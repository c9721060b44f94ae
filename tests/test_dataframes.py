"""Estimators on tables as they are: categories by value, missing ones, any library."""

import datetime
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV, find_learning_rate
from nnfit.estimators.validation import check_X
from nnfit.inspection import expected_gradients

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
PLAIN = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0, "n_jobs": 1}
SMALL = dict(
    **PLAIN,
    categorical_features="from_dtype",
    category_embedding={"max_one_hot": 3, "n_outputs": 2},
)
CITIES = ["Aarhus", "Bergen", "Cork", "Delft", "Essen"]


def make_data(n=80, seed=0):
    """A pandas table with numbers, two categories and a truth value; and targets."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "city": pd.Categorical(rng.choice(CITIES, n)),
            "rooms": rng.integers(1, 6, n),
            "kind": pd.Series(rng.choice(["flat", "house"], n), dtype=object),
            "new": rng.random(n) < 0.5,
        }
    )
    y = table["size"] + (table["city"] == "Cork") - (table["kind"] == "flat")
    return table, y.to_numpy()


TABLE, Y = make_data()


def as_objects(table):
    return table.astype(object).to_numpy()


LIBRARIES = {
    "pandas": lambda table: table,
    "pandas without categories": lambda table: table.astype({"city": str}),
    "pandas of pyarrow": lambda table: pa.Table.from_pandas(table).to_pandas(
        types_mapper=pd.ArrowDtype
    ),
    "nullable": lambda table: table.astype(
        {"size": "Float64", "rooms": "Int8", "kind": "string", "new": "boolean"}
    ),
    "polars": lambda table: pl.from_pandas(table),
    "polars of texts": lambda table: pl.from_pandas(table.astype({"city": str})),
    "pyarrow": lambda table: pa.Table.from_pandas(table),
    "RecordBatch": lambda table: pa.RecordBatch.from_pandas(table),
    "objects": as_objects,
    "lists": lambda table: as_objects(table).tolist(),
}


def assert_same(one, other):
    """Two fits have the same weights to the bit."""
    for name in ("coefs_", "intercepts_", "others_"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            assert_array_equal(a, b)


@pytest.fixture(scope="module")
def model():
    return MLPRegressor(**SMALL).fit(TABLE, Y)


# Libraries and paths ---------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_table_makes_the_same_network(library, model):
    X = LIBRARIES[library](TABLE)
    other = MLPRegressor(**SMALL).fit(X, Y)
    assert_same(model, other)
    expected = model.predict(TABLE)
    assert_array_equal(other.predict(X), expected)
    has_names = library not in ("objects", "lists")
    assert hasattr(other, "feature_names_in_") == has_names
    if has_names:
        assert other.feature_names_in_.tolist() == TABLE.columns.tolist()
        assert_array_equal(model.predict(X), expected)
    kept = other._fitted["categories"]
    assert kept == {1: CITIES, 3: ["flat", "house"]}


def codes_of(table):
    """The same with codes in place of the categories."""
    codes = table.copy()
    codes["city"] = codes["city"].cat.codes  # -1 where it is missing
    codes["kind"] = codes["kind"].map({"flat": 0, "house": 1})
    return codes.to_numpy(np.float64)


def test_categories_by_value_are_as_their_codes(model):
    by_code = MLPRegressor(**SMALL | {"categorical_features": [1, 3]})
    assert_same(model, by_code.fit(codes_of(TABLE), Y))


@pytest.mark.parametrize(
    "asked",
    [["city", "kind"], [1, 3], [-2, 1], [False, True, False, True, False]],
    ids=str,
)
def test_names_numbers_and_masks(asked, model):
    other = MLPRegressor(**SMALL | {"categorical_features": asked}).fit(TABLE, Y)
    assert_same(model, other)


@pytest.mark.parametrize(
    "way", ["fit", "partial_fit", "X_val", "warm_start", "weights"]
)
@pytest.mark.parametrize("n_members", [1, 2])
def test_every_path_is_as_with_codes(way, n_members):
    """Training, validation by a scorer, and going on with other rows."""
    later, y_later = make_data(40, seed=1)
    own = SMALL | {"n_members": n_members}
    models = []
    for asked, convert in (("from_dtype", lambda x: x), ([1, 3], codes_of)):
        model = MLPRegressor(**own | {"categorical_features": asked})
        X, X_later = convert(TABLE), convert(later)
        if way == "partial_fit":
            model.partial_fit(X, Y).partial_fit(X_later, y_later)
        elif way == "X_val":
            model.set_params(early_stopping=True, scoring="neg_mean_absolute_error")
            model.fit(X, Y, X_val=X_later, y_val=y_later)
        elif way == "warm_start":
            model.set_params(warm_start=True, early_stopping=True, scoring="r2")
            model.fit(X, Y).set_params(n_members=2 * n_members - 1).fit(X, Y)
        else:
            weight = np.linspace(0, 1, len(Y)) if way == "weights" else None
            model.fit(X, Y, sample_weight=weight)
        models.append(model)
        assert np.isfinite(model.score(X_later, y_later))
    assert_array_equal(models[0].predict(later), models[1].predict(codes_of(later)))


def test_a_classifier_on_polars():
    labels = np.where(Y > 0, "yes", "no")
    X = pl.from_pandas(TABLE)
    model = MLPClassifier(**SMALL, temperature_scaling=True, early_stopping=True)
    model.fit(X, labels)
    for method in ("predict", "predict_proba", "decision_function"):
        assert len(getattr(model, method)(X[:7])) == 7
    assert model.score(X, labels) > 0


def test_members_may_be_used_alone():
    model = MLPRegressor(**SMALL, n_members=2).fit(TABLE, Y)
    together = np.mean([one.predict(TABLE) for one in model.members_], axis=0)
    np.testing.assert_allclose(together, model.predict(TABLE), rtol=1e-6)
    model.members_[0].partial_fit(TABLE, Y)


def test_columns_of_an_embedding_by_name_in_an_ensemble():
    embedding = {"kind": "pbld", "features": ["rooms"], "n_frequencies": 2}
    model = MLPRegressor(**SMALL, n_members=2, numeric_embedding=embedding)
    assert np.isfinite(model.fit(TABLE, Y).predict(TABLE)).all()


def test_pickles(model):
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(TABLE), model.predict(TABLE))


@pytest.mark.parametrize("convert", [lambda table: table, pl.from_pandas])
def test_searches_and_pipelines(convert):
    X, grid = convert(TABLE), {"alpha": [1e-4, 1e-2]}
    base = MLPRegressor(**SMALL)
    one = GridSearchCV(base, grid, cv=2).fit(X, Y)
    other = PopulationSearchCV(base, param_grid=grid, cv=2).fit(X, Y)
    for name in ("split0_test_score", "split1_test_score"):
        assert_array_equal(one.cv_results_[name], other.cv_results_[name])
    assert_array_equal(one.predict(X), other.predict(X))
    assert find_learning_rate(base, X, Y, n_steps=20).losses.size


def test_a_pipeline_transforms_validation_data():
    later, y_later = make_data(40, seed=1)
    scaler = ColumnTransformer(
        [("scale", StandardScaler(), ["size", "rooms"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    alone = MLPRegressor(**SMALL).fit(
        scaler.fit_transform(TABLE), Y, X_val=scaler.transform(later), y_val=y_later
    )
    with config_context(enable_metadata_routing=True):
        network = MLPRegressor(**SMALL).set_fit_request(X_val=True, y_val=True)
        pipe = Pipeline([("s", scaler), ("n", network)], transform_input=["X_val"])
        pipe.fit(TABLE, Y, X_val=later, y_val=y_later)
    assert pipe[-1].history_["val_loss"] == alone.history_["val_loss"]
    assert_array_equal(pipe.predict(later), alone.predict(scaler.transform(later)))


def test_a_table_of_numbers_is_as_an_array():
    numbers = TABLE[["size", "rooms", "new"]]
    expected = MLPRegressor(**PLAIN).fit(numbers.to_numpy(float), Y)
    for convert in (lambda x: x, pl.from_pandas, pa.Table.from_pandas):
        assert_same(expected, MLPRegressor(**PLAIN).fit(convert(numbers), Y))
        asked = MLPRegressor(**PLAIN, categorical_features="from_dtype")
        assert_same(expected, asked.fit(convert(numbers), Y))


@pytest.mark.parametrize("library", ["pandas", "nullable", "polars", "pyarrow"])
@pytest.mark.parametrize("n_members", [1, 2])
def test_missing_numbers_in_tables_are_as_nan_in_arrays(library, n_members):
    """In every path; the network fills them, and has indicators of them."""
    table, later = TABLE.copy(), make_data(40, seed=1)[0]
    for rows, each in ((slice(None, None, 7), table), (slice(3, None, 5), later)):
        each.loc[each.index[rows], ["size", "city"]] = None
    arrays = codes_of(table), codes_of(later)
    own = SMALL | {"n_members": n_members, "scaling": "robust"}
    expected = MLPRegressor(**own | {"categorical_features": [1, 3]})
    expected.fit(arrays[0], Y, X_val=arrays[1], y_val=Y[:40])
    expected.partial_fit(arrays[1], Y[:40])
    X, X_later = map(LIBRARIES[library], (table, later))
    model = MLPRegressor(**own).fit(X, Y, X_val=X_later, y_val=Y[:40])
    model.partial_fit(X_later, Y[:40])
    assert_array_equal(model.predict(X_later), expected.predict(arrays[1]))


def test_a_table_is_read_without_a_wide_copy():
    """Beside the matrix there are the eight columns that are being read, at most."""
    rows, columns = 20_000, 24
    X = pd.DataFrame({f"x{i}": np.arange(rows) % (i + 2) for i in range(columns)})
    X = X.astype({"x0": "float64", "x1": str, "x2": "category", "x3": "Int64"})
    model = MLPRegressor(**SMALL).fit(X[:50], np.arange(50.0))
    matrix = 4 * rows * columns
    tracemalloc.start()
    try:
        check_X(model, X, "float32")
        _, peak = tracemalloc.get_traced_memory()
        assert peak < matrix + 8 * 8 * rows + 2**19
    finally:
        tracemalloc.stop()


def test_dates_are_days_that_are_standardised():
    days = np.datetime64("2024-01-01") + np.arange(60) % 40
    X = pd.DataFrame({"when": days.astype("M8[ns]"), "x": np.arange(60) % 7})
    y = np.arange(60) % 40 / 10.0
    model = MLPRegressor(**PLAIN).fit(X, y)
    assert model.feature_shifts_[0] == days.astype(int).mean()
    numbers = np.column_stack([days.astype(float), X["x"]])
    assert_same(model, MLPRegressor(**PLAIN).fit(numbers, y))
    again = X.assign(when=[day.to_pydatetime().date() for day in X["when"]])
    assert_array_equal(model.predict(again), model.predict(X))
    assert isinstance(again["when"][0], datetime.date)


def test_the_tags():
    for asked in (None, "from_dtype", [0]):
        tags = get_tags(MLPRegressor(categorical_features=asked)).input_tags
        assert tags.allow_nan
        assert tags.categorical == tags.string == (asked is not None)


# Names and order of columns --------------------------------------------------


@pytest.mark.parametrize("convert", [lambda table: table, pl.from_pandas])
def test_columns_are_checked_as_scikit_learn_does(convert, model):
    X = convert(TABLE)
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(X[TABLE.columns.tolist()[::-1]])
    with pytest.raises(ValueError, match="at fit time, yet now missing:\n- new"):
        model.predict(X[TABLE.columns.tolist()[:-1]])
    with pytest.raises(ValueError, match="unseen at fit time:\n- colour"):
        model.predict(X.rename({"new": "colour"}, **_columns_axis(X)))
    with pytest.raises(ValueError, match="unseen at fit time:\n- colour"):
        renamed = X.rename({"new": "colour"}, **_columns_axis(X))
        model.fit(X, Y, X_val=renamed, y_val=Y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(as_objects(TABLE))


def _columns_axis(X):
    return {"axis": 1} if isinstance(X, pd.DataFrame) else {}


# Bad input -------------------------------------------------------------------


def with_column(**columns):
    return TABLE.assign(**columns)


def test_a_plain_estimator_that_meets_texts_names_the_cure():
    cure = "Name the column in categorical_features, or set categorical_features='from"
    for X, name in ((TABLE[["size", "kind"]], "'kind'"), (as_objects(TABLE), "1")):
        message = f"column {name} of X holds '[A-z]+', which is no number. {cure}"
        with pytest.raises(ValueError, match=message):
            MLPRegressor(**PLAIN).fit(X, Y)
        numbers = np.zeros((80, X.shape[1]))
        if name == "'kind'":
            numbers = pd.DataFrame(numbers, columns=X.columns)
        model = MLPRegressor(**PLAIN).fit(numbers, Y)
        later = f"{message.removesuffix(cure)}The training had numbers or dates there"
        with pytest.raises(ValueError, match=later):
            model.predict(X)


def test_a_column_that_is_all_missing():
    """As a category it has none; as a number see the tests of missing values."""
    for values in ([None] * 80, pd.Categorical([None] * 80), np.full(80, np.nan)):
        X = with_column(city=values)
        model = MLPRegressor(**SMALL | {"categorical_features": ["city", "kind"]})
        assert np.isfinite(model.fit(X, Y).predict(X)).all()
        assert np.isfinite(model.predict(with_column(city=None))).all()


def test_a_column_of_one_category():
    X = with_column(city="Cork")
    model = MLPRegressor(**SMALL).fit(X, Y)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.predict(TABLE)).all()


def test_a_new_category_is_as_a_missing_one(model):
    new, missing = with_column(city="Fife"), with_column(city=None)
    missing["city"] = missing["city"].astype("str")
    missing["city"] = None
    assert_array_equal(model.predict(new), model.predict(missing))


def test_texts_and_numbers_in_a_column():
    mixed = pd.Series([1, "one", 2.5, None, "two"] * 16, dtype=object)
    X = with_column(city=mixed)
    model = MLPRegressor(**SMALL).fit(X, Y)
    assert model._fitted["categories"][1] == [2.5, 1, "one", "two"]
    message = "column 'city' of X holds 'one', which is no number"
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**SMALL | {"categorical_features": ["kind"]}).fit(X, Y)
    # Texts that are numbers count as numbers, as for scikit-learn.
    X = with_column(city=mixed.map({1: "1", 2.5: 2.5, "one": "3e0", "two": 4, None: 0}))
    MLPRegressor(**SMALL | {"categorical_features": ["kind"]}).fit(X, Y)


def test_infinite_values_in_a_table():
    X = with_column(size=np.where(np.arange(80) == 7, -np.inf, 0.0))
    message = "Input X contains infinity .*: column 'size' of X, row 7"
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**SMALL).fit(X, Y)
    X = as_objects(TABLE)
    X[5, 2] = 10**400
    with pytest.raises(ValueError, match="column 2 of X, row 5"):
        MLPRegressor(**SMALL).fit(X, Y)


def test_objects_that_are_no_numbers():
    X = with_column(size=pd.Series([{"a": 1}] * 80))
    message = "column 'size' of X holds .*: the argument must be a string or a real num"
    with pytest.raises(TypeError, match=message):
        MLPRegressor(**SMALL | {"categorical_features": ["city", "kind"]}).fit(X, Y)
    model = MLPRegressor(**SMALL).fit(X, Y)
    assert model._fitted["categories"][0] == ["{'a': 1}"]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pl.LazyFrame({"a": [1, 2]}), "got a LazyFrame of polars, .* collect"),
        (pd.DataFrame(index=[0, 1]), r"Found array with 0 feature\(s\)"),
        (TABLE[:0], r"Found array with 0 sample\(s\)"),
        (pl.DataFrame({"a": [1, 2]})["a"], "Expected 2D array"),
        (TABLE.iloc[0], r"Expected 2D array.* X.iloc\[\[0\]\] of pandas"),
        (
            pl.DataFrame({"a": ["b", "c"]})["a"],
            r"Expected 2D array.* X\[:1\] of polars",
        ),
        ([{"a": 1}, {"a": 2}], r"Expected 2D array.* dicts as pandas.DataFrame\(rows"),
        ([["a", 1], ["b"]], "inhomogeneous shape"),
    ],
)
def test_what_is_no_table_of_rows(X, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**SMALL).fit(X, [1.0, 2.0])


@pytest.mark.parametrize("row", [TABLE.iloc[0], TABLE.iloc[0].tolist()])
def test_a_row_of_a_table_is_no_table(row, model):
    with pytest.raises(ValueError, match=r"Expected 2D array.* a row of a table as"):
        model.predict(row)
    with pytest.raises(ValueError, match=r"Expected 2D array.* a row of a table as"):
        expected_gradients(model, row, TABLE)


def test_many_categories():
    """10^5 of them, most of which occur once."""
    rng = np.random.default_rng(0)
    names = [f"user {number}" for number in range(10**5)]
    table = pd.DataFrame({"user": names, "x": rng.normal(size=10**5)})
    model = MLPRegressor(**SMALL | {"max_iter": 1}).fit(table, table["x"].to_numpy())
    assert len(model._fitted["categories"][0]) == 10**5
    assert np.isfinite(model.predict(table[:50])).all()


def test_twenty_rows():
    X, y = make_data(20)
    for parameters in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        model = MLPRegressor(**SMALL, **parameters).fit(X, y)
        assert np.isfinite(model.predict(X)).all()


def test_one_class_in_a_fold():
    labels = np.array(["yes"] * 79 + ["no"])
    model = MLPClassifier(**SMALL)
    search = GridSearchCV(model, {"alpha": [1e-4]}, cv=[(range(40), range(40, 80))])
    search.fit(TABLE, labels)
    assert search.best_score_ == 39 / 40
    model.set_params(early_stopping=True, scoring="roc_auc")
    with pytest.raises(ValueError, match="need a sample of every class, got classes"):
        model.fit(TABLE, labels)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("city", 1.5, "column 'city' of X must hold categories .* 'Aarhus', got 1.5"),
        ("kind", True, "column 'kind' of X must hold categories .* 'flat', got True"),
        ("size", "big", "'big', which is no number. The training had numbers or dates"),
    ],
)
def test_columns_of_another_type_than_in_the_training(column, values, message, model):
    with pytest.raises(ValueError, match=message):
        model.predict(with_column(**{column: values}))
    with pytest.raises(ValueError, match=message.replace("of X", "of X_val")):
        X_val = with_column(**{column: values})
        MLPRegressor(**SMALL).fit(TABLE, Y, X_val=X_val, y_val=Y)


def test_matrices_where_the_training_had_values(model):
    objects = MLPRegressor(**SMALL).fit(as_objects(TABLE), Y)
    message = "column 1 of X must hold categories as in the training"
    with pytest.raises(ValueError, match=message):
        objects.predict(codes_of(TABLE))
    missing = codes_of(TABLE)
    missing[:, [1, 3]] = np.nan
    assert np.isfinite(objects.predict(missing)).all()
    with pytest.raises(ValueError, match="must be a table or an array as in the train"):
        objects.predict(scipy.sparse.csr_array(missing))


@pytest.mark.parametrize("others", [["size", "rooms"], TABLE.columns.drop("city")])
def test_numbers_that_are_no_codes_are_categories_by_value(others):
    """Also in a table of numbers alone, which is else an array."""
    sizes = pd.Series(np.resize([0.5, 1.5, np.nan, 1e9], 80))
    X = TABLE[others].assign(city=sizes)
    asked = [name for name in ("city", "kind") if name in X]
    model = MLPRegressor(**SMALL | {"categorical_features": asked}).fit(X, Y)
    column = X.columns.get_loc("city")
    assert model._fitted["categories"][column] == [0.5, 1.5, 1e9]
    with_codes = X.assign(city=sizes.map({0.5: 0, 1.5: 1, 1e9: 2}))
    codes = clone(model).fit(with_codes, Y)
    assert codes._fitted["categories"][column] is None
    assert_same(model, codes)
    assert_array_equal(model.predict(X), codes.predict(with_codes))
