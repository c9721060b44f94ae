"""Networks, data and engines for tests of the compiled engine and the naive one.

They go by the fields of the registries' rows, so that a new row needs nothing here.
"""

import inspect
from functools import partial

import numpy as np
import pytest

from nnfit import MLPClassifier, MLPRegressor
from nnfit.blas import one_blas_thread
from nnfit.cpu import engine as cpu
from nnfit.cpu import fields as at
from nnfit.cpu import target as targets
from nnfit.cpu.layout import layout_of
from nnfit.cpu.orders import shuffled_orders
from nnfit.engine_settings import EngineSettings
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network import Network, Weights, initial_weights
from tests import numpy_engine
from tests.graphs import as_found, with_codes, with_holes

#: Defaults of all parameters of the estimators.
DEFAULTS = {
    name: parameter.default
    for estimator in (MLPClassifier, MLPRegressor)
    for name, parameter in inspect.signature(estimator).parameters.items()
}
#: Values of losses' parameters that tell more than the defaults.
LOSS_PARAMETERS = {**DEFAULTS, "label_smoothing": 0.1, "huber_delta": 0.7}
TIGHT = dict(rtol=1e-9, atol=1e-11)
#: Processors that kernels are compiled for and run on, where the machine can.
PROCESSORS = targets.CHOICES
#: Processors and precisions that networks are tested in. Those that compile kernels
#: which no other test needs are slow: of one precision for each processor, the same
#: everywhere, as all kernels of one take about 20 seconds.
HOST = [("host", "float32"), ("host", "float64")]
OTHERS = [("avx2", "float32"), ("plain", "float64")]
PRECISIONS = [*HOST, *(pytest.param(*each, marks=pytest.mark.slow) for each in OTHERS)]


def use_processor(monkeypatch, name):
    """Compile for a processor from here on; returns its target."""
    monkeypatch.setenv(targets.CPU_VARIABLE, name)
    try:
        return targets.host()
    except ValueError as error:
        pytest.skip(str(error))


def tolerance_of(dtype):
    """What rounding leaves between two engines after a few epochs."""
    return dict(rtol=2e-4, atol=2e-5) if dtype == "float32" else TIGHT


def make_network(
    sizes, activation="relu", loss="squared_error", dtype="float64", **structure
):
    """A network with one activation throughout."""
    row = LOSSES[loss]
    if "quantile" in row.parameters:
        parameters = tuple(np.linspace(0.1, 0.9, sizes[-1]))
    elif row.task == "reconstruction":
        parameters = columns_of(sizes[-1])
    else:
        parameters = tuple(LOSS_PARAMETERS[name] for name in row.parameters)
    hidden = [ACTIVATIONS[activation]] * (len(sizes) - 2)
    return Network.dense(sizes, hidden, row, parameters, dtype, **structure)


def columns_of(n_outputs):
    """Widths and weights of columns of every kind, as many as there are outputs for."""
    widths = {1: (1,), 2: (0, 1), 3: (2, 1)}.get(n_outputs, (1, n_outputs - 2, 0))
    return tuple(np.ravel([(width, 0.5 + 0.25 * width) for width in widths]).tolist())


def make_columns(parameters, n_rows, rng):
    """Numbers, categories and masks that `columns_of` tells of; some are missing."""
    columns = [
        rng.normal(size=n_rows)
        if width == 1
        else rng.integers(-1, width, n_rows)
        if width > 1
        else rng.integers(0, 2, n_rows)
        for width in map(int, parameters[::2])
    ]
    y = np.array(columns, dtype=np.float64).T
    y[rng.uniform(size=y.shape) < 0.1] = np.nan
    return y


def make_data(network, n_rows, seed=0):
    """Features, and targets that are valid for the loss."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, network.n_features)).astype(network.dtype)
    X = with_holes(network, with_codes(network, X, seed), seed)
    n_outputs, loss = network.n_outputs, network.loss
    if loss.takes_index:
        y = rng.integers(0, n_outputs, size=(n_rows, 1))
    elif loss.task == "reconstruction":
        y = make_columns(network.loss_parameters, n_rows, rng)
    elif loss.task == "classification":
        y = rng.integers(0, 2, size=(n_rows, n_outputs))
    elif np.isfinite(loss.y_min):
        y = rng.gamma(2.0, size=(n_rows, n_outputs)) + 0.1 + loss.y_min
    elif "quantile" in loss.parameters:
        y = rng.normal(size=(n_rows, 1))
    else:
        y = rng.normal(size=(n_rows, n_outputs))
    return X, np.ascontiguousarray(y, dtype=network.dtype)


def make_weights(network, seed=1):
    """Arrays of a sensible size: list by list, so that those of a list keep theirs.

    What training never changes is as the kind of layer has it.
    """
    rng = np.random.default_rng(seed)
    parts = {place: [] for place in Weights._fields}
    fixed = [tensor.n_trained == 0 for tensor in network.tensors]
    if any(fixed):
        start = initial_weights(network, np.random.RandomState(seed), "he")
        at_start = [array for arrays in start for array in arrays]
    for number, tensor in enumerate(network.tensors):
        values = rng.normal(size=tensor.shape)
        if fixed[number]:
            found = as_found(tensor, at_start[number], rng)
            parts[tensor.place].append(found.astype(network.dtype))
            continue
        if tensor.in_panels or (tensor.place == "others" and tensor.rows > 1):
            values /= np.sqrt(tensor.rows)
        elif tensor.place == "intercepts":
            values *= 0.1
        else:  # scale and running variance positive, but not all alike
            values[0::2] = np.exp(0.3 * values[0::2])
        parts[tensor.place].append(values.astype(network.dtype))
    return Weights(**parts)


def engine_of(module):
    """The module's `Engine`; that of a GPU gets what `training.device` gives it."""
    if module.__name__ == "nnfit.cuda.engine":
        return partial(module.Engine, shuffled_orders=shuffled_orders)
    return module.Engine


