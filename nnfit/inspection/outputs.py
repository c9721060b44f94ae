"""What is explained: one number of a prediction, and its slopes by raw outputs.

The raw outputs of the members of an ensemble, and of members that share weights, are
put together as predictions do it (`nnfit.estimators.probabilities`,
`nnfit.functions.pools`), in float64.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

from nnfit.estimators.targets import BINARY, MULTICLASS
from nnfit.functions.losses import PROBABILITY_LINKS

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
    """

    method: str
    kind: str | None
    link: str
    temperatures: tuple
    units: tuple

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
        if self.method == DECISION:
            together, pull = self._together(np.stack(outputs, axis=1))
            values, slopes = _score(together, self.kind, index)
            return values, list(np.moveaxis(pull(slopes), 1, 0))
        found = [
            _probability(raw, self.kind, self.link, index)
            if self.method == PROBABILITY
            else _prediction(raw, self.link, index, units)
            for raw, units in zip(outputs, self.units, strict=True)
        ]
        values, slopes = zip(*found, strict=True)
        return np.mean(values, axis=0), [each / len(outputs) for each in slopes]

    def _together(self, raws):
        """Raw outputs of several networks as one, see `probabilities.pooled`."""
        if self.link not in PROBABILITY_LINKS:
            return pool(raws, "identity")
        if self.kind != MULTICLASS or self.link == "softmax" or raws.shape[1] == 1:
            return pool(raws, self.link)
        together, pull = pool(log_expit(raws), "softmax")
        return together, lambda slopes: pull(slopes) * expit(-raws)


def pool(raw, link):
    """One raw output of several, of which the link makes the mean of theirs.

    Parameters
    ----------
    raw : ndarray of shape (n, n_members, n_outputs)
    link : str

    Returns
    -------
    pooled : ndarray of shape (n, n_outputs)
    pull : callable
        Makes slopes (n, n_members, n_outputs) by `raw` of those by `pooled`.
    """
    n_members = raw.shape[1]
    if n_members == 1 and link != "sorted":
        return raw[:, 0], lambda slopes: slopes[:, None]
    if link == "softmax":
        logarithms = log_softmax(raw, axis=2)
        p, shares = np.exp(logarithms), softmax(logarithms, axis=1)

        def pull(slopes):
            own = slopes[:, None] * shares
            return own - p * own.sum(axis=2, keepdims=True)

        return logsumexp(logarithms, axis=1) - np.log(n_members), pull
    if link == "logistic":
        for_it, against = log_expit(raw), log_expit(-raw)
        rise = softmax(for_it, axis=1) * expit(-raw)
        rise += softmax(against, axis=1) * expit(raw)
        odds = logsumexp(for_it, axis=1) - logsumexp(against, axis=1)
        return odds, lambda slopes: slopes[:, None] * rise
    if link == "exp":
        shares = softmax(raw, axis=1)
        pooled = logsumexp(raw, axis=1) - np.log(n_members)
        return pooled, lambda slopes: slopes[:, None] * shares
    order = np.argsort(raw, axis=2) if link == "sorted" else np.arange(raw.shape[2])
    order = np.broadcast_to(order, raw.shape)

    def unsort(slopes):
        own = np.empty_like(raw)
        shares = np.broadcast_to(slopes[:, None] / n_members, raw.shape)
        np.put_along_axis(own, order, shares, axis=2)
        return own

    return np.take_along_axis(raw, order, axis=2).mean(axis=1), unsort


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


def _probability(raw, kind, link, index):
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
