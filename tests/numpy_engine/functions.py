"""Activations, losses and links on whole arrays.

The common ones are written out again, so that a mistake in ``nnfit.functions``
shows as a difference; those that are not listed (new rows, users' own) fall back to
the scalar function, element by element.
"""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax, xlogy

from nnfit.functions.links import LINKS

# activations: z -> (value, slope) --------------------------------------------


def _relu(z):
    return np.maximum(z, 0), (z > 0).astype(z.dtype)


def _tanh(z):
    value = np.tanh(z)
    return value, 1 - value**2


def _logistic(z):
    value = expit(z)
    return value, value * (1 - value)


def _identity(z):
    return z, np.ones_like(z)


ACTIVATIONS = {
    "identity": _identity,
    "logistic": _logistic,
    "tanh": _tanh,
    "relu": _relu,
}


def activate(activation, z):
    """Value and slope of an activation at every element of ``z``; None for identity."""
    if activation is None:
        return _identity(z)
    if activation.name in ACTIVATIONS:
        return ACTIVATIONS[activation.name](z)
    pairs = [activation.function(float(item)) for item in z.ravel()]
    both = np.array(pairs, dtype=z.dtype).reshape(*z.shape, 2)
    return both[..., 0], both[..., 1]


# losses: raw (n, k), y (n, n_y), params -> (values (n,), gradient (n, k)) ----


def _softmax(raw, y, params):
    k = raw.shape[1]
    target = np.eye(k, dtype=raw.dtype)[y[:, 0].astype(int)]
    target = target * (1 - params[0]) + params[0] / k
    value = -(target * log_softmax(raw, axis=1)).sum(axis=1)
    return value, softmax(raw, axis=1) - target


def _log_loss(raw, y, params):
    target = y * (1 - params[0]) + params[0] / 2
    value = np.logaddexp(0, raw) - target * raw
    return value.sum(axis=1), expit(raw) - target


def _focal(raw, y, params):
    gamma, z = params[0], raw.astype(np.float64)
    p = expit(z)
    right = np.where(y > 0.5, p, expit(-z))  # 1 - p has no digits left where p is 1
    wrong = np.where(y > 0.5, expit(-z), p)
    value = -(wrong**gamma) * np.log(right)
    slope = gamma * wrong**gamma * right * np.log(right) - wrong ** (gamma + 1)
    return value.sum(axis=1), np.where(y > 0.5, slope, -slope)


def _focal_softmax(raw, y, params):
    gamma, k = params[0], raw.shape[1]
    target = np.eye(k)[y[:, 0].astype(int)]
    p = softmax(raw.astype(np.float64), axis=1)
    right = (p * target).sum(axis=1)
    wrong = (p * (1 - target)).sum(axis=1)
    value = -(wrong**gamma) * np.log(right)
    by_right = gamma * wrong ** (gamma - 1) * np.log(right) - wrong**gamma / right
    return value, (by_right * right)[:, None] * (target - p)


def _squared_hinge(raw, y, params):
    sign = np.where(y > 0.5, 1, -1).astype(raw.dtype)
    short = np.maximum(1 - sign * raw, 0)
    return (short**2).sum(axis=1), -2 * sign * short


def _squared_error(raw, y, params):
    return 0.5 * ((raw - y) ** 2).sum(axis=1), raw - y


def _quantile(raw, y, params):
    levels = np.asarray(params, dtype=raw.dtype)
    error = y - raw
    value = np.maximum(levels * error, (levels - 1) * error)
    return value.sum(axis=1), np.where(error > 0, -levels, 1 - levels) * (error != 0)


def _poisson(raw, y, params):
    mean = np.exp(raw)
    return (xlogy(y, y) - y * raw - y + mean).sum(axis=1), mean - y


def _divergence(raw, y, params):
    """Of a normal distribution of mean 0 from a standard one, by its log variance."""
    return 0.5 * (np.exp(raw) - 1 - raw).sum(axis=1), 0.5 * (np.exp(raw) - 1)


def _reconstruction(raw, y, params):
    values, gradient, start = np.zeros(len(raw), raw.dtype), np.zeros_like(raw), 0
    for column, (width, weight) in enumerate(np.reshape(params, (-1, 2))):
        z, target = raw[:, start : start + max(int(width), 1)], y[:, column]
        if width > 1:
            known = target >= 0
            own = _softmax(z[known], target[known, None], (0.0,))
        else:
            known = ~np.isnan(target)
            of_column = {1: _squared_error, 0: _log_loss, -1: _divergence}[width]
            own = of_column(z[known], target[known, None], (0.0,))
        values[known] += weight * own[0]
        gradient[known, start : start + z.shape[1]] = weight * own[1]
        start += z.shape[1]
    return values, gradient


LOSSES = {
    "softmax": _softmax,
    "log_loss": _log_loss,
    "focal": _focal,
    "focal_softmax": _focal_softmax,
    "squared_hinge": _squared_hinge,
    "squared_error": _squared_error,
    "reconstruction": _reconstruction,
    "quantile": _quantile,
    "poisson": _poisson,
}


def row_losses(network, raw, y):
    """Loss of every row and its gradient in the raw predictions."""
    loss = network.loss
    with np.errstate(all="ignore"):
        if loss.name in LOSSES:
            values, gradient = LOSSES[loss.name](raw, y, network.loss_parameters)
        else:
            gradient = np.empty_like(raw)
            values = np.array(
                [
                    loss.function(
                        [float(item) for item in raw[i]],
                        [float(item) for item in y[i]],
                        gradient[i],
                        raw.shape[1],
                        network.loss_parameters,
                    )
                    for i in range(len(raw))
                ]
            )
    return np.asarray(values, dtype=np.float64), gradient.astype(raw.dtype, copy=False)


def reported(network):
    """Factor of the losses that are reported: some are means over the outputs."""
    return 1 / network.n_outputs if network.loss.average_outputs else 1.0


def pool(network, raw):
    """Raw predictions of which the link makes the mean of the members' predictions."""
    k = network.lines[-1]
    if k == 1:
        return raw
    members, name = raw.reshape(-1, k, raw.shape[1]), network.loss.link
    if name == "softmax":
        members = log_softmax(members, axis=2)
    if name in ("softmax", "exp"):
        return logsumexp(members, axis=1) - np.log(k).astype(raw.dtype)
    if name == "logistic":
        return logsumexp(log_expit(members), axis=1) - logsumexp(
            log_expit(-members), axis=1
        )
    if name == "sorted":
        members = np.sort(members, axis=2)
    return members.mean(axis=1)


# links: raw -> predictions ---------------------------------------------------


def link(network, raw):
    """Predictions from raw predictions."""
    with np.errstate(all="ignore"):
        if network.loss.link == "softmax":
            return np.exp(raw - logsumexp(raw, axis=1, keepdims=True))
        if network.loss.link == "logistic":
            return expit(raw)
        if network.loss.link == "exp":
            return np.exp(raw)
        out = np.empty_like(raw)
        for i in range(len(raw)):
            LINKS[network.loss.link](raw[i], out[i], raw.shape[1])
        return out
