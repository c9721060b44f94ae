"""Which features count, over many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state, resample

from nnfit.estimators.annotations import FloatArray, Rows
from nnfit.inspection.expected import expected_gradients

#: Rows of the background that is taken from X.
BACKGROUND = 100
#: Attribute that a stored result becomes.
STORED = "attribution_importances_"


@dataclass(frozen=True)
class AttributionSummary:
    """Attributions of many rows, and what they say of the features.

    Printed, it is a table of the features in the order of their importance.

    Attributes
    ----------
    feature_names : list of str
    importances : ndarray of shape (n_features,)
        Mean absolute attribution.
    means : ndarray of shape (n_features,)
        Mean attribution.
    attributions : ndarray of shape (n_samples, n_features)
    """

    feature_names: list[str]
    importances: FloatArray
    means: FloatArray
    attributions: FloatArray

    def __str__(self) -> str:
        width = max(len("feature"), *map(len, self.feature_names))
        lines = [f"{'feature':{width}}  importance  share        mean"]
        total = self.importances.sum() or 1.0
        for j in np.argsort(-self.importances, kind="stable"):
            lines.append(
                f"{self.feature_names[j]:{width}}  {self.importances[j]:10.4g}  "
                f"{self.importances[j] / total:5.1%}  {self.means[j]:10.4g}"
            )
        return "\n".join(lines)


def attribution_summary(
    estimator: Any,
    X: Rows,
    feature_names: npt.ArrayLike | None = None,
    *,
    background: Rows | None = None,
    target: object = None,
    response_method: str = "auto",
    random_state: int | np.random.RandomState | None = None,
    store: bool = False,
) -> AttributionSummary:
    """Sum up which features the predictions of some rows depend on.

    Parameters
    ----------
    estimator : estimator object
        A fitted network of nnfit, an ensemble, or a Tabular estimator without trees.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to explain.
    feature_names : array-like of str of shape (n_features,), default=None
        None stands for the names of the columns that the estimator was fitted on.
    background : {array-like, sparse matrix} of shape (n_background, n_features), \
            default=None
        What rows are compared with; None for 100 rows of ``X``, or all of fewer.
    target, response_method
        See :func:`input_gradients`.
    random_state : int, RandomState instance or None, default=None
        Of the background and of :func:`expected_gradients`.
    store : bool, default=False
        Whether to keep the importances as ``attribution_importances_`` of the
        estimator, for ``SelectFromModel(estimator, prefit=True,
        importance_getter="attribution_importances_")``. The next ``fit`` removes them.

    Returns
    -------
    AttributionSummary

    Raises
    ------
    NotFittedError
        Before ``fit``.
    ValueError
        If ``X`` or a parameter is invalid.
    """
    random_state = check_random_state(random_state)
    if background is None:
        background = sample(X, BACKGROUND, random_state)
    found = expected_gradients(
        estimator, X, background, target=target, response_method=response_method,
        random_state=random_state,
    )  # fmt: skip
    importances = np.abs(found.values).mean(axis=0)
    if store:
        setattr(estimator, STORED, importances)
    return AttributionSummary(
        names_of(estimator, feature_names),
        importances,
        found.values.mean(axis=0),
        found.values,
    )


def sample(X, n_rows, random_state):
    """Some rows of X, or all of fewer."""
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    if n <= n_rows:
        return X
    return resample(X, replace=False, n_samples=n_rows, random_state=random_state)


def names_of(estimator, feature_names):
    """Names of the features, a list of str."""
    n = estimator.n_features_in_
    if feature_names is None:
        given = getattr(estimator, "feature_names_in_", None)
        names = [f"feature {j}" for j in range(n)] if given is None else given
        return list(map(str, names))
    names = list(map(str, feature_names))
    if len(names) != n:
        raise ValueError(
            f"feature_names must have a name for each of the {n} features, got "
            f"{len(names)}."
        )
    return names
