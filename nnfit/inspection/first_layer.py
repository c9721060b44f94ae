"""How much the first layer makes of each feature."""

from __future__ import annotations

import numpy as np

from nnfit.estimators import by_hand
from nnfit.estimators.annotations import FloatArray
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.uncertainty import networks
from nnfit.inspection.cutting import by_node
from nnfit.inspection.explained import check_estimator, network_of
from nnfit.network.kinds import kind_of


def first_layer_importance(estimator: BaseMLP) -> FloatArray:
    """Norms of the weights with which the first layer takes each feature.

    It needs no rows, so it serves scikit-learn's ``SelectFromModel`` and ``RFE`` as
    ``importance_getter``. Features must be of about the same spread, as after
    ``StandardScaler``: a weight is as large as a feature is small.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted.

    Returns
    -------
    ndarray of float64 of shape (n_features,)
        Root of the sum of squares over what the network makes of a feature (vectors of
        categories, indicators, bins) and over the units of the first layer; the mean
        over the members of an ensemble.

    Raises
    ------
    NotFittedError
        Before ``fit``.

    Examples
    --------
    >>> from sklearn.feature_selection import SelectFromModel
    >>> from nnfit import MLPRegressor
    >>> from nnfit.inspection import first_layer_importance
    >>> selector = SelectFromModel(
    ...     MLPRegressor(max_iter=5), importance_getter=first_layer_importance
    ... )
    """
    check_estimator(estimator)
    by_hand.check_fitted(estimator)
    found = [
        _squares(*network_of(network, estimator, "float64"))
        for network in networks(estimator)
    ]
    return np.mean(np.sqrt(found), axis=0)


def _squares(network, weights):
    """Sums of squares for each feature, (n_features,)."""
    squares = np.zeros(network.n_features)
    # Of each value that is made of the features alone: whose a unit is, and the square
    # of what it was multiplied by.
    known = {0: (np.arange(network.n_features), np.ones(network.n_features))}
    nodes = zip(network.nodes, by_node(network, weights), strict=True)
    for value, (node, arrays) in enumerate(nodes, start=1):
        if not all(each in known for each in node.inputs):
            continue
        sources, factors = zip(*(known[each] for each in node.inputs), strict=True)
        if hasattr(kind_of(node), "matrix"):
            matrix = kind_of(node).matrix(node, arrays)
            taken = factors[0] * (matrix.astype(np.float64) ** 2).sum(axis=1)
            np.add.at(squares, sources[0], taken)
        elif hasattr(kind_of(node), "sources"):
            own = kind_of(node).sources(node, list(sources))
            known[value] = own, _factors(node, arrays, factors, len(own))
    return squares


def _factors(node, arrays, factors, n):
    """Squares of what the units of an output have been multiplied by, (n,)."""
    if hasattr(kind_of(node), "multipliers"):
        own = kind_of(node).multipliers(node, arrays).astype(np.float64)
        return factors[0] * (own**2).mean(axis=0)
    joined = np.concatenate(factors)
    return joined if len(joined) == n else np.ones(n)
