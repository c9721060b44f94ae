"""What the two estimators share: a fit, and the rows of a prediction."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from nnfit.callbacks.listening import listening
from nnfit.callbacks.support import CallbackSupportMixin, with_callbacks
from nnfit.estimators import checkpoints
from nnfit.estimators.annotations import Rows, typed
from nnfit.estimators.conventions import Conventions
from nnfit.estimators.hidden import HiddenFeatures
from nnfit.estimators.mixtures import Family, Mixture
from nnfit.estimators.parameters import CONSTRAINTS, among
from nnfit.estimators.resuming import unchanged_on_error
from nnfit.estimators.standardising import standardised, training_rows
from nnfit.estimators.validation import (
    check_groups,
    check_validation_data,
    check_weights,
    check_X,
    check_X_y,
)
from nnfit.numpy_errors import without_numpy_errors
from nnfit.tabular import data as of_fit
from nnfit.tabular import weight_files
from nnfit.tabular.families import N_MEMBERS, PARTNER, families_of
from nnfit.tabular.holdouts import split_rows
from nnfit.tabular.judging import Judge
from nnfit.tabular.mixing import mix
from nnfit.tabular.report import explanation, leaderboard
from nnfit.tabular.tasks import tasks_of
from nnfit.tabular.training import Clock, Trial, train
from nnfit.training import device
from nnfit.training.bar import Bar

#: Entries of parameters that both classes have.
PARAMETERS = """
preset : {"fast", "default", "best"}, default="default"
    How much time to spend. "fast" trains two networks; "default" trains five, and
    longer; "best" trains three models of each of several families: the network, TabM,
    RealMLP and the partner. Families get the weights that are best on rows that they
    have not seen.
max_time : float or None, default=None
    Seconds that `fit` may take. Models for which there is no time are left out, as
    `explain_choice` tells. The first model is ended early if it takes too long.
partner : {"hist_gradient_boosting", "auto"} or None, default="auto"
    scikit-learn's boosted trees beside the networks. "auto" takes them in the preset
    "best" alone.
n_members : int or None, default=None
    Number of members of each family, which predicts by their mean. Each member trains
    on other rows, and finds its best epoch on the rows that it does not train on. None
    stands for 2 ("fast"), 5 ("default") or 3 ("best").
max_iter : int or None, default=None
    Largest number of epochs of each network. None stands for that of its recipe, which
    is the limit in any case.
categorical_features : array-like of {bool, int, str}, "from_dtype" or None, \
        default="from_dtype"
    Columns of `X` that hold categories: a mask, numbers or names. "from_dtype" stands
    for all columns whose type is one of categories or strings.
random_state : int, RandomState instance or None, default=None
    Source of all random numbers. An int gives the same result at every call, for any
    number of threads, as long as the same models are trained.
verbose : bool or int, default=False
    1 shows a progress bar of the models, 2 prints a line about each when it is trained.
dtype : {"float32", "float64"} or None, default=None
    Type in which networks compute. None stands for "float32".
n_jobs : int or None, default=None
    Threads of `fit`, on which models train side by side, and of predictions. None
    stands for all processors that are free in this process; -1 for all.
device : str, default="cpu"
    Where networks are trained: "cpu", "cuda", "cuda:N", or "auto" for a GPU if there is
    one.
