"""Networks that learn from rows without labels.

A `Pretrainer` is a `BaseMLP` without targets of its user's: `fit(X)` passes the rows
themselves to the shared training as `y`, and a class says by

* ``_learn_target``, ``_find_units`` and ``_encode`` what it makes of them,
* ``_loss_row`` and ``_count_outputs`` what its head is,
* ``_corruption`` which fields of `nnfit.engine_settings.EngineSettings` change the
  rows of a batch,
* ``_n_head_layers`` how many layers stand behind the hidden ones.

Inputs, engines, early stopping, callbacks and `init_from` are those of all estimators;
the hidden layers are what `transform` gives and what others start from.
"""

from __future__ import annotations

import os
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)

from nnfit.estimators import by_hand, checkpoints
from nnfit.estimators.annotations import FloatArray, Rows, typed
from nnfit.estimators.documentation import documented
from nnfit.estimators.hidden import n_units
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.parameters import STOCHASTIC_SOLVERS, among
from nnfit.estimators.recipe import recipe
from nnfit.estimators.regressor import MLPRegressor
from nnfit.estimators.settings import rows_as_given
from nnfit.estimators.validation import hidden_sizes

C = TypeVar("C", bound="type[Pretrainer]")
#: What the classes say of shared parameters.
PARAMETERS = """
early_stopping : bool, default=False
    Whether to stop when the loss on validation data, whose rows stay as they are, has
    not fallen by `tol` for `n_iter_no_change` epochs, and to keep the best weights. The
    data are `X_val` of `fit`, or else a part of the training data.
"""


def pretrainer(cls: C) -> C:
    """Class decorator: what the class has no parameter for is as in `MLPRegressor`."""
    return documented(recipe(MLPRegressor)(cls), (PARAMETERS,))


class Pretrainer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseMLP):
    """Base of the pretrainers; use the derived classes."""

    _task, _y_numeric = "reconstruction", True
    _n_head_layers, _takes_sparse = 1, False
    _own_constraints: dict[str, Any] = {"solver": [among(STOCHASTIC_SOLVERS)]}

    # Targets -----------------------------------------------------------------

    def _own_target(self, X, y):
        return X

    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        return y

    def _default_score(self):
        return "loss"

    def _check_outputs(self, n_outputs):
        """The head has as many as it has; the loss decides."""

    def _set_structure(self, network):
        super()._set_structure(network)
        self._fitted["body_layers"] = len(hidden_sizes(self))

    # Fitting -----------------------------------------------------------------

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(  # type: ignore[override]
        self,
        X: Rows,
        y: Any = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Rows | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Fit the network to rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data: an array or a table (pandas, polars, pyarrow). NaN stands
            for a missing number. Texts and categories need `categorical_features`.
            Sparse matrices where the class says so.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss; not negative, not all zero.
        X_val : array-like of shape (n_val, n_features), default=None
            Validation rows. Their loss is recorded after every epoch in ``history_``;
            with ``early_stopping=True`` it stops the training.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation rows.
        groups : array-like of shape (n_samples,), default=None
            What each row belongs to; the split by ``validation_fraction`` sets whole
            groups aside.
        resume_from : str or path, default=None
            File or folder that `nnfit.callbacks.Checkpoint` has written in a fit with
            the same data and parameters, which was killed.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If data or parameters are invalid, or if the weights of the network grow
            until they are no longer finite. The estimator then is as before.
        TypeError
            If `X` is sparse and the class has an output for each column.
        MemoryError
            If the network does not fit into memory.
        """
        self._check_rows_of_fit(X, "X")
        if not hidden_sizes(self):
            raise ValueError(
                "hidden_layer_sizes must have a layer, for the hidden units are what "
                f"{type(self).__name__} is for, got {self.hidden_layer_sizes!r}."
            )
        given = X_val, None, sample_weight_val
        if X_val is not None:
            self._check_rows_of_fit(X_val, "X_val")
            given = X_val, _placeholder(X_val), sample_weight_val
        if resume_from is not None:
            checkpoints.check_place(resume_from, self)
        more = {"groups": groups, "resume_from": resume_from}
        return self._fit(X, _placeholder(X), sample_weight, given, **more)

    def _check_rows_of_fit(self, X, name):
        if issparse(X) and not self._takes_sparse:
            raise TypeError(
                f"Sparse data was passed for {name}, but {type(self).__name__} needs "
                "dense data, for it has an output for each column. Use .toarray(), or "
                "sklearn.decomposition.TruncatedSVD before."
            )

    # Hidden units ------------------------------------------------------------

    def transform(self, X: Rows) -> FloatArray:
        """Hidden units before the head.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
            As `hidden_features` gives them.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid.
        """
        by_hand.check_fitted(self)
        return self.hidden_features(X, self._description()["body_layers"])

    @property
    def _n_features_out(self):
        return n_units(self, self._description()["body_layers"])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._takes_sparse
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _placeholder(X):
    """A number for each row, which checks take for its target."""
    n_rows = rows_as_given(X)
    if not n_rows and hasattr(X, "__array__"):
        n_rows = rows_as_given(np.asarray(X))
    return np.zeros(n_rows)
