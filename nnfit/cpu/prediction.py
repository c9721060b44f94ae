"""Prediction on the CPU, with weights where they are or copied into panels first."""

from collections import deque
from contextlib import closing

import numpy as np

from nnfit.addresses import address
from nnfit.cpu import target as targets
from nnfit.cpu.graph import takes_entries
from nnfit.cpu.kernels import ACTIVATION
from nnfit.cpu.layout import aligned_zeros, layout_of
from nnfit.cpu.plans import row_kernel
from nnfit.cpu.tables import INT64, POINTER, Forward
from nnfit.cpu.thread_group import ThreadGroup
from nnfit.functions.activations import ACTIVATIONS
from nnfit.sparsity import is_sparse, operations_per_row

#: Rows, or lines of members, that are predicted without copying the weights into panels
#: first; more if they are sparse and together as much work.
FEW_ROWS = 16
#: Parts of a prediction for each thread, and the rows of one at least; there are no
#: more threads than such parts.
PARTS, MIN_PART = 8, 96


def predict(network, weights, X, *, raw=False, n_threads=1, dropout=None):
    """Predict with a fitted network; thread-safe, since nothing is kept.

    Parameters
    ----------
    network : nnfit.network.description.Network
    weights : nnfit.network.Weights
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Of the network's dtype; an ndarray C-contiguous.
    raw : bool, default=False
        Return raw predictions, before the inverse link.
    n_threads : int, default=1
    dropout : tuple, default=None
        Rates of the hidden layers, rate of the input, seed and number of a pass: drop
        units at random, as a batch of training would.

    Returns
    -------
    prediction : ndarray of shape (n_samples, n_outputs)
    """
    n_rows = X.shape[0]
    on_entries = is_sparse(X) and takes_entries(network)
    if dropout is None and _are_few(network, X):
        tables = Forward(network, None, n_rows, on_entries=on_entries, in_place=True)
        return tables.predict_in_place(weights, X, raw)
    layout = layout_of(network, targets.host())
    flat = aligned_zeros(layout.size, network.dtype)
    layout.pack(weights, flat)
    structure = {"on_entries": on_entries}
    if dropout is not None:
        rates, input_rate, *_ = dropout
        structure = {
            "on_entries": on_entries and not input_rate,
            "drops": any(rates),
            "drops_inputs": bool(input_rate),
        }
    n_threads = max(1, min(n_threads, -(-n_rows // MIN_PART)))
    tables = [Forward(network, flat, n_rows, **structure) for _ in range(n_threads)]
    if dropout is not None:
        for forward in tables:
            forward.drop(*dropout)
    if n_threads == 1:
        return tables[0].predict(X, raw)
    return predict_together(tables, X, raw)


def _are_few(network, X):
    """Whether rows take less time than to copy the weights for them."""
    n_rows = X.shape[0]
    if n_rows * network.most_lines <= FEW_ROWS or not is_sparse(X):
        return n_rows * network.most_lines <= FEW_ROWS
    dense = 2 * network.n_products
    # Work on rows takes twice as long without panels.
    return 2 * n_rows * operations_per_row(network, X) <= FEW_ROWS * dense


def predict_together(tables, X, raw):
    """Predict on a thread for each of the tables.

    Threads take parts as they come to them, so that none waits for one that other
    work keeps from running.
    """
    n_rows = X.shape[0]
    out = tables[0].empty_output(n_rows)
    kept = [forward.point_to_input(X, raw) for forward in tables]
    size = max(MIN_PART, -(-n_rows // (PARTS * len(tables))))
    parts = iter(range(0, n_rows, size))

    def work(number, keep_alive=kept):
        for begin in parts:
            tables[number].predict_rows(out, begin, min(begin + size, n_rows))

    with closing(ThreadGroup(len(tables))) as threads:
        threads.start()
        threads.run(work, abort=lambda: deque(parts, maxlen=0))
    return out


def activate(activation, z):
    """Activate every element of an array.

    Parameters
    ----------
    activation : nnfit.functions.activations.Activation
    z : ndarray, C-contiguous
        Of a compute dtype; afterwards it holds the slopes.

    Returns
    -------
    value : ndarray, like `z`
    """
    kernel = row_kernel(ACTIVATION, ACTIVATIONS, activation, z.dtype.name)
    function = kernel.function("activate", None, POINTER, POINTER, INT64, INT64, INT64)
    value = np.empty_like(z)
    places = address(z, z.dtype), address(value, z.dtype)
    function(*places, 1, z.size, z.size)
    return value
