"""Pretrainers that say again what rows are, on the paths of all estimators."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import DenoisingAutoencoder, MaskedPretrainer, MLPClassifier
from nnfit.callbacks import Callback, Checkpoint
from nnfit.training import device
from tests.cuda import tiles

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
BOTH = pytest.mark.parametrize("kind", [DenoisingAutoencoder, MaskedPretrainer])
SMALL = {
    "hidden_layer_sizes": (6, 5),
    "batch_size": 16,
    "max_iter": 3,
    "learning_rate_init": 0.01,
    "random_state": 0,
    "n_jobs": 1,
}
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4))
Y = (X[:, 0] > X[:, 1]).astype(int)
#: A number with missing values, codes of categories of which some are missing, numbers.
CODED = X.copy()
CODED[::5, 0] = np.nan
CODED[:, 1] = np.where(np.arange(40) % 9, np.arange(40) % 3, np.nan)
NAMES = np.array(["p", "q", "r"], dtype=object)
TABLE = pd.DataFrame(CODED, columns=list("abcd")).assign(
    b=[None if np.isnan(code) else NAMES[int(code)] for code in CODED[:, 1]]
)
#: How the entries of rows are spoilt, and what else the kernels are told.
CASES = {
    "swap": (DenoisingAutoencoder, {}),
    "mask": (DenoisingAutoencoder, {"corruption": "mask"}),
    "noise": (DenoisingAutoencoder, {"corruption": "noise"}),
    "early stopping": (DenoisingAutoencoder, {"early_stopping": True}),
    "masked": (MaskedPretrainer, {}),
    "masked, normalised": (MaskedPretrainer, {"normalization": "batch"}),
    "masked, embedded": (
        MaskedPretrainer,
        {"numeric_embedding": {"kind": "piecewise_linear", "n_bins": 3}},
    ),
}


def assert_same(one, other, **tolerance):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            assert_allclose(a, b, **tolerance or {"rtol": 0})


@pytest.mark.parametrize("name", CASES)
def test_a_gpu_gives_what_the_cpu_gives(name, monkeypatch):
    monkeypatch.setattr(device, "MIN_ROWS", 1)
    monkeypatch.setattr(device, "ALL_OPERATIONS", 0.0)
    kind, parameters = CASES[name]
    weight = np.arange(40) % 3 / 2.0
    given = SMALL | {"dtype": "float64", "categorical_features": [1]} | parameters
    model = kind(**given)
    with tiles.small_gpu():
        ours = clone(model).set_params(device="cuda").fit(CODED, sample_weight=weight)
        units = ours.transform(CODED)
    theirs = model.fit(CODED, sample_weight=weight)
    assert ours.device_ == "cuda:0"
    assert_same(ours, theirs, rtol=1e-6, atol=1e-8)
    assert_allclose(units, theirs.transform(CODED), rtol=1e-6, atol=1e-8)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)


@BOTH
def test_precisions(kind):
    narrow, wide = (
        kind(**SMALL, dtype=dtype).fit(X) for dtype in ("float32", "float64")
    )
    assert narrow.coefs_[0].dtype == "float32" and wide.coefs_[0].dtype == "float64"
    assert_same(narrow, wide, rtol=1e-3, atol=1e-4)
    single = X.astype("float32")
    assert narrow.transform(single).dtype == "float32"
    assert narrow.transform(X).dtype == wide.transform(single).dtype == "float64"


@BOTH
def test_a_search_in_a_pipeline(kind):
    pipeline = make_pipeline(StandardScaler(), kind(**SMALL), MLPClassifier(max_iter=5))
    grid = {f"{kind.__name__.lower()}__corruption_rate": [0.0, 0.5]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=1).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (40,)


def test_a_search_by_the_score():
    grid = {"hidden_layer_sizes": [(1,), (4,)]}
    model = DenoisingAutoencoder(**SMALL | {"max_iter": 200, "tol": 0.0})
    search = GridSearchCV(model, grid, cv=2, n_jobs=1).fit(X)
    assert search.best_params_ == {"hidden_layer_sizes": (4,)}


class Killed(BaseException):
    pass


class KillAt(Callback):
    def after_epoch(self, estimator, context):
        if len(estimator.history_["loss"]) == 4:
            raise Killed


@BOTH
def test_a_killed_fit_goes_on_to_the_same_bits(kind, tmp_path):
    model = kind(**SMALL | {"max_iter": 6}, categorical_features=[1])
    whole = clone(model).fit(CODED)
    doomed = clone(model).set_callbacks(Checkpoint(tmp_path, every=3), KillAt())
    with pytest.raises(Killed):
        doomed.fit(CODED)
    again = model.fit(CODED, resume_from=tmp_path)
    assert_same(again, whole)
    assert again.loss_curve_ == whole.loss_curve_
    assert_array_equal(again.transform(CODED), whole.transform(CODED))


@BOTH
def test_a_warm_start_goes_on(kind):
    model = kind(**SMALL | {"max_iter": 2}, warm_start=True).fit(X)
    first, columns = [coef.copy() for coef in model.coefs_], model._columns
    model.set_params(max_iter=5).fit(X)
    assert len(model.loss_curve_) == 2 + 5
    assert not np.array_equal(model.coefs_[0], first[0])
    assert model._columns == columns


@BOTH
def test_groups_are_set_aside_whole(kind):
    """A column says which rows are learnt from: the bits of its mean are groups."""
    groups = np.repeat(np.arange(10), 4)
    rows = np.column_stack([2.0**groups, X])
    model = kind(**SMALL, early_stopping=True, validation_fraction=0.3)
    model.fit(rows, groups=groups)
    total = 7 * model._columns.means[0]
    assert total == pytest.approx(round(total), abs=1e-3)
    assert round(total).bit_count() == 7


@BOTH
@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_tables_of_other_libraries(kind, library):
    module = pytest.importorskip(library)
    columns = TABLE.astype(object).where(TABLE.notna(), None).to_dict("list")
    given = {"polars": "DataFrame", "pyarrow": "table"}[library]
    other = getattr(module, given)(columns)
    model = kind(**SMALL, categorical_features=["b"])
    ours, theirs = clone(model).fit(other), model.fit(TABLE)
    assert_same(ours, theirs)
    assert_array_equal(ours.transform(other), theirs.transform(TABLE))


def test_codes_are_as_their_names():
    model = DenoisingAutoencoder(**SMALL | {"max_iter": 80, "tol": 0.0})
    coded = clone(model).set_params(categorical_features=[1]).fit(CODED)
    named = model.set_params(categorical_features=["b"]).fit(TABLE)
    assert_same(coded, named)
    back = coded.inverse_transform(coded.transform(CODED))
    assert back.dtype == np.float64
    its = named.inverse_transform(named.transform(TABLE))
    assert_array_equal(NAMES[back[:, 1].astype(int)], its[:, 1])
    unseen = CODED.copy()
    unseen[0, 1] = 7.0
    assert np.isfinite(coded.reconstruction_error(unseen)).all()


@BOTH
@pytest.mark.parametrize("embedding", ["piecewise_linear", "pbld"])
def test_an_embedding_is_passed_on(kind, embedding):
    given = {"numeric_embedding": embedding, "scaling": "standard"}
    donor = kind(**SMALL, **given).fit(X)
    network = MLPClassifier(**SMALL | {"max_iter": 1}, **given, init_from=donor)
    network.set_params(freeze="body").fit(X, Y)
    assert network.init_report_["layers"][:2] == ["taken", "taken"]
    assert_array_equal(network.hidden_features(X), donor.transform(X))
