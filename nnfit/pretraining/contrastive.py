"""Learning by contrast: two views of a row are alike, those of other rows are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils.validation import _num_samples

from nnfit.estimators.annotations import (
    Activation,
    Dtype,
    FloatArray,
    RandomState,
    Rows,
    typed,
)
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.documentation import documented
from nnfit.estimators.hidden import n_units
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.parameters import POSITIVE, STOCHASTIC_SOLVERS, among, interval
from nnfit.estimators.recipe import recipe
from nnfit.estimators.regressor import MLPRegressor
from nnfit.estimators.validation import hidden_sizes
from nnfit.functions.losses import LOSSES
from nnfit.network import fitted
from nnfit.pretraining.views import HeldOut, contrasted


@documented
@recipe(MLPRegressor, early_stopping=False)
class ContrastivePretrainer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseMLP):
    """Learn hidden layers from rows without labels, by contrast (SCARF).

    Each row of a batch has a copy in which a random part of the columns has the values
    of other rows. Hidden layers and a projection behind them learn to tell a row's copy
    from those of the other rows (InfoNCE). The hidden layers then go into another
    estimator by its parameter `init_from`, or are features as they are.

    Parameters
    ----------
    corruption_rate : float, default=0.6
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

    _task, _y_numeric = "regression", True
    _own_constraints = {
        "corruption_rate": interval(0, 1, "right"),
        "temperature": interval(0.01, None, "left"),
        "projection_size": MLPRegressor._parameter_constraints["layer_width"],
        "learning_rate_init": POSITIVE,
        "solver": [among(STOCHASTIC_SOLVERS)],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Activation | Sequence[Activation] = "relu",
        *,
        corruption_rate: float = 0.6,
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

    # Fitting -----------------------------------------------------------------

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(  # type: ignore[override]
        self, X: Rows, y: Any = None, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Learn from rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, as `MLPClassifier` takes them.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If data or parameters are invalid.
        """
        if not hidden_sizes(self):
            raise ValueError(
                "hidden_layer_sizes must have at least one layer, which is what is "
                f"learnt here, got {self.hidden_layer_sizes!r}."
            )
        self._fit(X, np.zeros(_n_rows(X)), sample_weight)
        self._n_features_out = n_units(self, self._body_layers)
        return self

    def transform(self, X: Rows) -> FloatArray:
        """Outputs of the last hidden layer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
        """
        return self.hidden_features(X, self._body_layers)

    @property
    def _body_layers(self):
        """Hidden layers of what is passed on."""
        return self._description().get("body_layers", 1)

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
        self._fitted["body_layers"] = len(hidden_sizes(self))

    def _run(self, engine, settings, fit, n_rows):
        if fit.validation is not None:
            network = self._projecting(fit.network.n_features, fit.network.dtype)
            fit.validation = HeldOut.of(fit.validation, self, network, settings.engine)
        super()._run(engine, settings, fit, n_rows)

    # Targets: the raw prediction is the loss ----------------------------------

    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        self._fitted["targets"] = None
        return y

    def _loss_row(self):
        return LOSSES["absolute_error"], ()

    def _encode(self, y, dtype):
        return np.zeros((len(y), 1), dtype)

    def _count_outputs(self, target):
        return 1

    def _check_outputs(self, n_outputs):
        pass

    def _default_score(self):
        return "loss"


def _n_rows(X):
    """Rows of data that nobody has checked; 0 of what has none, which is refused."""
    try:
        return _num_samples(X)
    except TypeError:
        return 0
