"""`train_validation_test_split`: sizes, classes, groups, time, and its errors."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from nnfit import train_validation_test_split as split

ROWS = np.arange(100)
CLASSES = ROWS % 5
GROUPS = np.repeat(np.arange(20), 5)


def lengths(parts):
    return [len(part) for part in parts]


def test_the_order_of_the_parts():
    X, y = np.c_[ROWS, -ROWS], ROWS * 10
    parts = split(X, y, random_state=0)
    assert lengths(parts) == [70, 15, 15] * 2
    for of_x, of_y in zip(parts[:3], parts[3:], strict=True):
        assert (of_x[:, 0] * 10 == of_y).all()
    assert sorted(np.concatenate(parts[3:])) == y.tolist()


@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        list,
        pd.Series,
        pl.Series,
        lambda rows: pd.DataFrame({"a": rows}),
        lambda rows: pl.DataFrame({"a": rows}),
        lambda rows: pa.table({"a": rows}),
        lambda rows: sparse.csr_array(rows[:, None]),
    ],
)
def test_arrays_stay_what_they_are(make):
    array = make(ROWS)
    for part in split(array, random_state=0):
        assert type(part) is type(array)


def test_the_same_seed_gives_the_same_rows():
    first, again, other = (split(ROWS, random_state=seed) for seed in (3, 3, 4))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])
    for options in ({"stratify": CLASSES}, {"groups": GROUPS}):
        pairs = zip(
            *(split(ROWS, random_state=1, **options) for _ in "ab"), strict=True
        )
        assert all(np.array_equal(*pair) for pair in pairs)


def test_without_shuffling_the_last_rows_are_for_test():
    assert np.array_equal(np.concatenate(split(ROWS, shuffle=False)), ROWS)


SIZES = st.one_of(st.floats(0.01, 0.6), st.integers(1, 60))


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(3, 200),
    sizes=st.tuples(SIZES, SIZES),
    n_classes=st.integers(1, 4),
    how=st.sampled_from(["rows", "stratify", "time", "groups", "both"]),
    seed=st.integers(0, 9),
)
def test_every_row_is_in_one_part_and_no_part_is_empty(n, sizes, n_classes, how, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, n_classes, n)
    groups = rng.integers(0, 1 + n // 2, n)
    options = {
        "rows": {},
        "stratify": {"stratify": values},
        "time": {"time": groups},
        "groups": {"groups": groups},
        "both": {"groups": groups, "stratify": values},
    }[how]
    validation_size, test_size = sizes
    try:
        parts = split(
            np.arange(n),
            validation_size=validation_size,
            test_size=test_size,
            random_state=seed,
            **options,
        )
    except ValueError as error:
        named = ("stratify", "groups", "time", "validation_size", "test_size")
        assert any(name in str(error) for name in named), error
        return
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert min(lengths(parts)) > 0
    if how in ("rows", "stratify"):
        for part, size in zip(parts[1:], sizes, strict=True):
            exact = size if isinstance(size, int) else size * n
            assert exact - 1e-6 <= len(part) < exact + 1
    if how == "stratify":
        assert {len(set(values[part])) for part in parts} == {len(set(values))}
    if how == "time":
        train, validation, test = (groups[part] for part in parts)
        assert train.max() < validation.min() and validation.max() < test.min()
        assert (np.diff(train) >= 0).all()
    if how in ("groups", "both"):
        sets = [set(groups[part]) for part in parts]
        assert sum(map(len, sets)) == len(set.union(*sets))


def test_stratified_parts_have_the_shares_of_the_classes():
    y = np.repeat(["a", "b", "c"], [600, 300, 100])
    for part in split(y, stratify=y, random_state=0):
        shares = np.unique(part, return_counts=True)[1] / len(part)
        assert np.allclose(shares, [0.6, 0.3, 0.1], atol=0.01)


def test_a_class_of_three_rows_is_in_every_part():
    y = np.r_[np.zeros(97, int), np.ones(3, int)]
    assert [part.sum() for part in split(y, stratify=y)] == [1, 1, 1]


def test_several_targets_are_stratified_together():
    Y = np.c_[ROWS % 2, ROWS // 50]
    parts = split(Y, stratify=Y, test_size=0.2, validation_size=0.2, random_state=0)
    for part in parts:
        counts = np.unique(part, axis=0, return_counts=True)[1]
        assert (counts == len(part) // 4).all()


def test_groups_with_classes_keep_both():
    y = np.repeat(np.arange(200) % 4 == 0, 5)
    groups = np.repeat([f"patient {i}" for i in range(200)], 5)
    _, validation, test, *of_groups = split(
        y, groups, groups=groups, stratify=y, random_state=0
    )
    assert not set.intersection(*map(set, of_groups))
    for part in (validation, test):
        assert 0.12 < len(part) / 1000 < 0.18 and 0.2 <= part.mean() <= 0.3


DATES = pd.date_range("2020-01-01", periods=100)[
    np.random.default_rng(0).permutation(100)
]


@pytest.mark.parametrize(
    "time",
    [
        DATES,
        DATES.to_numpy(),
        pd.Series(DATES.tz_localize("Europe/Berlin")),
        pl.Series(DATES.to_numpy()),
        pa.array(DATES.to_numpy()),
        DATES.strftime("%Y-%m-%d").tolist(),
        [date.date() for date in DATES],
        DATES.year * 1000 + DATES.day_of_year,
    ],
)
def test_the_latest_rows_are_for_test(time):
    parts = split(DATES, time=time)
    assert lengths(parts) == [70, 15, 15]
    assert np.array_equal(np.concatenate(parts), np.sort(DATES.to_numpy()))


def test_rows_of_the_same_time_stay_together():
    time = np.repeat([3, 1, 2, 0], [40, 30, 10, 20])
    assert [set(part) for part in split(time, time=time)] == [{0, 1}, {2}, {3}]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"test_size": 0}, "test_size must be a share .* got 0"),
        ({"test_size": 1.0}, "test_size must be a share .* got 1.0"),
        ({"validation_size": True}, "validation_size must be a share .* got True"),
        ({"validation_size": "a"}, "validation_size must be a share .* got 'a'"),
        ({"test_size": 0.9}, "test_size=0.9 of 100 rows leave none for training"),
        ({"test_size": 85}, "test_size=85 of 100 rows leave none for training"),
        ({"stratify": ROWS}, "three rows of every class, .* got 100 of 100 classes"),
        ({"stratify": CLASSES, "test_size": 2}, "Parts of 83, 15 and 2 rows"),
        (
            {"stratify": [None] + [1] * 99},
            "stratify must not have missing values, got 1",
        ),
        ({"stratify": CLASSES[:9]}, "stratify must have a value .* 100 rows, got 9"),
        ({"stratify": CLASSES, "shuffle": False}, "shuffle=False keeps the order"),
        ({"groups": ROWS > 50}, "groups must hold at least three .* got 2"),
        ({"groups": GROUPS, "test_size": 19}, "of 20 groups leave none for training"),
        ({"time": ROWS > 50}, "time must hold at least three different times"),
        ({"time": ROWS, "stratify": CLASSES}, "time cannot be kept together with stra"),
        ({"time": ROWS, "groups": GROUPS}, "time cannot be kept together with groups"),
        ({"time": np.c_[ROWS, ROWS]}, "time must be one column, got 2"),
        (
            {"time": ["a", 1] * 50},
            "time must be numbers, dates or texts, got a mixture",
        ),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        split(ROWS, **options)


def test_arrays_must_have_the_same_length():
    with pytest.raises(
        ValueError, match=r"inconsistent numbers of samples: \[100, 5\]"
    ):
        split(ROWS, CLASSES[:5])
    with pytest.raises(ValueError, match="at least one array"):
        split()
