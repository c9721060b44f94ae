"""What attributions along a path are returned as."""

from dataclasses import dataclass

import numpy as np

from nnfit.estimators.annotations import FloatArray


@dataclass(frozen=True)
class Attributions:
    """How much of a prediction each feature accounts for.

    The values of a row sum to ``outputs - base_values``, but for ``errors``.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_features)
        In the units of what is explained.
    outputs : ndarray of shape (n_samples,)
        What is explained, for each row.
    base_values : ndarray of shape (n_samples,)
        The same where the paths begin: at the baseline, or the mean over the
        background.
    errors : ndarray of shape (n_samples,)
        Estimate of the error of the sum, never less than the error itself.
    n_evaluations : ndarray of int of shape (n_samples,)
        Points of the network's function that were looked at.
    standard_errors : ndarray of shape (n_samples, n_features) or None
        Of values that come from random orders.
    """

    values: FloatArray
    outputs: FloatArray
    base_values: FloatArray
    errors: FloatArray
    n_evaluations: np.ndarray
    standard_errors: FloatArray | None = None
