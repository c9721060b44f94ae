"""What is explained: one number of a prediction, and its slopes by raw outputs.

The raw outputs of the members of an ensemble, and of members that share weights, are
put together as predictions do it (`nnfit.estimators.probabilities`,
`nnfit.functions.pools`), in float64.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

from nnfit.estimators.targets import BINARY, MULTICLASS
from nnfit.functions.links import PROBABILITY_LINKS

DECISION, PROBABILITY, PREDICTION = "decision_function", "predict_proba", "predict"


@dataclass(frozen=True)
class Output:
    """One number of a prediction.

    Attributes
    ----------
    method : {"decision_function", "predict_proba", "predict"}
    kind : str or None
        Of a classifier's target.
    link : str
        Inverse link of the networks.
    temperatures : tuple of float
        Of each network; 1 where there is none.
    units : tuple of (dict or None)
        From outputs of each network to targets, see `nnfit.network.fitted.in_units`.
    weights : tuple of float or None, default=None
        Of each network in the mean; None for equal ones.
    temperature : float, default=1.0
        What the raw output that stands for the mean is divided by.
    """

    method: str
    kind: str | None
    link: str
    temperatures: tuple
    units: tuple
    weights: tuple | None = None
    temperature: float = 1.0

    def is_linear(self, raws):
        """Whether it has the same slopes by all raw outputs of a column."""
        if any(raw.shape[1] > 1 for raw in raws) and self.link != "identity":
            return False
        if self.method == DECISION:
            return len(raws) == 1 or self.link not in PROBABILITY_LINKS
        return self.method == PREDICTION and self.link == "identity"

    def of(self, raws, index):
        """Values, and slopes by the raw outputs.

        Parameters
        ----------
        raws : list of ndarray of shape (n, n_lines, n_outputs)
            Of each network.
        index : ndarray of int of shape (n,)
            Which class, label or target of each row.

        Returns
        -------
        values : ndarray of float64 of shape (n,)
        slopes : list of ndarray of float64, like `raws`
        """
        raws = [raw.astype(np.float64) for raw in raws]
        pooled = [pool(raw, self.link) for raw in raws]
        outputs = [
            raw / temperature
            for (raw, _), temperature in zip(pooled, self.temperatures, strict=True)
        ]
        values, slopes = self._of_networks(outputs, index)
        return values, [
            pull(slope / temperature)
            for (_, pull), slope, temperature in zip(
                pooled, slopes, self.temperatures, strict=True
            )
        ]

    def _of_networks(self, outputs, index):
        """The same from one raw output (n, n_outputs) of each network."""
        if self.method == PREDICTION:
            found = [
                _prediction(raw, self.link, index, units)
                for raw, units in zip(outputs, self.units, strict=True)
            ]
            values, slopes = zip(*found, strict=True)
            weights = _weights(self.weights, len(outputs))
            values = np.tensordot(weights, values, axes=1)
            return values, [w * own for w, own in zip(weights, slopes, strict=True)]
        together, link, pull = self._together(np.stack(outputs, axis=1))
        of_raw = _score if self.method == DECISION else partial(_probability, link=link)
        values, slopes = of_raw(together / self.temperature, self.kind, index)
        return values, list(np.moveaxis(pull(slopes / self.temperature), 1, 0))

    def _together(self, raws):
        """Raw outputs of several networks as one, see `probabilities.pooled`.

        Returns
        -------
        together : ndarray of shape (n, n_outputs)
        link : str
            Inverse link of these.
        pull : callable
        """
        link = self.link
        if link == "logistic" and self.kind == MULTICLASS and raws.shape[1] > 1:
            together, pull = pool(log_expit(raws), "softmax", self.weights)
            return together, "softmax", lambda slopes: pull(slopes) * expit(-raws)
        mean = link if link in PROBABILITY_LINKS else "identity"
        together, pull = pool(raws, mean, self.weights)
        return together, link, pull


def pool(raw, link, weights=None):
    """One raw output of several, of which the link makes the mean of theirs.

    Parameters
    ----------
    raw : ndarray of shape (n, n_members, n_outputs)
    link : str
    weights : sequence of float or None, default=None
        Of the members in the mean, whose sum is 1; None for equal ones.

    Returns
    -------
    pooled : ndarray of shape (n, n_outputs)
    pull : callable
        Makes slopes (n, n_members, n_outputs) by `raw` of those by `pooled`.
    """
    n_members = raw.shape[1]
    if n_members == 1 and link != "sorted":
        return raw[:, 0], lambda slopes: slopes[:, None]
    weights = _weights(weights, n_members)[:, None]
    counts = np.log(weights)
    if link == "softmax":
        logarithms = log_softmax(raw, axis=2)
        p, shares = np.exp(logarithms), softmax(logarithms + counts, axis=1)

        def pull(slopes):
            own = slopes[:, None] * shares
            return own - p * own.sum(axis=2, keepdims=True)

        return logsumexp(logarithms + counts, axis=1), pull
    if link == "logistic":
        for_it, against = log_expit(raw) + counts, log_expit(-raw) + counts
        rise = softmax(for_it, axis=1) * expit(-raw)
        rise += softmax(against, axis=1) * expit(raw)
        odds = logsumexp(for_it, axis=1) - logsumexp(against, axis=1)
        return odds, lambda slopes: slopes[:, None] * rise
    if link == "exp":
        shares = softmax(raw + counts, axis=1)
        return logsumexp(raw + counts, axis=1), lambda slopes: slopes[:, None] * shares
    order = np.argsort(raw, axis=2) if link == "sorted" else np.arange(raw.shape[2])
    order = np.broadcast_to(order, raw.shape)

    def unsort(slopes):
        own = np.empty_like(raw)
        shares = np.broadcast_to(slopes[:, None] * weights, raw.shape)
        np.put_along_axis(own, order, shares, axis=2)
        return own

    pooled = np.einsum("nmo,m->no", np.take_along_axis(raw, order, 2), weights[:, 0])
    return pooled, unsort


def _weights(weights, n):
    """Weights of a mean, equal ones for None."""
    return np.full(n, 1.0 / n) if weights is None else np.asarray(weights)


def _chosen(raw, index, slopes):
    """Slopes (n, n_outputs) that are 0 but in a column of each row."""
    found = np.zeros_like(raw)
    found[np.arange(len(raw)), index] = slopes
    return found


def _score(raw, kind, index):
    """Score of a class or label; of two classes that of the first is the negative."""
    if kind == BINARY:
        sign = 2.0 * index - 1.0
        return sign * raw[:, 0], sign[:, None]
    return raw[np.arange(len(raw)), index], _chosen(raw, index, 1.0)


def _probability(raw, kind, index, link):
    if kind != MULTICLASS:
        score, sign = _score(raw, kind, index)
        return expit(score), sign * (expit(score) * expit(-score))[:, None]
    is_softmax = link == "softmax"
    p = softmax(raw if is_softmax else log_expit(raw), axis=1)
    own = p[np.arange(len(raw)), index]
    slopes = _chosen(raw, index, own) - own[:, None] * p
    return own, slopes if is_softmax else slopes * expit(-raw)


def _prediction(raw, link, index, units):
    """Prediction in the units of the targets."""
    value, slope = raw[np.arange(len(raw)), index], 1.0
    if link == "exp":
        value = slope = np.exp(value)
    if units is not None:
        shift = np.broadcast_to(units["shift"], raw.shape[1])[index]
        value, slope = value * units["scale"] + shift, slope * units["scale"]
    return value, _chosen(raw, index, slope)
