"""The estimators that are fitted to collections of Dask."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import (
    Interval,
    validate_parameter_constraints,
)

from nnfit.callbacks.support import CallbackSupportMixin, callbacks_of
from nnfit.dask import parts, predicting
from nnfit.dask.engine import ShardedEngine
from nnfit.dask.outer import OuterStep
from nnfit.dask.packages import client_of, current, dask
from nnfit.dask.shard import template
from nnfit.dask.workers import InProcess, OnWorkers
from nnfit.estimators import resuming
from nnfit.estimators.classifier import MLPClassifier
from nnfit.estimators.realmlp import RealMLPClassifier, RealMLPRegressor
from nnfit.estimators.regressor import MLPRegressor
from nnfit.estimators.tabm import TabMClassifier, TabMRegressor

#: Parameters besides those of the estimator on one machine, and their defaults.
OWN = {
    "client": None,
    "n_shards": None,
    "local_epochs": 1,
    # DiLoCo's 0.7 and 0.9 are worse where there are few rounds, or few steps in one:
    # R2 of 0.64 and not 0.71 after 12 rounds of Friedman's function with 4 shards.
    "outer_learning_rate": 1.0,
    "outer_momentum": 0.5,
    "timeout": None,
}
CONSTRAINTS = {
    "n_shards": [Interval(Integral, 1, None, closed="left"), None],
    "local_epochs": [Interval(Real, 0, None, closed="neither")],
    "outer_learning_rate": [Interval(Real, 0, None, closed="neither")],
    "outer_momentum": [Interval(Real, 0, 1, closed="left")],
    "timeout": [Interval(Real, 0, None, closed="neither"), None],
}
TEXT = """{summary}

    Its parameters are those of `{kind}`, and these.

    Parameters
    ----------
    client : distributed.Client, default=None
        Of the cluster. None stands for the current one; where there is none, the shards
        are trained in this process, one after the other, to the same weights.
    n_shards : int, default=None
        Logical shards that the rows are split into: partition `i` belongs to shard
        ``i % n_shards``. The fitted weights depend on their number and on the
        partitions, and not on the workers. None stands for the number of workers.
    local_epochs : float, default=1
        Epochs that every shard trains between two synchronisations: a whole number, or
        ``1 / k`` for `k` synchronisations in an epoch, which large shards need.
    outer_learning_rate : float, default=1.0
        Factor of the step that the synchronised weights take in the mean direction of
        the shards.
    outer_momentum : float, default=0.5
        Nesterov's momentum of these steps, in [0, 1). With 0, and a factor of 1, the
        weights are the mean of those of the shards.
    timeout : float, default=None
        Seconds after which a round of the training that has not finished is an error,
        and so is the wait for the workers and for a fit that uses them. None stands for
        no limit, and 60 seconds for a cluster without workers.
    **parameters
        Of `{kind}`.

    See Also
    --------
    {kind} : The same on one machine.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from nnfit.dask import {name}
    >>> rows = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")
    >>> X = da.from_array(rows, chunks=(100, 3))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> model = {name}(n_shards=2, max_iter=5, random_state=0)
    >>> model = model.fit(X, y, X_val=X[:100], y_val=y[:100])
    >>> model.predict(X).compute().shape
    (400,)
    >>> type(model.to_local()).__name__
    '{kind}'
    """


class DaskNetwork(CallbackSupportMixin, BaseEstimator):
    """What all have in common; use the derived classes."""

    _kind: ClassVar[type]
    _summary: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_kind" in vars(cls):
            cls.__init__ = _init_of(cls._kind)  # type: ignore[method-assign]
            cls.__doc__ = TEXT.format(
                summary=cls._summary, name=cls.__name__, kind=cls._kind.__name__
            )

    # Fitting -----------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any | None = None,
        *,
        X_val: Any | None = None,
        y_val: Any | None = None,
        sample_weight_val: Any | None = None,
    ) -> Self:
        """Fit the network on the workers.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features)
            Training data. Its partitions are computed where they stay; with the rows
            as the network takes them, they must fit into the workers' memory.
        y : dask array, series or dataframe of shape (n_samples,) or \
