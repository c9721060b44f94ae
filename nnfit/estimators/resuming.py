"""Going on where training ended: ``warm_start`` and ``partial_fit``.

What is needed beside weights and curves is the dict ``_training_state`` of plain
numbers and arrays. A fit always leaves it, as scikit-learn's leaves its optimizer;
it is pickled only where more training is to be expected, since moments are twice
the size of the weights.

Weights that are averaged are not those that training goes on from, which are then kept
there too, with a digest that tells whether the user has edited the others since.
"""

import hashlib
import math
from contextlib import contextmanager
from copy import deepcopy

import numpy as np

from nnfit.engine_settings import MISSED
from nnfit.network import Weights
from nnfit.training.history import Record, empty_history

STATE = "_training_state"
#: What belongs to weights in training that are not those of the estimator.
OF_AVERAGE = ("raw", "digest", "optimizer", "step", "averaged")
CURVES = ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")
#: What epochs, and those that look at them, have recorded.
RECORDS = "history_", "gradient_history_"
#: What is predicted with, by one network or by an ensemble.
FITTED = (
    *("coefs_", "intercepts_", "norms_", "others_"),
    *("temperature_", "t_", "members_", "_fitted", "init_report_"),
)
#: What `nnfit.inspection` has stored of an earlier fit.
STORED = ("attribution_importances_",)


def forget(estimator):
    """Remove what an earlier fit left, before a fit that starts anew."""
    for name in (STATE, *RECORDS, "stopped_", *CURVES, *FITTED, *STORED):
        vars(estimator).pop(name, None)


@contextmanager
def unchanged_on_error(estimator):
    """Undo a fit or a search that fails, so that nothing is left half fitted."""
    before = vars(estimator).copy()
    curves = [curve for name in RECORDS for curve in before.get(name, {}).values()]
    curves += before.get("loss_curve_"), before.get("validation_scores_")
    lengths = [(curve, len(curve)) for curve in curves if curve is not None]
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        for curve, length in lengths:
            del curve[length:]
        raise


def start_record(estimator, incremental):
    """The estimator's curves, to be extended in place.

    Copies would make a million calls of ``partial_fit`` quadratic.
    """
    in_calls = incremental and estimator.early_stopping
    if not in_calls:
        vars(estimator).pop("stopped_", None)
    if not hasattr(estimator, "history_"):
        return Record()
    record = Record(history=estimator.history_ or empty_history())
    if hasattr(estimator, "loss_curve_"):
        record.loss_curve = estimator.loss_curve_
        record.best_loss = estimator.best_loss_
        record.validation_scores = estimator.validation_scores_
        record.best_validation_score = estimator.best_validation_score_
    state = vars(estimator).get(STATE, {})
    record.no_improvement = state.get("no_improvement", 0)
    # The patience of calls of `partial_fit` begins with the first of them and ends with
    # the next fit, and so do their best weights.
    if in_calls != ("best" in state):
        record.no_improvement = 0
        if not in_calls and record.validation_scores is not None:
            record.best_validation_score = -math.inf
    return record


def shuffle_seed(estimator, random_state):
    """Seed of the epochs' orders: the fitted one, or a new one."""
    state = vars(estimator).setdefault(STATE, {})
    if "seed" not in state:
        seed = int(random_state.randint(0, 2**64, dtype=np.uint64))
        vars(estimator)[STATE] = {**state, "seed": seed}
    return vars(estimator)[STATE]["seed"]


def add_weights(estimator, sums, incremental):
    """Sums of weights over the rows of a fit, or of all calls of `partial_fit`.

    They start again where class weights have changed.
    """
    state = vars(estimator).get(STATE, {})
    before, class_weight = state.get("weights", ((0.0, 0.0), None))
    if incremental and class_weight == estimator.class_weight:
        sums = tuple(a + b for a, b in zip(before, sums, strict=True))
    kept = sums, deepcopy(estimator.class_weight)
    vars(estimator)[STATE] = {**state, "weights": kept}
    return sums


def split_random_state(estimator, random_state):
    """Generator of the validation split, in the same state at every resumed fit.

    Otherwise rows trained on before would be in the validation set.
    """
    state = vars(estimator).get(STATE, {})
    if "split" in state:
        bit_generator = getattr(np.random, state["split"]["bit_generator"])()
        random_state = np.random.RandomState(bit_generator)
        random_state.set_state(state["split"])
        return random_state
    drawn_from = random_state.get_state(legacy=False)
    vars(estimator)[STATE] = {**state, "split": drawn_from}
    return random_state


