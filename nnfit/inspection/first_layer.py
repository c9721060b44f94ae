"""How much the first layer makes of each feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfit.estimators.annotations import FloatArray
from nnfit.inspection.cutting import by_node
from nnfit.inspection.explained import check_estimator, network_of
from nnfit.network.kinds import kind_of


def first_layer_importance(estimator: Any) -> FloatArray:
    """Norms of the weights with which the first layer takes each feature.

    It needs no rows, so it serves scikit-learn's ``SelectFromModel`` and ``RFE`` as
    ``importance_getter``. Features must be of about the same spread, as after
    ``StandardScaler``: a weight is as large as a feature is small.

    Parameters
    ----------
    estimator : estimator object
        A fitted network of nnfit, an ensemble, or a Tabular estimator without trees.

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
    mixture = check_estimator(estimator)
    found = [
        _squares(*network_of(network, mixture.link, "float64"))
        for network in mixture.networks
    ]
    return np.tensordot(mixture.weights, np.sqrt(found), axes=1)


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
