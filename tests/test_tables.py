"""What `nnfit.tables` makes of columns of every library and type."""

import datetime
import decimal
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from nnfit.tables.encoding import encode, encode_again
from nnfit.tables.reading import table_of

UTC = datetime.UTC
EAST = datetime.timezone(datetime.timedelta(hours=2))
#: By name values, and what becomes of them.
COLUMNS = {
    "float": ([1.5, None, 2.5, 3.0], [1.5, np.nan, 2.5, 3.0]),
    "integer": ([3, 1, -2, 5], [3, 1, -2, 5]),
    "integer with holes": ([1, None, 2, 3], [1, np.nan, 2, 3]),
    "truth": ([True, False, True, True], [1, 0, 1, 1]),
    "truth with holes": ([True, None, False, True], [1, np.nan, 0, 1]),
    "decimal": (
        [decimal.Decimal("1.5"), None, decimal.Decimal("2.0"), decimal.Decimal("3.5")],
        [1.5, np.nan, 2.0, 3.5],
    ),
    "nothing": ([None] * 4, [np.nan] * 4),
    "date": (
        [datetime.date(1970, 1, 2), None, *[datetime.date(2000, 1, 1)] * 2],
        [1.0, np.nan, 10957.0, 10957.0],
    ),
    "time": (
        [
            datetime.datetime(1970, 1, 2, 12),
            None,
            *[datetime.datetime(1969, 12, 31)] * 2,
        ],
        [1.5, np.nan, -1.0, -1.0],
    ),
    "time with a zone": (
        [datetime.datetime(1970, 1, 2, 14, tzinfo=EAST), None]
        + [datetime.datetime(2000, 1, 1, tzinfo=UTC)] * 2,
        [1.5, np.nan, 10957.0, 10957.0],
    ),
    "duration": (
        [datetime.timedelta(hours=12), None, *[datetime.timedelta(-2)] * 2],
        [0.5, np.nan, -2.0, -2.0],
    ),
    "text": (["b", "a", None, "b"], [1, 0, -1, 1]),
    "category": (["x", "y", None, "x"], [0, 1, -1, 0]),
}
EXPECTED = np.array([after for _, after in COLUMNS.values()], float).T
CATEGORIES = {11: ["a", "b"], 12: ["x", "y"]}


def rows():
    """An array of objects."""
    return np.array(list(zip(*(c for c, _ in COLUMNS.values()), strict=True)), object)


def pandas_table():
    table = pd.DataFrame({name: values for name, (values, _) in COLUMNS.items()})
    kinds = {"integer with holes": "Int64", "truth with holes": "boolean"}
    table = table.astype({"category": "category", **kinds})
    return table.assign(date=pd.to_datetime(table["date"]))


def pyarrow_table():
    table = pa.table({name: pa.array(values) for name, (values, _) in COLUMNS.items()})
    last = table.num_columns - 1
    return table.set_column(last, "category", table["category"].dictionary_encode())


def polars_table(kind=pl.Categorical):
    table = pl.DataFrame({name: values for name, (values, _) in COLUMNS.items()})
    return table.with_columns(pl.col("category").cast(kind))


def chunked(table):
    return pa.concat_tables([table.slice(0, 2), table.slice(2)])


