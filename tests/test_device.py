"""Devices: what runs where, what a model needs that was fitted on another machine.

Another module stands in the place of `nnfit.cuda`: its engine is the NumPy one, which
writes down what it is asked for.
"""

import os
import pickle
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification

from nnfit import MLPClassifier, MLPRegressor, find_learning_rate
from nnfit.cpu import engine as cpu
from nnfit.estimators import mlp
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.training import device, memory
from tests import numpy_engine
from tests.pairs import pairwise

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(120, 6, n_informative=4, n_classes=3, random_state=0)
NUMBERS = X[:, 0] * Y
GIVEN = {"X_val": X[::3], "y_val": Y[::3]}
QUICK = {"hidden_layer_sizes": (7, 5), "max_iter": 3, "random_state": 0}
MISSING = "The NVIDIA driver finds no CUDA device."


class CudaUnavailable(RuntimeError):
    """As the real one."""


def stand_in(n_gpus):
    """A module in the place of `nnfit.cuda`, of a machine with so many GPUs.

    Its list `calls` has a pair for each: what was called, number of the GPU.
    """
    calls = []

    class Engine(numpy_engine.Engine):
        def __init__(self, *arguments, device_number, shuffled_orders, **keywords):
            super().__init__(*arguments, **keywords)
            assert keywords["n_threads"] == 1
            self._number = device_number

        def train(self, *arguments):
            calls.append(("train", self._number))
            return super().train(*arguments)

        def loss_and_gradient(self, *arguments):
            calls.append(("loss_and_gradient", self._number))
            return super().loss_and_gradient(*arguments)

    def predict(*arguments, device_number, **keywords):
        calls.append(("predict", device_number))
        return numpy_engine.predict(*arguments, **keywords)

    def problem(number):
        return None if number < n_gpus else MISSING

    module = ModuleType("nnfit.cuda")
    module.engine = SimpleNamespace(Engine=Engine, predict=predict)
    module.toolkit = SimpleNamespace(problem=problem, CudaUnavailable=CudaUnavailable)
    module.calls = calls
    return module


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, worth any prediction; returns the list of their calls."""
    module = stand_in(2)
    monkeypatch.setitem(sys.modules, "nnfit.cuda", module)
    monkeypatch.setattr(device, "MIN_ROWS", 1)
    monkeypatch.setattr(device, "ALL_OPERATIONS", 0.0)
    return module.calls


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine where CUDA cannot be used."""
    monkeypatch.setitem(sys.modules, "nnfit.cuda", stand_in(0))


@pytest.fixture
def no_cpu(monkeypatch):
    """Nothing may run on the CPU's engine, nor take its threads."""

    def fail(*arguments, **keywords):
        raise AssertionError("asked for the CPU")

    monkeypatch.setattr(cpu, "Engine", fail)
    monkeypatch.setattr(cpu, "predict", fail)
    monkeypatch.setattr(device, "reserve_threads", fail)


# which device -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu", "cpu"),
        ("cuda", "cuda:0"),
        ("cuda:0", "cuda:0"),
        ("cuda:1", "cuda:1"),
        ("auto", "cuda:0"),
    ],
)
def test_names(gpus, name, expected):
    assert device.resolve(name) == expected
    assert device.resolve_prediction(name, 1, 1.0) == expected
    model = MLPClassifier(device=name, **QUICK).fit(X, Y)
    assert model.device_ == expected


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:1.5", "CUDA", ""])
@pytest.mark.parametrize("n_members", [1, 2])
def test_names_that_are_none(gpus, name, n_members):
    model = MLPClassifier(device=name, n_members=n_members, **QUICK)
    expected = f"device must be 'cpu', 'cuda', 'cuda:N' .* or 'auto', got {name!r}"
    with pytest.raises(ValueError, match=expected):
        model.fit(X, Y)
    model.set_params(device="cpu").fit(X, Y).set_params(device=name)
    with pytest.raises(ValueError, match=expected):
        model.predict(X)


def test_a_name_is_a_string():
    with pytest.raises(
        ValueError, match="The 'device' parameter of MLPClassifier must"
    ):
        MLPClassifier(device=0).fit(X, Y)


