"""A network that is shown spoilt rows and says which entries were, and what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nnfit.estimators.annotations import (
    Activation,
    Dtype,
    Numbers,
    RandomState,
    Schedule,
    Sizes,
)
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.parameters import NOT_NEGATIVE, PART
from nnfit.pretraining.base import Pretrainer, pretrainer
from nnfit.pretraining.reconstructing import Reconstructing


@pretrainer
class MaskedPretrainer(Reconstructing):
    """Learn a table's structure by telling spoilt entries from others.

    VIME's way to learn from rows without labels: a random part of the entries is
    replaced by those of the same column in other rows, anew in each step. The network
    is to say which they are, by the log-loss, and what they were, by the squared error
    of numbers in units of the column's standard deviation and the log-loss of
    categories. Missing entries have no value to say. Its hidden layers are features
    (`transform`) and a start for estimators with few labels (``init_from``). See
    :ref:`pretraining`.

    Parameters
    ----------
    corruption_rate : float, default=0.3
        Part of the entries, in [0, 1), that are replaced.
    mask_weight : float, default=0.25
        What the log-loss of the mask counts beside the loss of the values. VIME's
        alpha, a factor of the values' squared error, is ``1 / (2 * mask_weight)``.

    Attributes
    ----------
    {attributes}
    out_activation_ : str
        'identity'.

    See Also
    --------
    DenoisingAutoencoder : Says the values alone, and tells unusual rows.
    MLPClassifier : Takes the network as ``init_from``.

    References
    ----------
    Yoon, Zhang, Jordon and van der Schaar (2020), "VIME: Extending the success of self-
    and semi-supervised learning to tabular domain", NeurIPS.

    Examples
    --------
    >>> from nnfit import MaskedPretrainer
    >>> from sklearn.datasets import load_iris
    >>> X, _ = load_iris(return_X_y=True)
    >>> model = MaskedPretrainer((8, 4), scaling="standard", random_state=0)
    >>> model.set_params(max_iter=20).fit_transform(X).shape
    (150, 4)
    """

    _own_constraints = {
        **Pretrainer._own_constraints,
        "corruption_rate": PART,
        "mask_weight": NOT_NEGATIVE,
    }

    def __init__(
        self,
        hidden_layer_sizes: Sizes = (100,),
        activation: Activation | Sequence[Activation] = "relu",
        *,
        corruption_rate: float = 0.3,
        mask_weight: float = 0.25,
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

    def _encode(self, y, dtype):
        # The engine writes the mask of a batch; rows that stay as they are have none.
        values = super()._encode(y, dtype)
        return np.hstack([values, np.full_like(values, np.nan)])

    def _count_outputs(self, target):
        return super()._count_outputs(target) + target.shape[1] // 2

    def _loss_row(self):
        loss, of_values = super()._loss_row()
        n = len(self._columns.n_categories)
        return loss, of_values + (0.0, float(self.mask_weight) / n) * n

    def _corruption(self):
        n = len(self._columns.n_categories)
        return {"feature_swap": float(self.corruption_rate), "swap_mask": n}
