"""Default validation scores, summed up while the losses are.

They agree with scikit-learn's ``accuracy_score`` and ``r2_score``, whose checks of
their arguments take longer than an epoch of a small network.
"""

import math
from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper

Scores = namedtuple("Scores", "count_right add_squares")


def make_scores():
    """Build the functions that score rows.

    Returns
    -------
    scores : Scores
        Helpers for compiled code.
    """

    @helper
    def largest(values, n):
        index = 0
        for j in range(1, n):
            if values[j] > values[index]:
                index = j
        return index

    @helper
    def is_right(kind, raw, n_outputs, y, n_targets):
        """Whether a row's raw prediction stands for its target."""
        if kind == at.ACCURACY:
            found = largest(raw, n_outputs)
            if n_targets == 1:
                return nb.float64(found) == y[0]
            return found == largest(y, n_targets)
        for j in range(n_outputs):
            if (raw[j] > 0.0) != (y[j] > 0.5):
                return False
        return True

    @helper
    def count_right(kind, raw, n_outputs, y, n_targets, weight):
        """Weight of a row if it is right, else 0; NaN if a prediction is not finite."""
        for j in range(n_outputs):
            if not math.isfinite(raw[j]):
                return math.nan
        return weight if is_right(kind, raw, n_outputs, y, n_targets) else 0.0

    @helper
    def add_squares(prediction, n_outputs, y, weight, sums):
        """Add a row's squared errors to those of the columns."""
        for j in range(n_outputs):
            error = nb.float64(y[j]) - nb.float64(prediction[j])
            sums[j] += weight * error * error

    return Scores(count_right, add_squares)
