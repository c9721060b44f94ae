"""Symptoms of the data: columns as the network reads them, classes, shared rows."""

import numpy as np
from scipy.sparse import issparse

from nnfit.diagnosis.report import Symptom
from nnfit.estimators.columns import category_columns, name_of
from nnfit.estimators.standardising import moments
from nnfit.network.scalings import CONSTANT
from nnfit.tables.checks.column import read_columns
from nnfit.tables.checks.rows import FEW, shared
from nnfit.tables.report import names, number, percent, plural, rows

#: Root mean square of a column that the first layer reads: weights begin at the size of
#: one divided by the root of the number of columns.
LARGE = 30.0
#: Rows of a class that is missed when it is never predicted.
FEW_ROWS = 5
#: Kinds of layers that bring numbers to one size.
SCALES = {
    "scaling",
    "quantile_scaling",
    "piecewise_linear_encoding",
    "piecewise_linear_embedding",
}


def of_columns(estimator, network, X):
    """Columns that drown the others, or hold nothing.

    Parameters
    ----------
    estimator : BaseMLP
    network : Network
    X : ndarray or CSR matrix of shape (n, n_features)
        As the network takes it.
    """
    mean, deviation, _ = moments(X)
    size = np.sqrt(mean**2 + deviation**2)
    columns = set(range(X.shape[1])) - set(category_columns(estimator))
    columns = np.array(sorted(columns), int)
    is_scaled = any(node.kind in SCALES for node in network.nodes)
    large = [] if is_scaled else columns[size[columns] > LARGE]
    if len(large):
        largest = float(size[large].max())
        yield Symptom(
            "unscaled_features",
            _names(estimator, large[np.argsort(-size[large])]),
            largest,
            LARGE,
            f"{len(large)} of {X.shape[1]} {plural('column', X.shape[1])} are large, "
            f"with a root mean square of {number(round(largest, 3))} at most (more "
            f"than {number(LARGE)} is a finding): they drown the others.",
            "Set scaling='standard' or 'robust', or put "
            "sklearn.preprocessing.StandardScaler before the network.",
        )
    with np.errstate(invalid="ignore"):
        flat = columns[deviation[columns] <= CONSTANT * size[columns]]
    if len(flat):
        yield Symptom(
            "constant_features",
            _names(estimator, flat),
            float(len(flat)),
            0.0,
            f"{len(flat)} of {X.shape[1]} {plural('column', X.shape[1])} "
            f"{_verb(len(flat), 'has', 'have')} the same value in all rows.",
            "Leave them out, for example with sklearn.feature_selection."
            "VarianceThreshold; ask why, if they should vary.",
        )


def _verb(n, one, many):
    return one if n == 1 else many


def _names(estimator, columns):
    return tuple(name_of(estimator, int(column)) for column in columns)


def of_classes(y, predicted):
    """Classes, or labels, that are there and never predicted.

    Parameters
    ----------
    y, predicted : ndarray of shape (n,) or (n, n_labels)
    """
    if issparse(predicted):
        predicted = predicted.toarray()
    if y.ndim == 2:
        labels = np.arange(y.shape[1])
        counts, said = (y > 0).sum(axis=0), (predicted > 0).any(axis=0)
    else:
        labels, counts = np.unique(y, return_counts=True)
        said = np.isin(labels, predicted)
    missed = labels[(counts >= FEW_ROWS) & ~said]
    if len(missed):
        n = int(counts[np.isin(labels, missed)].sum())
        yield Symptom(
            "class_never_predicted",
            tuple(map(str, missed)),
            float(len(missed)),
            0.0,
            f"No row is predicted as {names(tuple(map(str, missed)))}, "
            f"{_verb(len(missed), 'the class', 'classes')} of {rows(n)} "
            f"({percent(n / len(y))}).",
            "Use class_weight='balanced', train for longer, or move the threshold of "
            "the decision (sklearn.model_selection.TunedThresholdClassifierCV).",
        )


def of_shared_rows(X, X_val, name):
    """Validation rows that also stand among the training rows.

    Parameters
    ----------
    X, X_val : tables of the same columns
    name : str
        What validation rows are called.
    """
    if issparse(X) or issparse(X_val):
        return
    mine, others = read_columns(X, "X"), read_columns(X_val, "X_val")
    for finding in shared(mine, others):
        yield Symptom(
            "shared_rows",
            (),
            float(finding.seen.split()[0].replace(",", "")) / len(others[0]),
            FEW,
            finding.seen.replace("X_val", name),
            finding.advice.replace("X_val", name),
        )
