"""Going on where training ended: ``warm_start`` and ``partial_fit``.

What is needed beside weights and curves is the dict ``_training_state`` of plain
numbers and arrays. A fit always leaves it, as scikit-learn's leaves its optimizer;
it is pickled only where more training is to be expected, since moments are twice
the size of the weights.
"""

from contextlib import contextmanager

import numpy as np

from nnfit.training.history import Record, empty_history

STATE = "_training_state"
CURVES = ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")


def forget(estimator):
    """Remove what an earlier fit left, before a fit that starts anew."""
    for name in (STATE, "history_", *CURVES):
        vars(estimator).pop(name, None)


@contextmanager
def unchanged_on_error(estimator):
    """Undo a fit that fails, so that no estimator is left half fitted."""
    before = vars(estimator).copy()
    curves = list(before.get("history_", {}).values())
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


def start_record(estimator):
    """The estimator's curves, to be extended in place.

    Copies would make a million calls of ``partial_fit`` quadratic.
    """
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
    return record


def shuffle_seed(estimator, random_state):
    """Seed of the epochs' orders: the fitted one, or a new one."""
    state = vars(estimator).setdefault(STATE, {})
    if "seed" not in state:
        # A new dict: the one before the fit must stay as it is if the fit fails.
        seed = int(random_state.randint(0, 2**64, dtype=np.uint64))
        vars(estimator)[STATE] = {**state, "seed": seed}
    return vars(estimator)[STATE]["seed"]


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


def resume(estimator, engine, settings, record):
    """Put a configured engine where the last training ended."""
    progress = engine.progress
    progress.t = int(estimator.t_)
    progress.no_improvement = record.no_improvement
    if record.best_loss is not None:
        progress.best_loss = record.best_loss
    state = vars(estimator).get(STATE, {})
    if "moments" not in state:
        return
    progress.epoch = state["epoch"]
    if state["solver"] == estimator.solver:
        engine.set_state(state["moments"].astype(engine.flat.dtype, copy=False))
        progress.step = state["step"]
        schedule = (settings.learning_rate, settings.learning_rate_init)
        if (state["schedule"], state["learning_rate_init"]) == schedule:
            progress.learning_rate = state["learning_rate"]


def remember(estimator, engine, settings, record):
    """Keep what :func:`resume` needs."""
    progress = engine.progress
    vars(estimator)[STATE] = {
        **vars(estimator).get(STATE, {}),
        "solver": estimator.solver,
        "moments": engine.get_state(),
        "step": int(progress.step),
        "epoch": int(progress.epoch),
        "learning_rate": float(progress.learning_rate),
        "learning_rate_init": settings.learning_rate_init,
        "schedule": settings.learning_rate,
        "no_improvement": int(record.no_improvement),
        "pickle": bool(estimator.warm_start or settings.incremental),
    }


def without_optimizer_state(state):
    """State of an estimator as it is pickled."""
    if state.get(STATE, {}).get("pickle", False):
        return state
    return {name: value for name, value in state.items() if name != STATE}
