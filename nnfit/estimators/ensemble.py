"""Deep ensembles: several networks, trained side by side, that predict together.

Lakshminarayanan, Pritzel and Blundell (2017), "Simple and scalable predictive
uncertainty estimation using deep ensembles", arXiv:1612.01474: the networks differ in
their random numbers alone, and their probabilities are averaged.

A member is an estimator with one network and trains in a thread of its own, which
compiled code lets run beside the others. No member depends on another, so that results
do not depend on the number of threads.
"""

import contextvars
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, nullcontext

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.utils import check_random_state

from nnfit.estimators import resuming
from nnfit.estimators.donors import donor_of, for_member
from nnfit.estimators.fitting import Member
from nnfit.estimators.settings import batch_rows, most_epochs
from nnfit.estimators.standardising import standardised, training_rows
from nnfit.estimators.transfer import adopt_codes
from nnfit.estimators.uncertainty import networks
from nnfit.estimators.validation import check_validation_data, check_weights, check_X_y
from nnfit.interruption import (
    Abandoned,
    Interruption,
    check_interruption,
    interrupted_by,
)
from nnfit.population import population
from nnfit.training import device
from nnfit.training.loop import INTERRUPTED
from nnfit.training.pools import Pool, can_start_threads
from nnfit.training.reporting import Pace
from nnfit.training.threads import STEP_OPERATIONS, training_operations


