"""Which families of models a preset has, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from nnfit.estimators.realmlp import RealMLPClassifier, RealMLPRegressor
from nnfit.estimators.settings import most_epochs
from nnfit.estimators.tabm import TabMClassifier, TabMRegressor
from nnfit.estimators.tabular_network import (
    TabularNetworkClassifier,
    TabularNetworkRegressor,
)
from nnfit.estimators.targets import MULTILABEL
from nnfit.tabular.models import BoostingModel, Columns, NetworkModel

#: Name of the partner, and of what it is for users.
PARTNER, BOOSTING = "hist_gradient_boosting", "HistGradientBoosting"
#: Families of networks by their names: classes of both tasks.
NETWORKS = {
    "TabularNetwork": (TabularNetworkClassifier, TabularNetworkRegressor),
    "RealMLP": (RealMLPClassifier, RealMLPRegressor),
    "TabM": (TabMClassifier, TabMRegressor),
}
#: What they are, for `explain_choice`.
WORDS = {
    "TabularNetwork": "a network with learnt piecewise linear functions of numbers",
    "RealMLP": "a network with learnt cosines of numbers, trained by its own recipe",
    "TabM": "members that share the weights of one network",
    BOOSTING: "scikit-learn's boosted trees",
}
#: Members of a family. Beside CatBoost's, on 12 tables of at most 8,000 rows, the mean
#: error of five networks is 0.94 and the log-loss 0.96, in 2.5 times its time for 1,000
#: rows; of two shorter trained ones and two of TabM 0.96 and 0.98, in the same time and
#: up to 9 times on single tables. "best" with five members of each is as good as with
#: three.
N_MEMBERS = {"fast": 2, "default": 5, "best": 3}
#: Preset of the network, whose longer training makes the mixture of "best" no better.
NETWORK_PRESET = {"fast": "fast", "default": "default", "best": "fast"}
#: Epochs of RealMLP in a mixture: a quarter of its own (abalone .648 instead of .655).
REALMLP_EPOCHS = 64
#: Of the boosting: small steps, as many as help on the rows held out.
BOOSTING_PARAMETERS = {
    "learning_rate": 0.05,
    "max_iter": 1000,
    "n_iter_no_change": 40,
    "early_stopping": True,
}


class Family(NamedTuple):
    """Models that differ in their rows and random numbers.

    Attributes
    ----------
    name : str
    make : callable
        Takes a seed, and returns a new model.
    """

    name: str
    make: Callable[[int], Any]


def families_of(estimator, data, scoring):
    """The families that an estimator trains, in the order of their training.

    Parameters
    ----------
    estimator : Tabular
    data : Data
    scoring : str, callable or None
        By which networks find their best epoch.

    Returns
    -------
    families : list of Family
    notes : list of str
        Sentences about what is left out.
    """
    is_best = estimator.preset == "best"
    networks = partial(_networks, estimator, n_rows=len(data.rows.X), scoring=scoring)
    families = [networks("TabularNetwork", preset=NETWORK_PRESET[estimator.preset])]
    if is_best:
        families.append(networks("TabM"))
    notes = []
    wanted = estimator.partner == PARTNER or (is_best and estimator.partner == "auto")
    if wanted and (reason := _no_boosting(estimator, data)):
        if estimator.partner == PARTNER:
            raise ValueError(
                f"partner={PARTNER!r} {reason}. Set partner=None, or fit one estimator "
                "for each output, for example with sklearn.multioutput."
            )
        notes.append(f"{BOOSTING} is left out: it {reason}.")
    elif wanted:
        families.append(_boosting(estimator, data))
    if is_best:
        families.append(networks("RealMLP", max_iter=REALMLP_EPOCHS))
    return families, notes


def _networks(estimator, name, n_rows, scoring, **parameters):
    is_classifier = estimator._task == "classification"
    cls = NETWORKS[name][0 if is_classifier else 1]
    for each in ("device", "dtype", "n_jobs"):
        parameters[each] = getattr(estimator, each)
    if is_classifier:
        parameters["class_weight"] = estimator.class_weight
    epochs = most_epochs(cls(**parameters), n_rows)
    if estimator.max_iter is not None:
        epochs = min(epochs, estimator.max_iter)
    parameters |= {"max_iter": epochs, "scoring": scoring}

    def make(seed):
        return NetworkModel(cls(random_state=seed, **parameters))

    return Family(name, make)


def _no_boosting(estimator, data):
    """Why the partner cannot be trained; None if it can."""
    if getattr(estimator, "_target_kind", None) == MULTILABEL:
        return "has no multilabel targets"
    if data.rows.target.shape[1] > 1:
        return "has no targets of several outputs"
    if len(getattr(estimator, "classes_", (0, 1))) < 2:
        return "needs two classes"
    return None


def _boosting(estimator, data):
    is_classifier = estimator._task == "classification"
    cls = HistGradientBoostingRegressor
    if is_classifier:
        cls = HistGradientBoostingClassifier
    columns = Columns(data.rows.X, sorted(data.learnt["categories"] or ()))

    def make(seed):
        model = cls(random_state=seed, **BOOSTING_PARAMETERS)
        return BoostingModel(model, columns, estimator.n_jobs)

    return Family(BOOSTING, make)