"""


class Tabular(CallbackSupportMixin, HiddenFeatures, Conventions, ABC):
    """Base of the estimators of choice; use the derived classes."""

    _parameter_constraints: dict = {
        "preset": [among(list(N_MEMBERS))],
        "partner": [among([PARTNER, "auto"]), None],
        "n_members": [*CONSTRAINTS["n_members"], None],
        "max_iter": [*CONSTRAINTS["max_iter"], None],
        **{
            name: CONSTRAINTS[name]
            for name in (
                *("scoring", "max_time", "categorical_features", "random_state"),
                *("verbose", "dtype", "n_jobs", "device"),
            )
        },
    }
    _task: str
    _y_numeric = False

    leaderboard_: dict[str, list[Any]]
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    n_iter_: int

    # What differs between classifier and regressor ---------------------------

    @abstractmethod
    def _learn_target(self, y, sample_weight):
        """Check the targets of the training and set what is learnt from them."""

    @abstractmethod
    def _rows(self, X, y, sample_weight, name):
        """A `nnfit.tabular.data.Rows`; `name` of the weights is for messages."""

    @abstractmethod
    def _labels(self, rows):
        """Numbers of classes of which all parts get their share, or None."""

    @abstractmethod
    def _find_temperature(self, raw, rows):
        """What raw predictions of these rows are divided by, or None."""

    @abstractmethod
    def _values(self, raw, temperature):
        """Probabilities, or predictions, (n_samples, n), whose mean is taken."""

    @abstractmethod
    def _losses(self, values, target):
        """Loss of each row."""

    @abstractmethod
    def _predicted(self, values):
        """An estimator that has predicted these, for a scorer."""

    def _shown_loss(self, loss):
        """A loss as tables show it."""
        return loss

    def _calibrated(self, values, rows):
        """What the mixture makes of rows held out, made honest; learns how."""
        return values

    def _learn_errors(self, rows, values, folds, categories):
        """Learn from what the mixture makes of rows held out."""

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
        """Train the models, and find out how they predict best together.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data: a table (pandas, polars, pyarrow) with numbers, categories,
            texts and dates as they are, or an array. NaN stands for a missing number.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values: class labels or a 0/1 matrix of labels in classification,
            numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in losses and scores; not negative, not all zero.
        X_val : array-like of shape (n_val, n_features), default=None
            Rows that tell how good models are, in the place of rows held out of the
            training data. All members then train on all of `X`.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of these rows.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of these rows.
        groups : array-like of shape (n_samples,), default=None
            What each row belongs to, such as a patient or a week. Whole groups are held
            out, so that models are judged on groups that they have not seen.
        resume_from : str or path, default=None
            Folder that `nnfit.callbacks.Checkpoint` has written in a fit with the same
            data and parameters, which was killed. The networks go on from there; needs
            an int as `random_state`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If data or parameters are invalid. The estimator then is as before.
        KeyboardInterrupt
            On Ctrl-C before any model is trained; later those that are trained are
            kept, with a warning.

        Warns
        -----
        ConvergenceWarning
            If `max_time` ends the first model before it is trained to its end.
        UserWarning
            After Ctrl-C.
        """
        if resume_from is not None:
            checkpoints.check_place(resume_from, self)
            if not isinstance(self.random_state, int | np.integer):
                raise ValueError(
                    "resume_from needs the seeds of the fit before: set random_state "
                    f"to an int in both, got {self.random_state!r}."
                )
        given = X_val, y_val, sample_weight_val
        return self._fit_all(X, y, sample_weight, given, groups, resume_from)

    @with_callbacks
    def _fit_all(self, X, y, sample_weight, given, groups, resume_from):
        seen = X, y, sample_weight
        with (
            listening(self, "fit", None, seen, in_turn=False) as listener,
            unchanged_on_error(self),
        ):
            for name in [name for name in vars(self) if name.endswith("_")]:
                delattr(self, name)
            self._fit(X, y, sample_weight, given, groups, listener, resume_from)
        return self

    @without_numpy_errors
    def _fit(self, X, y, sample_weight, given, groups, listener, resume_from):
        clock = Clock(self.max_time, time.perf_counter())
        where = device.resolve(self.device)
        data, groups = self._take(X, y, sample_weight, given, groups)
        random_state = check_random_state(self.random_state)
        n_members = self.n_members or N_MEMBERS[self.preset]
        splits = [None] * n_members
        if data.given is None:
            splits = split_rows(
                n_members, self._labels(data.rows), groups, _weights(data.rows),
                random_state,
            )  # fmt: skip
        judge = Judge(self, data.held)
        scoring, notes = self._scoring_of_members(data, splits)
        families, more = families_of(self, data, scoring)
        seeds = random_state.randint(
            np.iinfo(np.int32).max, size=(n_members, len(families))
        )
        # One member of each family before the next, where time may end.
        trials = [
            Trial(family.name, number, family.make(seed), splits[number])
            for number in range(n_members)
            for family, seed in zip(families, seeds[number].tolist(), strict=True)
        ]

        bar = Bar("models", len(trials)) if self.verbose == 1 else None

        def report(trial):
            if bar is not None:
                bar.advance()
            elif self.verbose:
                own = judge.at(trial.held)
                values = self._values(trial.raw, None)
                print(
                    f"{trial.family}, member {trial.number + 1} of {n_members}: "
                    f"{judge.name} {own.score(values):.4f} on {len(values)} rows held "
                    f"out, {trial.seconds:.1f} s{', ended early' * trial.is_cut}",
                    flush=True,
                )

        tasks = tasks_of(listener, len(trials), resume_from, self.random_state)
        try:
            trained = train(trials, data, clock, self.n_jobs, where, report, tasks)
        finally:
            if bar is not None:
                bar.end()
        self._finish(data, trained, judge, [*notes, *more, *_left_out(trials, trained)])

    def _take(self, X, y, sample_weight, given, groups):
        """Check the data, and learn their categories and classes."""
        as_given, dtype = X, self._dtype()
        X, y = check_X_y(self, X, y, dtype, True, self._y_numeric)
        if issparse(X):
            raise ValueError(
                f"{type(self).__name__} takes tables and dense arrays, got a sparse "
                "matrix. Pass X.toarray() if it is small; MLPClassifier and "
                "MLPRegressor take sparse matrices as they are."
            )
        sample_weight = check_weights(sample_weight, X)
        groups = check_groups(groups, X)
        X = training_rows(self, as_given, X, True)
        y = self._learn_target(y, sample_weight)
        rows, held = self._rows(X, y, sample_weight, "sample_weight"), None
        if any(item is not None for item in given):
            X_val, y_val, weight_val = given
            checked, y_val = check_validation_data(self, X_val, y_val, dtype)
            X_val = standardised(self, X_val, checked)
            weight_val = check_weights(weight_val, X_val, "sample_weight_val")
            y_val = self._check_target_again(y_val)
            held = self._rows(X_val, y_val, weight_val, "sample_weight_val")
            wanted, got = rows.target.shape[1], held.target.shape[1]
            if wanted != got:
                raise ValueError(f"y_val must have {wanted} columns as y, got {got}.")
        learnt = {name: self._standard(name) for name in ("categories", "features")}
        names = {
            name: value
            for name, value in vars(self).items()
            if name in ("n_features_in_", "feature_names_in_")
        }
        return of_fit.Data(rows, held, learnt, names), groups

    def _check_target_again(self, y):
        """Check targets that are not trained on."""
        return y

    def _scoring_of_members(self, data, splits):
        """By what networks find their best epoch, and a sentence if it is another."""
        return self.scoring, []

    def _finish(self, data, trained, judge, notes):
        """Find the weights, and set what tells of the fit."""
        parts, rows, values = mix(self, trained, judge)
        own = judge.at(rows)
        values = self._calibrated(values, own.rows)
        together = own.score(values), self._shown_loss(own.loss(values))
        self.leaderboard_ = leaderboard(self, parts)
        held = f"{len(rows)} rows of X_val"
        if data.given is None:
            held = f"{len(rows)} rows that were held out of its members"
        self._explanation = explanation(self, parts, held, judge.name, together, notes)
        networks = [trial.model.estimator for trial in trained]
        self.n_iter_ = int(max(network.n_iter_ for network in networks))
        folds = rows, len(data.held.X), trained
        categories = sorted(data.learnt["categories"] or ())
        self._learn_errors(own.rows, values, folds, categories)
        self._parts = [part for part in parts if part.weight > 0]

    def _dtype(self):
        return self.dtype or "float32"

    def _standard(self, name):
        """What was learnt of the columns, or None."""
        return vars(self).get("_fitted", {}).get(name)

    # Predicting --------------------------------------------------------------

    def _check_rows(self, X):
        check_is_fitted(self)
        rows, given = check_X(self, X, self._dtype())
        return standardised(self, X, rows), given

    def _mixture(self, X):
        """The weighted mean of what the families make of rows, (n_samples, n)."""
        total = 0.0
        for part in self._parts:
            values = sum(
                self._values(model.raw(X), part.temperature) for model in part.models
            )
            total = total + part.weight / len(part.models) * values
        return total

    def _as_mixture(self):
        """The networks that predict, see `nnfit.estimators.mixtures`."""
        check_is_fitted(self)
        ranked = sorted(self._parts, key=lambda part: -part.weight)
        of_networks = [part for part in ranked if part.networks]
        families = [
            Family(
                part.name, part.networks, part.weight,
                (part.temperature or 1.0,) * len(part.networks),
            )
            for part in of_networks
        ]  # fmt: skip
        return Mixture(
            families,
            families[0].networks[0]._link if families else "identity",
            getattr(self, "_temperature", None) or 1.0,
            tuple(part.name for part in ranked if not part.networks),
        )

    def explain_choice(self) -> str:
        """Tell in plain words which models predict, and why.

        Returns
        -------
        str
            Some lines of up to 80 columns, with the leaderboard.
        """
        check_is_fitted(self)
        return self._explanation

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write a file of the networks, which holds no code.

        It has the format safetensors, as the files of `MLPClassifier.save_weights`. The
        quantiles of a regressor come from trees, and are not in it.

        Parameters
        ----------
        path : str or path
            Such as "model.safetensors"; a file that is there is replaced.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If a partner predicts beside the networks.
        """
        weight_files.save(self, path)

    def load_weights(self, path: str | os.PathLike[str]) -> Self:
        """Take the networks from a file of `save_weights`.

        The estimator predicts as the one that wrote the file, whatever it was fitted
        to before; its parameters stay as they are.

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

    def __sklearn_is_fitted__(self):
        return hasattr(self, "leaderboard_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        has_categories = self.categorical_features is not None
        tags.input_tags.categorical = tags.input_tags.string = has_categories
        return tags


def _weights(rows):
    """Weights of rows in the loss; ones where there are none."""
    return np.ones(len(rows.X)) if rows.loss_weight is None else rows.loss_weight


def _left_out(trials, trained):
    """A sentence if not all models have been trained."""
    left = [trial for trial in trials if trial not in trained]
    names = dict.fromkeys(trial.family for trial in left)
    if not names:
        return []
    counts = [
        f"{sum(trial.family == name for trial in left)} of {name}" for name in names
    ]
    return [
        f"{len(left)} of {len(trials)} models are left out, for which there was no "
        f"time: {', '.join(counts)}."
    ]
