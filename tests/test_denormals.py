"""Denormal numbers are zero in compiled code, and what they were outside of it."""

import _thread
import ctypes
import threading

import numpy as np
import pytest
import scipy.sparse
from numba.core import types as nb

from nnfit import MLPRegressor
from nnfit.cpu import engine as cpu
from nnfit.cpu import machine_code, prediction
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import lowering
from nnfit.cpu.kernels.denormals import flushing
from nnfit.cpu.kernels.pointers import caller, pointer_type
from tests.engines import evaluate, make_data, make_engine, make_network, make_weights

#: Numbers whose product is denormal, and an input at which a logistic unit has a slope
#: of that size.
SMALL = {"float32": 1e-20, "float64": 1e-160}
SATURATED = {"float32": -45.0, "float64": -360.0}
DTYPES = sorted(SMALL)


def count_denormals(array):
    size = np.abs(array)
    return np.count_nonzero((size > 0) & (size < np.finfo(size.dtype).tiny))


def flushes_now():
    """Whether this thread computes without denormal numbers."""
    half = np.full(64, np.finfo(np.float32).tiny) * np.float32(0.5)
    return count_denormals(half) == 0


def saturated_engine(dtype, solver, n_threads=1):
    """Gradients of the first layer have two slopes as factors."""
    network = make_network((4, 24, 24, 1), "logistic", dtype=dtype)
    engine = make_engine(
        cpu, network, make_data(network, 100), solver, n_threads, alpha=0.0
    )
    weights = make_weights(network)
    for intercepts in weights.intercepts[:2]:
        intercepts[:] = SATURATED[dtype]
    engine.set_weights(weights)
    return engine


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_saturated_units_learn_without_denormals(dtype, n_threads):
    """Denormal moments made epochs of such a network up to 20 times as long."""
    engine = saturated_engine(dtype, "adam", n_threads)
    engine.train(1)
    moments = engine.get_state()["moments"]
    engine.close()
    assert (moments == 0).any(), "there were gradients that small"
    assert (moments != 0).any()
    assert count_denormals(moments) == 0
    assert not flushes_now()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_has_no_denormals(dtype):
    engine = saturated_engine(dtype, None)
    _, gradient = engine.loss_and_gradient(engine.flat.copy())
    assert (gradient != 0).any()
    assert count_denormals(gradient) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, prediction.FEW_ROWS + 1, 400])
@pytest.mark.parametrize("as_X", [np.asarray, scipy.sparse.csr_array])
def test_predictions_have_no_denormals(dtype, n_rows, as_X):
    """On every path: weights where they are, in panels, on threads."""
    network, small = make_network((3, 2), dtype=dtype), SMALL[dtype]
    weights = make_weights(network)
    weights.coefs[0][:], weights.intercepts[0][:] = small, 0.0
    X = as_X(np.full((n_rows, 3), small, dtype))
    for n_threads in (1, 3):
        y = prediction.predict(network, weights, X, n_threads=n_threads)
        assert np.array_equal(y, np.zeros((n_rows, 2)))
    assert not flushes_now()


def test_losses_are_the_same_in_training_and_evaluation():
    """Squared errors that are denormal in float32 are zero in both."""
    network = make_network((3, 2), dtype="float32")
    X, y = np.full((40, 3), 1e-11, np.float32), np.zeros((40, 2), np.float32)
    engine = make_engine(cpu, network, (X, y), "sgd", alpha=0.0)
    weights = make_weights(network)
    weights.coefs[0][:], weights.intercepts[0][:] = 1e-11, 0.0
    engine.set_weights(weights)
    assert evaluate(engine, X, y)[0] == 0.0
    assert engine.train(1)["loss"].tolist() == [0.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_statistics_have_no_denormals(dtype):
    """Those of an average of weights, which are found after the training."""
    network = make_network((3, 4, 1), dtype=dtype, normalization="batch")
    X, y = make_data(network, 100)
    X *= SMALL[dtype]
    engine = make_engine(cpu, network, (X, y), alpha=0.0, average=True)
    engine.train(1)
    norms = engine.get_weights(engine.evaluated()).norms
    assert all(array.any() for array in norms)
    assert sum(map(count_denormals, norms)) == 0


# ---------------------------------------------------------------- the caller's mode


def test_threads_of_a_group_compute_as_before():
    """Each of them has come back from a training."""
    engine = saturated_engine("float32", "adam", 3)
    engine.train(1)
    modes = []
    engine._threads.run(lambda number: modes.append(flushes_now()), lambda: None)
    engine.close()
    assert modes == [False] * 3


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_interrupted_thread_computes_as_before(n_threads):
    engine = saturated_engine("float32", "adam", n_threads)
    timer = threading.Timer(0.05, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        while True:
            engine.train(2**40)
    assert not flushes_now()
    engine.close()


@pytest.mark.parametrize(
    "more", [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"loss": "poisson"}]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_numpy_computes_as_before(more):
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, **more)
    model.fit(X, np.abs(X[:, 0]))
    assert not flushes_now()
    model.predict(X)
    assert not flushes_now()


@pytest.fixture(scope="module")
def kernel():
    """Functions that halve a number: as it is, flushing, and after such a call."""
    pointer = pointer_type("float32")
    call = caller(nb.void, pointer)

    def halve(x):
        x[0] *= np.float32(0.5)

    @flushing
    def halve_flushing(x):
        x[0] *= np.float32(0.5)

    @flushing
    def call_and_halve(address, x, y):
        call(address, (x,))
        y[0] *= np.float32(0.5)

    one = nb.void(pointer)
    exports = {
        "halve": (halve, one),
        "halve_flushing": (halve_flushing, one),
        "call_and_halve": (call_and_halve, nb.void(nb.int64, pointer, pointer)),
    }
    target = targets.host()
    code = lowering.emit_object(exports, target, machine_code.target_machine(target))
    return machine_code.Kernel(code, target)


def test_a_mode_that_was_found_is_given_back(kernel):
    tiny = np.finfo(np.float32).tiny
    numbers = np.full(4, tiny, np.float32)
    at = [numbers[i:].ctypes.data for i in range(4)]
    pointer = ctypes.c_void_p
    kernel.function("halve", None, pointer)(at[0])
    kernel.function("halve_flushing", None, pointer)(at[1])
    both = kernel.function("call_and_halve", None, ctypes.c_int64, pointer, pointer)
    both(kernel.address("halve_flushing"), at[2], at[3])
    assert numbers.tolist() == [tiny / 2, 0.0, 0.0, 0.0]
    assert not flushes_now()
