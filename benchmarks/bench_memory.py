"""Peak memory of a process that fits, data and imports included."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import nnfit

from .brief import few, values
from .shapes import make_data, shapes_for
from .timing import fit

N_ROWS = few(10**6, 20_000)


class Memory:
    params = values(shapes_for("cpu"))
    param_names = ["shape"]

    def setup(self, name):
        self.X, self.y, _, _ = make_data(name)

    def peakmem_data(self, name):
        """What the process holds before it fits, to subtract."""

    def peakmem_fit(self, name):
        fit(nnfit, name, 1, self.X, self.y)


class LargeTable:
    """A million rows of 50 columns: what a fit takes beside them is to be small."""

    params = values(["float32", "float64"], [False, True])
    param_names = ["dtype", "early_stopping"]

    def setup(self, dtype, early_stopping):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((N_ROWS, 50), dtype=np.float32).astype(dtype)
        self.y = (self.X[:, 0] > 0).astype(int)

    def peakmem_data(self, dtype, early_stopping):
        """To subtract."""

    def peakmem_fit(self, dtype, early_stopping):
        model = nnfit.MLPClassifier((32,), max_iter=1, early_stopping=early_stopping)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(self.X, self.y)


class ScaledTable:
    """A million rows of 20 columns, five with holes: filled and scaled inside."""

    params = values(["robust", "standard", "quantile"])
    param_names = ["scaling"]

    def setup(self, scaling):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((N_ROWS, 20), dtype=np.float32)
        self.y = (self.X[:, 7] > 0).astype(np.int8)
        self.X[::3, :5] = np.nan

    def peakmem_data(self, scaling):
        """To subtract."""

    def peakmem_fit(self, scaling):
        model = nnfit.MLPClassifier((32,), max_iter=1, scaling=scaling)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(self.X, self.y)


class Tables:
    """A million rows of pandas: 15 numbers, and five columns of 1,000 categories."""

    params = values(["category", "object", "str"])
    param_names = ["dtype"]

    def setup(self, dtype):
        import pandas as pd

        rng = np.random.default_rng(0)
        names = pd.Index([f"city number {i}" for i in range(1000)], dtype=object)
        columns = {f"x{i}": rng.standard_normal(N_ROWS) for i in range(15)}
        for i in range(5):
            drawn = names.take(rng.integers(1000, size=N_ROWS))
            columns[f"c{i}"] = pd.Series(drawn, dtype=dtype)
        self.X = pd.DataFrame(columns)
        self.y = columns["x0"]

    def peakmem_data(self, dtype):
        """To subtract."""

    def peakmem_fit(self, dtype):
        model = nnfit.MLPRegressor(
            hidden_layer_sizes=(32,),
            max_iter=1,
            batch_size=1024,
            categorical_features="from_dtype",
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(self.X, self.y)

    def time_encode(self, dtype):
        nnfit.CategoryEncoder(dtype="float32").fit(self.X)
