"""Which of several members, or unlike models, predict best together."""

import numpy as np

from nnfit.estimators import resuming
from nnfit.network import fitted, members


def greedy(parts, cost, n_steps=None):
    """Choose members one by one, each the one that makes the mean of them best.

    Caruana, Niculescu-Mizil, Crew and Ksikes (2004), "Ensemble selection from libraries
    of models", ICML.

    Parameters
    ----------
    parts : ndarray of shape (n_members, n_samples, n_outputs)
        What members make of the rows, of which the mean is taken.
    cost : callable
        Of such a mean.
    n_steps : int or None, default=None
        With so many steps, in which a member may be chosen again, what the best of them
        has chosen. None stands for as many as lower the cost, and for each once.

    Returns
    -------
    list of int
        In increasing order.
    """
    chosen, best, least = [], [], np.inf
    total = np.zeros(parts.shape[1:])
    for _ in range(n_steps or len(parts)):
        left = [i for i in range(len(parts)) if n_steps or i not in chosen]
        costs = [cost((total + parts[i]) / (len(chosen) + 1)) for i in left]
        place = int(np.argmin(costs))
        total += parts[left[place]]
        chosen.append(left[place])
        if costs[place] < least:
            best, least = sorted(chosen), costs[place]
        elif n_steps is None:
            break
    return best


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

    def cost(mean):
        return np.average(estimator._cost(mean).mean(axis=1), weights=weights)

    chosen = greedy(np.array(parts), cost)
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
