"""Arrays that compiled code reads: any layout is taken, nothing outside is touched."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV
from nnfit.addresses import address, plain
from nnfit.cpu import engine as cpu
from tests.engines import make_data, make_engine, make_network, make_weights

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
QUICK = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
#: 5 % of entries, which the first layer takes one by one, and 40 %, written out.
CSR = {
    density: scipy.sparse.random(60, 30, density, "csr", random_state=0)
    for density in (0.05, 0.4)
}
Y = RNG.standard_normal(60)


def strided(array):
    """The same elements, among others that are wrong."""
    wide = np.full((*array.shape, 3), array.max() + 1, array.dtype)
    wide[..., 1] = array
    return wide[..., 1]


def unaligned(array):
    """The same elements, beginning at an odd address."""
    room = np.zeros(array.nbytes + 1, np.uint8)
    copy = room[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    assert not copy.flags.aligned
    return copy


def reversed_view(array):
    return array[::-1].copy()[::-1]


LAYOUTS = {"strided": strided, "unaligned": unaligned, "reversed": reversed_view}


@pytest.mark.parametrize("parts", ["data", "indices", "indptr", "all"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("density", CSR)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_of_a_sparse_matrix_may_lie_anyhow(
    any_engine, parts, layout, density, dtype
):
    plainly = CSR[density].astype(dtype)
    matrix = plainly.copy()
    for part in ("data", "indices", "indptr"):
        if parts in (part, "all"):
            setattr(matrix, part, LAYOUTS[layout](getattr(matrix, part)))
    results = []
    for X in (plainly, matrix):
        model = MLPRegressor(dtype=dtype, **QUICK)
        model.fit(X, Y, X_val=X, y_val=Y)
        model.partial_fit(X, Y)
        results.append([model.loss_, *model.history_["val_loss"], *model.predict(X)])
    assert_array_equal(*results)


def test_what_a_sparse_matrix_knows_of_its_order_may_be_old(any_engine):
    matrix = CSR[0.4].copy()
    assert matrix.has_canonical_format
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        for array in (matrix.indices, matrix.data):
            array[start:stop] = array[start:stop][::-1].copy()
    expected = MLPRegressor(**QUICK).fit(CSR[0.4], Y).predict(CSR[0.4])
    assert_array_equal(MLPRegressor(**QUICK).fit(matrix, Y).predict(matrix), expected)


def test_dense_arrays_may_lie_anyhow(any_engine):
    X, weight = RNG.standard_normal((60, 5)), RNG.random(60)
    expected = MLPRegressor(**QUICK).fit(X, Y, weight)
    for change in LAYOUTS.values():
        for dtype in ("float32", "float64"):
            given = [change(array.astype(dtype)) for array in (X, Y, weight)]
            model = MLPRegressor(**QUICK).fit(*given)
            np.testing.assert_allclose(model.loss_, expected.loss_, rtol=1e-5)
            np.testing.assert_allclose(
                model.predict(given[0]), expected.predict(X), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_set_by_hand_may_lie_anyhow(dtype):
    X = RNG.standard_normal((60, 5)).astype(dtype)
    model = MLPRegressor(dtype=dtype, **QUICK).fit(X, Y)
    expected = model.predict(X), model.predict(X[:1])
    for change in LAYOUTS.values():
        model.coefs_ = [change(coef) for coef in model.coefs_]
        model.intercepts_ = [change(intercept) for intercept in model.intercepts_]
        assert_array_equal(model.predict(X), expected[0])
        assert_array_equal(model.predict(X[:1]), expected[1])


# damaged ---------------------------------------------------------------------


def compressed(change, kind="csr"):
    def make(matrix):
        damaged = matrix.asformat(kind).copy()
        change(damaged)
        return damaged

    return make


def put(name, place, value):
    def change(matrix):
        getattr(matrix, name)[place] = value

    return change


def shorten(name, stop=-1):
    return lambda matrix: setattr(matrix, name, getattr(matrix, name)[:stop])


def off_by_one(matrix):
    matrix.indices[3] = matrix.shape[matrix.format == "csr"]


def as_floats(matrix):
    matrix.indices = matrix.indices.astype(np.float64)


def row_of_lil(matrix):
    matrix.rows[3] = [matrix.shape[1] + 5]
    matrix.data[3] = [1.0]


DAMAGED = {
    "large index": (put("indices", 3, 10**6), "indices must lie between 0 and"),
    "off by one": (off_by_one, "indices must lie between 0 and"),
    "negative index": (put("indices", 0, -1), "indices must lie between 0 and"),
    "falling": (put("indptr", 5, 719), "indptr must not fall, got 719 and then"),
    "negative pointer": (put("indptr", 1, -4), "indptr must not fall"),
    "begins late": (put("indptr", 0, 1), "indptr must begin with 0 and have"),
    "ends late": (put("indptr", -1, 10**7), "data must have 10000000 elements"),
    "short data": (shorten("data"), r"data must have \d+ elements"),
    "short indices": (shorten("indices"), r"indices must have \d+ elements"),
    "short pointers": (shorten("indptr"), "indptr must begin with 0 and have"),
    "floats": (as_floats, "indices must hold integers, got float64"),
}
MAKERS = {
    f"{kind} {name}": (compressed(change, kind), message)
    for kind in ("csr", "csc")
    for name, (change, message) in DAMAGED.items()
}
MAKERS |= {
    "bsr": (compressed(put("indices", 1, 99), "bsr"), "indices must lie between"),
    "coo row": (compressed(put("row", 1, 99), "coo"), r"coords\[0\] must lie between"),
    "coo column": (compressed(put("col", 1, -1), "coo"), r"coords\[1\] must lie"),
    "lil": (compressed(row_of_lil, "lil"), "rows must lie between"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_sparse_matrix_is_refused(name):
    make, message = MAKERS[name]
    good = CSR[0.4]
    bad = make(good)
    model = MLPRegressor(**QUICK)
    fitted = MLPRegressor(**QUICK).fit(good, Y)
    calls = {
        "X": [
            lambda: model.fit(bad, Y),
            lambda: model.partial_fit(bad, Y),
            lambda: fitted.predict(bad),
            lambda: MLPRegressor(n_members=2, **QUICK).fit(bad, Y),
            lambda: PopulationSearchCV(model, {"alpha": [0.1]}, cv=2).fit(bad, Y),
        ],
        "X_val": [lambda: model.fit(good, Y, X_val=bad, y_val=Y)],
    }
    for argument, functions in calls.items():
        for call in functions:
            with pytest.raises(ValueError, match=rf"{argument}\.{message}"):
                call()


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_sparse_target_is_refused(name):
    make, message = MAKERS[name]
    labels = scipy.sparse.csr_matrix((CSR[0.4].toarray() > 0).astype(int))
    bad, X = make(labels), RNG.standard_normal((60, 3))
    model = MLPClassifier(**QUICK)
    for each in (model, MLPRegressor(**QUICK), MLPRegressor(n_members=2, **QUICK)):
        with pytest.raises(ValueError, match=rf"y\.{message}"):
            each.fit(X, bad)
    with pytest.raises(ValueError, match=rf"y_val\.{message}"):
        model.fit(X, labels, X_val=X, y_val=bad)


def test_room_to_spare_is_no_damage():
    """As SciPy leaves it, and scikit-learn takes it."""
    matrix = CSR[0.4].copy()
    spare = np.full(5, 10**6, matrix.indices.dtype)
    matrix.indices = np.concatenate([matrix.indices, spare])
    matrix.data = np.concatenate([matrix.data, np.full(5, 2.0)])
    expected = MLPRegressor(**QUICK).fit(CSR[0.4], Y).predict(CSR[0.4])
    assert_array_equal(MLPRegressor(**QUICK).fit(matrix, Y).predict(matrix), expected)


# the one place ---------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        strided(np.zeros(6)),
        unaligned(np.zeros(6)),
        np.zeros(6, np.float32),
        np.zeros(6, ">f8"),
        np.zeros(5),
    ],
)
def test_compiled_code_gets_no_address_of_another_array(array):
    with pytest.raises(ValueError, match="Compiled code needs at least 6 elements"):
        address(array, np.float64, 6)


def test_address_of_plain_arrays():
    array = np.arange(6.0)
    assert plain(array) is array
    assert address(array, np.float64, 6) == array.ctypes.data
    assert address(None, np.float64, 6) == 0
    for change in LAYOUTS.values():
        address(plain(change(array)), np.float64, 6)


def test_the_engine_refuses_data_of_another_kind():
    network = make_network((5, 3, 1))
    X, y = make_data(network, 20)
    weight = np.ones(20)
    for data in (
        (strided(X), y),
        (X.astype(np.float32), y),
        (X[:, :4].copy(), y),
        (X, y[:19]),
        (X, y, weight[:19]),
        (X, y, weight.astype(np.float32)),
    ):
        with pytest.raises(ValueError, match="Compiled code needs"):
            make_engine(cpu, network, data)
    for rows in (X.astype(np.float32), X[:, :4].copy(), X[:, ::-1]):
        with pytest.raises(ValueError, match="Compiled code needs"):
            cpu.predict(network, make_weights(network), rows)
