"""Columns of numbers before embeddings read them: missing values and `scaling`.

What fills and scales them are nodes of the network, so that there is no second copy of
the table. What they need to know of the data is found in the training rows of the
first call, column by column, and kept. If no row of that call misses a number there is
no node for it: where later rows do, the means of the training rows take the place.
"""

import math

import numpy as np
from scipy.sparse import issparse

from nnfit.estimators.columns import category_columns, name_of
from nnfit.network import fitted, scalings
from nnfit.network.kinds import Node, kind_of
from nnfit.network.kinds.quantile_scaling import mapped, side_by_side
from nnfit.network.kinds.scaling import scaled

#: By name what finds shift, scale and cut of a column.
OF_COLUMNS = {"standard": scalings.standard, "robust": scalings.robust}
#: All that `scaling` may be.
SCALINGS = (*OF_COLUMNS, "quantile")


class TrainingRows:
    """Columns of the rows to train on, without a copy of the table.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    rows : ndarray of int64 or None
        None for all.
    """

    def __init__(self, X, rows):
        if issparse(X):
            X, rows = (X if rows is None else X[rows]).tocsc(), None
        self._X, self._rows = X, rows
        self.n_features, self.dtype = X.shape[1], X.dtype

    def column(self, number):
        """Values of a column (n,), a copy or a view."""
        X = self._X
        if issparse(X):
            return X[:, [number]].toarray().ravel()
        return X[:, number] if self._rows is None else X[self._rows, number]


class Numbers:
    """Columns of numbers as embeddings read them.

    Parameters
    ----------
    table : TrainingRows
    columns : list of int
        Columns that are no categories.
    weights : ndarray or None
        Of the training rows.

    Attributes
    ----------
    nodes : list of (Node, dict)
        Each reads the one before it; with its arrays by name.
    places : list of int
        Of the columns, then of indicators, in the output of the last node; in the
        features if there is none.
    width : int
        Units of that value.
    """

    def __init__(self, table, columns, weights):
        self.table, self.columns, self.weights = table, columns, weights
        self.nodes, self.places, self.width = [], columns, table.n_features
        self._steps, self._index = [], {c: i for i, c in enumerate(columns)}

    def place(self, column):
        """Where a column of X is."""
        return self.places[self._index[column]]

    def values(self, column):
        """The numbers of a column (n,) in the training rows."""
        x = self.table.column(column)
        for step in self._steps:
            x = step(x, self._index[column])
        return x

    def fill(self):
        """Add the node that replaces missing numbers."""
        fills, indicated = [], []
        for column in self.columns:
            x = self.table.column(column)
            fills.append(scalings.mean(*scalings.present(x, self.weights)))
            is_missing = np.isnan(x)
            if self.weights is not None:
                is_missing &= self.weights > 0.0
            if is_missing.any():
                indicated.append(column)
        fills = np.array(fills, self.table.dtype)
        options = tuple(self.columns), tuple(indicated)
        self._add("imputation", options, {"fills": fills}, len(indicated))
        self._steps.append(lambda x, i: np.where(np.isnan(x), fills[i], x))

    def scale(self, how):
        """Add the node that scales them; indicators stay as they are."""
        n_indicators = len(self.places) - len(self.columns)
        present = (
            scalings.present(self.table.column(column), self.weights)
            for column in self.columns
        )
        dtype = self.table.dtype
        if how == "quantile":
            found = [scalings.normal(*column, dtype) for column in present]
            found += [(np.arange(2.0), np.arange(2.0))] * n_indicators
            n_knots, lines = side_by_side(found)
            self._add("quantile_scaling", (tuple(self.places), n_knots), lines)
            self._steps.append(lambda x, i: mapped(x, *found[i])[0].astype(dtype))
            return
        found = [OF_COLUMNS[how](*column) for column in present]
        found = np.array(found + [(0.0, 1.0, 0.0)] * n_indicators).T.astype(dtype)
        self._add("scaling", (tuple(self.places),), {"scaling": found})
        self._steps.append(lambda x, i: scaled(x, found[:, i]))

    def _add(self, kind, options, arrays, n_more=0):
        node = Node(kind, (len(self.nodes),), options=options)
        self.nodes.append((node, arrays))
        self.width = len(self.places) + n_more
        self.places = list(range(self.width))


def find_numbers(estimator, X, table, weights, columns):
    """Columns of numbers, filled where any row misses one, and scaled.

    Parameters
    ----------
    estimator : BaseMLP
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        With rows that are not trained on.
    table : TrainingRows
    weights : ndarray or None
        Of the training rows.
    columns : list of int

    Returns
    -------
    Numbers
    """
    numbers = Numbers(table, columns, weights)
    if not are_complete(X) and any(np.isnan(X[:, column]).any() for column in columns):
        _check_dropout(estimator)
        numbers.fill()
    if estimator.scaling is not None and columns:
        numbers.scale(estimator.scaling)
    return numbers


def are_complete(X):
    """Whether no number is missing; False if their sum is too large to tell."""
    return issparse(X) or math.isfinite(X.sum())


def _check_dropout(estimator):
    """Refuse what makes 0 of features before the network looks for missing ones."""
    rate = estimator.input_dropout
    if rate != 0:
        raise ValueError(
            "input_dropout makes 0 of features, of which X has missing ones (NaN), got "
            f"input_dropout={rate!r}. Set it to 0, or fill in X before."
        )


# Without a node -------------------------------------------------------------------


def means_of(X, rows, weights):
    """Weighted mean of every column over the training rows.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    rows : ndarray of int64 or None
    weights : ndarray of shape (n_samples,) or None

    Returns
    -------
    list of float
        NaN in columns with missing values.
    """
    if rows is not None:
        chosen = np.zeros(X.shape[0])
        chosen[rows] = 1.0 if weights is None else weights[rows]
        weights = chosen
    if issparse(X):
        weights = np.ones(X.shape[0]) if weights is None else weights
        return (weights @ X / weights.sum()).tolist()
    if weights is None:
        return X.mean(axis=0, dtype=np.float64).tolist()
    return (np.einsum("i,ij->j", weights, X) / weights.sum()).tolist()


def fills_missing(inputs):
    """Whether a node of what is before the first layer fills missing numbers."""
    nodes = () if inputs is None else fitted.inputs_of(inputs).nodes
    return any(hasattr(kind_of(node), "fills_missing") for node in nodes)


def filled(estimator, X, name="X"):
    """Rows with means in the place of missing numbers, unless the network fills them.

    Parameters
    ----------
    estimator : BaseMLP
        A fitted network, or one whose inputs have been found.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        As the network takes it.
    name : str
        What the user calls it.

    Returns
    -------
    ndarray or CSR matrix
        `X` itself, or a copy.
    """
    if are_complete(X):
        return X
    if fills_missing(estimator._standard("inputs")):
        return X
    columns = set(range(X.shape[1])) - set(category_columns(estimator))
    columns = [column for column in sorted(columns) if np.isnan(X[:, column]).any()]
    if not columns:
        return X
    means = estimator._standard("means")
    if means is None:
        raise ValueError(
            f"Input {name} contains NaN: {name_of(estimator, columns[0], name)}. Fill "
            "it in, for example with sklearn.impute.SimpleImputer: this estimator "
            "knows no means of the columns that could take the place."
        )
    X = X.copy()
    for column in columns:
        x = X[:, column]
        x[np.isnan(x)] = means[column]
    return X
