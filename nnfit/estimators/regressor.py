"""Regression."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import d2_pinball_score
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.metaestimators import available_if

from nnfit.estimators.annotations import (
    Activation,
    Dtype,
    FloatArray,
    Loss,
    Numbers,
    RandomState,
    Rows,
    Schedule,
    Scoring,
    Sizes,
    typed,
)
from nnfit.estimators.by_batches import BatchMLP
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.documentation import documented
from nnfit.estimators.losses import find_loss
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.parameters import POSITIVE, among, interval
from nnfit.estimators.standardising import (
    check_targets,
    find_targets,
    standard_targets,
)
from nnfit.estimators.uncertainty import average
from nnfit.estimators.validation import cast_target, check_y_range
from nnfit.functions.losses import LOSSES, rows_of
from nnfit.network import fitted
from nnfit.numpy_errors import without_numpy_errors

REGRESSION_LOSSES = {
    name: row for name, row in LOSSES.items() if row.task == "regression"
}


@documented
class MLPRegressor(RegressorMixin, BatchMLP):
    """Multi-layer perceptron regressor.

    Minimises the squared error, another loss, or one of your own, over the weights
    of a fully connected network. Takes the place of scikit-learn's `MLPRegressor`:
    it has the same parameters, attributes and warnings, and more parameters and
    attributes.

    Parameters
    ----------
    loss : str or callable, default="squared_error"
        Loss function:
        {regression losses},
        or a function of your own, ``f(raw_prediction, y) -> (value, gradient)`` on
        floats, which is summed over the outputs. 'squared_error' and 'poisson' are as
        in scikit-learn, and 'quantile' is the pinball loss. 'poisson' (y >= 0) and
        'gamma' (y > 0) are half the deviance. Their predictions are the exponential
        function of the last layer.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data has not risen by `tol` for
        `n_iter_no_change` epochs, and to keep the best weights. The data are
        `X_val` and `y_val` of `fit`, or else a part of the training data.
        Not used by 'lbfgs'.
    huber_delta : float, default=1.0
        Error beyond which `loss='huber'` grows linearly.
    quantile : float or array-like of shape (n_levels,), default=0.5
        Level of `loss='quantile'`, in (0, 1), or several in increasing order. For
        several, `predict` gives a column for each level, and these never cross.
    target_scaling : {"standard"} or None, default=None
        "standard" standardises `y` inside, by mean and standard deviation of the first
        training rows. None does so only if `y` lies far from zero or is tiny. Several
        targets are divided by one number, which changes their common loss by a factor
        alone. Predictions, losses and weights are in the units of `y`. For losses that
        depend only on the difference of prediction and target.
    scoring : str, callable or None, default=None
        Score of the validation data: the name of a scikit-learn scorer, or a function
        ``scorer(estimator, X, y)``. None stands for R2, with `loss='quantile'` for
        "loss"; "loss" stands for the negative loss.

    Attributes
    ----------
    {attributes}
    out_activation_ : str
        Inverse link: 'exp' for a deviance of positive targets, such as 'poisson', else
        'identity'.

    See Also
    --------
    MLPClassifier : The same for classification.
    sklearn.neural_network.MLPRegressor : Whose place this class takes.

    Examples
    --------
    >>> from nnfit import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
    >>> regr = MLPRegressor(random_state=1, max_iter=2000, tol=0.1)
    >>> regr.fit(X_train, y_train)
    MLPRegressor(max_iter=2000, random_state=1, tol=0.1)
    >>> regr.score(X_test, y_test) > 0.9
    True
    """

    _parameter_constraints: dict = {
        **BaseMLP._parameter_constraints,
        "loss": [among(REGRESSION_LOSSES), callable],
        "huber_delta": POSITIVE,
        "quantile": [*interval(0, 1, "neither"), "array-like"],
        "target_scaling": [among(["standard"]), None],
    }

    _task, _y_numeric = "regression", True

    def __init__(
        self,
        loss: Loss = "squared_error",
        hidden_layer_sizes: Sizes = (100,),
        activation: Activation | Sequence[Activation] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        huber_delta: float = 1.0,
        quantile: Numbers = 0.5,
        weight_decay: float = 0.01,
        l1: float = 0.0,
        max_norm: float | None = None,
        dropout: Numbers = 0.0,
        input_dropout: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        feature_swap: float = 0.0,
        input_noise: float = 0.0,
        ema_decay: float | None = None,
        swa: float | None = None,
        initialization: str = "glorot",
        init_from: Any | None = None,
        freeze: int | str | npt.ArrayLike | None = None,
        unfreeze_at: int | None = None,
        normalization: str | None = None,
        residual: bool = False,
        scaling: str | None = None,
        target_scaling: str | None = None,
        numeric_embedding: str | dict[str, Any] | None = None,
        categorical_features: npt.ArrayLike | str | None = None,
        category_embedding: dict[str, Any] | None = None,
        n_shared_members: int = 1,
        member_adapters: str = "all",
        member_rows: str = "shared",
        n_layers: int | None = None,
        layer_width: int = 100,
        taper: float = 1.0,
        rho: float = 0.9,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        learning_rate_factors: Sequence[float] | FloatArray | None = None,
        warmup: float = 0.0,
        learning_rate_decay: float = 0.1,
        learning_rate_cycles: int = 3,
        weight_decay_schedule: Schedule | None = None,
        dropout_schedule: Schedule | None = None,
        momentum_schedule: Schedule | None = None,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        n_members: int = 1,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    def _validate_params(self):
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            if not isinstance(self.loss, Integral | list | tuple | np.ndarray):
                raise
            # As in scikit-learn, whose classifier has the sizes in the first place.
            raise InvalidParameterError(
                f"{error} It is the first argument; sizes of hidden layers need "
                f"their name, hidden_layer_sizes={self.loss!r}."
            ) from None

    # Targets -----------------------------------------------------------------

    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        y = self._check_target_again(y)
        loss, _ = find_loss(self)
        if not first_pass:
            targets = self._standard("targets")
            if self._scales_targets and targets is None:
                raise ValueError(
                    "Cannot continue to train a network whose targets are not scaled "
                    f"with target_scaling={self.target_scaling!r}. Start a new one "
                    "with warm_start=False, or set target_scaling=None."
                )
            check_targets(targets, y, loss)
        elif self._scales_targets:
            self._find_units(y, sample_weight)
        else:
            self._fitted["targets"] = find_targets(y, loss)
        return y

    @property
    def _scales_targets(self):
        return self.target_scaling is not None

    def _find_units(self, y, sample_weight):
        loss, _ = find_loss(self)
        self._fitted["targets"] = standard_targets(y, loss, sample_weight)

    def _check_target_again(self, y, name="y_val"):
        if isinstance(self.loss, str):
            check_y_range(y, REGRESSION_LOSSES[self.loss])
        if self._has_levels() and y.ndim == 2:
            raise ValueError(
                f"loss={self.loss!r} predicts one target, got y with "
                f"{y.shape[1]} columns. Fit one estimator for each, for example with "
                "sklearn.multioutput.MultiOutputRegressor."
            )
        return y

    def _encode(self, y, dtype):
        return cast_target(y, dtype, self._standard("targets"))

    def _count_outputs(self, target):
        return len(self._levels()) if self._has_levels() else target.shape[1]

    def _has_levels(self):
        """Whether there is an output for each level of `quantile`, of one target."""
        rows = rows_of(self.loss, self._task)
        return any("quantile" in row.parameters for row in rows)

    def _levels(self):
        levels = np.atleast_1d(np.asarray(self.quantile, dtype=np.float64))
        valid = levels.ndim == 1 and levels.size and np.all(np.diff(levels) > 0)
        if not valid or not (levels[0] > 0 and levels[-1] < 1):
            raise ValueError(
                "quantile must be a level between 0 and 1 or several in increasing "
                f"order, got {self.quantile!r}."
            )
        return levels

    def _loss_row(self):
        loss, parameters = find_loss(self)
        unit = fitted.loss_unit(loss, self._standard("targets"), of_slope=True)
        return loss, tuple(number / unit for number in parameters)

    def _default_score(self):
        return "loss" if self._has_levels() else "r2"

    def _check_outputs(self, n_outputs):
        levels = self._description()["levels"]
        if levels and len(levels) != n_outputs:
            raise ValueError(
                f"coefs_[-1] must have {len(levels)} columns, one for each level of "
                f"quantile, got {n_outputs}."
            )

    # Fitting -----------------------------------------------------------------

    @typed(available_if(lambda estimator: estimator._check_solver()))
    @typed(_fit_context(prefer_skip_nested_validation=True))
    def partial_fit(
        self,
        X: Rows,
        y: Rows,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Rows | None = None,
        y_val: Rows | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on the given data, going on from earlier calls.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data, evaluated after the epoch and recorded in ``history_``.
            Needed with ``early_stopping=True``: once ``n_iter_no_change`` calls have
            not raised the score by ``tol``, the best weights of all calls are restored
            and ``stopped_`` is True. Further calls train no more, until `fit` or
            ``early_stopping=False``.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of the validation data.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation data.

        Returns
        -------
        self : object
            The estimator after one more epoch.

        Raises
        ------
        ValueError
            As `fit`; also if another `activation`, `normalization`, `residual` or
            another size than in earlier calls is asked for.
        MemoryError
            If the network does not fit into memory.
        """
        given = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, given, incremental=True)

    @classmethod
    def from_arrays(
        cls,
        coefs: Sequence[npt.ArrayLike],
        intercepts: Sequence[npt.ArrayLike],
        *,
        norms: Sequence[npt.ArrayLike] = (),
        **parameters: Any,
    ) -> Self:
        """Make a fitted regressor of weights from elsewhere.

        It predicts, and goes on training with ``partial_fit`` or ``warm_start=True``.

        Parameters
        ----------
        coefs : list of array-like of shape (n_in, n_out)
            Weights of every layer, which are copied.
        intercepts : list of array-like of shape (n_out,)
            Intercepts of every layer, which are copied.
        norms : list of array-like, default=()
            As the attribute ``norms_``, with the parameter ``normalization``.
        **parameters
            Of the estimator, such as ``activation``. ``hidden_layer_sizes`` is that of
            the weights.

        Returns
        -------
        MLPRegressor
            With what `fit` sets, except for the records of a training. It
            standardises nothing. If the source did, pass it features from which the
            source's ``feature_shifts_`` are subtracted and that are divided by its
            ``feature_scales_``.

        Raises
        ------
        ValueError
            If shapes do not belong together.
        """
        return cls(**parameters)._take(coefs, intercepts, norms)

    # Predicting --------------------------------------------------------------

    @overload
    def predict(
        self, X: Rows, n_passes: int | None = None, return_std: Literal[False] = False
    ) -> FloatArray: ...

    @overload
    def predict(
        self, X: Rows, n_passes: int | None = None, *, return_std: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    @overload
    def predict(
        self, X: Rows, n_passes: int | None = None, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]: ...

    @without_numpy_errors
    def predict(
        self, X: Rows, n_passes: int | None = None, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        n_passes : int or None, default=None
            Number of predictions with dropout as in training, whose mean is returned
            (Monte Carlo dropout). None stands for one prediction without dropout.
        return_std : bool, default=False
            Whether to return the standard deviation too, over the passes and over the
            members of an ensemble.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            One column per target, or per level of several quantiles. Finite; float64,
            or float32 if network and `X` are and the target was not standardised.
        std : ndarray, like `mean`
            Only with `return_std`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid, or if float64 does not hold the outputs of a row, which
            the message names.
        """
        X, given = self._check_rows(X)

        def outputs(network, dropout):
            columns = network._outputs(self, X, False, dropout, given)
            return columns[:, 0] if columns.shape[1] == 1 else columns

        return average(self, n_passes, return_std, outputs)

    def score(
        self, X: Rows, y: Rows, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Coefficient of determination, or its likeness for quantiles.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            R2, averaged over the targets; with `loss='quantile'` the fraction of
            pinball loss explained, `sklearn.metrics.d2_pinball_score`, averaged over
            the levels. 1 is best.
        """
        levels = self._description()["levels"]
        if not levels:
            return super().score(X, y, sample_weight)
        predictions = self.predict(X).reshape(-1, len(levels))
        scores = [
            d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
            for column, level in zip(predictions.T, levels, strict=True)
        ]
        return float(np.mean(scores))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        loss = REGRESSION_LOSSES.get(self.loss) if isinstance(self.loss, str) else None
        tags.target_tags.positive_only = loss is not None and loss.y_min >= 0
        return tags
