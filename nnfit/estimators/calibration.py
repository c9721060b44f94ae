"""Temperature scaling: one number that makes probabilities honest.

Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks",
arXiv:1706.04599.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit

from nnfit.estimators.probabilities import log_probabilities
from nnfit.estimators.targets import MULTICLASS

#: Temperatures that are tried. Validation data without any mistake ask for 0.
LOWEST, HIGHEST = 0.05, 1000.0


def find_temperature(raw, target, sample_weight, kind, link):
    """The number by which to divide raw predictions.

    Parameters
    ----------
    raw : ndarray of shape (n_samples, n_outputs)
        Raw predictions of validation data.
    target : ndarray of shape (n_samples, 1) or (n_samples, n_outputs)
        Number of the class, or 0 and 1 for each output.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights in the loss.
    kind, link : str
        See `nnfit.estimators.probabilities.log_probabilities`.

    Returns
    -------
    float
        Where the mean log-loss is smallest, between 0.05 and 1000.
    """
    raw = raw.astype(np.float64)
    if kind == MULTICLASS:
        is_index = target.shape[1] == 1
        classes = target[:, 0].astype(int) if is_index else target.argmax(axis=1)
        rows = np.arange(len(raw))

    def loss(log_temperature):
        scaled = raw * np.exp(-log_temperature)
        if kind == MULTICLASS:
            fits = log_probabilities(scaled, kind, link)[rows, classes]
        else:
            fits = log_expit(np.where(target > 0.5, scaled, -scaled)).sum(axis=1)
        return -np.average(fits, weights=sample_weight)

    # The loss is convex in 1 / T and so has one minimum in log(T).
    bounds = np.log([LOWEST, HIGHEST])
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))
