"""One call of `fit` or `partial_fit` on one network, step by step."""

from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from nnfit.callbacks.listening import Training
from nnfit.cpu.thread_choice import ThreadChoice, choice_of
from nnfit.estimators import (
    checkpoints,
    donor_files,
    donors,
    embeddings,
    resuming,
    transfer,
)
from nnfit.estimators.combinations import check_batch_rows, check_combinations
from nnfit.estimators.freezing import frozen_part
from nnfit.estimators.numeric_columns import filled, means_of
from nnfit.estimators.row_weights import dividing_weight
from nnfit.estimators.settings import (
    batch_rows,
    has_own_rows,
    n_copies,
    training_settings,
)
from nnfit.estimators.standardising import training_rows
from nnfit.estimators.unused import warn_of_unused
from nnfit.estimators.validation import check_groups, check_weights, check_X_y
from nnfit.estimators.watching import (
    check_alike,
    given_validation,
    split_rows,
    watch,
)
from nnfit.network import initial_weights
from nnfit.sparsity import is_sparse
from nnfit.training import device
from nnfit.training.memory import check_memory
from nnfit.training.reporting import Pace, Reporter, glance
from nnfit.training.threads import WORTHWHILE, training_operations


class Data(NamedTuple):
    """Rows of a call, as the network takes them.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray
        Targets of the user's, checked.
    target : ndarray of shape (n_samples, n)
        As the loss takes them.
    sample_weight, loss_weight : ndarray of shape (n_samples,) or None
        Weights in the score and in the loss.
    """

    X: np.ndarray
    y: np.ndarray
    target: np.ndarray
    sample_weight: np.ndarray | None
    loss_weight: np.ndarray | None


class Member(NamedTuple):
    """Which member of an ensemble a network is.

    Attributes
    ----------
    number, n_members : int
        Its number, from 0, and how many there are.
    random_state : int, RandomState or None
        Of the whole.
    pace : Pace or None
        Of the lines of all members.
    """

    number: int
    n_members: int
    random_state: object
    pace: Pace | None = None


def fit_network(
    estimator,
    X,
    y,
    sample_weight,
    given,
    incremental,
    classes=None,
    groups=None,
    learnt=None,
    split=None,
    listener=None,
    resume_from=None,
    member=None,
    kind=None,
):
    """Train the network of an estimator and set its attributes.

    Parameters
    ----------
    estimator : BaseMLP
    X, y, sample_weight, groups
        See `BaseMLP.fit`.
    given : tuple
        X_val, y_val, sample_weight_val.
    incremental : bool
        Whether it is a call of `partial_fit`.
    classes : array-like or None
        Of the first call of `partial_fit`.
    learnt : dict or None
        Of a member of an ensemble, what the whole has learnt of the data, which are
        checked and standardised then.
    split : tuple of ndarray or None
        Rows to train on and rows to set aside, where somebody else has split them.
    listener : Listener or None
    resume_from : str, path or None
        See `BaseMLP.fit`.
    member : Member or None
    kind : callable, default=None
        Makes the `Fit`, where it is another one.
    """
    fit = (kind or Fit)(estimator, given, incremental, learnt, listener, member)
    fit.split = split
    if not fit.take(X, y, sample_weight, classes, groups):
        return
    fit.find_checkpoint(resume_from)
    fit.look()
    fit.describe()
    fit.start()
    fit.train()
    estimator._calibrate(fit.validation, incremental)


