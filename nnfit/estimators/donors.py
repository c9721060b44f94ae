"""Donors: networks whose weights the parameter ``init_from`` gives to another.

What it may be is told by :data:`ALLOWED`; :func:`donor_of` makes a :class:`Donor` of
any of them, which `nnfit.estimators.transfer` takes weights from.
"""

import os
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from nnfit.estimators import by_hand, donor_files
from nnfit.functions.activations import ACTIVATIONS
from nnfit.network import Network, Weights, fitted
from nnfit.network.description import check_arrays

#: What `init_from` may be, for messages.
ALLOWED = (
    "a fitted estimator of nnfit, a fitted MLPClassifier or MLPRegressor of "
    "scikit-learn, one of them in a FrozenEstimator, the path of a checkpoint, or a "
    "pair (coefs, intercepts)"
)


class Donor(NamedTuple):
    """A network whose weights are taken.

    Attributes
    ----------
    network : Network
    weights : Weights
        Those of the last layer in the units of the targets.
    described : dict
        As estimators keep it, see `nnfit.network.fitted`; empty for plain layers.
    names : list of str or None
        Of the features.
    shifts, scales : ndarray of shape (n_features,)
        What features are standardised by.
    outputs : object
        Classes or the number of targets, and the link; None where nobody knows.
    origin : str
        What it is, for reports.
    """

    network: Network
    weights: Weights
    described: dict
    names: list | None
    shifts: np.ndarray
    scales: np.ndarray
    outputs: Any
    origin: str

    @property
    def inputs(self):
        """What stands before the chain, see `nnfit.network.fitted.plain_inputs`."""
        return self.described.get("inputs")

    @property
    def members(self):
        """Members that share weights, as plain values, or None."""
        return self.described.get("members")

    def sources(self, estimator, n_features):
        """Number of each feature of an estimator here or -1; None if nobody knows."""
        names, n = names_of(estimator), self.network.n_features
        if names is None or self.names is None:
            return np.arange(n) if n == n_features else None
        number = {name: place for place, name in enumerate(self.names)}
        return np.array([number.get(name, -1) for name in names])


def frozen(value):
    """A donor that `clone` leaves fitted: an estimator in a `FrozenEstimator`."""
    is_open = hasattr(value, "fit") and not isinstance(value, FrozenEstimator | type)
    return FrozenEstimator(value) if is_open else value


def for_member(init_from, number):
    """What a member of an ensemble starts from: a member of the donor, if it is one."""
    members = getattr(getattr(init_from, "estimator", None), "members_", None)
    return FrozenEstimator(members[number % len(members)]) if members else init_from


def donor_of(estimator):
    """The network that `init_from` names, or None.

    Parameters
    ----------
    estimator : BaseMLP

    Returns
    -------
    Donor or None

    Raises
    ------
    NotFittedError
        If it is an estimator that is not fitted.
    ValueError
        If it is nothing that has weights.
    """
    given = estimator.init_from
    if given is None:
        return None
    if isinstance(given, FrozenEstimator):
        given = given.estimator
    if isinstance(given, str | os.PathLike):
        return _of_file(given)
    if hasattr(given, "_fitted_network"):
        return _of_nnfit(given)
    if isinstance(given, BaseEstimator):
        from sklearn.neural_network import MLPClassifier, MLPRegressor  # 0.1 s

        if isinstance(given, MLPClassifier | MLPRegressor):
            return _of_scikit_learn(given)
    if isinstance(given, tuple | list) and len(given) == 2:
        return _of_arrays(*given)
    if hasattr(given, "_as_mixture"):
        raise ValueError(
            f"init_from must be one network, got the mixture {given!r}. Fit one of its "
            "models alone, such as RealMLPClassifier, and pass that."
        )
    raise ValueError(
        f"init_from must be {ALLOWED}, got {given!r}. Of a search, pass "
        "best_estimator_; of a Pipeline, its last step."
    )


def _of_nnfit(given):
    _check_is_fitted(given)
    by_hand.check_fitted(given)
    given = getattr(given, "members_", [given])[0]
    network, weights = given._fitted_network()
    weights = weights._replace(
        coefs=list(map(np.asarray, given.coefs_)),
        intercepts=list(map(np.asarray, given.intercepts_)),
    )
    return Donor(
        network,
        weights,
        given._description(),
        names_of(given),
        given.feature_shifts_,
        given.feature_scales_,
        outputs_of(given),
        type(given).__name__,
    )


def _of_file(path):
    network, weights, told, origin = donor_files.read(path)
    shifts, scales = np.array(told["shifts"]), np.array(told["scales"])
    described, names, outputs = told["described"], told["names"], told["outputs"]
    return Donor(network, weights, described, names, shifts, scales, outputs, origin)


def told(estimator, network):
    """What a checkpoint says of a network, so that it can be a donor."""
    link, names = network.loss.link, names_of(estimator)
    return donor_files.describe(estimator, link, names, outputs_of(estimator))


def _of_scikit_learn(given):
    _check_is_fitted(given)
    donor = _of_arrays(given.coefs_, given.intercepts_)
    origin = f"{type(given).__name__} of scikit-learn"
    return donor._replace(
        names=names_of(given), outputs=outputs_of(given), origin=origin
    )


def _of_arrays(coefs, intercepts):
    """Plain layers."""
    weights = Weights(
        by_hand.plain_arrays("init_from[0]", coefs),
        by_hand.plain_arrays("init_from[1]", intercepts),
    )
    sizes = fitted.sizes_of(weights.coefs)
    activations = [ACTIVATIONS["identity"]] * (len(sizes) - 2)
    loss, dtype = fitted.LOSS_OF_LINK["identity"], weights.coefs[0].dtype.name
    network = Network.dense(sizes, activations, loss, (), dtype)
    check_arrays(network.tensors, weights)
    ones = np.ones(sizes[0])
    return Donor(network, weights, {}, None, 0.0 * ones, ones, None, "arrays")


def _check_is_fitted(given):
    if not (hasattr(given, "coefs_") or hasattr(given, "members_")):
        raise NotFittedError(
            f"init_from must be fitted, got a {type(given).__name__} that is not. Fit "
            "it first; if it was, scikit-learn has cloned it: pass "
            "FrozenEstimator(estimator), which clones leave as it is."
        )


def names_of(given):
    """Names of an estimator's features, a list, or None."""
    names = getattr(given, "feature_names_in_", None)
    return None if names is None else list(names)


def outputs_of(given):
    """What the outputs of an estimator mean."""
    classes = getattr(given, "classes_", None)
    meaning = given.n_outputs_ if classes is None else np.asarray(classes).tolist()
    return classes is None, meaning, given.out_activation_
