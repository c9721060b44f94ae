"""The GPU's engine beside the CPU's: losses, predictions, bits, estimators.

Each check returns ``{"ok": bool, ...}`` with what it has measured. What is trained
comes from the tests: every configuration of `tests.features`, every row of a registry.
"""

import math
import pickle
import warnings
from contextlib import contextmanager
from unittest import mock

import numpy as np
import scipy.sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import nnfit
from nnfit.cpu import engine as cpu
from nnfit.cuda import engine as cuda
from nnfit.cuda import tables
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.training import device as devices
from tests import engines
from tests.features import FEATURES, rounding, structured

N_ROWS = 210
#: Epochs of a comparison, and how far losses may be apart after the first and after all
#: of them. Two engines of the CPU, compiled and naive, differ by 6e-6 at most after
#: twenty epochs in float32.
EPOCHS = {"float32": 20, "float64": 5}
LIMITS = {"float32": (1e-5, 1e-3), "float64": (1e-9, 1e-9)}
#: Of float64 with noise, whose normal numbers have nine digits.
NOISY = 1e-6


@contextmanager
def forced(launches):
    """Train in one launch for many batches, or in a launch for each step."""
    with mock.patch.object(tables, "LARGE_OPERATIONS", 0 if launches else math.inf):
        yield


def data_of(network, rows):
    """Data for a network: ``rows`` is "dense", "sparse" or "weighted"."""
    X, y = engines.make_data(network, N_ROWS)
    random = np.random.default_rng(3)
    if rows == "sparse":
        X = scipy.sparse.csr_array(np.where(random.uniform(size=X.shape) < 0.4, X, 0))
    if rows == "weighted":
        return X, y, random.uniform(0.2, 3.0, N_ROWS)
    return X, y


def distance(ours, theirs):
    """Largest difference, as a part of the largest value."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return math.inf
    scale = np.abs(theirs).max(initial=1e-300)
    return float(np.abs(ours - theirs).max(initial=0.0) / scale)


def compare(network, limits, rows="dense", **options):
    """Train on both devices; compare predictions before, losses, validation after."""
    data, found = data_of(network, rows), []
    for module in (cuda, cpu):
        engine = engines.make_engine(module, network, data, shuffle=True, **options)
        first = module.predict(network, engine.get_weights(), data[0])
        losses = engines.train(engine, EPOCHS[network.dtype])
        validation = engines.evaluate(engine, *data)[0]
        found.append((first, losses, validation, engines.flat_weights(engine)))
    (first, ours, valid, weights), (first_cpu, theirs, valid_cpu, weights_cpu) = found
    same_length = len(ours) == len(theirs) and len(ours) > 0
    apart = np.abs(ours - theirs) / np.abs(theirs) if same_length else [math.inf]
    result = {
        "first_predictions": distance(first, first_cpu),
        "first_epoch": float(apart[0]),
        "all_epochs": float(np.max(apart)),
        "validation": distance(valid, valid_cpu),
        "weights": distance(weights, weights_cpu),
    }
    ok = max(result["first_predictions"], result["first_epoch"]) <= limits[0]
    ok = ok and max(result["all_epochs"], result["validation"]) <= limits[1]
    return {"ok": bool(ok), **result}


def feature(name, dtype, launches, rows="dense"):
    """A configuration of `tests.features`."""
    network, options = structured(name, dtype)
    limits = LIMITS[dtype]
    if dtype == "float64" and rounding(name) != rounding("schedules"):
        limits = (NOISY, NOISY)
    with forced(launches):
        return compare(network, limits, rows, **options)


def activation(name, dtype):
    """A row of the registry of activations."""
    network = engines.make_network((9, 14, 6, 3), name, dtype=dtype)
    with forced(False):
        return compare(network, LIMITS[dtype])


def loss(name, dtype):
    """A row of the registry of losses."""
    network = engines.make_network((9, 14, 6, 3), "tanh", name, dtype)
    with forced(False):
        return compare(network, LIMITS[dtype])


def solver(name, dtype):
    """A row of the registry of optimizers."""
    network = engines.make_network((9, 14, 14, 3), "tanh", "softmax", dtype)
    with forced(False):
        return compare(network, LIMITS[dtype], solver=name)


# -------------------------------------------------------------------- the same bits


def bits(launches, name="batch normalisation, dropout, average"):
    """Weights do not depend on the run, blocks, calls, or networks beside.

    Losses may differ in the last bit by where a call begins, since the penalty is
    summed in another order there.
    """
    network, options = structured(name, "float32")
    data = data_of(network, "dense")

    def make(seed=7):
        return engines.make_engine(
            cuda, network, data, shuffle=True, **{**options, "seed": seed}
        )

    def run(engine, epochs=4, batches=None):
        while engine.progress.epoch < epochs:
            if batches is None:
                engine.train(epochs)
            else:
                engine._begin(epochs, batches)
                cuda.run_together([engine])
                engine.finish()
        return engines.flat_weights(engine)

    with forced(launches):
        expected = run(make())
        found = {"again": run(make()), "calls of one batch": run(make(), batches=1)}
        for n_blocks in () if launches else (1, 2, 3, 5, 8):
            engine = make()
            resident = engine._module.blocks_at_once("train", engine._tile.n_threads)
            if n_blocks <= resident:
                engine._n_blocks = n_blocks
                found[f"{n_blocks} blocks"] = run(engine)
        several = [make(), make(8), make(9)]
        while several[0].progress.epoch < 4:
            for engine in several:
                engine._begin(4, 3)
            cuda.run_together(several)
            for engine in several:
                engine.finish()
        found["beside others"] = engines.flat_weights(several[0])
    different = [key for key, w in found.items() if not np.array_equal(w, expected)]
    return {"ok": not different, "compared": list(found), "different": different}


# ----------------------------------------------------------------------- estimators


def swish(z):
    """An activation of a user's."""
    s = 1.0 / (1.0 + math.exp(-z))
    return z * s, s + z * s * (1.0 - s)


