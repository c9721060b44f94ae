"""Rows that are drawn by a variational autoencoder."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnfit


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_a_classifier_learns_from_synthetic_rows(load):
    """90 % of the accuracy above chance of one that learnt from real rows."""
    X, y = load(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, stratify=y, test_size=0.4, random_state=0
    )
    X_new, y_new = nnfit.synthesize(X, y, len(X), max_iter=200, random_state=0)
    chance = np.bincount(y_test).max() / len(y_test)
    real, synthetic = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        .fit(*rows)
        .score(X_test, y_test)
        - chance
        for rows in ((X, y), (X_new, y_new))
    )
    assert synthetic > 0.9 * real
    assert not (X_new[:, None] == X).all(axis=2).any()
    assert (X_new >= X.min(axis=0)).all() and (X_new <= X.max(axis=0)).all()


def test_kinds_of_columns_and_bits_stay():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    size = rng.normal(size=200)
    table = pd.DataFrame(
        {
            "size": np.where(rng.uniform(size=200) < 0.3, np.nan, size),
            "count": rng.poisson(3.0, 200),
            "color": np.where(size > 0, "red", "blue").astype(object),
            "kind": pd.Categorical(rng.choice(["a", "b"], 200)),
            "flag": size > 1,
        }
    )
    table.loc[::5, "color"] = None
    y = pd.Series(size, name="price")
    options = dict(max_iter=10, random_state=3)
    (X_new, y_new), (again, _) = (
        nnfit.synthesize(table, y, 300, **options) for _ in range(2)
    )
    pd.testing.assert_frame_equal(X_new, again)
    assert (X_new.dtypes == table.dtypes).all() and list(X_new) == list(table)
    assert set(X_new["color"].dropna()) <= {"red", "blue"}
    assert 0.15 < X_new["size"].isna().mean() < 0.45
    assert 0.1 < X_new["color"].isna().mean() < 0.3
    assert y_new.name == "price" and len(y_new) == 300
    assert X_new["count"].between(*table["count"].agg(["min", "max"])).all()
    assert nnfit.synthesize(np.zeros((5, 2), "float32"), n=3, max_iter=1).dtype == "f4"


def test_tables_of_other_libraries_come_back():
    """The same rows as of pandas, with missing ones and types as they were."""
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    size = rng.normal(size=60).astype("float32").tolist()
    given = {
        "size": [None if i % 4 == 0 else x for i, x in enumerate(size)],
        "count": rng.poisson(3.0, 60).tolist(),
        "color": [["red", "blue", None][i % 3] for i in range(60)],
        "flag": [x > 0 for x in size],
    }
    types = {"size": pl.Float32, "count": pl.Int16, "color": pl.Categorical}
    polars = pl.DataFrame(given).cast(types)
    arrow = pa.table(polars.to_arrow())
    pandas = pd.DataFrame(given)
    pandas["size"] = pandas["size"].astype("float32")
    tables = {
        "polars": (polars, pl.Series("kind", given["flag"])),
        "table": (arrow, pa.array(given["flag"])),
        "batch": (arrow.to_batches()[0], pa.chunked_array([given["flag"]])),
    }
    options = dict(n=40, max_iter=2, random_state=0)
    expected, y_expected = nnfit.synthesize(pandas, given["flag"], **options)
    for table, y in tables.values():
        rows, target = nnfit.synthesize(table, y, **options)
        assert type(rows) is type(table) and rows.schema == table.schema
        columns = rows.to_dict(as_series=False) if table is polars else rows.to_pydict()
        for name, values in columns.items():
            ours = [None if pd.isna(x) else x for x in expected[name]]
            assert values == ours
        assert list(np.asarray(target)) == list(y_expected)
        assert type(target).__module__.startswith(("polars", "pyarrow"))


@pytest.mark.emulated
def test_threads_and_devices_draw_the_same_rows(any_engine):
    X = np.random.default_rng(0).normal(size=(8, 2))
    options = dict(n=4, max_iter=1, random_state=0)
    expected = nnfit.synthesize(X, n_jobs=1, **options)
    device = "cuda" if any_engine == "emulated" else "cpu"
    found = nnfit.synthesize(X, n_jobs=2, device=device, **options)
    np.testing.assert_allclose(found, expected, 1e-4)


def test_weights_count_rows():
    X = np.repeat([[0.0, 1.0], [10.0, 2.0]], 10, axis=0)
    y, weight = np.repeat(["a", "b"], 10), np.repeat([0.05, 1.0], 10)
    options = dict(n=100, max_iter=20, random_state=0)
    _, drawn = nnfit.synthesize(X, y, sample_weight=weight, **options)
    assert (drawn == "b").mean() > 0.8
    (rest, _), (same, _) = (
        nnfit.synthesize(*rows, sample_weight=own, **options)
        for *rows, own in ((X[10:], y[10:], weight[10:]), (X, y, weight // 1))
    )
    np.testing.assert_array_equal(rest, same)
    assert (rest == X[10]).all()  # columns of one value
    for given, message in ((weight[1:], "sample_weight.shape"), (-weight, "egative")):
        with pytest.raises(ValueError, match=message):
            nnfit.synthesize(X, y, sample_weight=given)
    with pytest.raises(ValueError, match="above 0 for 2 rows or more"):
        nnfit.synthesize(X, y, sample_weight=[1.0, *[0.0] * 19])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3),), "2 dimensions"),
        ((np.array([["a"], ["b"]]),), "an array of numbers"),
        ((np.array([[np.inf], [1.0]]),), "finite numbers"),
        ((np.full((3, 1), np.nan),), "all miss"),
        ((np.zeros((3, 1)), [0, 1]), "3 entries"),
        ((np.zeros((3, 1)), None, 0), "n == 0"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        nnfit.synthesize(*arguments)
