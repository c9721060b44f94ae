"""What the classifier and the regressor share: fitting."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import _fit_context

from nnfit.callbacks.listening import listening
from nnfit.callbacks.support import CallbackSupportMixin, with_callbacks
from nnfit.estimators import (
    by_hand,
    checkpoints,
    embeddings,
    resuming,
    weight_files,
)
from nnfit.estimators.annotations import Rows, typed
from nnfit.estimators.conventions import Conventions
from nnfit.estimators.ensemble import check_continuation, train_members
from nnfit.estimators.fitting import fit_network
from nnfit.estimators.overflow import check_last_step
from nnfit.estimators.parameters import CONSTRAINTS
from nnfit.estimators.predicting import FittedMLP
from nnfit.estimators.settings import most_epochs, rows_as_given
from nnfit.estimators.validation import hidden_sizes
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network import fitted, initial_weights
from nnfit.network.description import check_arrays
from nnfit.numpy_errors import without_numpy_errors
from nnfit.training import device
from nnfit.training.lbfgs import train_lbfgs
from nnfit.training.loop import train
from nnfit.training.rules import PLAIN, Rules


class BaseMLP(CallbackSupportMixin, FittedMLP, Conventions, ABC):
    """Base of the multi-layer perceptrons; use the derived classes."""

    _parameter_constraints: dict = CONSTRAINTS

    # What differs between classifier and regressor ---------------------------

    _task: str
    _y_numeric = False
    _needed_to_predict: tuple[str, ...] = ("coefs_", "intercepts_")

    @abstractmethod
    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        """Check the training targets and set what is learnt from them."""

    @abstractmethod
    def _loss_row(self):
        """Loss of the registry (or the user's) and its parameters."""

    @abstractmethod
    def _encode(self, y, dtype):
        """Targets as the loss takes them, C-contiguous of shape (n_samples, n)."""

    @abstractmethod
    def _count_outputs(self, target):
        """Units of the last layer."""

    def _own_target(self, X, y):
        """What rows are trained to give: `y`, unless the estimator has no targets."""
        return y

    def _corruption(self):
        """Fields of the engine's settings that change rows, besides parameters'."""
        return {}

    #: Whether targets are scaled by what is found in the rows to train on.
    _scales_targets = False

    def _find_units(self, y, sample_weight):
        """Find what targets are scaled by in those of the rows to train on."""

    def _check_target_again(self, y, name="y_val"):
        """Check targets that are not trained on, ``y_val``."""
        return y

    def _weigh(self, y, sample_weight):
        """Weights of the rows in the loss, or None."""
        return sample_weight

    def _loss_weights(self, y, sample_weight, name="sample_weight"):
        """The same, checked; `name` is for messages."""
        return self._weigh(y, sample_weight)

    def _stratify(self, y, target, every=False):
        """Labels whose proportions both parts of the validation split keep, or None.

        With `every`, where there are such that both parts shall have all of them.
        """
        return None

    def _missing_classes(self, y):
        """Classes of which none of some rows is, as a list."""
        return []

    @abstractmethod
    def _check_outputs(self, n_outputs):
        """See that the weights of the last layer are those that predictions need."""

    def _learn_range(self, y, loss_weight, rows):
        """Learn from the targets of the rows to train on what predictions may be."""

    @abstractmethod
    def _default_score(self):
        """Name of the engine's score when ``scoring`` is None, see `Validation`."""

    # What differs between a network of one's own and a recipe -----------------

    _rules: Rules = PLAIN
    #: Whether indicators of categories are scaled as robustly as numbers.
    _scales_indicators = False

    def _value(self, name):
        """Value of a parameter in training, where a recipe may fill it in."""
        return getattr(self, name)

    def _keeps_best(self, incremental=False):
        """Whether the best epoch on validation data counts, in a fit or a call."""
        return self.early_stopping

    def _body(self):
        """What is not plain in the chain, a `nnfit.network.chain.Body` or None."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.input_dropout == 0
        has_categories = self.categorical_features is not None
        tags.input_tags.categorical = tags.input_tags.string = has_categories
        return tags

    # Fitting -----------------------------------------------------------------

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit(
        self,
        X: Rows,
        y: Rows,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Rows | None = None,
        y_val: Rows | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Fit the network to training data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data: an array, a table (pandas, polars, pyarrow) or a sparse
            matrix, which stays sparse. NaN stands for a missing number. Texts and
            categories need `categorical_features`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values: class labels or a 0/1 matrix of labels in classification,
            numbers in regression. Matrices may be sparse.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss and in the validation score of an
            internal split; not negative, not all zero. None stands for equal
            weights.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data. They are evaluated after every epoch and recorded in
            ``history_``. With ``early_stopping=True`` they take the place of the split
            by ``validation_fraction``; without, they do not stop the training. In a
            `Pipeline`, they can be transformed in the same way as `X` with
            ``Pipeline(..., transform_input=["X_val"])``.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of the validation data.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation data.
        groups : array-like of shape (n_samples,), default=None
            Group of each row, such as a patient or a week. The split by
            ``validation_fraction`` then sets whole groups aside. Not used if there is
            no such split.
        resume_from : str or path, default=None
            File or folder that `nnfit.callbacks.Checkpoint` has written in a fit with
            the same data and parameters, which was killed. This fit goes on from it
            and ends as that one would have, to the bit. If there is no such file yet,
            the fit starts anew.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If data or parameters are invalid, if `resume_from` is not a checkpoint of
            this fit, or if the weights of the network grow until they are no longer
            finite. The estimator then is as before.
        TypeError
            If a private method of scikit-learn's networks is overridden, which would
            not be called.
        MemoryError
            If the network does not fit into memory.

        Warns
        -----
        ConvergenceWarning
            If training ends by `max_iter` or `max_time` before the loss has stopped
            improving, or if the best weights are restored after others exploded.
        UserWarning
            If a parameter has no effect, if columns far from zero cannot be
            standardised, if `y` is one-hot, if `X_val` is unlike `X`, or after Ctrl-C.
        """
        given = (X_val, y_val, sample_weight_val)
        if resume_from is not None:
            checkpoints.check_place(resume_from, self)
        more = {"groups": groups, "resume_from": resume_from}
        return self._fit(X, y, sample_weight, given, **more)

    @with_callbacks
    @without_numpy_errors
    def _fit(
        self, X, y, sample_weight, given=(None, None, None), *, incremental=False,
        whole=None, n_rows=None, **kw,
    ):  # fmt: skip
        by_hand.check_overridden(self, BaseMLP)
        name = "partial_fit" if incremental else "fit"
        n_rows = rows_as_given(X) if n_rows is None else n_rows
        n_tasks = 1 if incremental else most_epochs(self, n_rows)
        in_turn = self.n_members == 1
        n_tasks = n_tasks if in_turn else self.n_members
        data = X, y, sample_weight
        with (
            listening(self, name, n_tasks, data, whole, in_turn) as listener,
            resuming.unchanged_on_error(self),
        ):
            if self.warm_start or incremental:
                check_continuation(self)
            self.device_ = device.resolve(self.device)
            fit = train_members if self.n_members > 1 else fit_network
            fit(self, *data, given, incremental, listener=listener, **kw)
        return self

    def _set_structure(self, network):
        """Set the attributes that tell of the network."""
        described = fitted.describe(self._value, network.loss, network.loss_parameters)
        kept = vars(self).get("_fitted", {})
        self._fitted = {**kept, **described, "dtype": network.dtype}
        self.n_features_in_ = network.n_features
        self.n_outputs_ = network.n_outputs
        self.n_layers_ = network.n_layers + 1
        self.out_activation_ = by_hand.name_of_link(network.loss.link)

    def _calibrate(self, validation, incremental):
        """Set what is learnt from validation data after a fit, or a call of many."""

    def _compute_dtype(self):
        if self.dtype is not None:
            return self.dtype
        return "float64" if self.solver == "lbfgs" else "float32"

    def _describe(self, n_features, target, dtype):
        inputs = self._standard("inputs")
        if inputs is not None:
            n_features = fitted.inputs_of(inputs).widths[-1]
        sizes = n_features, *hidden_sizes(self), self._count_outputs(target)
        return self._network(sizes, dtype)

    def _network(self, sizes, dtype):
        """Network that the parameters ask for."""
        loss, loss_parameters = self._loss_row()
        described = fitted.describe(self._value, loss, loss_parameters)
        for name in ("inputs", "members", "body"):
            described[name] = self._standard(name)
        return fitted.network_of(described, sizes, loss, loss_parameters, dtype)

    def _starting_weights(self, network, random_state, first_pass, found):
        """New weights, or those of the fitted network, edited by the user or not."""
        if first_pass:
            return initial_weights(
                network, random_state, self._value("initialization"), found=found
            )
        self._check_continuation(network)
        return resuming.training_weights(self)

    def _check_continuation(self, network):
        """Refuse to go on training as another network than the fitted one."""
        weights = self._weights()
        given = [np.shape(array) for array in (*weights.coefs, *weights.norms)]
        places = "coefs", "norms"
        shapes = [each.shape for each in network.tensors if each.place in places]
        new = "Start a new one with warm_start=False"
        if shapes != given:
            raise ValueError(
                f"Cannot continue to train a network whose weights have the shapes "
                f"{given} as one with {shapes}: hidden_layer_sizes, normalization, "
                f"residual or the number of outputs in y have changed. {new}."
            )
        before = self._description()
        now = fitted.describe(self._value, network.loss, network.loss_parameters)
        changed = fitted.differences(before, now, network.n_layers - 1)
        if changed:
            was, asked = (
                " and ".join(f"{name}={each[name]!r}" for name in changed)
                for each in (before, now)
            )
            raise ValueError(
                f"Cannot continue to train a network with {was} as one with {asked}. "
                f"{new}, or set the parameters to what they were."
            )
        link = by_hand.name_of_link(network.loss.link)
        fitted_link = vars(self).get("out_activation_", link)
        # The raw predictions of a classifier decide alike with each of its links.
        if self._y_numeric and fitted_link != link:
            raise ValueError(
                f"Cannot continue to train a network with out_activation_="
                f"{fitted_link!r} with loss={self.loss!r}, which needs {link!r}. "
                f"{new}, or set loss to what it was."
            )

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write a file of what was fitted, which holds no code.

        It has the format safetensors: arrays by name, such as "coefs.0", and the rest
        that predictions need as JSON in the header.

        Parameters
        ----------
        path : str or path
            Such as "model.safetensors"; a file that is there is replaced.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If a function of the user's own is part of the network.
        """
        weight_files.save(self, path)

    def load_weights(self, path: str | os.PathLike[str]) -> Self:
        """Take what was fitted from a file of `save_weights`.

        The estimator then predicts as the one that wrote the file. Its parameters stay
        as they are. With ``warm_start=True`` or `partial_fit` it trains on, and its
        optimizer begins anew.

        Parameters
        ----------
        path : str or path
            Written by an estimator of the same class, of any version of nnfit that
            has this format.

        Returns
        -------
        self : object

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged or something else. The estimator then is as before.
        """
        weight_files.load(self, path)
        return self

    def _take(self, coefs, intercepts, norms):
        """Make a fitted estimator of a new one, see `from_arrays`."""
        self._validate_params()
        if self._body() is not None:
            raise ValueError(
                f"from_arrays makes plain networks, got a {type(self).__name__}, which "
                "has more arrays. Make an MLPClassifier or an MLPRegressor."
            )
        if embeddings.are_asked_for(self):
            raise ValueError(
                "from_arrays makes networks that read the features, which have no bins "
                "and codes from data. Leave out scaling, numeric_embedding and "
                "categorical_features."
            )
        given = {"coefs": coefs, "intercepts": intercepts, "norms": norms}
        for name, arrays in given.items():
            setattr(self, f"{name}_", by_hand.plain_arrays(name, arrays))
        sizes = fitted.sizes_of(self.coefs_)
        self.hidden_layer_sizes, self.n_layers = sizes[1:-1], None
        network = self._network(sizes, self._compute_dtype())
        check_arrays(network.tensors, self._weights())
        self._set_structure(network)
        self._check_outputs(network.n_outputs)
        return self

    def _chosen_optimizer(self):
        if self.solver == "lbfgs":
            return None
        nesterov = self.solver == "sgd" and self.nesterovs_momentum
        return OPTIMIZERS["sgd_nesterov" if nesterov else self.solver]

    def _run(self, engine, settings, fit, n_rows):
        """Train, then set the attributes that tell what came out."""
        validation, listener = fit.validation, fit.listener
        record = resuming.start_record(self, settings.incremental)
        self.history_ = record.history  # live while the fit goes on
        if listener is not None:
            listener.training.record = record
        if fit.saved is not None:
            settings = fit.saved.continued(settings, n_rows)
        engine.configure(settings.engine)
        if self.solver == "lbfgs":
            loss = train_lbfgs(
                engine, settings, self.max_fun, record, validation, listener
            )
            self._set_weights(engine.get_weights())
        else:
            record.watch(settings.keeps_best)
            best_score = record.best_validation_score
            resuming.resume(self, engine, settings, record)
            best = None
            if fit.saved is not None:
                best = fit.saved.restore(engine, fit.network, record)
            flat = train(engine, settings, record, validation, listener, best)
            weights = None if flat is None else engine.get_weights(flat)
            restored = settings.keeps_best
            if settings.keeps_best and settings.incremental:
                restored = engine.progress.stopped > 0
                improved = record.best_validation_score > best_score
                weights = resuming.best_of_calls(self, weights, improved, restored)
            loss = record.loss_curve[-1] if record.loss_curve else np.nan
            self.loss_curve_ = record.loss_curve
            self.best_loss_ = record.best_loss
            self.validation_scores_ = record.validation_scores
            self.best_validation_score_ = record.best_validation_score
            self.t_ += record.n_iter * settings.engine.rows_of_epoch(n_rows)
            n_batches = record.n_iter * settings.engine.batches_of_epoch(n_rows)
            self._set_weights(weights)
            resuming.remember(self, engine, settings, record, n_batches, restored)
        self.loss_ = loss
        self.n_iter_ = record.n_iter
        self.n_threads_ = engine.threads_used
        check_last_step(self, fit.data.X, settings.engine)
