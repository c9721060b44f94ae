"""Transformers of columns: as the layers of a network, and scikit-learn's checks."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from nnfit import MLPRegressor, PiecewiseLinearEncoder, RobustSmoothScaler

TRANSFORMERS = [
    RobustSmoothScaler(),
    PiecewiseLinearEncoder(),
    PiecewiseLinearEncoder(n_bins=3, bins="tree", keep_input=True),
]
EACH = pytest.mark.parametrize("transformer", TRANSFORMERS, ids=str)
FLOATS = pytest.mark.parametrize("dtype", ["float32", "float64"])


def make_data(n=200, dtype="float64"):
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(n, 4))
    X[:, 1], X[:, 2] = rng.poisson(2.0, size=n), 5.0
    return X.astype(dtype), np.log(X[:, 0]) + X[:, 1]


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(*case, id=f"{case[0]}-{case[1].func.__name__}")
        for one in TRANSFORMERS
        for case in estimator_checks_generator(one)
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_check(estimator, check):
    check(estimator)


@FLOATS
def test_the_scaler_is_the_layer(dtype):
    X, y = make_data(dtype=dtype)
    X[::7, 0] = np.nan
    scaler = RobustSmoothScaler().fit(X)
    model = MLPRegressor(max_iter=1, scaling="robust", dtype=dtype)
    with pytest.warns(UserWarning, match="reached"):
        model.fit(X, y)
    shift, scale, _ = model.others_[1]
    assert_array_equal(shift[:4], scaler.center_.astype(dtype))
    assert_array_equal(scale[:4], scaler.scale_.astype(dtype))
    Z = scaler.transform(X)
    z = scaler.scale_ * (X - scaler.center_)
    assert_allclose(Z, z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-5)
    assert Z.dtype == dtype
    assert_array_equal(np.isnan(Z), np.isnan(X))


@FLOATS
def test_what_the_scaler_makes_can_be_taken_back(dtype):
    X, _ = make_data(dtype=dtype)
    X[3, 0], X[4, 3] = np.nan, 1e9
    scaler = RobustSmoothScaler().fit(X)
    again = scaler.inverse_transform(scaler.transform(X))
    is_lost = X == 1e9  # rounded to the bound
    rtol = 1e-3 if dtype == "float32" else 1e-9
    assert_allclose(again[~is_lost], X[~is_lost], rtol, 1e-6)
    assert np.isfinite(again[4, 3])
    assert again[4, 3] > np.delete(X[:, 3], 4).max()


@FLOATS
@pytest.mark.parametrize("bins", ["quantile", "tree"])
def test_the_encoder_is_the_layer(bins, dtype):
    X, y = make_data(dtype=dtype)
    encoder = PiecewiseLinearEncoder(n_bins=5, bins=bins).fit(X, y)
    embedding = {"kind": "piecewise_linear_encoding", "n_bins": 5, "bins": bins}
    model = MLPRegressor(max_iter=1, numeric_embedding=embedding, dtype=dtype)
    with pytest.warns(UserWarning, match="reached"):
        model.fit(X, y)
    for edges, row in zip(encoder.bins_, model.others_[0], strict=True):
        assert_array_equal(edges.astype(dtype), row[: len(edges)])
    Z = encoder.transform(X)
    assert Z.dtype == dtype
    assert Z.shape[1] == model.coefs_[0].shape[0]
    edges = encoder.bins_[0]
    part = (X[:, [0]] - edges[:-1]) / np.diff(edges)
    part[:, 1:] = np.maximum(part[:, 1:], 0)
    part[:, :-1] = np.minimum(part[:, :-1], 1)
    assert_allclose(Z[:, : len(edges) - 1], part, rtol=1e-4, atol=1e-6)


def test_the_encoder_knows_classes_from_numbers():
    X = np.random.default_rng(0).uniform(size=(1000, 1))
    step = X[:, 0] > 0.7
    for y in (step, np.where(step, "b", "a"), 0.5 * step):
        encoder = PiecewiseLinearEncoder(n_bins=2, bins="tree").fit(X, y)
        assert abs(encoder.bins_[0][1] - 0.7) < 0.01
    encoder.set_params(task="regression").fit(X, step.astype(int))
    assert abs(encoder.bins_[0][1] - 0.7) < 0.01


@pytest.mark.parametrize("library", ["pandas", "polars"])
@EACH
def test_tables_keep_their_names(transformer, library):
    module = pytest.importorskip(library)
    X, y = make_data()
    table = module.DataFrame(dict(zip("abcd", X.T, strict=True)))
    pipe = make_pipeline(transformer).set_output(transform=library)
    found = pipe.fit(table, y).transform(table)
    assert isinstance(found, module.DataFrame)
    names = list(found.columns)
    if isinstance(transformer, RobustSmoothScaler):
        assert names == list("abcd")
    else:
        assert [name for name in names if name[0] == "c"][-1] == "c_bin0"
    assert_array_equal(np.asarray(found), transformer.fit(X, y).transform(X))


@EACH
def test_a_sentence_says_what_does_not_fit(transformer):
    X, y = make_data()
    with pytest.raises(TypeError, match="Sparse data was passed"):
        transformer.fit(scipy.sparse.csr_array(X), y)
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        transformer.fit(X, y)


def test_trees_need_targets():
    with pytest.raises(ValueError, match="requires y to be passed"):
        PiecewiseLinearEncoder(bins="tree").fit(make_data()[0])