def make_engine(
    module, network, data, solver="adam", n_threads=1, rows=None, **changes
):
    """An engine of one of the two modules, ready to train."""
    row = None if solver is None else OPTIMIZERS[solver]
    engine = engine_of(module)(network, row, n_threads=n_threads)
    engine.set_weights(make_weights(network))
    engine.set_data(*data, rows=rows)
    options = dict(
        batch_size=32,
        shuffle=False,
        seed=7,
        alpha=1e-2,
        weight_decay=0.1 if row is not None and row.decoupled else 0.0,
        learning_rate_init=1e-2,
        schedule="constant",
        power_t=0.5,
        hyper=() if row is None else tuple(DEFAULTS[name] for name in row.parameters),
        tol=0.0,
        n_iter_no_change=2**40,
        monitor_loss=False,
    )
    engine.configure(EngineSettings(**{**options, **changes}))
    return engine


def train(engine, epochs):
    """Losses of some epochs, however many calls they take."""
    losses = []
    while engine.progress.epoch < epochs and not engine.progress.stopped:
        losses.extend(engine.train(epochs)["loss"])
    return np.array(losses)


def evaluate(engine, X, y, sample_weight=None, rows=None, score=None):
    """Loss and score of some rows."""
    engine.watch(X, y, sample_weight, rows, score)
    return engine.validate()


def flat_weights(engine, flat=None):
    """All weights, or those of a snapshot, as one vector without padding."""
    arrays = [array for part in engine.get_weights(flat) for array in part]
    return np.concatenate([array.ravel() for array in arrays])


def results_of(engine):
    """All that a training leaves, as one list of arrays."""
    parts = engine.get_weights(), engine.get_weights(engine.evaluated())
    arrays = [array for weights in parts for part in weights for array in part]
    return [*arrays, *engine.get_state().values()]


def is_in_parts(engine):
    """Whether a batch of a compiled engine is done in parts."""
    return engine._tables.ints[at.PART_ROWS] < engine._tables.ints[at.BATCH_SIZE]


def assert_same_training(
    network, data, rtol, atol, epochs=3, modules=(cpu, numpy_engine), **options
):
    """Two engines learn the same, the compiled and the naive one.

    Parameters
    ----------
    network : Network
    data : tuple
        X, y and perhaps sample weights and loss weights.
    rtol, atol : float
    epochs : int
    modules : tuple of module
    **options
        Of `make_engine`.
    """
    with one_blas_thread():  # two that wait for a processor keep it busy
        ours, naive = (
            _all_of_a_training(module, network, data, epochs, options)
            for module in modules
        )
    for name, values in ours.items():
        np.testing.assert_allclose(values, naive[name], rtol, atol, err_msg=name)


def _all_of_a_training(module, network, data, epochs, options):
    engine = make_engine(module, network, data, **options)
    engine.keep_batch_losses = True
    curves = {"loss": [], "batch_loss": [], "learning_rate": []}
    while engine.progress.epoch < epochs and not engine.progress.stopped:
        for name, values in engine.train(epochs).items():
            curves[name].extend(values)
    return {
        **curves,
        "weights": flat_weights(engine),
        "moments": engine.get_state()["moments"],
        "evaluated": flat_weights(engine, engine.evaluated()),
        "predictions": module.predict(network, engine.get_weights(), data[0]),
        "validation": evaluate(engine, *data[:3]),
    }


def numerical_gradient(loss, flat, step=1e-4, places=None):
    """Central differences of fourth order along some parameters; None for every one."""
    gradient = np.zeros_like(flat)
    for i in range(len(flat)) if places is None else places:
        values = []
        for k in (-2, -1, 1, 2):
            moved = flat.copy()
            moved[i] += k * step
            values.append(loss(moved))
        gradient[i] = (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (
            12.0 * step
        )
    return gradient


def some_places(mask, most=160):
    """Numbers of so many elements, at most, of those in a mask, evenly spaced."""
    places = np.flatnonzero(mask)
    return places[np.unique(np.linspace(0, len(places) - 1, most).astype(int))]


def trained_elements(network, flat):
    """Mask of the compiled engine's parameters that training changes."""
    mask = flat != 0.0  # but for the padding
    for part in layout_of(network, targets.host()).statistics():
        mask[part] = False
    return mask


def assert_other_states_are_refused(module):
    """Larger and smaller ones, of more moments, and damaged ones."""
    network, other = make_network((4, 5, 2)), make_network((4, 40, 2))
    engines = [
        make_engine(module, each, make_data(each, 9), solver="adam")
        for each in (network, other)
    ]
    states = [engine.get_state() for engine in engines]
    moments, memory = states[0].values()
    damaged = [
        (moments[:1], memory),
        (moments.ravel(), memory),
        (moments, memory[:1]),
        (moments, memory[:, :0]),
        (moments, memory[..., :2]),
        (moments, memory.ravel()),
    ]
    cases = [(engines[0], states[1]), (engines[1], states[0])]
    for pair in damaged:
        cases.append((engines[0], dict(zip(states[0], pair, strict=True))))
    for engine, state in cases:
        with pytest.raises(ValueError, match="state of the optimizer must have arrays"):
            engine.set_state(state)
    engines[0].set_state({"moments": moments, "memory": memory[..., :-1]})  # earlier
    engines[0].set_state(states[0])
