"""Tables of a folder, their tasks, and the rows of each split."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

TARGET = "target"
TEST_SHARE = 0.25
#: Integers with more different values than this are numbers to predict.
MOST_CLASSES = 30


@dataclass(frozen=True)
class Table:
    """A table with its target.

    Attributes
    ----------
    name : str
    task : {"classification", "regression"}
    X : DataFrame
        Numbers and categories, both with missing values.
    y : ndarray
        Numbers, or classes as integers from 0.
    """

    name: str
    task: str
    X: "pandas.DataFrame"  # noqa: F821
    y: np.ndarray

    def rows(self, split, most):
        """Training and test rows of a split, at most ``most`` of each."""
        n_train = min(int(len(self.y) * (1 - TEST_SHARE)), most)
        n_test = min(len(self.y) - n_train, int(np.ceil(len(self.y) * TEST_SHARE)))
        sizes = {"train_size": n_train, "test_size": min(n_test, most)}
        kind = ShuffleSplit
        if self.task == "classification":
            counts = np.bincount(self.y)
            if counts.min() >= 2 and min(sizes.values()) >= len(counts):
                kind = StratifiedShuffleSplit
        splitter = kind(1, random_state=split, **sizes)
        return next(splitter.split(np.zeros((len(self.y), 1)), self.y))


def find(folder, names=None):
    """Paths of the parquet files of a folder, the smallest first.

    Raises
    ------
    ValueError
        There is none, or not one of ``names``.
    """
    paths = {path.stem: path for path in Path(folder).glob("*.parquet")}
    if not paths:
        raise ValueError(f"There is no parquet file in {folder}.")
    unknown = sorted(set(names or ()) - set(paths))
    if unknown:
        raise ValueError(f"unknown table {unknown}; choose from {sorted(paths)}")
    chosen = [path for name, path in paths.items() if not names or name in names]
    return sorted(chosen, key=lambda path: (path.stat().st_size, path.stem))


def read(path):
    """Read a table; rows without a target are left out.

    The task is that of an ``index.json`` beside the file, ``{name: {"task": ...}}``, or
    that of the target's values: texts, booleans and few different integers are classes.
    """
    import pandas as pd  # asv imports this module, with or without it

    path = Path(path)
    frame = pd.read_parquet(path)
    if TARGET not in frame:
        raise ValueError(f"{path.name} has no column {TARGET!r}")
    frame = frame[frame[TARGET].notna()].reset_index(drop=True)
    y = frame.pop(TARGET)
    task = _known_task(path) or _guess_task(y)
    if task == "regression":
        y = y.to_numpy(dtype=float)
    else:
        y = pd.factorize(y, sort=True)[0]
    # Some libraries refuse names with brackets or quotation marks.
    frame.columns = [f"f{i}" for i in range(frame.shape[1])]
    return Table(path.stem, task, frame.apply(_plain), y)


def _plain(column):
    """A column as float32 numbers, dates in days, or as categories, which are texts."""
    if column.dtype.kind == "M":
        column = (column - column.min()).dt.total_seconds() / 86400
    if column.dtype.kind in "biuf":
        return column.astype("float32")
    return column.astype(object).map(str, na_action="ignore").astype("category")


def _known_task(path):
    index = path.with_name("index.json")
    if not index.exists():
        return None
    task = json.loads(index.read_text()).get(path.stem, {}).get("task")
    return task if task in (None, "regression") else "classification"


def _guess_task(y):
    numbers = y.dtype.kind == "f" or (
        y.dtype.kind in "iu" and y.nunique() > MOST_CLASSES
    )
    return "regression" if numbers else "classification"
