"""Estimators on a GPU: what is fitted there, and what is the same on the CPU."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification

from nnfit import MLPClassifier, MLPRegressor
from nnfit.inspection import input_gradients
from nnfit.training import device
from tests.cuda import tiles
from tests.pairs import in_turn, quick_every
from tests.test_custom_functions import squared, swish

pytestmark = [
    pytest.mark.usefixtures("all_on_the_gpu"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X, Y = make_classification(40, 6, n_informative=4, n_classes=3, random_state=0)
X[np.abs(X) < 0.4] = 0.0
NUMBERS = np.column_stack([X[:, 0] * Y, X[:, 1]])
WEIGHT = np.random.RandomState(0).randint(0, 4, size=40) / 2.0
COMMON = {
    "hidden_layer_sizes": (6, 5),
    "batch_size": 16,
    "learning_rate_init": 0.01,
    "max_iter": 3,
    "random_state": 0,
    "dtype": "float64",
}


@pytest.fixture
def all_on_the_gpu(small_gpu, monkeypatch):
    """Predictions too, however few rows; returns the driver."""
    monkeypatch.setattr(device, "MIN_ROWS", 1)
    monkeypatch.setattr(device, "ALL_OPERATIONS", 0.0)
    return small_gpu


def assert_same(model, other, rtol=1e-6):
    """Two networks, or two ensembles, up to rounding."""
    pairs = [(model, other)]
    if hasattr(model, "members_"):
        pairs = list(zip(model.members_, other.members_, strict=True))
    for mine, theirs in pairs:
        for name in ("coefs_", "intercepts_", "norms_", "others_"):
            for a, b in zip(getattr(mine, name), getattr(theirs, name), strict=True):
                assert_allclose(a, b, rtol=rtol, atol=1e-8)


def fit_on_both(estimator, y, X=X, more=None, **parameters):
    """The same model from both devices, which are compared."""
    models = [
        estimator(**COMMON | parameters, device=name).fit(X, y, **more or {})
        for name in ("cuda", "cpu")
    ]
    assert [model.device_ for model in models] == ["cuda:0", "cpu"]
    assert_same(*models)
    assert_allclose(models[0].predict(X), models[1].predict(X), rtol=1e-6, atol=1e-8)
    return models


CASES = {
    "plain": {},
    "validated": {"early_stopping": True},
    "no shuffling": {"shuffle": False},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive", "momentum": 0.8},
    "L-BFGS": {"solver": "lbfgs"},
    "averages": {"swa": 0.5, "normalization": "batch"},
    "ensemble": {"n_members": 3},
    "ensemble, L-BFGS": {"n_members": 2, "solver": "lbfgs"},
    "data-driven": {"initialization": "data_driven"},
    "ingredients": {
        "dropout": 0.2,
        "mixup": 0.2,
        "normalization": "layer",
        "residual": True,
        "clip_norm": 0.5,
        "learning_rate": "cosine",
    },
    "own activation": {"activation": swish},
    "layers": {"activation": ["tanh", "relu"]},
    "embedded numbers": {
        "numeric_embedding": {"kind": "piecewise_linear", "n_bins": 3, "n_outputs": 2},
        "early_stopping": True,
    },
    "shared members": {
        "numeric_embedding": {"kind": "pbld", "features": [0, 2], "n_frequencies": 3},
        "n_shared_members": 3,
    },
}


#: In turn; what the data are is tested with features of engines.
PATHS = ("classes", "sparse"), ("numbers", "weights")


@in_turn(name=quick_every(2, CASES), paths=PATHS)
def test_both_devices_fit_the_same(name, paths):
    for path in paths:
        estimator, y = MLPClassifier, Y
        if path == "numbers":
            estimator, y = MLPRegressor, NUMBERS
        rows = csr_array(X) if path == "sparse" else X
        more = {"sample_weight": WEIGHT} if path == "weights" else {}
        ours, theirs = fit_on_both(estimator, y, rows, more, **CASES[name])
        assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)


def test_codes_of_categories():
    codes = X.copy()
    codes[:, 1] = np.arange(40) % 7
    embedding = {"max_one_hot": 3, "n_outputs": 2, "mask": 0.3}
    fit_on_both(
        MLPClassifier, Y, codes, categorical_features=[1], category_embedding=embedding
    )


def test_own_loss():
    fit_on_both(MLPRegressor, NUMBERS, loss=squared)


@pytest.mark.parametrize("n_members", [1, 2])
def test_nothing_runs_on_the_cpu(all_on_the_gpu, n_members, monkeypatch):
    from nnfit.cpu import engine

    monkeypatch.setattr(engine, "Engine", None)
    monkeypatch.setattr(engine, "predict", None)
    model = MLPClassifier(**COMMON, device="cuda", n_members=n_members).fit(X, Y)
    model.predict_proba(X)
    launched = {launch[0] for launch in all_on_the_gpu.launches}
    assert launched == {"train", "predict"}


@pytest.mark.parametrize("method", ["warm_start", "partial_fit"])
@pytest.mark.parametrize("solver", ["adam", "schedule_free", "muon"])
def test_training_goes_on_on_the_other_device(solver, method):
    model = MLPClassifier(**COMMON, solver=solver, warm_start=True)
    moved = clone(model)
    for name in ("cuda", "cpu", "cuda"):
        moved.set_params(device=name)
        for each in (model, moved):
            if method == "partial_fit":
                each.partial_fit(X, Y, classes=[0, 1, 2])
            else:
                each.fit(X, Y)
    assert moved.device_ == "cuda:0"
    assert_same(moved, model)


def test_weights_are_kept_when_training_is_interrupted(monkeypatch):
    """Ctrl-C, as it comes: between two calls."""
    from nnfit.cuda import engine

    finish = engine.Engine.finish

    def interrupt(self):
        curves = finish(self)
        if self.progress.epoch >= 2:
            raise KeyboardInterrupt
        return curves

    monkeypatch.setattr(engine.Engine, "finish", interrupt)
    monkeypatch.setattr(engine.Engine, "_batches_in", lambda self, seconds, n_blocks: 3)
    model = MLPClassifier(**COMMON | {"max_iter": 50}, device="cuda")
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, Y)
    assert model.predict(X).shape == Y.shape
    start = MLPClassifier(**COMMON | {"max_iter": 1}, device="cpu").fit(X, Y)
    assert np.abs(model.coefs_[0] - start.coefs_[0]).max() > 1e-3


def test_a_pickle_needs_no_gpu(tmp_path):
    model = MLPClassifier(**COMMON, device="cuda").fit(X, Y)
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, X, model.predict_proba(X))))
    program = (
        "import pickle, sys\n"
        "import numpy as np\n"
        f"model, X, expected = pickle.load(open({str(path)!r}, 'rb'))\n"
        "assert np.allclose(model.predict_proba(X), expected)\n"
        "assert model.device_ == 'cuda:0'\n"
        "assert 'nnfit.cuda' not in sys.modules\n"  # few rows
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_predictions_of_passes_with_dropout():
    model = MLPClassifier(**COMMON, dropout=0.4, device="cuda").fit(X, Y)
    here = model.predict_proba(X, n_passes=3)
    assert_allclose(model.set_params(device="cpu").predict_proba(X, n_passes=3), here)
    assert np.abs(here - model.predict_proba(X)).max() > 1e-3


def test_data_too_large_for_the_device():
    rows = np.zeros((4000, 500))
    with tiles.small_gpu(total_memory=2**22):
        model = MLPClassifier(**COMMON, device="cuda")
        with pytest.raises(MemoryError, match="Emulated GPU"):
            model.fit(rows, np.arange(4000) % 2)


def test_weights_too_large_for_this_machine():
    """They are drawn here, before the device is asked."""
    for rows in (X, csr_array(X)):
        model = MLPClassifier((10**5, 10**200), device="cuda")
        with pytest.raises(MemoryError, match="of available memory"):
            model.fit(rows, Y)


def test_it_fits_the_same_again():
    models = [
        MLPClassifier(**COMMON | {"dtype": "float32"}, device="cuda").fit(X, Y)
        for _ in range(2)
    ]
    assert_array_equal(*[model.predict_proba(X) for model in models])


def test_networks_from_a_gpu_are_explained():
    models = fit_on_both(MLPClassifier, Y)
    slopes = [input_gradients(model, X) for model in models]
    assert_allclose(*slopes, rtol=1e-5, atol=1e-7)
