"""Predictions are finite: what to do where numbers become too large for their type."""

import numpy as np

from nnfit.training.loop import divergence_message

#: A network that has learnt has no weight as large; one that has is looked at closely.
LARGE_WEIGHT = 1e4


class Overflow(ValueError):
    """Outputs of a network that no type holds."""


def finite_outputs(compute, X, raw):
    """Outputs of a network, of which none is infinite or NaN.

    Rows whose sums overflow in float32 are computed again in float64, which weights and
    rows of float32 rarely overflow. What is still too large for the type of `X`, such
    as an exponential function, becomes the type's largest number.

    Parameters
    ----------
    compute : callable
        ``compute(X, raw) -> outputs``, in the type of `X`.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    raw : bool
        Whether the outputs are those before the inverse link.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)

    Raises
    ------
    Overflow
        Where not even float64 holds the raw outputs.
    """
    outputs = compute(X, raw)
    known = np.isfinite(outputs)
    if known.all():
        return outputs
    overflow = ~known.all(axis=1)
    # All rows: which units a row drops depends on its place.
    wide = X.astype(np.float64)
    exact = compute(wide, True)
    known = np.isfinite(exact).all(axis=1)
    if not known[overflow].all():
        raise Overflow(_sentence(X, np.flatnonzero(overflow & ~known)))
    if not raw:
        exact = compute(wide, False)
    outputs[overflow] = saturated(exact[overflow], outputs.dtype)
    return outputs


def check_last_step(estimator, X, settings):
    """Refuse weights that are finite and too large for the training rows.

    Training notices what a step has done in the forward pass of the next one, and the
    last step has none.

    Parameters
    ----------
    estimator : BaseMLP
        Just trained, a single network.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    settings : EngineSettings

    Raises
    ------
    ValueError
        With the sentence for weights that are not finite.
    """
    weights = estimator._weights()
    arrays = (*weights.coefs, *weights.intercepts)
    # Without absolute values, which would be another copy of the largest array.
    if all(-LARGE_WEIGHT < a.min() and a.max() < LARGE_WEIGHT for a in arrays):
        return
    try:
        estimator._outputs(estimator, X, True)
    except Overflow as error:
        message = divergence_message(settings, estimator.solver != "lbfgs")
        raise ValueError(message) from error


def saturated(values, dtype):
    """Numbers of a type, the largest where they are larger."""
    largest = np.finfo(dtype).max
    return np.clip(values, -largest, largest).astype(dtype, copy=False)


def _sentence(X, rows):
    largest = abs(X[rows[:1]]).max()
    return (
        f"The network's outputs overflow float64 in {len(rows)} of {X.shape[0]} rows, "
        f"the first of them row {rows[0]}, whose values in X reach {largest:.3g}. "
        "Scale X (for example with sklearn.preprocessing.StandardScaler). If X is as "
        "in the training, the weights have become too large: fit again with a lower "
        "learning_rate_init. A function of your own must be finite for any number."
    )