(n_samples, n_outputs)
            Targets, in the same partitions.
        sample_weight : dask array or series of shape (n_samples,), default=None
            Weights of the rows.
        X_val : dask collection or array-like, default=None
            Validation data, which the client brings into its memory and evaluates after
            every round. ``early_stopping=True``, and the estimators for tables, need
            them: no rows of `X` are set aside.
        y_val : dask collection or array-like, default=None
            Targets of the validation data.
        sample_weight_val : dask collection or array-like, default=None
            Weights of the validation data.

        Returns
        -------
        self : object

        Raises
        ------
        ImportError
            Without dask.
        TypeError
            If `X` or `y` is no collection of Dask.
        ValueError
            As `fit` on one machine; also if partitions do not belong together.
        TimeoutError
            See `timeout`.
        RuntimeError
            If a shard was lost with its worker again and again.

        Warns
        -----
        UserWarning
            If workers were lost, whose shards others train from the last
            synchronisation.
        """
        validate_parameter_constraints(
            CONSTRAINTS, self.get_params(deep=False), type(self).__name__
        )
        local = self._local_estimator()
        self._check(local, X_val)
        client = client_of(self.client)
        of_rows = parts.partitions(X, y, sample_weight)
        with current(client):
            if client is None:
                holders = InProcess(of_rows)
            else:
                holders = OnWorkers(client, of_rows, self.timeout)
            given = dask().compute(X_val, y_val, sample_weight_val)
            self._local, n_shards = self._trained(local, holders, given)
        for name in [name for name in vars(self) if _is_fitted_attribute(name)]:
            delattr(self, name)
        for name, value in vars(self._local).items():
            if _is_fitted_attribute(name):
                setattr(self, name, value)
        self.n_shards_ = n_shards
        return self

    def _local_estimator(self):
        params = self.get_params(deep=False)
        return self._kind(**{k: v for k, v in params.items() if k not in OWN})

    def _trained(self, local, holders, given):
        """The estimator, fitted, and the number of shards.

        It is a fit to the rows looked at, but for the engine: the shards train.
        """
        found = holders.look(local)
        filled = parts.check_found(found)
        holders.keep(filled)
        found = [found[number] for number in filled]
        shards = parts.shards_of(self.n_shards, len(found), holders.n_holders)
        looked = holders.take(parts.rows_to_look_at(found))
        local_epochs, n_slices = self._rhythm()
        as_asked = local.get_params(deep=False)
        if as_asked.get("class_weight") == "balanced":
            local.class_weight = parts.balanced(found)
        local.device = "cpu"  # workers may have others
        n_rows = sum(each.n_rows for each in found)

        def run(engine, settings, fit, _):
            made = template(local, n_slices)
            made.device = as_asked["device"]
            seed = vars(local)[resuming.STATE]["seed"]
            holders.place(shards, made, seed, n_slices)
            outer = OuterStep(
                fit.network.tensors, self.outer_learning_rate, self.outer_momentum
            )
            # Python looks at every round.
            settings = replace(
                settings, engine=replace(settings.engine, monitor_loss=False)
            )
            with holders.turn():
                engine = ShardedEngine(
                    engine, holders, outer, settings, local_epochs, n_slices
                )
                type(local)._run(local, engine, settings, fit, n_rows)

        local._run = run
        local.set_callbacks(*callbacks_of(self))
        X_val, y_val, weight_val = given
        more = {"X_val": X_val, "y_val": y_val, "sample_weight_val": weight_val}
        try:
            local.fit(looked.X, looked.y, looked.sample_weight, **more)
        finally:
            del local._run  # which holds the estimator
        local.set_callbacks()
        # Its optimizer has not moved, and its threads are those of the client.
        for name in (resuming.STATE, "n_threads_"):
            del vars(local)[name]
        return local.set_params(**as_asked), len(shards)

    def _check(self, local, X_val):
        """Refuse what does not go together with synchronised shards."""
        local._validate_params()  # before anything is computed
        name, optimizer = type(self).__name__, local._chosen_optimizer()
        if optimizer is None:
            raise ValueError(
                f"{name} trains by mini-batches between synchronisations, got "
                "solver='lbfgs'. Choose another solver."
            )
        averages = {
            "ema_decay": local.ema_decay is not None,
            "swa": local.swa is not None,
            "solver": optimizer.average is not None,
        }
        for parameter, is_on in averages.items():
            if is_on:
                raise ValueError(
                    f"{name} averages the weights of its shards, got {parameter}="
                    f"{getattr(local, parameter)!r}, which averages those of steps. "
                    f"Leave out {parameter}, or choose another."
                )
        for parameter, value in (("n_members", 1), ("warm_start", False)):
            if getattr(local, parameter) != value:
                raise ValueError(
                    f"{name} trains one network from its start, got {parameter}="
                    f"{getattr(local, parameter)!r}. Set it to {value!r}; ensembles "
                    "and further training are for the estimator of to_local()."
                )
        if local._keeps_best() and X_val is None:
            raise ValueError(
                f"{name} keeps the best epoch by validation data, which must be given: "
                "no rows of X are set aside on a cluster. Pass X_val and y_val to fit, "
                "or set early_stopping=False where there is such a parameter."
            )

    def _rhythm(self):
        """Epochs of a round and rounds of an epoch, of which one is 1."""
        local_epochs, n_slices = round(self.local_epochs), round(1 / self.local_epochs)
        if self.local_epochs == local_epochs:
            return local_epochs, 1
        if self.local_epochs < 1 and abs(n_slices * self.local_epochs - 1) < 1e-6:
            return 1, n_slices
        raise ValueError(
            "local_epochs must be a whole number, or 1 / k for k synchronisations in "
            f"an epoch, got {self.local_epochs!r}."
        )

    def to_local(self) -> Any:
        """Give the fitted estimator that needs no Dask.

        Returns
        -------
        estimator
            A copy, with the parameters of this one.
        """
        return copy.deepcopy(self._fitted_local())

    def _fitted_local(self):
        if "_local" not in vars(self):
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted yet. Call fit before."
            )
        return self._local

    def __sklearn_is_fitted__(self):
        return "_local" in vars(self)

    # Conventions -------------------------------------------------------------

    def __sklearn_clone__(self):
        params = self.get_params(deep=False)
        client = params.pop("client")  # which is used and not copied
        params = {name: clone(value, safe=False) for name, value in params.items()}
        return type(self)(client=client, **params).set_callbacks(*callbacks_of(self))

    def __getstate__(self):
        return {**super().__getstate__(), "client": None}


class Predicting:
    """Lazy predictions. Before scikit-learn's mixins, which have scores of arrays."""

    def predict(self, X: Any) -> Any:
        """Predict, partition by partition.

        Parameters
        ----------
        X : dask collection or array-like of shape (n_samples, n_features)

        Returns
        -------
        dask array or series, or ndarray
            Lazy where `X` is.
        """
        return predicting.lazily(self._fitted_local(), "predict", X)

    def score(self, X: Any, y: Any, sample_weight: Any | None = None) -> float:
        """Accuracy of a classifier, R2 of a regressor, on the workers.

        Parameters
        ----------
        X : dask collection or array-like of shape (n_samples, n_features)
        y : dask collection or array-like of shape (n_samples,) or \
(n_samples, n_outputs)
        sample_weight : dask collection or array-like of shape (n_samples,), \
default=None

        Returns
        -------
        float
        """
        with current(self.client):
            return predicting.score(self._fitted_local(), X, y, sample_weight)


