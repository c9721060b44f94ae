"""From an estimator's parameters to the settings of a training."""

import math
import warnings
from dataclasses import replace

from nnfit.engine_settings import EngineSettings
from nnfit.estimators import resuming
from nnfit.estimators.validation import check_dropout, check_learning_rate_factors
from nnfit.network.fitted import loss_unit
from nnfit.training.loop import Settings
from nnfit.training.schedules import BatchFactors

#: Rows of a block of L-BFGS's sum over all data: as fast as larger ones, and their
#: activations stay in the cache.
LBFGS_BLOCK = 1024
#: Largest count, as of epochs: engines have integers of 64 bits.
MOST = 2**62


def batch_rows(estimator, n_samples):
    """Rows that go through the network together."""
    if estimator.solver == "lbfgs":
        return min(LBFGS_BLOCK, n_samples)
    if estimator.batch_size == "auto":
        return estimator._rules.batch_of(n_samples)
    return min(int(estimator.batch_size), n_samples)


def rows_as_given(X):
    """Number of rows of data that nobody has checked; 0 where they have none."""
    if getattr(X, "shape", None):
        return X.shape[0]
    return len(X) if hasattr(X, "__len__") else 0


def most_epochs(estimator, n_rows):
    """Epochs of a fit to so many rows, if nothing ends it before."""
    if estimator.max_iter == "auto":
        return estimator._rules.epochs_of(n_rows)
    return int(min(estimator.max_iter, MOST))


def has_own_rows(estimator, optimizer):
    """Whether members that share weights see other rows in a step."""
    return estimator._value("member_rows") == "own" and optimizer is not None


def n_copies(estimator, optimizer):
    """Arrays as large as the parameters that a training has beside them.

    Parameters
    ----------
    estimator : BaseMLP
    optimizer : Optimizer or None

    Returns
    -------
    int
    """
    if optimizer is None:
        return 40  # L-BFGS keeps ten pairs of vectors, which SciPy copies at the end
    averages = estimator.ema_decay is not None or estimator.swa is not None
    averages = averages or optimizer.average is not None
    clips = estimator.clip_norm is not None or estimator.max_norm is not None
    return (
        2 * optimizer.slots  # once in the estimator
        + 3 * averages  # themselves, what is evaluated, and what training goes on from
        + clips  # a gradient that is known before the update begins
        + 5 * optimizer.matrices  # that, and the products of matrices
        + bool(estimator._keeps_best())  # best weights
    )


def training_settings(
    estimator, network, optimizer, n_rows, seed, by_epoch, incremental
):
    """How to train.

    Parameters
    ----------
    estimator : BaseMLP
    network : Network
    optimizer : Optimizer or None
        None stands for L-BFGS.
    n_rows : int
        Rows to train on.
    seed : int
        Of the orders of the rows and of all else that is drawn in training.
    by_epoch : bool
        Whether somebody looks at every epoch: validation data or callbacks.
    incremental : bool
        Whether it is a call of `partial_fit`.

    Returns
    -------
    Settings
    """
    size = estimator.batch_size
    if optimizer is not None and size != "auto" and size > n_rows:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than "
            "sample size. It is going to be clipped"
        )
    names = () if optimizer is None else optimizer.parameters
    decays = optimizer is not None and optimizer.decoupled
    n_layers = network.n_layers
    engine = EngineSettings(
        batch_size=batch_rows(estimator, n_rows),
        shuffle=bool(estimator.shuffle),
        seed=seed,
        alpha=float(estimator.alpha),
        weight_decay=float(estimator._value("weight_decay")) if decays else 0.0,
        learning_rate_init=float(estimator._value("learning_rate_init")),
        schedule=_rule(estimator),
        power_t=float(estimator.power_t),
        hyper=tuple(float(getattr(estimator, name)) for name in names),
        tol=float(estimator.tol),
        n_iter_no_change=int(min(estimator._value("n_iter_no_change"), MOST)),  # or inf
        monitor_loss=not (by_epoch or estimator.verbose),
        learning_rate_decay=float(estimator.learning_rate_decay),
        l1=float(estimator.l1),
        clip_norm=_limit(estimator.clip_norm),
        clip_value=_limit(estimator.clip_value),
        max_norm=_limit(estimator.max_norm),
        dropout=check_dropout(estimator._value("dropout"), n_layers - 1),
        input_dropout=float(estimator.input_dropout),
        input_noise=float(estimator.input_noise),
        mixup=float(estimator.mixup),
        cutmix=float(estimator.cutmix),
        feature_swap=float(estimator.feature_swap),
        learning_rate_factors=_learning_rate_factors(estimator, n_layers),
        own_rows=has_own_rows(estimator, optimizer),
        drop_last=estimator._rules.drop_last,
    )
    n_epochs = most_epochs(estimator, n_rows)
    n_batches = n_epochs * engine.batches_of_epoch(n_rows)
    factors = _batch_factors(estimator, n_batches, incremental)
    engine = replace(
        engine,
        **estimator._corruption(),
        average=factors.averages,
        batch_factors=None if factors.is_constant else factors,
    )
    averages = factors.averages or (optimizer is not None and bool(optimizer.average))
    return Settings(
        engine,
        max_iter=1 if incremental else n_epochs,
        batch_factors=factors,
        unit=loss_unit(network.loss, estimator._standard("targets")),
        averages=averages,
        max_time=math.inf if incremental else _limit(estimator.max_time),
        keeps_best=estimator._keeps_best(incremental) and optimizer is not None,
        rules=estimator._rules,
        incremental=incremental,
    )


def _limit(value):
    return math.inf if value is None else float(value)


def _rule(estimator):
    """Learning rate that changes after an epoch."""
    rule = estimator.learning_rate
    of_sgd = estimator.solver == "sgd" and rule in ("invscaling", "adaptive")
    return rule if of_sgd or rule == "plateau" else "constant"


def _learning_rate_factors(estimator, n_layers):
    """One for every layer where layers differ: in rates, or in the steps they take."""
    given = check_learning_rate_factors(estimator.learning_rate_factors, n_layers)
    differ = estimator.freeze is not None or resuming.has_missed_steps(estimator)
    return given or (1.0,) * n_layers * differ


def _batch_factors(estimator, n_batches, incremental):
    return BatchFactors(
        n_batches,
        learning_rate=estimator.learning_rate,
        warmup=float(estimator.warmup),
        learning_rate_decay=float(estimator.learning_rate_decay),
        learning_rate_cycles=int(min(estimator.learning_rate_cycles, MOST)),
        weight_decay_schedule=estimator.weight_decay_schedule,
        momentum_schedule=estimator.momentum_schedule,
        dropout_schedule=estimator.dropout_schedule,
        ema_decay=estimator.ema_decay,
        swa=estimator.swa,
        **resuming.begin_of_schedules(estimator, incremental),
    )
