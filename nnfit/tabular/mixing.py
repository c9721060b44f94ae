"""Weights of unlike families, found on rows held out.

Caruana, Niculescu-Mizil, Crew and Ksikes (2004), "Ensemble selection from libraries of
models", ICML. Over members that differ by their seeds alone the mean is as good.
"""

import numpy as np

from nnfit.estimators.selecting import greedy
from nnfit.tabular.models import NetworkModel

#: Weights are multiples of one over a number of at most that.
STEPS = 25


class Part:
    """A family in a mixture.

    Attributes
    ----------
    name : str
    models : list of NetworkModel or BoostingModel
    weight : float
    temperature : float or None
        What raw predictions are divided by.
    score, loss : float
        Of the rows held out.
    seconds : float
        That training has taken.
    """

    def __init__(self, name, models, seconds):
        self.name, self.models, self.seconds = name, models, seconds
        self.weight, self.temperature = 1.0, None
        self.score, self.loss = np.nan, np.nan

    @property
    def networks(self):
        """The estimators of a family of networks; none of another."""
        return [
            each.estimator for each in self.models if isinstance(each, NetworkModel)
        ]


class Held:
    """What a family makes of the rows held out.

    Attributes
    ----------
    rows : ndarray of int
        Those that a member of it was not trained on.
    values : ndarray of shape (n_samples, n_outputs)
        Mean over these members; NaN for other rows.
    """

    def __init__(self, estimator, part, trials, rows):
        index = [np.arange(len(rows.X))[trial.held] for trial in trials]
        raw = np.concatenate([trial.raw for trial in trials])
        index = np.concatenate(index)
        part.temperature = estimator._find_temperature(raw, rows.at(index))
        values = estimator._values(raw, part.temperature)
        counts = np.bincount(index, minlength=len(rows.X))
        self.rows = np.flatnonzero(counts)
        self.values = np.zeros((len(rows.X), values.shape[1]))
        np.add.at(self.values, index, values)
        with np.errstate(invalid="ignore"):
            self.values /= counts[:, None]


def mix(estimator, trials, judge):
    """Weigh families by what is best for the rows that all of them have held out.

    Parameters
    ----------
    estimator : Tabular
    trials : list of Trial
    judge : Judge
        Of all rows of which some are held out.

    Returns
    -------
    parts : list of Part
    rows : ndarray of int
        Those rows.
    values : ndarray of shape (len(rows), n_outputs)
        What the mixture makes of them.
    """
    parts, held, rows = [], [], np.arange(len(judge.rows.X))
    for name in dict.fromkeys(trial.family for trial in trials):
        own = [trial for trial in trials if trial.family == name]
        seconds = sum(trial.seconds for trial in own)
        part = Part(name, [trial.model for trial in own], seconds)
        of_part = Held(estimator, part, own, judge.rows)
        common = np.intersect1d(rows, of_part.rows)
        if len(common):  # where time has ended early, families may have none
            rows = common
            parts.append(part)
            held.append(of_part)
    judge = judge.at(rows)
    values = np.array([each.values[rows] for each in held])
    for part, own in zip(parts, values, strict=True):
        part.score, part.loss = judge.score(own), judge.loss(own)
    if len(parts) > 1:
        chosen = greedy(values, judge.cost, STEPS)
        for number, part in enumerate(parts):
            part.weight = chosen.count(number) / len(chosen)
    weights = [part.weight for part in parts]
    return parts, rows, np.tensordot(weights, values, axes=1)
