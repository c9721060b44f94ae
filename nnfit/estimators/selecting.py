"""Which members of a network that share its weights it predicts with."""

import numpy as np

from nnfit.estimators import resuming
from nnfit.network import fitted, members


def greedy(parts, cost, weights=None):
    """Choose members one by one, each the one that makes the mean of them best.

    Parameters
    ----------
    parts : ndarray of shape (n_members, n_samples, n_outputs)
        What members make of the rows, of which the mean is taken.
    cost : callable
        Of such a mean, elementwise.
    weights : ndarray of shape (n_samples,) or None
        Of the rows.

    Returns
    -------
    list of int
        In increasing order: the best member, and others for as long as the mean cost
        falls.
    """
    chosen, left = [], list(range(len(parts)))
    total, least = np.zeros(parts.shape[1:]), np.inf
    while left:
        means = ((total + parts[member]) / (len(chosen) + 1) for member in left)
        costs = [np.average(cost(mean).mean(axis=1), weights=weights) for mean in means]
        place = int(np.argmin(costs))
        if not costs[place] < least:
            break
        least = costs[place]
        total += parts[left[place]]
        chosen.append(left.pop(place))
    return sorted(chosen)


def select(estimator, validation):
    """Leave a fitted network those members that predict validation data best together.

    Parameters
    ----------
    estimator : BaseMLP
        With ``_part(raw, target)``, what a member makes of the rows, and ``_cost``.
    validation : Validation
    """
    n_members = estimator._standard("members")[0]
    rows = slice(None) if validation.rows is None else validation.rows
    X, target, weights = validation.X, validation.y[rows], validation.sample_weight
    X, weights = X[rows], None if weights is None else weights[rows]
    parts = []
    for member in range(n_members):
        raw = _with_members(estimator, [member])._compute(
            estimator, X, True, None, None
        )
        parts.append(estimator._part(raw.astype(np.float64), target))
    chosen = greedy(np.array(parts), estimator._cost, weights)
    before = estimator._standard("selected_members") or range(n_members)
    if len(chosen) < n_members:
        few = _with_members(estimator, chosen)
        vars(estimator).update(vars(few))
        resuming.forget_optimizer(estimator)
    selected = [before[member] for member in chosen]
    estimator._fitted = {**estimator._fitted, "selected_members": selected}


def _with_members(estimator, chosen):
    """A copy whose network has some of the members alone."""
    weights, described = estimator._weights(), estimator._description()
    sizes = fitted.sizes_of(weights.coefs, described["members"])
    dtype = described["dtype"]
    network = fitted.network_for(described, estimator._link, sizes, dtype)
    few = type(estimator).__new__(type(estimator))
    vars(few).update(vars(estimator))
    of_members = len(chosen), *described["members"][1:]
    few._fitted = {**described, "members": of_members}
    few._set_weights(members.chosen(network, weights, chosen))
    return few
