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

#: Parameters that name schedules.
CHOICES = (
    "learning_rate",
    "weight_decay_schedule",
    "dropout_schedule",
    "momentum_schedule",
)
#: Parameters that no registry knows.
OTHERS = (
    *("scoring", "dropout_schedule", "layer_width", "taper"),
    *("member_adapters", "member_rows", "unfreeze_at"),
)


def _readers(pairs):
    """Who reads each parameter, from pairs of a reader and a parameter."""
    readers = {}
    for reader, name in pairs:
        if reader not in readers.setdefault(name, []):
            readers[name].append(reader)
    return readers


_SOLVERS = _readers(
    (row.name, name)
    for row in OPTIMIZERS.values()
    for name in (*row.parameters, *("weight_decay",) * row.decoupled)
)
OF_SOLVERS = {
    name: readers
    for name, readers in _SOLVERS.items()
    if not {"sgd", "adam"} & set(readers)  # scikit-learn's
}
OF_LOSSES = _readers(
    (row.option, name)
    for row in LOSSES.values()
    for name in row.parameters
    if name not in SWITCHES
)
#: 'plateau' follows the loss and not the progress, so it is none of the registry's.
OF_SCHEDULES = _readers(
    [
        ("plateau", "learning_rate_decay"),
        *((row.name, name) for row in SCHEDULES.values() for name in row.parameters),
    ]
)


def warn_of_unused(estimator, has_validation):
    """Name parameters that are not at their defaults and have no effect.

    Parameters
    ----------
    estimator : BaseMLP
    has_validation : bool
        Whether there are validation data, given or split off.
    """
    for name, default in _watched(type(estimator)).items():
        value = getattr(estimator, name)
        if value is default or np.array_equal(value, default):
            continue
        need = _need(estimator, name, has_validation)
        if need is not None:
            warnings.warn(f"{name}={value!r} has no effect: it needs {need}.")


@cache
def _watched(cls):
    """Parameters of a class that may have no effect, and their defaults."""
    names = {**OF_SOLVERS, **OF_LOSSES, **OF_SCHEDULES, **dict.fromkeys(OTHERS)}
    defaults = {name: item.default for name, item in signature(cls).parameters.items()}
    return {name: defaults[name] for name in names if name in defaults}


def _need(estimator, name, has_validation):
    """What a parameter needs and does not have, or None."""
    chosen = [getattr(estimator, choice) for choice in CHOICES]
    if name in OF_SOLVERS:
        solvers, solver = OF_SOLVERS[name], estimator.solver
        missing = solver not in solvers
        need = f"solver={listed(solvers)}, got solver={solver!r}"
    elif name in OF_LOSSES:
        losses, loss = OF_LOSSES[name], estimator.loss
        missing = loss not in losses
        need = f"loss={listed(losses)}, got loss={loss!r}"
    elif name in OF_SCHEDULES:
        schedules = OF_SCHEDULES[name]
        missing = not any(choice in schedules for choice in chosen)
        need = f"a schedule {listed(schedules)}, such as learning_rate={schedules[0]!r}"
    elif name == "scoring":
        missing = not has_validation
        need = "validation data: X_val and y_val, or early_stopping=True"
    elif name == "dropout_schedule":
        missing = not (is_on(estimator.dropout) or is_on(estimator.input_dropout))
        need = "dropout or input_dropout"
    elif name in ("member_adapters", "member_rows"):
        missing, need = estimator._value("n_shared_members") == 1, "n_shared_members"
    elif name == "unfreeze_at":
        missing, need = estimator.freeze is None, "freeze"
    else:  # layer_width, taper
        missing, need = estimator.n_layers is None, "n_layers"
    return need if missing else None