def test_automatic_without_a_gpu(no_gpu, recwarn):
    model = MLPClassifier(device="auto", **QUICK).fit(X, Y)
    assert model.device_ == "cpu"
    expected = MLPClassifier(**QUICK).fit(X, Y)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert {str(warning.category.__name__) for warning in recwarn} == {
        "ConvergenceWarning"
    }


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_gpu_that_is_missing(no_gpu, n_members):
    model = MLPClassifier(n_members=n_members, **QUICK).fit(X, Y)
    before = pickle.dumps(model)
    with pytest.raises(RuntimeError) as raised:
        model.set_params(device="cuda:1").fit(X, Y)
    assert str(raised.value) == (
        f"device='cuda:1' cannot be used. {MISSING} device='auto' takes a GPU where "
        "one can be used and the CPU elsewhere."
    )
    assert pickle.dumps(model.set_params(device="cpu")) == before


def test_the_cpu_asks_for_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "nnfit.cuda", None)  # an import is an error
    monkeypatch.setattr(device, "MIN_ROWS", 1)
    monkeypatch.setattr(device, "ALL_OPERATIONS", 0.0)
    for n_members in (1, 2):
        model = MLPClassifier(n_members=n_members, **QUICK).fit(X, Y)
        assert model.predict(X).shape == Y.shape
        assert model.device_ == "cpu"


# every path -------------------------------------------------------------------


def score(estimator, X, y):
    """A scorer of the user's, for which the network predicts."""
    return estimator.score(X, y)


FITS = {
    "plain": {},
    "early stopping": {"early_stopping": True},
    "scorer": {"early_stopping": True, "scoring": score},
    "data-driven": {"initialization": "data_driven"},
    "average": {"swa": 0.5},
    "ensemble": {"n_members": 3},
    "ensemble, early stopping": {"n_members": 2, "early_stopping": True},
    "float64": {"dtype": "float64"},
    "L-BFGS": {"solver": "lbfgs"},
    "ensemble, L-BFGS": {"n_members": 2, "solver": "lbfgs"},
}


def check_arrays(model):
    """A fitted model holds NumPy arrays, and nothing of an engine."""
    for network in getattr(model, "members_", [model]):
        for array in (*network.coefs_, *network.intercepts_, *network.norms_):
            assert type(array) is np.ndarray
        assert network.device_ == model.device_
        assert network.n_threads_ == 1
    assert model.n_threads_ == 1
    assert b"cuda" not in pickle.dumps(model).replace(b"cuda:1", b"")


@pairwise(
    name=FITS,
    path=["dense", "sparse", "validated", "resumed"],
    estimator=[MLPClassifier, MLPRegressor],
)
def test_everything_runs_there(gpus, no_cpu, estimator, name, path):
    y = Y if estimator is MLPClassifier else NUMBERS
    rows = csr_array(X) if path == "sparse" else X
    given = {"X_val": X[::3], "y_val": y[::3]} if path == "validated" else {}
    model = estimator(device="cuda:1", **QUICK | FITS[name])
    model.set_params(warm_start=path == "resumed").fit(rows, y, **given)
    if path == "resumed":
        model.fit(rows, y)
    model.predict(rows)
    assert model.device_ == "cuda:1"
    training = "loss_and_gradient" if "L-BFGS" in name else "train"
    assert set(gpus) == {(training, 1), ("predict", 1)}
    check_arrays(model)


@pytest.mark.parametrize("n_members", [1, 2])
def test_partial_fit_runs_there(gpus, no_cpu, n_members):
    model = MLPClassifier(device="cuda:1", n_members=n_members, **QUICK)
    for _ in range(2):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert gpus == [("train", 1)] * 2 * n_members
    check_arrays(model)


def test_other_predictions_run_there(gpus, no_cpu):
    model = MLPClassifier(
        device="cuda:1", dropout=0.2, temperature_scaling=True, **QUICK
    )
    model.fit(X, Y, **GIVEN)
    assert gpus[-1] == ("predict", 1)  # for the temperature
    model.predict_proba(X, n_passes=4)
    assert gpus[-4:] == [("predict", 1)] * 4
    assert {number for _, number in gpus} == {1}


def test_range_test_runs_there(gpus, no_cpu):
    find_learning_rate(MLPClassifier(device="cuda:1", **QUICK), X, Y, n_steps=5)
    assert set(gpus) == {("train", 1)}


def test_an_ensemble_trains_at_once(gpus, monkeypatch):
    at_once = []
    side_by_side = mlp.train_members.__globals__["train_side_by_side"]

    def spy(train, members, number):
        at_once.append(number)
        return side_by_side(train, members, number)

    monkeypatch.setitem(mlp.train_members.__globals__, "train_side_by_side", spy)
    model = MLPClassifier(device="cuda", n_members=3, max_time=60.0, n_jobs=1, **QUICK)
    model.fit(X, Y)
    assert at_once == [3]
    assert [member.max_time for member in model.members_] == [60.0] * 3


