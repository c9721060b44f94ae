"""Parameters that fit each for itself and not together, refused before training."""

from numbers import Real

import numpy as np

from nnfit.estimators import embeddings
from nnfit.estimators.losses import (
    check_loss_parameters,
    check_temperature_scaling,
    listed,
)
from nnfit.estimators.parameters import DECOUPLED_SOLVERS, POSITIVE, SGD_SCHEDULES
from nnfit.functions.losses import rows_of

#: What acts on the steps of mini-batches, which 'lbfgs' does not take.
OF_STEPS = (
    "dropout",
    "input_dropout",
    "mixup",
    "cutmix",
    "feature_swap",
    "input_noise",
    "l1",
    "max_norm",
    "clip_norm",
    "clip_value",
    "ema_decay",
    "swa",
    "warmup",
    "learning_rate_factors",
    "unfreeze_at",
    "weight_decay_schedule",
    "dropout_schedule",
    "momentum_schedule",
)
#: Numbers that engines compute with, besides those of solvers and losses; and limits,
#: of which one too large for the type is none.
COMPUTED = ("learning_rate_init", "alpha", "l1", "weight_decay", "input_noise")
LIMITS = ("max_norm", "clip_norm", "clip_value", "huber_delta")


def check_combinations(estimator, optimizer, has_validation):
    """Refuse parameters that cannot act together.

    Parameters
    ----------
    estimator : BaseMLP
    optimizer : Optimizer or None
        None stands for L-BFGS.
    has_validation : bool
        Whether there are validation data, given or split off.

    Raises
    ------
    ValueError
        That says what to change.
    """
    check_loss_parameters(estimator)
    embeddings.check(estimator)
    if optimizer is None:
        _check_lbfgs(estimator)
    else:
        _check_mixtures(estimator)
        _check_averages(estimator, optimizer)
        _check_positive(estimator, optimizer)
        _check_schedules(estimator, optimizer)
    _check_precision(estimator, optimizer)
    check_temperature_scaling(estimator, has_validation)


def _check_lbfgs(estimator):
    for name in OF_STEPS:
        value = estimator._value(name)
        if is_on(value):
            raise ValueError(
                f"{name} acts on the steps of mini-batches, got {name}={value!r} with "
                "solver='lbfgs', which takes none. Choose another solver or leave "
                f"{name} at its default."
            )
    learning_rate = estimator.learning_rate
    if callable(learning_rate) or learning_rate not in SGD_SCHEDULES:
        raise ValueError(
            "solver='lbfgs' has no learning rate, got learning_rate="
            f"{learning_rate!r}. Choose another solver or learning_rate='constant'."
        )
    if estimator.normalization == "batch":
        raise ValueError(
            "normalization='batch' needs mini-batches, got solver='lbfgs'. Choose "
            "another solver or normalization='layer'."
        )


def is_on(value):
    """Whether a parameter, or one number in it, is neither None nor 0."""
    if value is None or isinstance(value, str) or callable(value):
        return value is not None
    if isinstance(value, Real):
        return value != 0
    return bool(np.any(np.asarray(value, dtype=object) != 0))


def _check_mixtures(estimator):
    if estimator.mixup != 0 and estimator.cutmix != 0:
        raise ValueError(
            "mixup and cutmix are two ways to train on two rows at once, got "
            f"mixup={estimator.mixup!r} and cutmix={estimator.cutmix!r}. Set one of "
            "them to 0."
        )


def _check_averages(estimator, optimizer):
    if estimator.ema_decay is not None and estimator.swa is not None:
        raise ValueError(
            "ema_decay and swa are two ways to average the weights, got "
            f"ema_decay={estimator.ema_decay!r} and swa={estimator.swa!r}. Set one of "
            "them to None."
        )
    if optimizer.average is None:
        return
    for name in ("ema_decay", "swa"):
        value = estimator._value(name)
        if value is not None:
            raise ValueError(
                f"solver={estimator.solver!r} averages the weights by itself, got "
                f"{name}={value!r}. Set {name}=None or choose another solver."
            )


def _check_positive(estimator, optimizer):
    for name in optimizer.positive:
        value = estimator._value(name)
        if value == 0:
            raise ValueError(
                f"solver={estimator.solver!r} needs {name} > 0, got {value!r}. Raise "
                "it, leave it at its default or choose another solver."
            )


def _check_schedules(estimator, optimizer):
    if estimator.weight_decay_schedule is not None and not optimizer.decoupled:
        raise ValueError(
            "weight_decay_schedule needs a solver that decays weights, "
            f"{listed(DECOUPLED_SOLVERS)}, got solver={estimator.solver!r}. "
            "Choose one of them or set weight_decay_schedule=None."
        )
    if estimator.momentum_schedule is not None and optimizer.momentum is None:
        raise ValueError(
            "momentum_schedule needs a solver with a momentum or beta_1, got "
            f"solver={estimator.solver!r}. Choose another solver or set "
            "momentum_schedule=None."
        )


def _check_precision(estimator, optimizer):
    """Refuse numbers that the type of computation does not hold."""
    of_solver = () if optimizer is None else optimizer.parameters
    rows = rows_of(estimator.loss, estimator._task)
    of_loss = (name for row in rows for name in row.parameters)
    dtype = estimator._compute_dtype()
    for name in (*COMPUTED, *LIMITS, *of_solver, *of_loss):
        value = estimator._value(name) if hasattr(estimator, name) else None
        # Any type holds the numbers between, which most are.
        if not isinstance(value, Real) or value == 0 or 1e-30 < abs(value) < 1e30:
            continue
        number = np.dtype(dtype).type(value)
        vanishes = number == 0 and POSITIVE[0] in estimator._parameter_constraints[name]
        if vanishes or (np.isinf(number) and name not in LIMITS):
            change = "Raise" if vanishes else "Lower"
            other = " or set dtype='float64'" if dtype == "float32" else ""
            raise ValueError(
                f"{name} must be a number of the type {dtype}, in which {value!r} is "
                f"{number:g}. {change} it{other}."
            )


def check_batch_rows(estimator, batch_rows, n_rows, incremental):
    """Refuse batch normalisation over single rows.

    A call of `partial_fit` may have a single row, as the last batch of a fit may.
    """
    if incremental and n_rows == 1 and estimator.batch_size != 1:
        return
    if estimator.normalization == "batch" and batch_rows < 2:
        raise ValueError(
            "normalization='batch' needs batches of at least 2 rows, got "
            f"batch_size={estimator.batch_size!r} and n_samples={n_rows} to train on. "
            "Raise batch_size, give more samples or choose normalization='layer'."
        )
