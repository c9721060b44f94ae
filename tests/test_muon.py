"""Muon's kernel against NumPy and PyTorch, on threads, and after an abort."""

import ctypes
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnfit.addresses import address
from nnfit.cpu import compiling
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import MUON
from nnfit.cpu.layout import aligned_zeros, muon_work

MU, RATE, DECAY = 0.95, 0.02, 0.999
POINTER, INT64, DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
#: Of an update, relative to the largest that an element of it can be.
TOLERANCE = {"float32": 2e-5, "float64": 1e-13}


class Matrix:
    """One layer's weights, gradient and momentum in panels, and a work area."""

    def __init__(self, weights, gradient, momentum):
        self.dtype = weights.dtype.name
        self.n_in, self.n_out = weights.shape
        target = targets.host()
        self.panel, lanes = target.panel(self.dtype), target.lanes(self.dtype)
        self.width = -(-self.n_out // lanes) * lanes
        arrays = (weights, gradient, momentum)
        self.weights, self.gradient, self.momentum = map(self.pack, arrays)
        self.n_work = muon_work(target, self.dtype, self.n_in, self.n_out)
        # What is left there by another matrix must not matter.
        self.work = np.full(self.n_work + 64, np.nan, self.dtype)

    def pack(self, values):
        flat = aligned_zeros(self.n_in * self.width, self.dtype)
        wide = np.zeros((self.n_in, self.width), self.dtype)
        wide[:, : self.n_out] = values
        for column in range(0, self.width, self.panel):
            part = wide[:, column : column + self.panel].ravel()
            flat[column * self.n_in :][: part.size] = part
        return flat

    def unpack(self, flat):
        columns = [
            flat[column * self.n_in :][: self.n_in * width].reshape(self.n_in, width)
            for column in range(0, self.width, self.panel)
            for width in [min(self.panel, self.width - column)]
        ]
        wide = np.hstack(columns)
        assert not wide[:, self.n_out :].any(), "the padding is no longer zero"
        return wide[:, : self.n_out]

    def update(self, n_threads=1, abort=None, mu=MU, rate=RATE, decay=DECAY):
        """Call the kernel on Python threads, but not on one numbered `abort`."""
        kernel = compiling.load(MUON, self.dtype)
        function = kernel.function(
            "muon", INT64, *[POINTER] * 4, *[INT64] * 3, *[DOUBLE] * 3,
            POINTER, *[INT64] * 3,
        )  # fmt: skip
        shared = aligned_zeros((n_threads + 1) * at.SHARED_LINE, np.int64)
        arrays = (self.weights, self.gradient, self.momentum, self.work)
        places = [address(array, self.dtype) for array in arrays]
        passed = set()

        def work(number):
            result = function(
                *places, self.n_in, self.n_out, self.width,
                mu, rate, decay, address(shared, np.int64), number, n_threads, 0,
            )  # fmt: skip
            passed.add(result)

        numbers = [k for k in range(n_threads) if k != abort]
        threads = [threading.Thread(target=work, args=(k,)) for k in numbers]
        for thread in threads:
            thread.start()
        if abort is not None:
            shared[at.ABORTED] = 1
        for thread in threads:
            thread.join()
        assert np.isnan(self.work[self.n_work :]).all(), "beyond the work area"
        assert len(passed) == 1  # the barriers passed, on every thread
        return passed.pop()


def make_arrays(n_in, n_out, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n_in, n_out)).astype(dtype) for _ in range(3)]


