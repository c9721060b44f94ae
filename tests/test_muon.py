"""Muon's kernel against NumPy and PyTorch, on threads, and after an abort."""

import ctypes
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnfit.addresses import address
from nnfit.cpu import compiling, matrices
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.kernels import PREDICTION
from nnfit.cpu.layout import aligned_zeros
from nnfit.cpu.plans import Plan
from nnfit.cpu.tables import Tables
from nnfit.functions.losses import LOSSES
from nnfit.network import Network, Weights
from nnfit.network.kinds import Node
from tests.engines import OTHERS, use_processor
from tests.interpreter import BUILDER

MU, RATE, DECAY = 0.95, 0.02, 0.999
POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64
#: Of an update, relative to the largest that an element of it can be.
TOLERANCE = {"float32": 2e-5, "float64": 1e-13}


class Matrix:
    """One layer's weights, gradient and momentum, and the program of an update."""

    def __init__(self, weights, gradient, momentum):
        self.dtype = weights.dtype.name
        n_in, n_out = weights.shape
        node = Node("dense", (0,), n_out, options=(False,), is_hidden=True)
        loss = LOSSES["squared_error"]
        network = Network(n_in, (node,), loss, (), self.dtype)
        plan = Plan(network, targets.host(), 1, PREDICTION)
        self.layout = plan.layout
        matrices.add_steps(plan, int(self.layout.rows[0]))
        beyond = plan.reserve(1)
        plan.buffer(beyond, 64)
        arrays = (weights, gradient, momentum)
        self.weights, self.gradient, self.momentum = map(self.pack, arrays)
        self.tables = tables = Tables(plan.finish(), self.weights)
        work, _ = tables._kept
        # What is left there by another matrix must not matter.
        work.view(self.dtype)[:] = np.nan
        begin = int(plan.ints[beyond])
        self.beyond = work[begin:].view(self.dtype)
        tables.ints[at.PARAMETERS] = address(self.weights, self.dtype)
        tables.ints[at.GRADIENT] = address(self.gradient, self.dtype)
        tables.ints[at.STATE_0] = address(self.momentum, self.dtype)
        self.rates = np.full(2 * at.N_RATES, np.nan, self.dtype)
        tables.ints[at.RATES] = address(self.rates, self.dtype)
        tables.ints[at.N_RATE_ROWS] = 1

    def pack(self, values):
        flat = aligned_zeros(self.layout.size, self.dtype)
        self.layout.pack(Weights([values], []), flat)
        return flat

    def unpack(self, flat):
        (values,) = self.layout.unpack(flat).coefs
        assert np.array_equal(self.pack(values), flat), "the padding is no longer zero"
        return values

    def update(self, n_threads=1, abort=None, mu=MU, rate=RATE, decay=DECAY):
        """Run the program on Python threads, but not on one numbered `abort`."""
        kernel = compiling.load(BUILDER, self.dtype)
        run = kernel.function("run", INT64, *[POINTER] * 3, *[INT64] * 2)
        shared = aligned_zeros((n_threads + 1) * at.SHARED_LINE, np.int64)
        self.tables.ints[at.SHARED] = address(shared, np.int64)
        now = np.zeros(at.NOW_FIELDS, np.int64)
        now[at.NOW_STEP] = 1  # the second of two sets of rates
        now.view(np.float64)[at.NOW_WEIGHT_SUM] = 1.0
        rates = self.rates[at.N_RATES :]
        rates[[at.MATRIX_MOMENTUM, at.MATRIX_RATE, at.DECAY]] = mu, rate, decay
        places = [address(array, np.int64) for array in (now, shared)]
        passed = set()

        def work(number):
            passed.add(run(self.tables.address, *places, number, n_threads))

        numbers = [k for k in range(n_threads) if k != abort]
        threads = [threading.Thread(target=work, args=(k,)) for k in numbers]
        for thread in threads:
            thread.start()
        if abort is not None:
            shared[at.ABORTED] = 1
        for thread in threads:
            thread.join()
        assert np.isnan(self.beyond).all(), "beyond the work area"
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


@pytest.mark.slow
@pytest.mark.parametrize(("cpu_name", "dtype"), OTHERS)
def test_other_processors(cpu_name, dtype, monkeypatch):
    use_processor(monkeypatch, cpu_name)
    for shape in ((60, 100), (111, 75)):
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
