"""Losses that take several rows at once, beside the same row by row."""

import ctypes

import numpy as np
import pytest

from nnfit.cpu import compiling, kernels
from nnfit.cpu.kernels.elementwise import MOST_OUTPUTS
from nnfit.functions.losses import LOSSES

OF_ROWS = [row for row in LOSSES.values() if row.of_rows is not None]


def row_by_row(row, raw, y, params):
    gradient = np.zeros_like(raw)
    values = [
        row.function(*each, len(each[0]), params)
        for each in zip(raw.tolist(), y[:, None].tolist(), gradient, strict=True)
    ]
    return np.array(values), gradient


@pytest.mark.parametrize("row", OF_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("n_out", [2, 3, 10])
def test_rows_at_once_are_the_rows(row, n_out):
    rng, params = np.random.default_rng(n_out), [0.1]
    raw, y = rng.normal(0.0, 30.0, (8, n_out)), rng.integers(0, n_out, 8)
    values, gradient = row_by_row(row, raw, y, params)
    z, own = raw.T.ravel(), np.zeros(8)
    row.of_rows(z, y, own, np.zeros(24), 8, n_out, params)
    np.testing.assert_allclose(own, values, rtol=1e-14)
    np.testing.assert_allclose(z.reshape(n_out, 8).T, gradient, rtol=1e-14)


def compiled(row, raw, y, weights, params):
    """Losses and gradient by the kernel, from rows that lie 48 numbers apart."""
    pointer, int64 = ctypes.c_void_p, ctypes.c_int64
    kernel = compiling.load(kernels.LOSS, row.name, "float32")
    function = kernel.function(
        "loss", None, pointer, int64, pointer, int64, *3 * [pointer], int64, int64,
        pointer,
    )  # fmt: skip
    n, n_out = raw.shape
    gradient, losses = np.zeros((n, 48), np.float32), np.zeros(n)
    rows = np.full((n, 48), np.nan, np.float32)
    rows[:, :n_out] = raw
    arrays = rows, y, gradient, losses, weights, params
    at = [array.ctypes.data for array in arrays]
    function(at[0], 48, at[1], 1, at[2], at[3], at[4], n, n_out, at[5])
    assert not gradient[:, n_out:].any()
    return losses, gradient[:, :n_out]


@pytest.mark.parametrize("row", OF_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("n_out", [2, 7, MOST_OUTPUTS, MOST_OUTPUTS + 1])
def test_compiled_rows_do_not_depend_on_others(row, n_out):
    rng, params = np.random.default_rng(n_out), np.array([0.1], np.float32)
    raw = rng.normal(0.0, 30.0, (71, n_out)).astype(np.float32)
    y = rng.integers(0, n_out, 71).astype(np.float32)
    weights = rng.uniform(0.0, 2.0, 71).astype(np.float32)
    losses, gradient = compiled(row, raw, y, weights, params)
    values, expected = row_by_row(row, raw.astype(np.float64), y, [0.1])
    np.testing.assert_allclose(losses, values * weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, expected * weights[:, None], atol=1e-6)
    for rows in (slice(0, 1), slice(3, 36), slice(40, 71)):
        part = compiled(row, raw[rows], y[rows], weights[rows], params)
        np.testing.assert_array_equal(part[0], losses[rows])
        np.testing.assert_array_equal(part[1], gradient[rows])
