"""Small calls: which of scikit-learn's checks they skip, and which they do not."""

import signal

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from threadpoolctl import threadpool_info

from nnfit import MLPClassifier, MLPRegressor, blas
from nnfit.estimators import conventions, validation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
SPARSE = np.where(X > 3, X, 0)
CSR = scipy.sparse.csr_matrix(SPARSE)
QUICK = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}


def plain_kinds():
    """Rows that need none of scikit-learn's checks, by name."""
    kinds = {
        "int": X.astype(int),
        "bool": X > 3,
        "list": X.tolist(),
        "F": np.asfortranarray(X),
        "csr": scipy.sparse.csr_matrix(SPARSE),
        "coo": scipy.sparse.coo_array(SPARSE),
    }
    try:
        import pandas
    except ImportError:
        return kinds
    table = pandas.DataFrame(X, columns=list("wxyz"))
    mixed = table.astype({"w": int, "y": "float32"})
    kinds |= {"table": table, "mixed": mixed, "unnamed": pandas.DataFrame(X)}
    try:
        import polars
    except ImportError:
        return kinds
    return kinds | {
        "polars": polars.DataFrame(X),
        "polars float32": polars.DataFrame(X.astype(np.float32)),
    }


@pytest.mark.parametrize("kind", plain_kinds())
def test_plain_rows_are_not_checked_twice(kind, monkeypatch):
    """And come out as from scikit-learn's checks, which take longer than predicting."""
    rows = plain_kinds()[kind]
    model = MLPClassifier(**QUICK).fit(rows, Y)
    monkeypatch.setattr(validation, "_plain_rows", lambda estimator, X: None)
    expected = model.predict_proba(rows)
    monkeypatch.undo()
    monkeypatch.setattr(validation, "validate_data", None)
    probability = model.predict_proba(rows)
    assert_array_equal(probability, expected)
    assert probability.dtype == expected.dtype


def wrong_kinds():
    """Rows that scikit-learn's checks refuse, and of what fitted model."""
    holes = X.copy()
    holes[3, 1] = np.nan
    sparse_holes = scipy.sparse.csr_matrix(holes)
    kinds = {
        "sparse nan": (X, sparse_holes, "contains NaN"),
        "too large": (X, X + 1e39, r"too large for dtype\('float32'\)"),
        "sparse too large": (X, 1e39 * CSR, r"too large for dtype\('float32'\)"),
        "huge list": (X, [[1e39] * 4], r"too large for dtype\('float32'\)"),
        "columns": (X, X[:, :3].tolist(), "X has 3 features, but MLPClassifier is"),
        "sparse columns": (X, CSR[:, :3], "X has 3 features, but MLPClassifier is"),
        "ragged": (X, [[1, 2, 3, 4], [1, 2]], "inhomogeneous shape"),
        "flat": (X, X[0].tolist(), "Expected 2D array, got 1D array instead"),
        "empty": (X, X[:0], "Found array with 0 sample"),
        "complex": (X, X[:1] + 1j, "Complex data not supported"),
    }
    try:
        import pandas
    except ImportError:
        return kinds
    table = pandas.DataFrame(X, columns=list("wxyz"))
    return kinds | {
        "order": (table, table[list("zyxw")], "feature names should match"),
        "other names": (table, table.rename(columns={"w": "v"}), "unseen at fit time"),
    }


@pytest.mark.parametrize("kind", wrong_kinds())
def test_wrong_rows_get_the_errors_of_scikit_learn(kind):
    data, rows, message = wrong_kinds()[kind]
    model = MLPClassifier(**QUICK).fit(data, Y)
    with pytest.raises(ValueError, match=message):
        model.predict(rows)
    if "too large" not in message:  # scikit-learn's computes in float64
        theirs = SklearnClassifier(max_iter=1).fit(data, Y)
        with pytest.raises(ValueError, match=message):
            theirs.predict(rows)


@pytest.mark.parametrize("named", [False, True])
def test_names_that_come_or_are_missing_warn(named):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("wxyz"))
    model = MLPClassifier(**QUICK).fit(table if named else X, Y)
    other, word = (X, "valid") if named else (table, "has feature names, but")
    for rows in (other, other[:1], other[:1].tolist() if named else other):
        with pytest.warns(UserWarning, match=word):
            model.predict(rows)


def test_defaults_are_valid_and_other_parameters_are_checked():
    class Stricter(MLPRegressor):
        def __init__(self, hidden_layer_sizes=(5,), alpha=-1.0):
            super().__init__(hidden_layer_sizes=hidden_layer_sizes, alpha=alpha)

    for kind in (MLPClassifier, MLPRegressor):
        kind()._validate_params()
        assert set(conventions._valid_defaults(kind)) == set(kind._get_param_names())
        with pytest.raises(ValueError, match="The 'alpha' parameter of MLP"):
            kind(alpha=-1.0)._validate_params()
    with pytest.raises(ValueError, match="The 'alpha' parameter of Stricter"):
        Stricter()._validate_params()


@pytest.mark.usefixtures("two_blas_threads")
def test_libraries_of_blas_are_looked_up_once(monkeypatch):
    with blas.one_blas_thread():
        limited = threadpool_info()
    monkeypatch.setattr(blas, "ThreadpoolController", None)
    with blas.one_blas_thread():
        assert threadpool_info() == limited
    threads = {lib["num_threads"] for lib in limited if lib["user_api"] == "blas"}
    assert threads <= {1}


def test_a_small_prediction_sets_no_handler_of_signals(monkeypatch):
    """Three, for noting its one thread and for its end, took longer than the rest."""
    model = MLPClassifier(**QUICK).fit(X, Y)
    monkeypatch.setattr(signal, "signal", None)
    assert_array_equal(model.predict(X[:1]), model.predict(X)[:1])
