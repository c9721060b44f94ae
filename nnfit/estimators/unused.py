"""Parameters that are set though nothing in a fit reads them: a warning names them.

Who reads a parameter follows from the registries of solvers, losses and schedules. It
is a warning, since a search over solvers may keep a `weight_decay` that only some of
them read. A default says nothing, and of scikit-learn's solvers neither do their own
parameters: there, too, a `momentum` is accepted with 'adam'.
"""

import warnings
from functools import cache
from inspect import signature

import numpy as np

from nnfit.estimators.combinations import is_on
from nnfit.estimators.losses import SWITCHES, listed
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.training.schedules import SCHEDULES

#: Solvers of scikit-learn's that have rows.
OF_SKLEARN = ("sgd", "sgd_nesterov", "adam")
#: Parameters that name schedules.
CHOICES = (
    "learning_rate",
    "weight_decay_schedule",
    "dropout_schedule",
    "momentum_schedule",
)


def warn_of_unused(estimator, has_validation):
    """Name parameters that are not at their defaults and have no effect.

    Parameters
    ----------
    estimator : BaseMLP
    has_validation : bool
        Whether there are validation data, given or split off.
    """
    needs = {
        **_needs_of_solver(estimator),
        **_needs_of_loss(estimator),
        **_needs_of_schedules(estimator),
    }
    if not has_validation:
        needs["scoring"] = "validation data: X_val and y_val, or early_stopping=True"
    if estimator.n_layers is None:
        needs |= dict.fromkeys(("layer_width", "taper"), "n_layers")
    if not (is_on(estimator.dropout) or is_on(estimator.input_dropout)):
        needs["dropout_schedule"] = "dropout or input_dropout"
    for name, need in needs.items():
        value = getattr(estimator, name)
        if not np.array_equal(value, _defaults(type(estimator))[name]):
            warnings.warn(f"{name}={value!r} has no effect: it needs {need}.")


@cache
def _defaults(cls):
    return {name: item.default for name, item in signature(cls).parameters.items()}


def _needs_of_solver(estimator):
    readers = {"weight_decay": [r.name for r in OPTIMIZERS.values() if r.decoupled]}
    for row in OPTIMIZERS.values():
        for name in row.parameters:
            readers.setdefault(name, []).append(row.name)
    return {
        name: f"solver={listed(solvers)}, got solver={estimator.solver!r}"
        for name, solvers in readers.items()
        if estimator.solver not in solvers and not set(solvers) & set(OF_SKLEARN)
    }


def _needs_of_loss(estimator):
    readers = {}
    for row in LOSSES.values():
        for name in row.parameters if row.task == estimator._task else ():
            readers.setdefault(name, {})[row.option] = True
    return {
        name: f"loss={listed(losses)}, got loss={estimator.loss!r}"
        for name, losses in readers.items()
        if estimator.loss not in losses and name not in SWITCHES
    }


def _needs_of_schedules(estimator):
    # 'plateau' follows the loss, not the progress, so it is none of the registry's.
    readers = {"learning_rate_decay": ["plateau"]}
    for row in SCHEDULES.values():
        for name in row.parameters:
            readers.setdefault(name, []).append(row.name)
    chosen = [getattr(estimator, name) for name in CHOICES]
    return {
        name: f"a schedule {listed(schedules)}, such as learning_rate={schedules[0]!r}"
        for name, schedules in readers.items()
        if not any(choice in schedules for choice in chosen)
    }
