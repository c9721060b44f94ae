"""Kinds of input: sparse matrices, layouts, tables, routing, searches."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    make_multilabel_classification,
)
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _num_samples

from nnfit import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
SPARSE = np.where(X > 3, X, 0)
QUICK = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}


# sparse ----------------------------------------------------------------------


def shuffled_indices(matrix):
    """The same matrix with the entries of every row in descending order."""
    matrix = matrix.copy()
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[start:stop] = matrix.indices[start:stop][::-1].copy()
        matrix.data[start:stop] = matrix.data[start:stop][::-1].copy()
    matrix.has_sorted_indices = False
    return matrix


def split_entries(matrix):
    """The same matrix with every entry stored as two halves."""
    coo = scipy.sparse.coo_matrix(matrix)
    data = np.concatenate([coo.data / 2, coo.data / 2])
    rows, columns = (np.concatenate([item, item]) for item in (coo.row, coo.col))
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=150))])
    return scipy.sparse.csr_matrix((data[order], columns[order], indptr), coo.shape)


def long_indices(matrix):
    matrix = matrix.copy()
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


CSR = scipy.sparse.csr_matrix(SPARSE)
MATRICES = {
    "csr_matrix": CSR,
    "csr_array": scipy.sparse.csr_array(SPARSE),
    "csc_matrix": scipy.sparse.csc_matrix(SPARSE),
    "csc_array": scipy.sparse.csc_array(SPARSE),
    "coo_matrix": scipy.sparse.coo_matrix(SPARSE),
    "unsorted": shuffled_indices(CSR),
    "duplicates": split_entries(CSR),
    "int64": long_indices(CSR),
    "float32": CSR.astype(np.float32),
}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", MATRICES)
def test_sparse_equals_dense(any_engine, kind, solver):
    matrix = MATRICES[kind]
    stored = [item.copy() for item in (matrix.data,)]
    model = MLPClassifier(solver=solver, dtype="float64", **QUICK)
    dense = clone(model).fit(SPARSE, Y, X_val=SPARSE[::2], y_val=Y[::2])
    rows = scipy.sparse.csr_array(SPARSE[::2])
    sparse = clone(model).fit(matrix, Y, X_val=rows, y_val=Y[::2])
    tolerance = 1e-5 if kind == "float32" else 1e-9
    assert_allclose(sparse.history_["loss"], dense.history_["loss"], rtol=tolerance)
    assert_allclose(
        sparse.history_["val_loss"], dense.history_["val_loss"], rtol=tolerance
    )
    assert_allclose(sparse.predict_proba(matrix), dense.predict_proba(SPARSE), 1e-4)
    assert_array_equal(matrix.data, stored[0])


def test_sparse_with_early_stopping():
    model = MLPRegressor(early_stopping=True, dtype="float64", **QUICK)
    dense = clone(model).fit(SPARSE, Y)
    sparse = clone(model).fit(CSR, Y)
    assert_allclose(sparse.validation_scores_, dense.validation_scores_, rtol=1e-6)


def test_sparse_stays_sparse():
    rows, columns = 4000, 10_000  # 160 MB as an array of float32
    wide = scipy.sparse.csr_array(
        (np.ones(rows), 2 * np.arange(rows), np.arange(rows + 1)), (rows, columns)
    )
    model = MLPRegressor(hidden_layer_sizes=(1,), max_iter=1, batch_size=100)
    tracemalloc.start()
    model.fit(wide, np.arange(rows))
    model.predict(wide)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_sparse_multilabel_targets():
    inputs, labels = make_multilabel_classification(60, 5, random_state=0)
    dense = MLPClassifier(**QUICK).fit(inputs, labels)
    sparse = MLPClassifier(**QUICK).fit(inputs, scipy.sparse.csr_matrix(labels))
    predicted = sparse.predict(inputs)
    assert scipy.sparse.issparse(predicted)
    assert_array_equal(predicted.toarray(), dense.predict(inputs))


# layouts ---------------------------------------------------------------------


def memory_map(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def test_layouts(any_engine, tmp_path):
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.zeros((300, 8))
    wide[::2, ::2] = X
    unaligned = np.frombuffer(b"\0" + X.tobytes(), dtype=np.uint8)[1:]
    layouts = [
        np.asfortranarray(X),
        wide[::2, ::2],
        X[::-1][::-1],
        read_only,
        memory_map(tmp_path, X),
        X.tolist(),
        unaligned.view(np.float64).reshape(X.shape),
        X.astype(">f8"),
        X.astype(np.longdouble),
    ]
    expected = MLPClassifier(**QUICK).fit(X, Y)
    for layout in layouts:
        model = MLPClassifier(**QUICK).fit(layout, Y)
        assert_array_equal(model.coefs_[0], expected.coefs_[0])
        assert_array_equal(model.predict_proba(layout), expected.predict_proba(X))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool, np.float16])
def test_dtypes_of_X(dtype):
    data = X.astype(dtype)
    model = MLPClassifier(**QUICK).fit(data, Y)
    other = MLPClassifier(**QUICK).fit(data.astype(np.float64), Y)
    assert_array_equal(model.coefs_[0], other.coefs_[0])


@pytest.mark.parametrize("solver", ["adam", "sgd", "adamw", "lbfgs"])
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_compute_dtype(solver, dtype):
    expected = dtype or ("float64" if solver == "lbfgs" else "float32")
    for given in (np.float32, np.float64):
        model = MLPRegressor(solver=solver, dtype=dtype, **QUICK)
        model.fit(X.astype(given), Y.astype(given))
        assert {array.dtype.name for array in model.coefs_} == {expected}
        assert {array.dtype.name for array in model.intercepts_} == {expected}
        outputs = model.predict(X.astype(given)).dtype
        assert outputs == np.result_type(given, np.dtype(expected))


@pytest.mark.emulated
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 1), (13, 17), (101, 3)], ids=str)
@pytest.mark.parametrize("hidden", [(), (1,), (1, 1), (19, 23)], ids=str)
def test_small_and_odd_shapes(any_engine, shape, hidden):
    rng = np.random.RandomState(0)
    data, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    model = MLPRegressor(hidden_layer_sizes=hidden, max_iter=3, random_state=0)
    assert model.fit(data, y).predict(data).shape == y.shape
    assert [coef.shape[1] for coef in model.coefs_] == [*hidden, 1]


# labels ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [["a", "b", "c"], [10, -3, 7], [0.0, 1.0, 2.0], [True, False]],
    ids=str,
)
def test_labels(names):
    names = np.array(names)
    y = names[Y % len(names)]
    for labels in (y, y.astype(object), y.tolist()):
        if labels is not y and names.dtype.kind not in "U":
            continue
        model = MLPClassifier(**QUICK).fit(X, labels)
        assert_array_equal(model.classes_, np.unique(y))
        assert set(model.predict(X)) <= set(y)
        assert model.fit(X, labels, X_val=X, y_val=labels).score(X, labels) >= 0


# tables ----------------------------------------------------------------------


def tables():
    names = ["w", "x", "y", "z"]
    return {
        "pandas": lambda module: module.DataFrame(X, columns=names),
        "polars": lambda module: module.DataFrame(X, schema=names),
        "pyarrow": lambda module: module.table(dict(zip(names, X.T, strict=True))),
    }


@pytest.mark.parametrize("library", tables())
def test_tables(library):
    module = pytest.importorskip(library)
    table = tables()[library](module)
    assert _num_samples(table) == 150
    model = MLPClassifier(early_stopping=True, **QUICK).fit(table, Y)
    assert list(model.feature_names_in_) == ["w", "x", "y", "z"]
    expected = MLPClassifier(early_stopping=True, **QUICK).fit(X, Y)
    assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert_array_equal(model.predict(table), expected.predict(X))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)


def test_columns_in_another_order():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("wxyz"))
    model = MLPClassifier(**QUICK).fit(table, pandas.Series(Y))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(table[list("zyxw")])


# scikit-learn around it ------------------------------------------------------


def test_pipeline_and_search():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**QUICK))
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(3,), (20,)],
        "mlpclassifier__activation": ["silu", "relu"],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    assert set(search.best_params_) == set(grid)
    assert cross_val_score(MLPRegressor(**QUICK), X, Y, cv=2).shape == (2,)


def test_routed_validation_data_are_transformed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(early_stopping=True, **QUICK)
        model.set_fit_request(X_val=True, y_val=True, sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = Pipeline(
            [("scale", scaler), ("net", model)], transform_input=["X_val"]
        )
        weight = np.random.RandomState(0).rand(150)
        pipeline.fit(X, Y, sample_weight=weight, X_val=X[::3], y_val=Y[::3])
    scaler = StandardScaler().fit(X)
    alone = MLPClassifier(early_stopping=True, **QUICK).fit(
        scaler.transform(X),
        Y,
        sample_weight=weight,
        X_val=scaler.transform(X[::3]),
        y_val=Y[::3],
    )
    assert pipeline[-1].validation_scores_ == alone.validation_scores_
    assert_array_equal(pipeline[-1].coefs_[0], alone.coefs_[0])


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_validation_data_that_are_not_scaled_are_told(recwarn, load, kind):
    rows, labels = load(return_X_y=True)
    train, test, y_train, y_test = train_test_split(rows, labels, random_state=0)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**QUICK))
    scaled = pipeline[0].fit(train).transform(test)
    told = r"X_val is unlike X.* transform_input=\['X_val'\]"

    def fit(X_val):
        return pipeline[1].fit(kind(scaled_train), y_train, X_val=X_val, y_val=y_test)

    scaled_train = pipeline[0].transform(train)
    fit(kind(scaled))
    fit(kind(scaled + scaled.std(axis=0)))
    assert not [item for item in recwarn if "X_val" in str(item.message)]
    with pytest.warns(UserWarning, match=told):
        pipeline.fit(
            train, y_train, mlpclassifier__X_val=test, mlpclassifier__y_val=y_test
        )
    with pytest.warns(UserWarning, match=told):
        fit(kind(test))


def test_representations():
    model = MLPClassifier((3,), alpha=0.1, class_weight="balanced")
    assert repr(model) == (
        "MLPClassifier(alpha=0.1, class_weight='balanced', hidden_layer_sizes=(3,))"
    )
    assert "MLPClassifier" in model._repr_html_()
    assert "coefs_" not in vars(clone(MLPClassifier(**QUICK).fit(X, Y)))
    assert "MLPRegressor" in MLPRegressor(**QUICK).fit(X, Y)._repr_html_()
