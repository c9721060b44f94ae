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