def log_cosh(raw_prediction, y):
    """A loss of a user's."""
    r = raw_prediction - y
    return abs(r) + math.log1p(math.exp(-2.0 * abs(r))) - math.log(2.0), math.tanh(r)


#: Parameters of estimators; those of a regressor have a loss.
ESTIMATORS = {
    "classifier": {},
    "regressor": dict(loss="squared_error"),
    "early stopping": dict(early_stopping=True, n_iter_no_change=3),
    "ensemble": dict(n_members=3),
    "own activation": dict(activation=swish),
    "own loss": dict(loss=log_cosh),
    "lbfgs": dict(solver="lbfgs", max_iter=5),
    "float64, normalised": dict(dtype="float64", normalization="batch", dropout=0.2),
    "data-driven weights": dict(initialization="data_driven"),
    "sparse": {},
}
ESTIMATOR = dict(
    hidden_layer_sizes=(40, 20), max_iter=8, random_state=0, learning_rate_init=3e-3
)


def digits(name):
    """Rows of digits, sparse where that is said."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    return (scipy.sparse.csr_array(X) if name == "sparse" else X), y


@contextmanager
def every_prediction_on_the_gpu():
    """Also those that are not worth the way."""
    with (
        mock.patch.object(devices, "MIN_ROWS", 1),
        mock.patch.object(devices, "ALL_OPERATIONS", 0.0),
    ):
        yield


def estimator(name):
    """Fit on both devices, take the model through a pickle, predict on both."""
    X, y = digits(name)
    given = {**ESTIMATOR, **ESTIMATORS[name]}
    kind = nnfit.MLPRegressor if "loss" in given else nnfit.MLPClassifier
    with warnings.catch_warnings(), every_prediction_on_the_gpu():
        warnings.simplefilter("ignore", ConvergenceWarning)
        there = kind(**given, device="cuda").fit(X, y)
        here = kind(**given).fit(X, y)
        predicted = there.predict(X)
        again = pickle.loads(pickle.dumps(there)).set_params(device="cpu")
        same = again.predict(X)
    agree = np.mean(np.isclose(predicted, same, rtol=1e-3, atol=1e-3))
    scores = there.score(X, y), here.score(X, y)
    result = {
        "device": there.device_,
        "scores": scores,
        "predictions_that_agree": float(agree),
    }
    ok = there.device_ == "cuda:0" and agree > 0.99
    if "n_members" not in given:  # whose members have the losses
        ours, theirs = (
            np.asarray(getattr(model, "loss_curve_", [model.loss_]))
            for model in (there, here)
        )
        n = min(len(ours), len(theirs), 3)
        result["losses"] = distance(ours[:n], theirs[:n])
        ok = ok and n > 0 and result["losses"] <= 1e-3
    return {"ok": bool(ok and abs(scores[0] - scores[1]) < 0.1), **result}


def moving():
    """`partial_fit` that goes from device to device goes on where it was."""
    X, y = digits("moving")
    losses = []
    for order in (["cuda", "cpu", "cuda", "cpu"], ["cpu"] * 4):
        model = nnfit.MLPClassifier(**ESTIMATOR)
        for where in order:
            model.set_params(device=where).partial_fit(X, y, classes=np.unique(y))
        losses.append(model.loss_curve_)
    apart = distance(*losses)
    return {"ok": apart <= 1e-3, "losses": apart}


def sanitized(launches):
    """A few batches with most of what there is, for a tool that watches."""
    network, options = structured("everything, batch normalisation", "float32")
    data = data_of(network, "dense")
    with forced(launches):
        engine = engines.make_engine(cuda, network, data, shuffle=True, **options)
        if not launches:
            engine._n_blocks = min(
                2, engine._module.blocks_at_once("train", engine._tile.n_threads)
            )
        losses = engines.train(engine, 1)
        engines.evaluate(engine, *data)
    return {"ok": bool(np.isfinite(losses).all())}


# ------------------------------------------------------------------------- all of it


def all_checks(quick=False):
    """Names of checks and their arguments, the most telling ones first."""
    first = [("feature", {"name": "adamw", "dtype": "float32", "launches": False})]
    first += [("bits", {"launches": launches}) for launches in (False, True)]
    first += [("estimator", {"name": name}) for name in ESTIMATORS] + [("moving", {})]
    rows = [
        (kind, {"name": name, "dtype": dtype})
        for dtype in ("float32", "float64")
        for kind, registry in (("activation", ACTIVATIONS), ("loss", LOSSES))
        for name in registry
    ]
    rows += [
        ("solver", {"name": name, "dtype": dtype})
        for name in ("sgd", "adam")  # all others are features
        for dtype in ("float32", "float64")
    ]
    features = [
        ("feature", {"name": name, "dtype": dtype, "launches": launches})
        for dtype in ("float32", "float64")
        for launches in (False, True)
        for name in FEATURES
    ]
    features = [each for each in features if each not in first]
    others = [
        ("feature", {"name": name, "dtype": "float32", "launches": launches, "rows": r})
        for name in ("penalty and clipping", "batch normalisation, augmentation")
        for launches in (False, True)
        for r in ("sparse", "weighted")
    ]
    if quick:
        return [*first, *rows[::6], *features[::9], *others[::3]]
    half = 2 * len(FEATURES)
    return [*first, *features[:half], *rows, *others, *features[half:]]