TABLES = {
    "objects": rows,
    "lists": lambda: rows().tolist(),
    "pandas": pandas_table,
    "pandas of objects": lambda: pd.DataFrame(
        {n: pd.Series(values, dtype=object) for n, (values, _) in COLUMNS.items()}
    ),
    "pandas of pyarrow": lambda: pyarrow_table().to_pandas(types_mapper=pd.ArrowDtype),
    "pyarrow": pyarrow_table,
    "pyarrow in chunks": lambda: chunked(pyarrow_table()),
    "RecordBatch": lambda: pyarrow_table().to_batches()[0],
    "polars": polars_table,
    "polars with Enum": lambda: polars_table(pl.Enum(["y", "unused", "x"])),
    "polars in chunks": lambda: pl.concat(
        [polars_table()[:2], polars_table()[2:]], rechunk=False
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_read_alike(name):
    table = table_of(TABLES[name]())
    encoded = encode(table, "from_dtype", "float64", str)
    assert_array_equal(encoded.X, EXPECTED)
    assert encoded.categories == CATEGORIES
    assert not encoded.is_single
    again = encode_again(table, encoded.categories, "float64", str)
    assert_array_equal(again.X, EXPECTED)


def read(column):
    """What becomes of the only column of a table, and its categories."""
    encoded = encode(table_of(column), "from_dtype", "float64", str)
    return encoded.X[:, 0].tolist(), encoded.categories.get(0)


SPECIAL = {
    "NA among objects": (
        pd.DataFrame({"a": pd.Series([1, pd.NA, 2.5], dtype=object)}),
        ([1.0, np.nan, 2.5], None),
    ),
    "NaT among dates": (
        pd.DataFrame({"a": pd.Series([pd.Timestamp(0), pd.NaT], dtype=object)}),
        ([0.0, np.nan], None),
    ),
    "NaN among texts": (
        pd.DataFrame(
            {"a": pd.Series(["b", float("nan"), "a", float("nan")], dtype="O")}
        ),
        ([1.0, -1.0, 0.0, -1.0], ["a", "b"]),
    ),
    "periods": (
        pd.DataFrame({"a": pd.PeriodIndex(["1970-01", "1970-02"], freq="M")}),
        ([0.0, 31.0], None),
    ),
    "intervals": (
        pd.DataFrame({"a": pd.IntervalIndex.from_breaks([0, 2, 3])}),
        ([0.0, 1.0], [pd.Interval(0, 2), pd.Interval(2, 3)]),
    ),
    "months": (
        pd.DataFrame({"a": np.array(["1970-01-02T12", "NaT"], "M8[s]")}),
        ([1.5, np.nan], None),
    ),
    "NumPy's months": (
        np.array([[np.datetime64("1970-02")], [np.datetime64("NaT")]], object),
        ([31.0, np.nan], None),
    ),
    "sparse": (
        pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 3.0]), "b": ["x"] * 3}),
        ([0.0, 0.0, 3.0], None),
    ),
    "texts of NumPy": (np.array([["b"], ["a"]]), ([1.0, 0.0], ["a", "b"])),
    "bytes": (np.array([[b"b"], [b"a"]], object), ([1.0, 0.0], [b"a", b"b"])),
    "categories of numbers": (
        pd.DataFrame({"a": pd.Categorical([30, 10, None], categories=[30, 20, 10])}),
        ([1.0, 0.0, -1.0], [10, 30]),
    ),
    "clock times": (
        pl.DataFrame({"a": [datetime.time(6), None]}),
        ([0.25, np.nan], None),
    ),
    "pyarrow's clock times": (
        pa.table({"a": pa.array([6 * 3600, None], pa.time32("s"))}),
        ([0.25, np.nan], None),
    ),
    "pyarrow's days in milliseconds": (
        pa.table({"a": pa.array([datetime.date(1970, 1, 3)], pa.date64())}),
        ([2.0], None),
    ),
    "views of texts": (
        pa.table({"a": pa.array(["b", "a", None], pa.large_string())}),
        ([1.0, 0.0, -1.0], ["a", "b"]),
    ),
    "a dictionary of unsigned numbers": (
        pa.table(
            {
                "a": pa.DictionaryArray.from_arrays(
                    pa.array([1, 0, None], pa.uint8()), pa.array(["a", "b"])
                )
            }
        ),
        ([1.0, 0.0, -1.0], ["a", "b"]),
    ),
    "an empty dictionary": (
        pa.table({"a": pa.array([None, None], pa.dictionary(pa.int8(), pa.string()))}),
        ([-1.0, -1.0], []),
    ),
    "lists": (pl.DataFrame({"a": [[1], [2], [1]]}), ([0.0, 1.0, 0.0], ["[1]", "[2]"])),
    "numbers equal to truth values": (
        pd.DataFrame({"a": pd.Series(["x", 1, True, 1.0], dtype=object)}),
        ([1.0, 0.0, 0.0, 0.0], [1, "x"]),
    ),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_special_columns(case):
    table, (expected, categories) = SPECIAL[case]
    values, known = read(table)
    assert_array_equal(values, expected)
    assert known == categories


def test_columns_of_float32_are_told():
    X = pd.DataFrame({"a": np.ones(3, "f4"), "b": pd.array([1, 2, None], "Float32")})
    assert encode(table_of(X), (), "float32", str).is_single
    assert not encode(table_of(X.assign(a=1)), (), "float32", str).is_single


def test_what_is_no_table():
    for X in (np.ones((3, 2)), [[1.0, 2.0]], [["a"], ["b", "c"]], None, "a"):
        assert table_of(X) is None
    assert table_of(pd.DataFrame(np.ones((3, 2)))).is_matrix


@pytest.mark.parametrize("shape", [(10_001, 1), (9000, 19), (1, 3), (0, 3)])
def test_columns_are_written_where_they_belong(shape):
    X = np.arange(np.prod(shape), dtype=float).reshape(shape)
    table = table_of(pd.DataFrame(X).astype({0: "float32"}))
    encoded = encode(table, (), "float64", str)
    assert_array_equal(encoded.X, X)
    assert encoded.X.flags.c_contiguous


def test_values_that_were_not_seen_and_their_types():
    known = {0: ["a", "b"]}
    X = pd.DataFrame({"a": ["c", "b", None, "a"]})
    codes = encode_again(table_of(X), known, "float64", str).X[:, 0]
    assert codes.tolist() == [-1, 1, -1, 0]
    with pytest.raises(ValueError, match=r"0 must hold categories .* 'a', got 3"):
        encode_again(table_of(pd.DataFrame({"a": [3, 4]})), known, "float64", str)


WITHOUT_LIBRARIES = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name in ("pandas", "polars", "pyarrow"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refused())
from nnfit import MLPRegressor

model = MLPRegressor(max_iter=1, categorical_features="from_dtype")
model.fit([["a", 1], ["b", 2]], [1, 2])
print(model.predict([["c", 2.0]]).shape)
"""


def test_no_library_of_tables_is_needed():
    """scikit-learn loads pandas where there is one."""
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_LIBRARIES],
        capture_output=True,
        text=True,
    )
    assert answer.stdout.strip() == "(1,)", answer.stderr
