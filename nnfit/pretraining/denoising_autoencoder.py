"""An autoencoder that is shown spoilt rows and says what they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.utils.validation import check_array

from nnfit.estimators import by_hand
from nnfit.estimators.annotations import (
    Activation,
    Dtype,
    FloatArray,
    Numbers,
    RandomState,
    Rows,
    Schedule,
    Sizes,
)
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.parameters import NOT_NEGATIVE, PART, among
from nnfit.estimators.validation import check_weights
from nnfit.numpy_errors import without_numpy_errors
from nnfit.pretraining.base import Pretrainer, pretrainer
from nnfit.pretraining.reconstructing import Reconstructing


@pretrainer
class DenoisingAutoencoder(Reconstructing):
    """Learn a table's structure from rows without labels.

    The network gets rows of which a random part is spoilt, anew in each step, and is to
    say what they were: numbers by their squared error in units of the column's standard
    deviation, categories by their log-loss. Missing entries count nothing. Its hidden
    layers are features (`transform`), a start for estimators with few labels
    (``init_from``), and its errors tell unusual rows (`score_samples`). See
    :ref:`pretraining`.

    Parameters
    ----------
    corruption : {"swap", "mask", "noise"}, default="swap"
        How rows are spoilt. "swap": entries are replaced by those of the same column in
        other rows, so that each column keeps its distribution. "mask": entries become
        missing; numbers take the mean of their column where no training row misses
        one. "noise": normal noise is added to numbers.
    corruption_rate : float, default=0.2
        Part of the entries, in [0, 1), that "swap" and "mask" replace.
    noise_scale : float, default=0.3
        Standard deviation of the noise, as a part of the column's.

    Attributes
    ----------
    {attributes}
    out_activation_ : str
        'identity'.

    See Also
    --------
    MaskedPretrainer : The network also says which entries were spoilt.
    MLPClassifier : Takes the network as ``init_from``.

    References
    ----------
    Vincent, Larochelle, Bengio and Manzagol (2008), "Extracting and composing robust
    features with denoising autoencoders", ICML.

    Examples
    --------
    >>> from nnfit import DenoisingAutoencoder
    >>> from sklearn.datasets import load_iris
    >>> X, _ = load_iris(return_X_y=True)
    >>> model = DenoisingAutoencoder((8, 2), scaling="standard", random_state=0)
    >>> model.set_params(max_iter=20).fit_transform(X).shape
    (150, 2)
    """

    _own_constraints = {
        **Pretrainer._own_constraints,
        "corruption": [among(["swap", "mask", "noise"])],
        "corruption_rate": PART,
        "noise_scale": NOT_NEGATIVE,
    }

    def __init__(
        self,
        hidden_layer_sizes: Sizes = (100,),
        activation: Activation | Sequence[Activation] = "relu",
        *,
        corruption: Literal["swap", "mask", "noise"] = "swap",
        corruption_rate: float = 0.2,
        noise_scale: float = 0.3,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Schedule = "constant",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        weight_decay: float = 0.01,
        dropout: Numbers = 0.0,
        initialization: str = "glorot",
        init_from: Any | None = None,
        freeze: int | str | npt.ArrayLike | None = None,
        normalization: str | None = None,
        residual: bool = False,
        scaling: str | None = None,
        numeric_embedding: str | dict[str, Any] | None = None,
        categorical_features: npt.ArrayLike | str | None = None,
        category_embedding: dict[str, Any] | None = None,
        warmup: float = 0.0,
        max_time: float | None = None,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    def _corruption(self):
        if self.corruption == "noise":
            scales = self._columns.deviations
            return {"input_noise": float(self.noise_scale), "noise_scales": scales}
        swap = {"feature_swap": float(self.corruption_rate)}
        return swap | (
            {"swap_values": self._replacing()} if self.corruption == "mask" else {}
        )

    # Back to columns ----------------------------------------------------------

    @without_numpy_errors
    def inverse_transform(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Columns of rows from their hidden units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units)
            Hidden units, as `transform` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Numbers in the units of the training data, and of categories the likeliest:
            its value, or its code where the training data had codes. An array of
            objects if there are values of categories, else of float64.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid.
        """
        by_hand.check_fitted(self)
        coef, intercept = self.coefs_[-1], self.intercepts_[-1]
        units = check_array(X, dtype=np.float64, input_name="X")
        if units.shape[1] != len(coef):
            raise ValueError(
                f"X must have a column for each of the {len(coef)} units that "
                f"transform gives, got {units.shape[1]}."
            )
        table = self._columns.decoded(units @ coef + intercept)
        table = table * self.feature_scales_ + self.feature_shifts_
        known = self._standard("categories") or {}
        values = {column: own for column, own in known.items() if own is not None}
        if values:
            table = table.astype(object)
        for column, own in values.items():
            codes = table[:, column].astype(np.int64)
            last = len(own) - 1  # a column of one category has an output to spare
            table[:, column] = [own[min(code, last)] for code in codes]
        return table

    # Errors --------------------------------------------------------------------

    @without_numpy_errors
    def reconstruction_error(self, X: Rows) -> FloatArray:
        """How badly the network says again what each row is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, which are not spoilt.

        Returns
        -------
        ndarray of float64 of shape (n_samples,)
            Mean over the columns that are not missing: half the squared error of
            a number in standard deviations, minus the logarithm of the probability of
            a category. 0 where all of them are missing, or categories that `fit` has
            not seen.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid.
        """
        rows, given = self._check_rows(X)
        rows = rows.toarray() if issparse(rows) else rows
        target = self._columns.encoded(rows, np.float64)
        raw = self._outputs(self, filled(self, rows), True, given=given)
        errors = self._columns.errors(raw, target)
        count = (~np.isnan(errors)).sum(axis=1)
        return np.nansum(errors, axis=1) / np.maximum(count, 1)

    def score_samples(self, X: Rows) -> FloatArray:
        """How normal each row is, as scikit-learn's outlier detectors have it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of float64 of shape (n_samples,)
            The negative `reconstruction_error`: larger is more normal.
        """
        return -self.reconstruction_error(X)

    def score(
        self, X: Rows, y: Any = None, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Negative mean of the `reconstruction_error` of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            At most 0, which is best.
        """
        errors = self.reconstruction_error(X)
        return -float(np.average(errors, weights=check_weights(sample_weight, errors)))
