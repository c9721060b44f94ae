"""Regression."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import d2_pinball_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.validation import cast_target, check_y_range
from nnfit.functions.custom import custom_loss
from nnfit.functions.losses import LOSSES

REGRESSION_LOSSES = {
    name: row for name, row in LOSSES.items() if row.task == "regression"
}


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor.

    Minimises the squared error, another loss, or one of your own, over the weights
    of a fully connected network. Takes the place of scikit-learn's `MLPRegressor`:
    same parameters, attributes and warnings, and more of the first two.

    Parameters
    ----------
    loss : str or callable, default="squared_error"
        Loss function: 'squared_error' and 'poisson' (half the deviance) as in
        scikit-learn, 'absolute_error', 'huber', 'quantile' (pinball loss), 'gamma'
        (half the deviance), or a function of your own, ``f(raw_prediction, y) ->
        (value, gradient)`` on floats, which is summed over the outputs. 'poisson'
        (y >= 0) and 'gamma' (y > 0) predict the exponential function of the last
        layer.
    hidden_layer_sizes : array-like of shape (n_layers - 2,), default=(100,)
        Number of units of each hidden layer; an int stands for one layer, an empty
        tuple for none.
    activation : str, callable, or list or tuple of them, default="relu"
        Activation of the hidden layers, or one for each of them: 'identity',
        'logistic', 'tanh', 'relu', 'leaky_relu', 'elu', 'selu', 'gelu', 'silu',
        'mish', 'softplus', 'hard_swish', or a function of your own,
        ``f(z) -> (value, slope)`` on floats.
    solver : {"lbfgs", "sgd", "adam", "adamw"}, default="adam"
        'sgd' is stochastic gradient descent with momentum, 'adam' the method of
        Kingma and Ba, 'adamw' the same with `weight_decay` apart from the gradient.
        'lbfgs', a quasi-Newton method on the whole data, is often the best for a few
        thousand rows or less.
    alpha : float, default=0.0001
        Strength of the L2 penalty ``alpha / 2 * sum(coef ** 2)``, which is divided by
        the number of rows (the sum of the weights) of the batch.
    batch_size : int or "auto", default="auto"
        Rows per step; "auto" is ``min(200, n_samples)``. Not used by 'lbfgs'.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule for `solver='sgd'`. "constant": `learning_rate_init`. "invscaling":
        ``learning_rate_init / (t + 1) ** power_t`` after `t` rows, set after every
        epoch. "adaptive": divided by 5 each time that `n_iter_no_change` epochs
        bring no improvement by `tol`.
    learning_rate_init : float, default=0.001
        Step size, at first. Not used by 'lbfgs'.
    power_t : float, default=0.5
        Exponent of the schedule "invscaling".
    max_iter : int, default=200
        Most epochs (iterations of 'lbfgs') of a call of `fit`.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new random order.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the validation split and the order of rows.
        An int gives the same result at every call, for any number of threads.
    tol : float, default=1e-4
        Improvement below which an epoch counts as none; for 'lbfgs' the bound on the
        gradient's largest component.
    verbose : bool or int, default=False
        Whether to print loss and validation score of every epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the previous one: weights, optimizer state,
        schedule and curves. The state is then pickled with the estimator.
    momentum : float, default=0.9
        Momentum of 'sgd', in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data has not risen by `tol` for
        `n_iter_no_change` epochs, and to keep the best weights. The data are
        `X_val` and `y_val` of `fit`, or else a part of the training data.
        Not used by 'lbfgs'.
    validation_fraction : float, default=0.1
        The part of the training data set aside for early stopping, in (0, 1).
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the first and second moments of 'adam' and 'adamw', in [0, 1).
    epsilon : float, default=1e-8
        Number that 'adam' and 'adamw' add to the root of the second moment.
    n_iter_no_change : int or np.inf, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.
    huber_delta : float, default=1.0
        Size of the error beyond which `loss='huber'` grows linearly.
    quantile : float or array-like of shape (n_levels,), default=0.5
        Level of `loss='quantile'`, in (0, 1), or several in increasing order;
        `predict` then gives one column per level, and these never cross.
    weight_decay : float, default=0.01
        Decoupled decay of 'adamw': each step multiplies the weights, not the
        intercepts, by ``1 - learning_rate_init * weight_decay``.
    initialization : {"glorot", "he"}, default="glorot"
        Distribution of the initial weights: uniform with Glorot and Bengio's
        variance, drawn exactly as scikit-learn draws them, or with He's.
    scoring : str, callable or None, default=None
        Score of the validation data: None stands for R2 (with
        `loss='quantile'`: for "loss"), "loss" for the
        negative loss; otherwise the name of a scikit-learn scorer or a function
        ``scorer(estimator, X, y)``.
    dtype : {"float32", "float64"} or None, default=None
        Type of computation, weights and predictions. None stands for float32 with
        mini-batches and float64 with 'lbfgs'.
    n_jobs : int or None, default=None
        Threads of `fit` and of predictions for many rows. None stands for all
        processors that are free in this process and that the work is worth, at most
        ``OMP_NUM_THREADS`` and ``NUMBA_NUM_THREADS``, one where that is faster, and
        one in a worker of joblib, multiprocessing or Dask; this differs from
        scikit-learn, where None stands for one. A number is obeyed; -1 stands for
        all processors, -2 for all but one and so on. Weights and predictions do not
        depend on it.

    Attributes
    ----------
    loss_ : float
        Loss of the last epoch, with the penalty.
    best_loss_ : float or None
        Smallest loss of an epoch; None with early stopping. Not set by 'lbfgs'.
    loss_curve_ : list of float
        Loss of every epoch. Not set by 'lbfgs'.
    validation_scores_ : list of float or None
        Validation score of every epoch; None without early stopping. Ends in NaN if
        the weights exploded and the best ones were restored. Not set by 'lbfgs'.
    best_validation_score_ : float or None
        The largest of them. Not set by 'lbfgs'.
    history_ : dict of list
        Curves of equal length, one entry per epoch (iteration of 'lbfgs'): "loss",
        "val_loss", "val_score" (NaN without validation data), "learning_rate" and
        "seconds" of training until then.
    t_ : int
        Rows seen in training.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of every layer. They may be edited in place.
    intercepts_ : list of ndarray of shape (n_out,)
        Intercepts of every layer.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a table with names that are strings.
    n_iter_ : int
        Epochs (iterations of 'lbfgs') of the last call.
    n_layers_ : int
        Number of layers, those of input and output included.
    n_threads_ : int
        Largest number of threads that worked together in the last call.
    n_outputs_ : int
        Number of units of the last layer.
    out_activation_ : str
        Inverse link: 'exp' for 'poisson' and 'gamma', else 'identity'.

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
        "loss": [StrOptions(set(REGRESSION_LOSSES)), callable],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
    }

    _y_numeric = True

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        huber_delta=1.0,
        quantile=0.5,
        weight_decay=0.01,
        initialization="glorot",
        scoring=None,
        dtype=None,
        n_jobs=None,
    ):
        super().__init__(
            loss=loss,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            weight_decay=weight_decay,
            initialization=initialization,
            scoring=scoring,
            dtype=dtype,
            n_jobs=n_jobs,
        )
        self.huber_delta = huber_delta
        self.quantile = quantile

    # Targets -----------------------------------------------------------------

    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        return self._check_target_again(y)

    def _check_target_again(self, y):
        if isinstance(self.loss, str):
            check_y_range(y, REGRESSION_LOSSES[self.loss])
        if self.loss == "quantile" and y.ndim == 2:
            raise ValueError(
                "loss='quantile' predicts one target, got y with "
                f"{y.shape[1]} columns. Fit one estimator for each, for example with "
                "sklearn.multioutput.MultiOutputRegressor."
            )
        return y

    def _encode(self, y, dtype):
        return cast_target(y, dtype)

    def _count_outputs(self, target):
        return len(self._levels()) if self.loss == "quantile" else target.shape[1]

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
        if callable(self.loss):
            return custom_loss(self.loss, "regression"), ()
        values = {"delta": (self.huber_delta,), "quantile": ()}
        if self.loss == "quantile":
            values["quantile"] = tuple(self._levels())
        loss = REGRESSION_LOSSES[self.loss]
        return loss, tuple(value for name in loss.parameters for value in values[name])

    def _default_score(self):
        return "loss" if self.loss == "quantile" else "r2"

    # Fitting -----------------------------------------------------------------

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on the given data, going on from earlier calls.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        self : object
            The estimator after one more epoch.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    # Predicting --------------------------------------------------------------

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            One column per target, or per level of several quantiles.
        """
        predictions = self._predict_outputs(X, raw=False)
        return predictions[:, 0] if predictions.shape[1] == 1 else predictions

    def score(self, X, y, sample_weight=None):
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
        if self.loss != "quantile":
            return super().score(X, y, sample_weight)
        predictions = self.predict(X).reshape(-1, self.n_outputs_)
        scores = [
            d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
            for column, level in zip(predictions.T, self._levels(), strict=True)
        ]
        return float(np.mean(scores))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        loss = REGRESSION_LOSSES.get(self.loss) if isinstance(self.loss, str) else None
        tags.target_tags.positive_only = loss is not None and loss.y_min >= 0
        return tags
