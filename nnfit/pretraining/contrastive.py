"""Learning by contrast: two views of a row are alike, those of other rows are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnfit.estimators.annotations import Activation, Dtype, RandomState
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.parameters import POSITIVE, interval
from nnfit.estimators.regressor import MLPRegressor
from nnfit.estimators.validation import hidden_sizes
from nnfit.functions.losses import LOSSES
from nnfit.network import fitted
from nnfit.pretraining.base import Pretrainer, pretrainer
from nnfit.pretraining.views import HeldOut, contrasted


@pretrainer
class ContrastivePretrainer(Pretrainer):
    """Learn hidden layers from rows without labels, by contrast (SCARF).

    Each row of a batch has a copy in which a random part of the columns has the values
    of other rows. Hidden layers and a projection behind them learn to tell a row's copy
    from those of the other rows (InfoNCE). The hidden layers then go into another
    estimator by its parameter `init_from`, or are features as they are.

    Parameters
    ----------
    corruption_rate : float, default=0.3
        Part of the entries of a copy, in (0, 1], that come from other rows.
    temperature : float, default=1.0
        What cosines are divided by, at least 0.01. The lower it is, the more the rows
        count that are hard to tell apart.
    projection_size : int, default=64
        Units of the two layers behind the hidden ones, which only this training uses.
    solver : str, default="adam"
        Optimizer, one of `MLPRegressor` but 'lbfgs', which knows no batches.
    batch_size : int or "auto", default="auto"
        Rows per step, which are told apart from each other; "auto" is 200, or all rows
        if there are fewer.
    early_stopping : bool, default=False
        Whether to stop when the loss of rows set aside has not fallen by `tol` for
        `n_iter_no_change` epochs, and to keep the best weights. Their copies are drawn
        once.

    Attributes
    ----------
    {attributes}
    out_activation_ : str
        'identity': the projection is as it is.

    See Also
    --------
    MLPClassifier : Whose `init_from` takes the hidden layers.
    NetworkTransformer : Hidden units of a network that learnt from labels.

    Notes
    -----
    A row's weight is that of its loss; others are told apart from it whatever theirs.

    References
    ----------
    Bahri, Jiang, Tay and Metzler (2022), "SCARF: Self-supervised contrastive learning
    using random feature corruption", ICLR, arXiv:2106.15147.

    Examples
    --------
    >>> from nnfit import ContrastivePretrainer, MLPClassifier
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> pretrainer = ContrastivePretrainer(scaling="standard", random_state=0)
    >>> pretrainer.fit(X).transform(X).shape
    (569, 100)
    >>> start = dict(init_from=pretrainer, scaling="standard", random_state=0)
    >>> classifier = MLPClassifier(**start, max_iter=500).fit(X[:100], y[:100])
    >>> classifier.init_report_["layers"]
    ['taken', 'new: init_from has no outputs']
    """

    _n_head_layers, _takes_sparse = 2, True
    _own_constraints = {
        **Pretrainer._own_constraints,
        "corruption_rate": interval(0, 1, "right"),
        "temperature": interval(0.01, None, "left"),
        "projection_size": MLPRegressor._parameter_constraints["layer_width"],
        "learning_rate_init": POSITIVE,
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Activation | Sequence[Activation] = "relu",
        *,
        corruption_rate: float = 0.3,
        temperature: float = 1.0,
        projection_size: int = 64,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        random_state: RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        weight_decay: float = 0.01,
        scaling: str | None = None,
        numeric_embedding: str | dict[str, Any] | None = None,
        categorical_features: npt.ArrayLike | str | None = None,
        category_embedding: dict[str, Any] | None = None,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    # The network -------------------------------------------------------------

    def _describe(self, n_features, target, dtype):
        network = self._projecting(n_features, dtype)
        return contrasted(network, self.corruption_rate, self.temperature)

    def _projecting(self, n_features, dtype):
        """Hidden layers and projection, as predictions pass them."""
        inputs = self._standard("inputs")
        if inputs is not None:
            n_features = fitted.inputs_of(inputs).widths[-1]
        head = [self.projection_size] * 2
        return self._network((n_features, *hidden_sizes(self), *head), dtype)

    def _starting_weights(self, network, random_state, first_pass, found):
        network = self._projecting(network.n_features, network.dtype)
        return super()._starting_weights(network, random_state, first_pass, found)

    def _set_structure(self, network):
        projecting = self._projecting(network.n_features, network.dtype)
        super()._set_structure(projecting)

    def _run(self, engine, settings, fit, n_rows):
        if fit.validation is not None:
            network = self._projecting(fit.network.n_features, fit.network.dtype)
            fit.validation = HeldOut.of(fit.validation, self, network, settings.engine)
        super()._run(engine, settings, fit, n_rows)

    # Targets: the raw prediction is the loss ----------------------------------

    def _own_target(self, X, y):
        return y  # a number for each row, which nobody reads

    def _loss_row(self):
        return LOSSES["absolute_error"], ()

    def _encode(self, y, dtype):
        return np.zeros((len(y), 1), dtype)

    def _count_outputs(self, target):
        return 1
