"""Bins of columns: edges that are found from data, before training.

Edges increase strictly, and there are at least two.
"""

from statistics import NormalDist

import numpy as np


def quantile_bins(x, n_bins, weights=None, dtype=None):
    """Edges at quantiles, each of which once (Gorishniy et al. 2022, arXiv:2203.05556).

    Parameters
    ----------
    x : ndarray of shape (n,)
        Finite values.
    n_bins : int
        Most bins that there may be; there are fewer where quantiles are equal.
    weights : ndarray of shape (n,), default=None
        What rows count. With unequal ones a quantile is the smallest value that has so
        large a share of the weight up to it, without interpolation.
    dtype : {"float32", "float64"}, default=None
        Type in which edges must differ.

    Returns
    -------
    edges : ndarray of float64
    """
    x, weights = _counted(x, weights)
    shares = np.linspace(0.0, 1.0, n_bins + 1)
    return _distinct(quantiles(x, shares, weights), dtype)


def quantiles(x, shares, weights=None, *, in_place=False):
    """Quantiles of values, of which there is at least one.

    Parameters
    ----------
    x : ndarray of float64 of shape (n,)
    shares : ndarray of shape (n_quantiles,)
        From 0 to 1.
    weights : ndarray of shape (n,), default=None
        What rows count, more than 0. With unequal ones a quantile is the smallest value
        that has so large a share of the weight up to it, without interpolation.
    in_place : bool, default=False
        Whether the order of `x` may change, which saves a copy.

    Returns
    -------
    ndarray of float64 of shape (n_quantiles,)
    """
    if weights is None or (weights == weights[0]).all():
        return np.quantile(x, shares, overwrite_input=in_place)
    values, places = np.unique(x, return_inverse=True)
    below = np.cumsum(np.bincount(places, weights))
    found = np.searchsorted(below, shares * below[-1])
    return values[np.minimum(found, len(values) - 1)]


def tree_bins(
    x, y, n_bins, task, weights=None, dtype=None, *, min_samples_leaf=64,
    min_impurity_decrease=1e-4,
):  # fmt: skip
    """Edges at the splits of a decision tree, and at the ends of the values.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Finite values.
    y : ndarray of shape (n,) or (n, n_outputs)
    n_bins : int
        Most bins that there may be: leaves of the tree.
    task : {"classification", "regression"}
    weights, dtype
        As `quantile_bins` takes them.
    min_samples_leaf, min_impurity_decrease
        Of the tree, see scikit-learn.

    Returns
    -------
    edges : ndarray of float64
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    is_classification = task == "classification"
    make = DecisionTreeClassifier if is_classification else DecisionTreeRegressor
    if weights is not None:
        y = y[weights > 0.0]
    x, weights = _counted(x, weights)
    edges = [x.min(), x.max()]
    if n_bins > 1:
        tree = make(
            max_leaf_nodes=n_bins, min_samples_leaf=min_samples_leaf,
            min_impurity_decrease=min_impurity_decrease, random_state=0,
        )  # fmt: skip
        nodes = tree.fit(x[:, None], y, sample_weight=weights).tree_
        edges.extend(nodes.threshold[nodes.feature >= 0])
    return _distinct(edges, dtype)


def normal_bins(n_bins):
    """Edges at quantiles of a normal distribution, for values that are not known."""
    inverse, n = NormalDist().inv_cdf, n_bins + 1
    return np.array([inverse((i + 0.5) / n) for i in range(n)])


def find_bins(columns, n_bins, weights=None, dtype=None, *, y=None, task=None):
    """Bins of columns: of trees where targets are given, else quantiles.

    Parameters
    ----------
    columns : iterable of ndarray of shape (n,)
    n_bins, weights, dtype, y, task
        As `quantile_bins` and `tree_bins` take them.

    Returns
    -------
    n_bins : tuple of int
        Of each column.
    bins : ndarray of float64 of shape (n_columns, max(n_bins) + 1)
        Edges; beyond its own a row repeats the last.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    edges = []
    for number, x in enumerate(columns):
        if not np.isfinite(x).all():
            raise ValueError(
                f"Bins need finite values, got others in column {number}. Fill them "
                "in, or leave the column without bins."
            )
        if y is None:
            edges.append(quantile_bins(x, n_bins, weights, dtype))
        else:
            edges.append(tree_bins(x, y, n_bins, task, weights, dtype))
    return side_by_side(edges)


def side_by_side(edges):
    """Numbers of bins and one array of the edges of some columns, see `find_bins`."""
    n_bins = tuple(len(own) - 1 for own in edges)
    bins = [np.pad(own, (0, max(n_bins) + 1 - len(own)), mode="edge") for own in edges]
    return n_bins, np.stack(bins)


def _counted(x, weights):
    """Values as float64, and weights if there are any, of rows that count."""
    x = np.asarray(x, np.float64)
    if weights is None:
        return x, None
    return x[weights > 0.0], weights[weights > 0.0]


def _distinct(edges, dtype):
    """Edges in order, each once; about a single one a bin of width 1, or wider."""
    dtype = np.dtype(dtype or np.float64)
    edges = np.unique(np.asarray(edges, dtype))
    if len(edges) == 1:
        half = max(0.5, 4.0 * np.finfo(dtype).eps * abs(float(edges[0])))
        edges = np.array([edges[0] - half, edges[0] + half], dtype)
    return edges.astype(np.float64)