class Fit:
    """State of a call; its methods are called in their order.

    Attributes
    ----------
    first_pass : bool
        Whether the network is a new one.
    data : Data
    split : tuple of ndarray or None
        Rows to train on and rows set aside; None where all are trained on.
    network : Network
        With the layers of ``freeze`` as they are.
    whole : Network
        The same, of which all layers are trained.
    weights : Weights
        That training starts from.
    validation : Validation or None
    saved : nnfit.estimators.checkpoints.Saved or None
        What the training goes on from.
    """

    def __init__(self, estimator, given, incremental, learnt, listener, member):
        is_given = any(item is not None for item in given)
        if estimator.early_stopping and incremental and not is_given:
            raise ValueError(
                "partial_fit does not support early_stopping=True without X_val and "
                "y_val. Pass them, or set early_stopping=False."
            )
        splits = estimator._keeps_best(incremental) and not is_given
        self.estimator, self.incremental, self.learnt = estimator, incremental, learnt
        self.listener, self.member = listener, member
        self.given = given if is_given else None
        self.splits = splits and estimator.solver != "lbfgs"
        self.optimizer = estimator._chosen_optimizer()
        is_watched = is_given or self.splits
        check_combinations(estimator, self.optimizer, is_watched)
        warn_of_unused(estimator, is_watched)
        self.continues = estimator.warm_start or incremental
        self.first_pass = not (self.continues and hasattr(estimator, "coefs_"))
        self.split, self.validation, self._found = None, None, None
        self.saved, self._identity = None, None
        self._donor = donors.donor_of(estimator) if self.first_pass else None

    def take(self, X, y, sample_weight, classes, groups):
        """Check the data; False if a training that has stopped shall not go on."""
        estimator, as_given = self.estimator, X
        dtype = estimator._compute_dtype()
        if self.first_pass:
            resuming.forget(estimator)
        if self.learnt is None:
            X, y = check_X_y(
                estimator, X, y, dtype, self.first_pass, estimator._y_numeric
            )
        elif self.first_pass:
            estimator._fitted = {**self.learnt, "targets": None}
        sample_weight = check_weights(sample_weight, X)
        self._groups = check_groups(groups, X)
        is_over = self.incremental and getattr(estimator, "stopped_", False)
        if is_over and estimator.early_stopping:
            estimator.n_iter_ = 0
            return False
        if self.learnt is None:
            X = training_rows(estimator, as_given, X, self.first_pass)
        if self.first_pass:
            X = transfer.adopt_codes(estimator, self._donor, X)
        y = estimator._own_target(X, y)
        if not self.first_pass:
            X = filled(estimator, X)
        y = estimator._learn_target(
            y, sample_weight, self.first_pass, self.incremental, classes
        )
        loss_weight = estimator._loss_weights(y, sample_weight)
        target = estimator._encode(y, dtype)
        self.data = Data(X, y, target, sample_weight, loss_weight)
        self._random_state = check_random_state(estimator.random_state)
        return True

    def find_checkpoint(self, resume_from):
        """Find the checkpoint to go on from, and what those of this fit tell of it."""
        is_written = self.listener is not None and self.listener.needs_identity
        if resume_from is None and not is_written:
            return
        identity = checkpoints.identity_of(self.estimator, self.data, self.member)
        if resume_from is not None:
            self.saved = checkpoints.find(resume_from, identity)
            if self.saved is not None:
                self._random_state = self.saved.random_state()
        state = checkpoints.state_of_generator(self._random_state)
        self._identity = {**identity, "random_state": state}

    def look(self):
        """Learn from the training rows what stands before and after the network."""
        if not self.first_pass:
            return
        estimator, data = self.estimator, self.data
        estimator._fitted["body"] = estimator._body()
        are_wanted = embeddings.are_wanted(estimator, data.X)
        if self.splits and (are_wanted or estimator._scales_targets):
            self._set_aside()
            if estimator._scales_targets:
                rows, weights = self.split[0], data.sample_weight
                weights = None if weights is None else weights[rows]
                estimator._find_units(data.y[rows], weights)
                target = estimator._encode(data.y, data.X.dtype.name)
                self.data = data._replace(target=target)
        self._found = transfer.adopt_inputs(estimator, self._donor)
        if self._found is None and are_wanted:
            self._found = embeddings.find(estimator, self.data, self.rows)

    @property
    def rows(self):
        """Rows to train on; None for all, or where none have been set aside yet."""
        return None if self.split is None else self.split[0]

    @property
    def n_rows(self):
        """How many rows there are, with those that are set aside."""
        return self.data.X.shape[0]

    def _set_aside(self):
        if self.split is None:
            self.split = split_rows(
                self.estimator, self.data, self._groups, self._random_state
            )

    def describe(self):
        """The network, which must fit into memory, and the attributes that tell it."""
        estimator, (X, _, target, *_) = self.estimator, self.data
        network = estimator._describe(X.shape[1], target, X.dtype.name)
        self.whole, network = network, frozen_part(estimator, network)
        n_arrays = n_together = 0
        if estimator.device_ == device.CPU:  # the GPU's engine counts for itself
            n_arrays = n_copies(estimator, self.optimizer)
            n_together = batch_rows(estimator, self.n_rows)
        own_rows = has_own_rows(estimator, self.optimizer)
        check_memory(
            network.with_own_rows if own_rows else network, n_arrays, n_together, X
        )
        self.network = network

    def start(self):
        """Initial weights and validation data."""
        estimator, random_state = self.estimator, self._random_state
        initialization = estimator._value("initialization")
        data_driven = self.first_pass and initialization == "data_driven"
        if not data_driven:  # before the split, as scikit-learn draws them
            self.weights = estimator._starting_weights(
                self.network, random_state, self.first_pass, self._found
            )
        estimator._set_structure(self.network)
        vars(estimator).setdefault("t_", 0)
        if self.splits:
            self._set_aside()
        self._validate()
        if data_driven:
            self.weights = initial_weights(
                self.network, random_state, "data_driven", self.data.X, self.rows,
                device.load_engine(estimator.device_), self._found,
            )  # fmt: skip
        if self._donor is not None:
            self.weights = transfer.take(
                estimator, self._donor, self.network, self.weights
            )

    def _validate(self):
        """What is watched, and what later calls are to know of these rows."""
        estimator, (X, y, target, _, loss_weight) = self.estimator, self.data
        estimator._learn_range(y, loss_weight, self.rows)
        if self.first_pass:
            estimator._fitted["means"] = means_of(X, self.rows, loss_weight)
        if self.given is not None:
            is_raw = self.learnt is None
            self.validation = given_validation(
                estimator, self.given, (X, target), is_raw
            )
            if self.first_pass:
                check_alike(X, self.validation.X)
        elif self.splits:
            self.validation = watch(estimator, *self.data, self.split[1])

    def train(self):
        """Train on the chosen device."""
        estimator, rows, incremental = self.estimator, self.rows, self.incremental
        n_rows = self.n_rows if rows is None else len(rows)
        check_batch_rows(estimator, batch_rows(estimator, n_rows), n_rows, incremental)
        seed = resuming.shuffle_seed(estimator, self._random_state)
        settings = training_settings(
            estimator, self.network, self.optimizer, n_rows, seed, self.by_epoch,
            incremental,
        )  # fmt: skip
        if estimator.unfreeze_at is not None:
            settings = replace(
                settings, whole=self.whole, unfreeze_at=estimator.unfreeze_at
            )
        if self._identity is not None:
            self._begin_as_before(seed)
        operations = training_operations(self.network, self.data.X)
        step = settings.engine.batch_size * operations
        total = n_rows * settings.max_iter * operations
        where, n_jobs = estimator.device_, estimator.n_jobs
        make_engine = device.load_engine(where).Engine
        with device.threads_for(where, n_jobs, step, total) as n_threads:
            engine = make_engine(
                self.network, self.optimizer, n_threads=n_threads,
                choice=self._choice_of_threads(n_threads, settings.engine.batch_size),
            )  # fmt: skip
            with closing(engine):
                engine.set_weights(self.weights)
                with self.feeding(engine, settings) as engine:
                    if self.listener is not None:
                        self._show(engine, settings)
                    if estimator.verbose:
                        reporter = self._reporter(engine, settings)
                        settings = replace(settings, reporter=reporter)
                    estimator._run(engine, settings, self, n_rows)
        estimator._seed = seed

    def _choice_of_threads(self, n_threads, batch_size):
        """How many threads work together, from call to call of a training."""
        worthwhile = WORTHWHILE[self.estimator.n_jobs is not None]
        if n_threads == 1 or not self.continues:
            return ThreadChoice(n_threads, worthwhile)
        work = self.network, batch_size, is_sparse(self.data.X)
        return choice_of(self.estimator, n_threads, worthwhile, work)

    @property
    def by_epoch(self):
        """Whether somebody looks at every epoch."""
        return self.validation is not None or self.listener is not None

    @contextmanager
    def feeding(self, engine, settings):
        """Give the engine its rows; yields the engine that trains."""
        X, _, target, sample_weight, loss_weight = self.data
        divisor = dividing_weight(
            self.estimator, sample_weight, loss_weight, self.rows, self.incremental
        )
        engine.set_data(X, target, divisor, loss_weight, self.rows)
        yield engine

    def _show(self, engine, settings):
        """Let callbacks look into the training."""
        X, _, target, _, loss_weight = self.data
        self.listener.training = Training(
            self.network, engine, settings, X, target, loss_weight, self.rows,
            self._identity,
        )  # fmt: skip

    def _reporter(self, engine, settings):
        """What prints the lines of ``verbose``."""
        X, target, member = self.data.X, self.data.target, self.member
        look_inside, who, pace = None, "", None
        if self.estimator.verbose > 1:
            look_inside = partial(glance, self.network, engine, X, target, self.rows)
        if member is not None:
            who = f"member {member.number + 1} of {member.n_members}: "
            pace = member.pace
        return Reporter(
            settings.max_iter, settings.max_time, look_inside, who, pace,
            in_calls=self.incremental,
        )  # fmt: skip

    def _begin_as_before(self, seed):
        """Let checkpoints tell how the training begins; compare with one of them."""
        watched = self.validation
        if watched is not None:
            watched = watched.X, watched.y, watched.sample_weight, watched.rows
        begin = {
            "seed": seed,
            "rows": checkpoints.digest(self.rows, *(watched or ())),
            "weights": checkpoints.digest(*(a for part in self.weights for a in part)),
        }
        if self.saved is not None:
            self.saved.check_begin(begin)
        donor = donors.told(self.estimator, self.network)
        self._identity |= {**begin, donor_files.ENTRY: donor}
