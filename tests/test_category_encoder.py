"""`CategoryEncoder`: codes and indicators, ready for the networks."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from nnfit import CategoryEncoder, MLPRegressor

TABLE = pd.DataFrame(
    {
        "city": ["Cork", "Bergen", None, "Aarhus", "Cork"],
        "size": [1.5, 2.5, 3.5, np.nan, 0.0],
        "kind": pd.Categorical(["flat", "house", "flat", None, "flat"]),
        "zip": [30, 10, 30, 10, 20],
    }
)
CODES = np.array(
    [
        [2, 1.5, 0, 30],
        [1, 2.5, 1, 10],
        [-1, 3.5, 0, 30],
        [0, np.nan, -1, 10],
        [2, 0, 0, 20],
    ]
)
LIBRARIES = {
    "pandas": lambda table: table,
    "polars": pl.from_pandas,
    "pyarrow": pa.Table.from_pandas,
    "objects": lambda table: table.astype(object).to_numpy(),
    "lists": lambda table: table.astype(object).to_numpy().tolist(),
}


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(*case, id=f"{name}-{case[1].func.__name__}")
        for name, encoder in (
            ("codes", CategoryEncoder()),
            ("indicators", CategoryEncoder(max_one_hot=3)),
        )
        for case in estimator_checks_generator(encoder)
    ],
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("library", LIBRARIES)
def test_codes(library):
    X = LIBRARIES[library](TABLE)
    encoder = CategoryEncoder()
    assert_array_equal(encoder.fit_transform(X), CODES)
    assert encoder.categories_ == {
        0: ["Aarhus", "Bergen", "Cork"],
        2: ["flat", "house"],
    }
    assert encoder.categorical_features_ == [0, 2]
    new = LIBRARIES[library](TABLE.assign(city="Delft", kind="house"))
    assert_array_equal(encoder.transform(new)[:, [0, 2]], [[-1, 1]] * 5)
    single = CategoryEncoder(dtype="float32").fit_transform(X)
    assert single.dtype == np.float32
    assert_array_equal(single, CODES)


def test_indicators():
    encoder = CategoryEncoder(categorical_features=["city", "kind", "zip"])
    encoder.set_params(max_one_hot=2)
    expected = CODES.copy()
    expected[:, 2] = [1, -1, 1, 0, 1]
    expected[:, 3] = [2, 0, 2, 0, 1]
    assert_array_equal(encoder.fit_transform(TABLE), expected)
    assert encoder.categorical_features_ == [0, 3]
    names = ["city", "size", "kind_flat", "zip"]
    assert encoder.get_feature_names_out().tolist() == names
    encoder.set_params(max_one_hot=3).fit(TABLE)
    city = [[0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    codes = [[0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    others = expected[:, 1:3]
    assert_array_equal(encoder.transform(TABLE), np.hstack([city, others, codes]))
    assert encoder.categorical_features_ == []
    names = ["city_Aarhus", "city_Bergen", "city_Cork", "size", "kind_flat"]
    names += ["zip_10", "zip_20", "zip_30"]
    assert encoder.get_feature_names_out().tolist() == names


def test_a_column_of_one_category_or_none():
    X = pd.DataFrame({"a": ["x"] * 3, "b": pd.Categorical([None] * 3), "c": 1.0})
    encoder = CategoryEncoder(max_one_hot=4)
    assert_array_equal(encoder.fit_transform(X), [[1, 1]] * 3)
    assert encoder.get_feature_names_out().tolist() == ["a_x", "c"]
    assert_array_equal(CategoryEncoder().fit_transform(X), [[0, -1, 1]] * 3)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_results_may_be_tables(library):
    encoder = CategoryEncoder(max_one_hot=2).set_output(transform=library)
    result = encoder.fit_transform(TABLE)
    assert type(result).__module__.startswith(library)
    assert list(result.columns) == ["city", "size", "kind_flat", "zip"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_take_the_codes():
    y = np.arange(5.0)
    quick = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    alone = MLPRegressor(**quick, categorical_features="from_dtype").fit(TABLE, y)
    encoder = CategoryEncoder().fit(TABLE)
    codes = encoder.categorical_features_
    network = MLPRegressor(**quick, categorical_features=codes)
    pipe = make_pipeline(encoder, network).fit(TABLE, y)
    assert_array_equal(pipe.predict(TABLE), alone.predict(TABLE))


def test_bad_input():
    with pytest.raises(
        ValueError, match="column 'kind' of X holds 'flat', which is no"
    ):
        CategoryEncoder(categorical_features=["city"]).fit(TABLE)
    with pytest.raises(ValueError, match="must be names of columns of X"):
        CategoryEncoder(categorical_features=["town"]).fit(TABLE)
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        CategoryEncoder().fit(TABLE).transform(TABLE[TABLE.columns[::-1]])
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        CategoryEncoder().fit(TABLE[:0])
