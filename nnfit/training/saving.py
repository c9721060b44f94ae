"""The state of a training between two epochs, as plain numbers and arrays.

What it does not hold a fit makes again from its data, parameters and random state: the
weights that it began with, the rows set aside, and the orders of the rows, which are a
function of the seed and of the epoch.
"""

from dataclasses import replace

import numpy as np

from nnfit.network import Weights
from nnfit.training.history import COLUMNS

#: Of the engine's progress and of the record.
PROGRESS = ("epoch", "step", "t", "no_improvement", "learning_rate", "best_loss")
RECORD = ("best_loss", "best_validation_score", "no_improvement", "n_iter")
#: Sets of weights: in training, those that count, and those of the best epoch.
SETS = ("raw", "evaluated", "best")


def state_of(training):
    """Numbers and arrays from which `restore` goes on.

    Parameters
    ----------
    training : nnfit.callbacks.listening.Training
        At the end of an epoch.

    Returns
    -------
    numbers : dict
        Of numbers and None, as JSON has them.
    arrays : dict of ndarray
    """
    engine, record, best = training.engine, training.record, training.best_weights
    progress = engine.progress
    numbers = {
        "progress": {name: getattr(progress, name) for name in PROGRESS},
        "record": {name: getattr(record, name) for name in RECORD},
        "stopped": int(progress.stopped) if training.is_over else 0,
    }
    arrays = {f"history {name}": np.array(record.history[name]) for name in COLUMNS}
    arrays["loss curve"] = np.array(record.loss_curve)
    if record.validation_scores is not None:
        arrays["validation scores"] = np.array(record.validation_scores)
    arrays |= {f"optimizer {name}": each for name, each in engine.get_state().items()}
    sets = {"raw": engine.get_weights()}
    if training.settings.averages:
        sets["evaluated"] = training.evaluated
    if best is not None:
        sets["best"] = engine.get_weights(best)
    for name, weights in sets.items():
        arrays |= _named(name, weights)
    return numbers, arrays


def _named(name, weights):
    return {
        f"{name} {place} {number}": array
        for place, arrays in weights._asdict().items()
        for number, array in enumerate(arrays)
    }


def continued(settings, numbers, n_rows):
    """Settings of a training whose first epochs have been trained.

    Parameters
    ----------
    settings : Settings
    numbers : dict
        See `state_of`.
    n_rows : int
        Rows to train on.
    """
    factors = settings.engine.batch_factors
    if factors is None:
        return settings
    done = numbers["record"]["n_iter"] * settings.engine.batches_of_epoch(n_rows)

    def of_rest(first_batch, count):
        return factors(first_batch + done, count)

    return replace(settings, engine=replace(settings.engine, batch_factors=of_rest))


def restore(engine, network, record, numbers, arrays):
    """Put an engine, configured with `continued` settings, and a record back.

    Returns
    -------
    best_weights : ndarray or None
        In the engine's layout.
    """
    best = None
    if "best coefs 0" in arrays:
        engine.set_weights(_weights("best", network, arrays))
        best = np.array(engine.flat)
    engine.set_weights(_weights("raw", network, arrays))
    names = [name for name in arrays if name.startswith("optimizer ")]
    engine.set_state({name.removeprefix("optimizer "): arrays[name] for name in names})
    if "evaluated coefs 0" in arrays:
        engine.set_evaluated(_weights("evaluated", network, arrays))
    progress = engine.progress
    for name in PROGRESS:
        setattr(progress, name, numbers["progress"][name])
    progress.stopped = numbers["stopped"]
    for name in RECORD:
        setattr(record, name, numbers["record"][name])
    for name in COLUMNS:
        record.history[name][:] = arrays[f"history {name}"].tolist()
    record.loss_curve[:] = arrays["loss curve"].tolist()
    if record.validation_scores is not None:
        record.validation_scores[:] = arrays["validation scores"].tolist()
    return best


def evaluated_of(arrays):
    """`Weights` that count, of the arrays of `state_of`: the best, if they are there.

    Raises
    ------
    KeyError, StopIteration
        If some are missing, or all.
    """
    found = {name: {place: [] for place in Weights._fields} for name in SETS}
    for entry in arrays:
        name, _, place = entry.rpartition(" ")[0].partition(" ")
        if place in found.get(name, ()):
            count = len(found[name][place])
            found[name][place].append(arrays[f"{name} {place} {count}"])
    name = next(name for name in reversed(SETS) if found[name]["coefs"])
    return Weights(**found[name])


def _weights(name, network, arrays):
    """A set of weights, with the shapes that the network has."""
    lists = {place: [] for place in Weights._fields}
    for tensor in network.tensors:
        found = lists[tensor.place]
        array = arrays[f"{name} {tensor.place} {len(found)}"]
        if array.shape != tensor.shape:
            raise ValueError(f"{name} {tensor.place} of the shape {array.shape}")
        found.append(array)
    return Weights(**lists)
