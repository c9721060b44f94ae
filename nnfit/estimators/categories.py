"""Columns of categories before the first layer: indicators, or learnt vectors."""

from dataclasses import replace

import numpy as np

from nnfit.estimators.columns import name_of
from nnfit.network import scalings
from nnfit.network.kinds import Factors, Node, kind_of
from nnfit.network.kinds.category_embedding import columns_of, indicators

#: float32 holds all integers below it.
MOST_CODES = 2**24


def find_categories(estimator, table, columns, options):
    """Look at the categories of the training rows.

    Parameters
    ----------
    estimator : BaseMLP
    table : nnfit.estimators.numeric_columns.TrainingRows
    columns : list of int
    options : dict
        Those of the parameter `category_embedding`.

    Returns
    -------
    list of (Node, dict)
        Nodes that read the features, with their arrays by name: one, or none if there
        are no categories; two where indicators are to be scaled.
    """
    lines = {column: _lines_of(estimator, table, column) for column in columns}
    lines = {column: own for column, own in lines.items() if own.any()}
    few = [c for c, own in lines.items() if own.max() <= options["max_one_hot"]]
    groups = [list(lines)]
    if estimator._scales_indicators:
        groups = [few, [column for column in lines if column not in few]]
    # L-BFGS's function must be the same at every call.
    mask = 0.0 if estimator.solver == "lbfgs" else float(options["mask"])
    found = []
    for group in filter(None, groups):
        own = [lines[column] for column in group]
        of_node = (
            tuple(group),
            tuple(map(len, own)),
            tuple(int(each.max()) + 1 for each in own),
            tuple(column in few for column in group),
            int(options["n_outputs"]),
            mask,
        )
        node = Node("category_embedding", (0,), options=of_node)
        node = with_rate(node, table.n_features, options["learning_rate_factor"])
        found.append((node, {"lines": np.concatenate(own)}))
    return found


def scaled_indicators(node, arrays, table, weights, place):
    """The node that scales indicators robustly, and its arrays.

    Parameters
    ----------
    node : Node
        Of indicators alone.
    arrays : dict
    table : nnfit.estimators.numeric_columns.TrainingRows
    weights : ndarray or None
        Of the training rows.
    place : int
        Value of the indicators.

    Returns
    -------
    Node, dict
    """
    found = []
    for column in columns_of(node):
        codes = table.column(column.unit)
        for x in indicators(column, codes, arrays["lines"], table.dtype).T:
            found.append(scalings.robust(*scalings.present(x, weights)))
    scaling = Node("scaling", (place,), options=(tuple(range(len(found))),))
    return scaling, {"scaling": np.array(found).T.astype(table.dtype)}


def with_rate(node, n_in, factor):
    """A node whose arrays all have a factor of the learning rate."""
    if factor == 1.0:
        return node
    own = kind_of(node).tensors(node, [n_in])
    return replace(node, factors=(Factors(learning_rate=float(factor)),) * len(own))


def _lines_of(estimator, table, column):
    """For each code of a column the number of its category, from 1; 0 for none."""
    codes = table.column(column)
    codes = codes[codes == codes]  # NaN is a missing one
    wrong = codes[codes != np.rint(codes)]
    if len(wrong):
        raise ValueError(
            f"{name_of(estimator, column)} must hold codes of categories, integers "
            f"from 0 and -1 for missing, got {wrong[0]:g}. Encode it, for example with "
            "sklearn.preprocessing.OrdinalEncoder, or take it out of "
            "categorical_features."
        )
    largest = codes.max(initial=-1)
    if largest >= MOST_CODES:
        raise ValueError(
            f"{name_of(estimator, column)} must hold codes of categories below "
            f"{MOST_CODES}, got {largest:g}. Number its categories from 0, for example "
            "with sklearn.preprocessing.OrdinalEncoder."
        )
    lines = np.zeros(int(largest) + 1)
    lines[codes[codes >= 0].astype(np.int64)] = 1.0
    return np.cumsum(lines) * lines