def test_memory_of_the_host_is_for_the_weights_of_a_gpu(gpus, monkeypatch):
    model = MLPClassifier(device="cuda", **QUICK).fit(X, Y)
    weights = 3 * sum(array.nbytes for array in (*model.coefs_, *model.intercepts_))
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: weights)
    model.fit(X, Y)
    with pytest.raises(MemoryError):
        MLPClassifier(**QUICK).fit(X, Y)
    monkeypatch.setattr(memory, "available_memory", lambda: weights - 1)
    with pytest.raises(MemoryError, match="of available memory"):
        model.fit(X, Y)


# predictions ------------------------------------------------------------------


def test_few_rows_stay_here(monkeypatch):
    module = stand_in(1)
    monkeypatch.setitem(sys.modules, "nnfit.cuda", module)
    rows, operations = device.MIN_ROWS, device.ALL_OPERATIONS
    expected = {
        (rows, operations): "cuda:0",
        (rows - 1, operations): "cpu",
        (rows, operations - 1): "cpu",
    }
    for size, where in expected.items():
        assert device.resolve_prediction("cuda", *size) == where
    # Two times the rows are worth it, three times as many are enough.
    monkeypatch.setattr(device, "MIN_ROWS", 3 * len(X))
    monkeypatch.setattr(
        device, "ALL_OPERATIONS", 2 * len(X) * 2 * (6 * 7 + 7 * 5 + 5 * 3)
    )
    model = MLPClassifier(device="cuda", **QUICK).fit(X, Y)
    for times, calls in ((1, []), (2, []), (3, [("predict", 0)])):
        del module.calls[:]
        model.predict(np.tile(X, (times, 1)))
        assert module.calls == calls


def test_the_device_that_predicts_can_be_changed(gpus):
    model = MLPClassifier(n_members=2, **QUICK).fit(X, Y)
    model.predict(X)
    assert gpus == []
    model.set_params(device="cuda:1").predict(X)
    assert gpus == [("predict", 1)] * 2
    assert model.device_ == "cpu"


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "auto"])
def test_a_pickle_needs_no_gpu(gpus, monkeypatch, name, n_members):
    model = MLPClassifier(device=name, n_members=n_members, **QUICK).fit(X, Y)
    expected = model.predict_proba(X)
    stored = pickle.dumps(model)
    monkeypatch.setitem(sys.modules, "nnfit.cuda", stand_in(0))
    loaded = pickle.loads(stored)
    assert_allclose(loaded.predict_proba(X), expected, rtol=1e-4, atol=1e-6)
    assert loaded.device_ == model.device_ != "cpu"


def test_a_pickle_in_another_process(gpus, tmp_path):
    model = MLPClassifier(device="cuda", **QUICK).fit(X, Y)
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, X, model.predict(X))))
    program = (
        "import pickle, sys\n"
        f"model, X, expected = pickle.load(open({str(path)!r}, 'rb'))\n"
        "assert (model.predict(X) == expected).all()\n"
        "assert model.device_ == 'cuda:0'\n"
        "assert 'nnfit.cuda' not in sys.modules\n"  # few rows
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# going on elsewhere -----------------------------------------------------------


@pairwise(
    solver=[name for name in OPTIMIZERS if name != "sgd_nesterov"],
    devices=[("cpu", "cuda"), ("cuda", "cpu")],
    factors=[None, (0.5, 0.0, 2.0)],
    method=["warm_start", "partial_fit"],
)
def test_training_goes_on_elsewhere(gpus, solver, devices, factors, method):
    model = MLPClassifier(
        solver=solver,
        learning_rate_factors=factors,
        activation="tanh",
        learning_rate_init=0.01,
        dtype="float64",
        warm_start=True,
        **QUICK,
    )
    moved = clone(model)
    for name in (*devices, devices[0]):
        moved.set_params(device=name)
        for estimator in (model, moved):
            if method == "partial_fit":
                estimator.partial_fit(X, Y, classes=[0, 1, 2])
            else:
                estimator.fit(X, Y)
        assert moved.device_ == name.replace("cuda", "cuda:0")
    assert_allclose(moved.loss_curve_, model.loss_curve_, rtol=1e-8)
    for mine, theirs in zip(moved.coefs_, model.coefs_, strict=True):
        assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9)


# the suite by device ----------------------------------------------------------


@pytest.mark.slow
def test_the_suite_does_not_run_on_a_device_that_is_missing():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", __file__],
        env={**os.environ, "NNFIT_TEST_DEVICE": "cuda:99"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "NNFIT_TEST_DEVICE: device='cuda:99' cannot be used" in done.stderr