def training_weights(estimator):
    """Weights to go on from.

    Those in training, unless the averaged ones have been edited or another solver is to
    go on; then the former average and its optimizer are forgotten.
    """
    weights = estimator._weights()
    state = vars(estimator).get(STATE, {})
    if "raw" not in state:
        return weights
    if state["solver"] == estimator.solver and state["digest"] == _digest(weights):
        return Weights(*state["raw"])
    vars(estimator)[STATE] = _without(state, *OF_AVERAGE)
    return weights


def forget_optimizer(estimator):
    """Let the next training begin with the weights that there are and no moments."""
    vars(estimator)[STATE] = _without(vars(estimator).get(STATE, {}), *OF_AVERAGE)


def _without(state, *names):
    """A new dict: the one before the fit must stay as it is if the fit fails."""
    return {name: value for name, value in state.items() if name not in names}


def _copied(weights):
    """Copies of all arrays, in plain lists."""
    return tuple([np.array(array) for array in arrays] for arrays in weights)


def _digest(weights):
    digest = hashlib.blake2b(digest_size=16)
    for arrays in weights:
        for array in arrays:
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def begin_of_schedules(estimator, incremental):
    """Progress at which the schedules begin, and steps averaged before."""
    state = vars(estimator).get(STATE, {})
    return {
        "begin": state.get("progress", 0.0) if incremental else 0.0,
        "averaged": state.get("averaged", 0),
    }


def resume(estimator, engine, settings, record):
    """Put a configured engine where the last training ended."""
    progress = engine.progress
    progress.t = int(estimator.t_)
    progress.no_improvement = record.no_improvement
    if record.best_loss is not None:
        progress.best_loss = record.best_loss / settings.unit
    state = vars(estimator).get(STATE, {})
    if "epoch" not in state:
        return
    progress.epoch = state["epoch"]
    if state["solver"] == estimator.solver and "optimizer" in state:
        engine.set_state(state["optimizer"])
        if "raw" in state:
            engine.set_evaluated(estimator._weights())
        progress.step = state["step"]
        schedule = (settings.engine.schedule, settings.engine.learning_rate_init)
        if (state["schedule"], state["learning_rate_init"]) == schedule:
            progress.learning_rate = state["learning_rate"]


def has_missed_steps(estimator):
    """Whether layers have been frozen in the training that goes on."""
    state = vars(estimator).get(STATE, {}).get("optimizer")
    return state is not None and bool(state["memory"][..., MISSED:].any())


def best_of_calls(estimator, weights, improved, stopped):
    """Weights after a call of `partial_fit` with early stopping.

    The best ones are kept from call to call, and restored when training stops.

    Parameters
    ----------
    estimator : BaseMLP
        As it was before the call.
    weights : Weights or None
        None if they are not finite, so that training has stopped.
    improved : bool
        Whether they are the best so far.
    stopped : bool

    Returns
    -------
    Weights
    """
    state = vars(estimator)[STATE]
    best = state.get("best")
    if improved or (best is None and not hasattr(estimator, "coefs_")):
        best = _copied(weights)
    elif best is None:  # of a fit before
        best = _copied(estimator._weights())
    vars(estimator)[STATE] = {**state, "best": best}
    estimator.stopped_ = stopped
    return Weights(*_copied(best)) if stopped else weights


def remember(estimator, engine, settings, record, n_batches, restored):
    """Keep what :func:`resume` needs.

    Parameters
    ----------
    estimator : BaseMLP
        With the weights that count.
    engine : Engine
    settings : Settings
    record : Record
    n_batches : int
        Of this call.
    restored : bool
        Whether they are those of an earlier epoch.
    """
    progress, factors = engine.progress, settings.batch_factors
    state = _without(vars(estimator).get(STATE, {}), *OF_AVERAGE)
    if not (settings.incremental and settings.keeps_best):
        state = _without(state, "best")
    state |= {
        "solver": estimator.solver,
        "epoch": int(progress.epoch),
        "learning_rate": float(progress.learning_rate),
        "learning_rate_init": settings.engine.learning_rate_init,
        "schedule": settings.engine.schedule,
        "no_improvement": int(record.no_improvement),
        "progress": factors.progress_after(n_batches) if settings.incremental else 0.0,
        "pickle": bool(estimator.warm_start or settings.incremental),
    }
    # An average, and its optimizer, belong to the weights in training at its time.
    if not (settings.averages and restored):
        state |= {"optimizer": engine.get_state(), "step": int(progress.step)}
        if settings.averages:
            state |= {
                "raw": tuple(engine.get_weights()),
                "digest": _digest(estimator._weights()),
                "averaged": factors.averaged_after(n_batches),
            }
    vars(estimator)[STATE] = state


def without_optimizer_state(state):
    """State of an estimator as it is pickled."""
    if state.get(STATE, {}).get("pickle", False):
        return state
    return {name: value for name, value in state.items() if name != STATE}