def train_members(
    estimator, X, y, sample_weight, given, incremental, classes=None, groups=None,
    listener=None, resume_from=None,
):  # fmt: skip
    """Fit the members of an ensemble and set the attributes of the whole.

    Parameters
    ----------
    estimator : BaseMLP
        With ``n_members`` above 1.
    X, y, sample_weight, groups
        See `BaseMLP.fit`.
    given : tuple
        X_val, y_val, sample_weight_val.
    incremental : bool
        Whether it is a call of `partial_fit`.
    classes : array-like or None
        Of the first call of `partial_fit`.
    listener : Listener or None
    resume_from : str, path or None
        See `BaseMLP.fit`.
    """
    first_pass = not hasattr(estimator, "members_") or not (
        estimator.warm_start or incremental
    )
    dtype = estimator._compute_dtype()
    # Members get what the checks have made of the data, and check it at little cost.
    as_given = X
    if first_pass:
        resuming.forget(estimator)
    X, y = check_X_y(estimator, X, y, dtype, first_pass, estimator._y_numeric)
    sample_weight = check_weights(sample_weight, X)
    X = training_rows(estimator, as_given, X, first_pass)
    if first_pass:
        X = adopt_codes(estimator, donor_of(estimator), X)
    learnt = {name: estimator._standard(name) for name in ("categories", "features")}
    if any(item is not None for item in given[:2]):
        X_val, y_val = check_validation_data(estimator, *given[:2], dtype)
        given = (standardised(estimator, given[0], X_val), y_val, given[2])
    known = estimator._learn_target(y, sample_weight, first_pass, incremental, classes)
    target = estimator._encode(known, dtype)
    network = estimator._describe(X.shape[1], target, dtype)
    estimator._set_structure(network)

    n_members = estimator.n_members
    operations = training_operations(network, X)
    step = max(STEP_OPERATIONS, batch_rows(estimator, X.shape[0]) * operations)
    epochs = 1 if incremental else most_epochs(estimator, X.shape[0])
    total = n_members * X.shape[0] * epochs * operations
    where = estimator.device_
    threads = device.threads_for(where, estimator.n_jobs, n_members * step, total)
    with threads as n_threads:
        # On a GPU they do not share the threads of the processor, but share launches.
        at_once = min(n_threads, n_members) if where == device.CPU else n_members
        parameters = {
            **estimator.get_params(deep=False),
            "n_members": 1,
            "n_jobs": max(1, n_threads // at_once),
        }
        if estimator.max_time is not None:  # some members train after others
            parameters["max_time"] = estimator.max_time / -(-n_members // at_once)
        keywords = {
            "incremental": incremental,
            "groups": groups,
            "resume_from": resume_from,
        }
        keywords["learnt"] = learnt
        if classes is not None:
            keywords["classes"] = classes

        members = _members(estimator, first_pass)
        contexts, pace = [None] * n_members, Pace()
        if listener is not None:
            contexts = listener.members(n_members)
            keywords["whole"] = listener

        def train(number, member):
            for name in ("n_features_in_", "feature_names_in_"):
                vars(member).pop(name, None)
                if hasattr(estimator, name):
                    setattr(member, name, getattr(estimator, name))
            own = {**parameters, "random_state": member.random_state}
            if estimator.init_from is not None:
                own["init_from"] = for_member(estimator.init_from, number)
            member.set_params(**own)
            who = Member(number, n_members, estimator.random_state, pace)
            context = contexts[number]
            with nullcontext() if context is None else listener.member(context, member):
                member._fit(X, y, sample_weight, given, member=who, **keywords)

        with population():
            train_side_by_side(train, members, at_once)
    members = [member for member in members if hasattr(member, "coefs_")]
    if not members:
        raise KeyboardInterrupt
    if len(members) < n_members:
        warnings.warn(
            f"{INTERRUPTED} Of n_members={n_members} it has trained {len(members)}; "
            "fit again with warm_start=True to add the others."
        )
    for member in members:
        member.n_jobs = estimator.n_jobs
    estimator.members_ = members
    estimator.loss_ = float(np.mean([member.loss_ for member in members]))
    estimator.n_iter_ = max(member.n_iter_ for member in members)
    of_member = max(member.n_threads_ for member in members)
    estimator.n_threads_ = min(n_threads, at_once * of_member)
    if any(hasattr(member, "stopped_") for member in members):
        stopped = [getattr(member, "stopped_", False) for member in members]
        estimator.stopped_ = all(stopped)


def check_continuation(estimator):
    """Refuse to go on with an ensemble as one network, or the other way round.

    Raises
    ------
    ValueError
        If `n_members` has become 1, or is not 1 any more, or has become smaller.
    """
    fitted = len(networks(estimator))
    is_ensemble = hasattr(estimator, "members_")
    if not is_ensemble and not hasattr(estimator, "coefs_"):
        return
    if is_ensemble != (estimator.n_members > 1) or fitted > estimator.n_members:
        raise ValueError(
            f"Cannot continue to train {fitted} network{'s' * is_ensemble} with "
            f"n_members={estimator.n_members}: an ensemble can grow, and not become "
            "smaller or begin with a single network. Start a new one with "
            "warm_start=False."
        )


def _members(estimator, first_pass):
    """The members to train: those there are if training goes on, and new ones."""
    members = [] if first_pass else list(estimator.members_)
    random_state = check_random_state(estimator.random_state)
    # Drawn for all: an ensemble that has grown is one that was as large from the start.
    seeds = random_state.randint(np.iinfo(np.int32).max, size=estimator.n_members)
    for seed in seeds[len(members) :].tolist():
        member = clone(estimator)
        member.random_state = seed
        members.append(member)
    return members


def train_side_by_side(train, members, at_once):
    """Train networks, as many at once as there are threads for.

    When the user interrupts, those that are training end with what they have learnt,
    and the others are not begun.

    Parameters
    ----------
    train : callable
        Takes the number of a member and the member.
    members : list
    at_once : int

    Returns
    -------
    bool
        Whether the user has interrupted.
    """
    interrupted, config, futures = Interruption(), get_config(), []
    # Not in the futures: an error holds the frames that it has passed, and a frame that
    # held the error would keep all of their data until the collector comes.
    errors = deque()

    def work(number, member):
        interrupted_by.set(interrupted)
        try:
            with config_context(**config):  # each thread has its own
                train(number, member)
        except BaseException as error:
            errors.append(error)

    with ExitStack() as stack:
        for member in members:
            stack.enter_context(resuming.unchanged_on_error(member))
        # Also for one thread: Ctrl-C reaches the thread that waits.
        with Pool(at_once, "nnfit-member") as pool:
            try:
                start = pool.submit if can_start_threads() else _call
                for number, member in enumerate(members):
                    # With what belongs to this context, such as np.errstate.
                    run = contextvars.copy_context().run
                    futures.append(start(run, work, number, member))
                    if errors:
                        break
                _wait(futures, errors)
            except BaseException as error:
                by_user = isinstance(error, KeyboardInterrupt)
                if not by_user:
                    interrupted.error = Abandoned
                interrupted.set()
                pool.shutdown(cancel_futures=True)
                if not by_user:
                    raise
                if errors:
                    raise errors.popleft() from None
            finally:
                errors.clear()
    return interrupted.is_set()


def _call(function, *arguments):
    """In the place of a pool's `submit`, where no thread can be started."""
    function(*arguments)
    future = Future()
    future.set_result(None)
    return future


def _wait(futures, errors):
    """Wait until all have ended, or one has failed, whose error is raised."""
    running = futures
    while running:
        # In Windows Ctrl-C does not end a wait without a time limit.
        _, running = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
        if errors:
            raise errors.popleft()
        check_interruption()
