"""Fits to Parquet files, and what the first pass finds in tables."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from nnfit import MLPClassifier, MLPRegressor
from nnfit.batches import ParquetSource
from nnfit.batches.rows import Batch
from nnfit.batches.survey import Survey
from nnfit.network.scalings import robust
from tests.test_batches import assert_same

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS = 300
PARAMETERS = dict(
    hidden_layer_sizes=(8,), batch_size=20, max_iter=2, random_state=0, n_jobs=1
)
classifier = partial(MLPClassifier, **PARAMETERS)


def make_table():
    """Numbers with a missing one, texts with a rare one, dates, and targets."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((N_ROWS, 3)), columns=list("abc"))
    table.loc[230, "b"] = np.nan
    table["color"] = rng.choice(["red", "green", "blue"], N_ROWS)
    table.loc[240, "color"] = "rare"
    table["size"] = rng.integers(0, 4, N_ROWS)
    table["when"] = pd.date_range("2026-01-01", periods=N_ROWS)
    table["weight"] = rng.random(N_ROWS)
    is_large = table["a"] + (table["color"] == "red") > 0.5
    table["y"] = np.where(is_large, "large", "small")
    return table


TABLE = make_table()
X = TABLE.drop(columns=["weight", "y"])


@pytest.fixture
def folder(tmp_path):
    for number, start in enumerate(range(0, N_ROWS, 130)):
        path = tmp_path / f"part-{number}.parquet"
        rows = TABLE.iloc[start : start + 130]
        rows.to_parquet(path, index=False, row_group_size=50)
    return tmp_path


TABULAR = {
    "plain": {"categorical_features": "from_dtype"},
    "all inside": {
        "categorical_features": ["color", "size"],
        "scaling": "quantile",
        "numeric_embedding": "piecewise_linear_encoding",
    },
}


@pytest.mark.parametrize("name", TABULAR)
def test_a_small_table_is_learnt_as_by_fit(name, folder):
    """The sample has all rows, so bins, scales and codes are the same."""
    model = classifier(shuffle=False, **TABULAR[name])
    expected = clone(model).fit(X, TABLE["y"], TABLE["weight"])
    source = ParquetSource(folder, "y", sample_weight="weight")
    model.fit_batches(source, memory=2**22)
    assert_same(model, expected)
    assert model.feature_names_in_.tolist() == X.columns.tolist()
    assert (model.predict(X) == expected.predict(X)).all()


def test_paths_and_columns(folder):
    columns = ["a", "b", "c", "color"]
    model = classifier(
        categorical_features=["color"], max_iter=10, learning_rate_init=0.01
    )
    training, validation = (
        ParquetSource(folder / name, "y", columns=columns)
        for name in ("part-*.parquet", "part-1.parquet")
    )
    model.fit_batches(training, validation=validation, memory=80_000)
    assert len(model.history_["val_score"]) == 10
    assert model.score(X[columns], TABLE["y"]) > 0.8
    numbers = MLPRegressor(**PARAMETERS)
    (folder / "_ignored.parquet").write_bytes(b"")
    for number in range(3):
        path = folder / f"part-{number}.parquet"
        pd.read_parquet(path, columns=["a", "b", "c"]).to_parquet(path, index=False)
    numbers.fit_batches(folder, target=["a", "c"], memory=80_000)
    assert numbers.predict(X[["b"]]).shape == (N_ROWS, 2)


def test_rare_categories_and_missing_numbers_are_in_the_sample(folder):
    model = classifier(categorical_features="from_dtype")
    model.fit_batches(ParquetSource(folder, "y", sample_weight="weight"), memory=40_000)
    known = model._fitted["categories"]
    assert known == {3: ["blue", "green", "rare", "red"]}
    assert "imputation" in repr(model._fitted["inputs"])


CHANGES = {
    "missing": (
        lambda table: table.drop(columns="b"),
        r"lacks the columns \['b'\], and",
    ),
    "more": (lambda table: table.assign(z=1), r"has the columns \['z'\] too, and only"),
    "texts": (
        lambda table: table.assign(b="x"),
        "must hold numbers as in .*part-0",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_files_that_differ(name, folder):
    change, message = CHANGES[name]
    change(TABLE[:9]).to_parquet(folder / "part-3.parquet", index=False)
    with pytest.raises(ValueError, match=rf"part-3\.parquet {message}"):
        ParquetSource(folder, "y")


def test_wrong_files(folder):
    with pytest.raises(ValueError, match=r"part-0\.parquet lacks the columns \['z'\]"):
        ParquetSource(folder, "z")
    with pytest.raises(FileNotFoundError, match="none was found"):
        ParquetSource(folder / "none", "y")
    empty = folder / "empty.parquet"
    TABLE[:0].to_parquet(empty, index=False)
    with pytest.raises(ValueError, match=r"empty\.parquet gives no rows"):
        classifier().fit_batches(empty, target="y")
    empty.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"empty\.parquet must be a Parquet file"):
        ParquetSource(folder, "y")


# The first pass --------------------------------------------------------------


def survey(values, y, size, has_labels=False):
    batches = (
        Batch(values[i : i + 1000], y[i : i + 1000], None, f"batch at {i}")
        for i in range(0, len(values), 1000)
    )
    return Survey(batches, size, (), has_labels)


def test_a_sample_of_many_rows():
    """Shares below its quantiles are off by less than 3 / sqrt(n), as the bound says.

    With probability 1 - 2 exp(-18).
    """
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=(30_000, 2))
    y = rng.integers(0, 3, 30_000)
    y[29_500] = 3
    found = survey(values, y, 2000, has_labels=True)
    rows = found.sample.X
    assert found.n_rows == 30_000
    assert 2000 <= len(rows) < 2040
    assert found.class_counts == dict(enumerate(np.bincount(y).tolist()))
    assert set(found.sample.y) == {0, 1, 2, 3}
    np.testing.assert_array_equal(rows.min(axis=0), values.min(axis=0))
    np.testing.assert_array_equal(rows.max(axis=0), values.max(axis=0))
    for column, own in zip(values.T, rows.T, strict=True):
        shares = (column[:, None] <= np.quantile(own, np.linspace(0, 1, 21))).mean(0)
        assert np.abs(shares - np.linspace(0, 1, 21)).max() < 3 / np.sqrt(2000)
        middle = robust(own.copy())[0]
        assert (column <= middle).mean() == pytest.approx(0.5, abs=0.07)
    # In the order of the rows, with those of a small table all.
    places = np.searchsorted(np.sort(values[:, 0]), rows[:, 0])
    order = np.argsort(values[:, 0])[places]
    assert (np.diff(order) > 0).all()
    np.testing.assert_array_equal(survey(values[:900], y, 1000).sample.X, values[:900])


def test_more_categories_than_the_memory_has_room_for():
    y = np.arange(5000)
    with pytest.raises(
        MemoryError, match="sample of 100 rows, and more rows are needed"
    ):
        survey(np.zeros((5000, 1)), y, 100, has_labels=True)
