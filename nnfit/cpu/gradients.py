"""Gradients by the features, of the network as it predicts.

The program is one segment of rows: forward, the gradient by the raw outputs as it is
given, and the way back to the features. It consists of the instructions of training and
predictions; nothing else is compiled.
"""

import ctypes
from functools import lru_cache

import numpy as np

from nnfit.addresses import address
from nnfit.cpu import fields as at
from nnfit.cpu import kernels
from nnfit.cpu import target as targets
from nnfit.cpu.layout import aligned_zeros, layout_of
from nnfit.cpu.plans import Plan, begin_forward, row_block
from nnfit.cpu.prediction import MIN_PART, predict_together
from nnfit.cpu.tables import POINTER, Forward, Tables

#: ``after(table, row, unit)`` of a unit, see `nnfit.cpu.kernels.operations`.
AFTER = ctypes.CFUNCTYPE(None, POINTER, POINTER, POINTER)


class Gradients:
    """A network with weights, whose gradients are wanted again and again.

    Parameters
    ----------
    network : nnfit.network.description.Network
    weights : nnfit.network.Weights
    """

    def __init__(self, network, weights):
        self.network = network
        layout = layout_of(network, targets.host())
        self._flat = aligned_zeros(layout.size, network.dtype)
        layout.pack(weights, self._flat)
        self._tables = {}  # by rows and the end of the program

    def raw(self, X, n_threads=1):
        """Raw outputs of all lines.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Of the network's dtype, C-contiguous.
        n_threads : int, default=1

        Returns
        -------
        ndarray of shape (n_samples, n_lines, n_outputs)
        """
        tables = self._tables_for(X, True, n_threads)
        raw = _run(tables, X).reshape(len(X), self.network.lines[-1], -1)
        return raw[:, :, : self.network.n_outputs]

    def by_features(self, X, seeds, n_threads=1):
        """Gradients by the features of sums of raw outputs.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Of the network's dtype, C-contiguous.
        seeds : ndarray of shape (n_samples, n_lines, n_outputs)
            What is summed has the gradient `seeds` by the raw outputs of a row.
        n_threads : int, default=1

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        tables = self._tables_for(X, False, n_threads)
        n_lines, n_targets = self.network.lines[-1], int(tables[0].ints[at.N_TARGETS])
        padded = np.zeros((len(X), n_lines, n_targets // n_lines), X.dtype)
        padded[:, :, : self.network.n_outputs] = seeds
        for each in tables:
            each.ints[at.Y] = address(padded, X.dtype)
        return _run(tables, X)

    def _tables_for(self, X, ends_with_raw, n_threads):
        """Tables of each thread, which are kept."""
        # Powers of two, so that few plans serve all.
        size = 1 << max(0, len(X) - 1).bit_length()
        key = min(row_block(self.network), size), ends_with_raw
        tables = self._tables.setdefault(key, [])
        n_threads = max(1, min(n_threads, -(-len(X) // MIN_PART)))
        while len(tables) < n_threads:
            tables.append(_Explained(self.network, self._flat, *key))
        return tables[:n_threads]


def _run(tables, X):
    if len(tables) == 1:
        return tables[0].predict(X, raw=True)
    return predict_together(tables, X, True)


class _Explained(Forward):
    """Tables of `gradient_plan`, whose `predict` returns what the program ends with."""

    def __init__(self, network, flat, n_rows, ends_with_raw):
        plan = gradient_plan(network, targets.host(), n_rows, ends_with_raw)
        Tables.__init__(self, plan, flat)
        now = ctypes.cast(int(self.ints[at.NOW]), ctypes.POINTER(ctypes.c_double))
        now[at.NOW_WEIGHT_SUM] = 1.0  # seeds are gathered as targets are
        self._derive()

    def _derive(self):
        """What follows from parameters, such as matrices transposed."""
        ints, units = self.ints, int(self.ints[at.UNITS])
        table, word = self.address, ints.itemsize
        for number in range(int(ints[at.N_UNITS] + ints[at.N_FROZEN_UNITS])):
            unit = units + number * at.UNIT
            if ints[unit + at.U_AFTER]:
                row = int(ints[unit + at.U_ROW])
                places = table, table + row * word, table + unit * word
                AFTER(int(ints[unit + at.U_AFTER]))(*places)


@lru_cache(maxsize=32)
def gradient_plan(network, target, n_rows, ends_with_raw):
    """Plan of the raw outputs of all lines, or of gradients by the features.

    Parameters
    ----------
    network : nnfit.network.description.Network
    target : nnfit.cpu.target.Target
    n_rows : int
    ends_with_raw : bool
    """
    plan = Plan(network, target, n_rows, kernels.PREDICTION, explains=True)
    plan.buffer(at.NOW, at.NOW_FIELDS, np.int64)
    begin_forward(plan)
    if ends_with_raw:
        _end_with_raw(plan)
    else:
        _seed(plan)
        plan.graph.way_back()
        _end_with_features(plan)
    return plan.finish()


def _end_with_raw(plan):
    """Let `predict` write all lines of a row, one after the other."""
    row, words = plan.graph.rows[-1], plan.words
    words[at.N_OUTPUTS] = words[row + at.LINES] * words[row + at.STRIDE]
    words[at.RAW_STRIDE] = words[at.N_OUTPUTS]


def _seed(plan):
    """Gather the gradient by the raw outputs, as if it were that many targets."""
    row, words = plan.graph.rows[-1], plan.words
    words[at.N_TARGETS] = words[row + at.LINES] * words[row + at.GRADIENT_STRIDE]
    words[at.RAW_LINES] = 1
    plan.same(at.BATCH_Y, row + at.GRADIENT_BY_OUTPUT)
    plan.buffer(at.BATCH_WEIGHT, plan.n_rows)
    plan.buffer(at.BATCH_LOSS_WEIGHT, plan.n_rows)
    gather = plan.kernel(kernels.BATCH).address("gather_targets")
    plan.program.rows(gather, plan.graph.rows[0])


def _end_with_features(plan):
    """Let `predict` write the gradient by the features."""
    row, words = plan.graph.rows[0], plan.words
    plan.same(at.RAW, row + at.GRADIENT_BY_OUTPUT)
    words[at.RAW_STRIDE] = words[row + at.GRADIENT_STRIDE]
    words[at.N_OUTPUTS] = plan.network.n_features