class DaskClassifier(Predicting, ClassifierMixin, DaskNetwork):
    """What classifiers have in common."""

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities, partition by partition.

        Parameters
        ----------
        X : dask collection or array-like of shape (n_samples, n_features)

        Returns
        -------
        dask array or dataframe, or ndarray
            Of shape (n_samples, n_classes), lazy where `X` is.
        """
        return predicting.lazily(self._fitted_local(), "predict_proba", X)


class DaskRegressor(Predicting, RegressorMixin, DaskNetwork):
    """What regressors have in common."""


def _init_of(kind: type) -> Callable[..., None]:
    """An `__init__` with the parameters of a class, and those of `OWN`."""
    of_kind = signature(kind.__init__)  # type: ignore[misc]
    own = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default)
        for name, default in OWN.items()
    ]

    def __init__(self, *args, **parameters):
        mine = {name: parameters.pop(name, OWN[name]) for name in OWN}
        vars(self).update(kind(*args, **parameters).get_params(deep=False), **mine)

    __init__.__signature__ = of_kind.replace(  # type: ignore[attr-defined]
        parameters=[*of_kind.parameters.values(), *own]
    )
    return __init__


def _is_fitted_attribute(name):
    return name.endswith("_") and not name.startswith("_")


class DaskMLPClassifier(DaskClassifier):
    _kind = MLPClassifier
    _summary = "A multi-layer perceptron as a classifier, fitted on a Dask cluster."


class DaskMLPRegressor(DaskRegressor):
    _kind = MLPRegressor
    _summary = "A multi-layer perceptron as a regressor, fitted on a Dask cluster."


class DaskRealMLPClassifier(DaskClassifier):
    _kind = RealMLPClassifier
    _summary = "RealMLP as a classifier, fitted on a Dask cluster."


class DaskRealMLPRegressor(DaskRegressor):
    _kind = RealMLPRegressor
    _summary = "RealMLP as a regressor, fitted on a Dask cluster."


class DaskTabMClassifier(DaskClassifier):
    _kind = TabMClassifier
    _summary = "TabM as a classifier, fitted on a Dask cluster."


class DaskTabMRegressor(DaskRegressor):
    _kind = TabMRegressor
    _summary = "TabM as a regressor, fitted on a Dask cluster."