def orthogonalised(u):
    """Five iterations as the paper writes them, in float64."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = u / (np.linalg.norm(u) + 1e-7)
    if u.shape[0] < u.shape[1]:
        x = x.T
    for _ in range(5):
        gram = x.T @ x
        x = a * x + x @ (b * gram + c * gram @ gram)
    return x.T if u.shape[0] < u.shape[1] else x


def expected_update(weights, gradient, momentum, mu=MU, rate=RATE, decay=DECAY):
    weights, gradient, momentum = (
        a.astype(np.float64) for a in (weights, gradient, momentum)
    )
    momentum = mu * momentum + (1 - mu) * gradient
    x = orthogonalised((1 - mu) * gradient + mu * momentum)
    scale = 0.2 * np.sqrt(max(weights.shape))
    return decay * weights - rate * scale * x, momentum


def check(n_in, n_out, dtype):
    arrays = make_arrays(n_in, n_out, dtype)
    matrix = Matrix(*arrays)
    matrix.update()
    weights, momentum = expected_update(*arrays)
    scale = RATE * 0.2 * np.sqrt(max(n_in, n_out))
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(
        matrix.unpack(matrix.weights), weights, rtol=tolerance, atol=scale * tolerance
    )
    np.testing.assert_allclose(
        matrix.unpack(matrix.momentum), momentum, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(matrix.unpack(matrix.gradient), arrays[1])


sizes = st.integers(1, 130)


@pytest.mark.parametrize("dtype", TOLERANCE)
@settings(deadline=None, max_examples=60)
@given(n_in=sizes, n_out=sizes)
@example(1, 1)
@example(1, 77)
@example(77, 1)
@example(97, 96)
@example(96, 97)
def test_any_shape_is_updated_as_in_numpy(dtype, n_in, n_out):
    check(n_in, n_out, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(300, 300), (600, 70), (70, 600), (257, 511)])
def test_large_matrices_are_updated_as_in_numpy(dtype, shape):
    """Of several blocks, and of sums that are made in parts."""
    check(*shape, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(60, 100), (111, 75)])
def test_plain_processors(dtype, shape, monkeypatch):
    """Without vectors of more than 16 bytes and fused multiply-adds."""
    monkeypatch.setenv(targets.CPU_VARIABLE, "plain")
    check(*shape, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "shape", [(1, 5), (40, 1), (64, 64), (100, 33), (33, 100), (290, 290), (50, 400)]
)
def test_bits_do_not_depend_on_the_number_of_threads(dtype, shape):
    arrays = make_arrays(*shape, dtype)
    one = Matrix(*arrays)
    passed = one.update()
    for n_threads in (2, 3, 4, 7):
        many = Matrix(*arrays)
        assert many.update(n_threads) == passed
        np.testing.assert_array_equal(many.weights, one.weights)
        np.testing.assert_array_equal(many.momentum, one.momentum)


@pytest.mark.parametrize("shape", [(200, 120), (120, 200)])
def test_singular_values_come_near_one(shape):
    _, gradient, _ = make_arrays(*shape, "float32")
    matrix = Matrix(np.zeros_like(gradient), gradient, np.zeros_like(gradient))
    matrix.update(rate=1.0)
    update = matrix.unpack(matrix.weights) / (0.2 * np.sqrt(200))
    values = np.linalg.svd(update, compute_uv=False)
    assert 0.65 < values.min() and values.max() < 1.25
    # Downhill: the inner product with the gradient is negative.
    assert np.sum(update * gradient) < 0


def test_without_a_gradient_only_decay_acts():
    weights, nothing, _ = make_arrays(20, 30, "float64")
    nothing[:] = 0.0
    matrix = Matrix(weights, nothing, nothing)
    matrix.update()
    np.testing.assert_allclose(matrix.unpack(matrix.weights), DECAY * weights)


@pytest.mark.parametrize("n_threads", [2, 4])
@pytest.mark.parametrize("absent", [0, 1])
def test_an_abort_ends_all_waiting(n_threads, absent):
    arrays = make_arrays(150, 90, "float32")
    matrix = Matrix(*arrays)
    matrix.update(n_threads, abort=absent)
    np.testing.assert_array_equal(matrix.unpack(matrix.weights), arrays[0])


@pytest.mark.parametrize("shape", [(60, 90), (90, 60)])
def test_same_steps_as_in_pytorch(shape):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("no Muon in this PyTorch")
    weights, _, _ = make_arrays(*shape, "float32")
    parameter = torch.nn.Parameter(torch.tensor(weights))
    theirs = torch.optim.Muon(
        [parameter], lr=RATE, weight_decay=0.1, momentum=MU,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    momentum = np.zeros_like(weights)
    for step in range(3):
        gradient = make_arrays(*shape, "float32", seed=step)[1]
        parameter.grad = torch.tensor(gradient)
        theirs.step()
        matrix = Matrix(weights, gradient, momentum)
        matrix.update(decay=1 - RATE * 0.1)
        before = weights
        weights, momentum = map(matrix.unpack, (matrix.weights, matrix.momentum))
        # They iterate in bfloat16, with three digits.
        change = np.linalg.norm(weights - before)
        difference = np.linalg.norm(weights - parameter.detach().numpy())
        assert difference < 0.05 * change
