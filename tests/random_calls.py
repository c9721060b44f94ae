"""Random calls of the estimators: data, parameters and what is called, from a seed.

A call is drawn whole from its seed, so that a seed alone repeats it. Values of the
parameters come from the constraints that the estimators check: a new parameter is
drawn as soon as it exists. `run` carries a call out and looks at what came of it.
"""

import contextlib
import io
import math
import pickle
import random
import traceback
import warnings
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
import pandas as pd
import scipy.sparse
import sklearn
from sklearn.utils._param_validation import Interval, Options, make_constraint

from nnfit import MLPClassifier, MLPRegressor

#: Parts of scikit-learn whose sentences are as good as our own.
CHECKS = ("utils", "metrics", "base.py", "model_selection")
#: How errors begin that tell of a number of ours and not of the user's.
NOT_OF_THE_USER = ("Input contains", "Input y_pred contains", "y_prob contains")
#: Parameters whose values cost time, or are too particular to be drawn by a constraint.
#: No call may be long, and none computes elsewhere.
BOUNDED = {
    "hidden_layer_sizes": [(5,), (), (3, 3), [4, 1, 2], 7, (33,), np.array([2, 3])],
    "n_layers": [None, 0, 1, 3],
    "layer_width": [1, 4, 17],
    "max_iter": [1, 2, 5],
    "max_fun": [1, 20, 15000],
    "n_members": [1, 2, 3],
    "n_jobs": [None, 1, 2, -1],
    "device": ["cpu"],
    "dropout": [0.0, 0.5, 0.999, [0.5], [0.1, 0.2]],
    "learning_rate_factors": [None, [1.0, 0.5], [0.0, 1.0, 2.0], [1.0]],
    "quantile": [0.5, [0.1, 0.9], (0.2, 0.5, 0.7), [0.9, 0.1], [2.0]],
    "class_weight": [None, "balanced", {0: 1.0, 1: 3.0}, [{0: 1.0, 1: 2.0}] * 2],
    "random_state": [0, 1, 2],
    "max_time": [None, 1e-9, 60.0],
    "verbose": [False, True],
    "scoring": [
        None,
        "loss",
        "accuracy",
        "r2",
        "roc_auc",
        "neg_log_loss",
        "f1_macro",
        "neg_mean_squared_error",
        "neg_mean_poisson_deviance",
        "average_precision",
    ],
}
REALS = [
    0.0,
    1e-30,
    1e-8,
    1e-3,
    0.1,
    0.5,
    0.9,
    0.999,
    1.0,
    2.0,
    100.0,
    1e8,
    1e30,
    1e300,
]
WRONG = [None, -1, 0, 1.5, math.nan, math.inf, "x", [], {}, 10**400, np.array([1.0, 2])]
STEPS = ("fit", "fit", "fit", "partial_fit", "partial_fit", "set_params", "pickle")


def swish(z):
    s = 1.0 / (1.0 + math.exp(-z))
    return z * s, s + z * s * (1.0 - s)


def cube(z):
    return z * z * z, 3.0 * z * z


def deviance(raw, y):
    return math.exp(raw) - y * raw, math.exp(raw) - y


def squared(raw, y):
    return 0.5 * (raw - y) * (raw - y), raw - y


FUNCTIONS = {"activation": [swish, cube], "loss": [deviance, squared]}


@dataclass
class Outcome:
    """What came of a call.

    Attributes
    ----------
    faults : list of str
        Raw errors, foreign warnings and wrong states; none is a call as it should be.
    errors : list of str
        Errors that a user understands.
    """

    faults: list = field(default_factory=list)
    errors: list = field(default_factory=list)


class Draw(random.Random):
    """Random choices."""

    def some(self, probability):
        """True with a probability."""
        return self.random() < probability


# Parameters ------------------------------------------------------------------


def draw_parameters(draw, estimator):
    """Values of some parameters; seldom one that is none."""
    constraints = estimator._parameter_constraints
    parameters = {
        "max_iter": draw.choice(BOUNDED["max_iter"]),
        "random_state": draw.choice(BOUNDED["random_state"]),
        "hidden_layer_sizes": draw.choice(BOUNDED["hidden_layer_sizes"]),
    }
    for name in draw.sample(sorted(constraints), draw.choice([0, 1, 2, 2, 3, 4, 6, 9])):
        parameters[name] = draw_value(draw, name, constraints[name])
    if draw.some(0.05):
        parameters[draw.choice(sorted(constraints))] = draw.choice(WRONG)
    return parameters


def draw_value(draw, name, constraints):
    """A value that a parameter may have by its constraints."""
    if name in BOUNDED:
        return draw.choice(BOUNDED[name])
    if draw.some(0.05) and name in FUNCTIONS:
        return draw.choice(FUNCTIONS[name])
    values = []
    for constraint in constraints:
        if constraint is None:
            values.append(None)
        elif constraint == "boolean":
            values += [True, False]
        elif isinstance(constraint, Interval):
            numbers = [0, 1, 2, 7, 10**6] if constraint.type is Integral else REALS
            values += [
                number for number in numbers if constraint.is_satisfied_by(number)
            ]
        elif isinstance(make_constraint(constraint), Options):
            values += sorted(constraint.options, key=str)
    return draw.choice(values)


# Data ------------------------------------------------------------------------

SCALES = [1.0] * 30 + [1e-320, 1e-40, 1e-20, 1e5, 1e10, 1e19, 1e30, 3e37, 1e160, 1e300]
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "reversed": lambda X: X[::-1].copy()[::-1],
    "read-only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
    "list": lambda X: X.tolist(),
    "frame": lambda X: pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])]),
}
SPARSE = [
    getattr(scipy.sparse, f"{kind}_{what}")
    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")
    for what in ("array", "matrix")
]
DTYPES = ["float64"] * 4 + ["float32"] * 3 + ["float16", "int64", "uint8", "bool", "O"]


def draw_X(draw, numbers, n_rows, n_features):
    """A matrix of features, as one of many kinds of object."""
    X = numbers.normal(size=(n_rows, n_features)) * draw.choice(SCALES)
    if draw.some(0.1):
        X[:, 0] = 1.0
    if draw.some(0.03):
        X[-1, -1] = draw.choice([math.nan, math.inf, -math.inf])
    with np.errstate(all="ignore"):
        X = X.astype(draw.choice(DTYPES))
    if draw.some(0.25) and X.dtype.kind != "O" and X.dtype != np.float16:
        X[numbers.random(X.shape) < 0.7] = 0
        return draw.choice(SPARSE)(X)
    layouts = [name for name in LAYOUTS if name != "read-only" or X.dtype.kind != "O"]
    return LAYOUTS[draw.choice(["C", "C", "C", *layouts])](X)


def draw_target(draw, is_classifier):
    """What all targets of a call have in common: kind and number of classes or columns.

    Seldom those of the other estimator.
    """
    if is_classifier != draw.some(0.03):
        kinds = ["int", "int", "str", "bool", "float", "object", "labels"]
        return draw.choice(kinds), draw.choice([1, 2, 2, 2, 3, 3, 5])
    return "numbers", draw.choice([1, 1, 1, 1, 2, 3])


def draw_y(draw, numbers, target, n_rows):
    """Targets, as one of many kinds of object."""
    kind, count = target
    if kind == "numbers":
        y = numbers.normal(size=(n_rows, count) if count > 1 else n_rows)
        y = y * draw.choice([1, 1, 1, 1, 1, 1, 1e-30, 1e6, 1e20, 1e38, 1e300])
        y = y + draw.choice([0, 0, 0, 0, 1e6, 1e9])
        if draw.some(0.5):
            y = np.abs(y) + draw.choice([0, 1e-3])
        if draw.some(0.2):
            y = np.round(np.clip(y, -1e6, 1e6)).astype("int64")
    elif kind == "labels":
        y = numbers.integers(2, size=(n_rows, count))
    else:
        y = numbers.integers(count, size=n_rows)
        y[:count] = np.arange(count)[:n_rows]
        y = y > 0 if kind == "bool" else y.astype("str" if kind == "object" else kind)
        y = y.astype("O") if kind == "object" else y
    if y.ndim == 2 and draw.some(0.1):
        return scipy.sparse.csr_matrix(y)
    if draw.some(0.02):
        y = y.astype("O")
        y[0] = draw.choice([None, math.nan, math.inf])
    if draw.some(0.05) and y.ndim == 1:
        y = y[:, None]
    return y[:-1] if draw.some(0.01) else y.tolist() if draw.some(0.1) else y


def draw_weights(draw, numbers, n_rows):
    """Weights of rows, or none."""
    weights = numbers.random(n_rows) * draw.choice(
        [1] * 30 + [1e-300, 1e-160, 1e160, 1e305]
    )
    weights[numbers.random(n_rows) < draw.choice([0.0, 0.0, 0.5, 0.95])] = 0.0
    if draw.some(0.05):
        weights[0] = draw.choice([-1.0, math.nan, math.inf])
    return weights if draw.some(0.3) else None


def draw_arguments(draw, numbers, step, target, n_features, with_classes):
    """Arguments of `fit` or `partial_fit`."""
    if draw.some(0.05):  # other data than before
        target = draw_target(draw, target[0] != "numbers")
        n_features += draw.choice([0, 1])
    n_rows = draw.choice([1, 2, 7, 20, 20, 20, 45])
    arguments = {
        "X": draw_X(draw, numbers, n_rows, n_features),
        "y": draw_y(draw, numbers, target, n_rows),
        "sample_weight": draw_weights(draw, numbers, n_rows),
    }
    if draw.some(0.3):
        n_val = draw.choice([1, 2, 9, 9])
        arguments["X_val"] = draw_X(draw, numbers, n_val, n_features)
        arguments["y_val"] = draw_y(draw, numbers, target, n_val)
        if draw.some(0.3):
            arguments["sample_weight_val"] = draw_weights(draw, numbers, n_val)
    if step == "fit" and draw.some(0.05):
        arguments["groups"] = numbers.integers(3, size=n_rows)
    kind, count = target
    if with_classes and step == "partial_fit" and draw.some(0.95):
        classes = np.arange(count)
        if kind not in ("labels", "numbers"):
            classes = classes.astype("str" if kind == "object" else kind)
        arguments["classes"] = classes[:2] if kind == "bool" else classes
    return arguments


# A call and what came of it --------------------------------------------------


def run(seed):
    """Carry out the call of a seed.

    Parameters
    ----------
    seed : int or str

    Returns
    -------
    Outcome
    """
    draw, outcome = Draw(str(seed)), Outcome()
    numbers = np.random.default_rng(draw.getrandbits(63))
    cls = draw.choice([MLPClassifier, MLPRegressor])
    model = cls(**draw_parameters(draw, cls))
    n_features = draw.choice([1, 2, 5, 40])
    target = draw_target(draw, cls is MLPClassifier)
    steps = draw.sample(STEPS, draw.choice([1, 1, 2, 3]))
    for step in steps:
        if step == "set_params":
            model.set_params(**draw_parameters(draw, cls))
            if draw.some(0.5):
                model.set_params(warm_start=True)
        elif step == "pickle":
            model = pickle.loads(pickle.dumps(model))
        else:
            arguments = draw_arguments(
                draw, numbers, step, target, n_features, cls is MLPClassifier
            )
            probe = arguments["X"]
            state = _predictions(model, probe)
            if _try(outcome, f"{step}", lambda: getattr(model, step)(**arguments)):  # noqa: B023
                _check_fitted(outcome, model, probe, draw)
            elif _predictions(model, probe) != state:
                outcome.faults.append(
                    f"state after {step} failed: {outcome.errors[-1:]}"
                )
    return outcome


def _try(outcome, name, call):
    """Call, and sort what is raised or warned of; whether it succeeded."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                call()
        except Exception as error:
            sort_error(outcome, name, error)
            return False
        finally:
            for warning in caught:
                if not is_for_users(warning):
                    kind = warning.category.__name__
                    where = f"{warning.filename}:{warning.lineno}"
                    outcome.faults.append(
                        f"{name}: {kind}: {warning.message} ({where})"
                    )
    return True


def is_for_users(warning):
    """Whether a warning is meant for users and not about our own arithmetic."""
    return not issubclass(warning.category, RuntimeWarning | DeprecationWarning)


def sort_error(outcome, name, error):
    """An error is clear if a statement of ours or of scikit-learn's raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    folder = sklearn.__path__[0]
    is_ours = "/nnfit/" in frame.filename.replace("\\", "/")
    is_check = frame.filename.startswith(folder) and (
        frame.filename[len(folder) + 1 :].startswith(CHECKS)
    )
    raised = (frame.line or "").startswith("raise ")
    text = f"{name}: {type(error).__name__}: {error}"
    known = isinstance(error, ValueError | TypeError | MemoryError | AttributeError)
    # What is not finite in the user's data is told by the check of these.
    names = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    foreign = "validate_data" not in names and str(error).startswith(NOT_OF_THE_USER)
    if raised and known and (is_ours or is_check) and not foreign:
        outcome.errors.append(text)
    else:
        trace = traceback.format_exception(error)[-6:]
        where = f"{frame.filename}:{frame.lineno}"
        outcome.faults.append(f"{text} ({where})\n{''.join(trace)}")


def _predictions(model, X):
    """What a model predicts, as bytes, or the name of the error that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            labels = model.predict(X)
        except Exception as error:
            return type(error).__name__
    return pickle.dumps(labels)


def _check_fitted(outcome, model, X, draw):
    """Predictions of a fitted model: finite, of the right shape, and consistent."""
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    kept = {}

    def predict(name, **options):
        def call():
            kept[name] = getattr(model, name)(X, **options)

        return _try(outcome, name, call)

    def require(truth, what):
        if not truth:
            outcome.faults.append(f"{what} after {type(model).__name__}")

    # NaN tells that early stopping has restored weights, or that there was no time.
    has_loss = not model.early_stopping and model.n_iter_ > 0
    require(np.isfinite(model.loss_) or not has_loss, f"loss_={model.loss_}")
    for network in getattr(model, "members_", [model]):
        for array in (*network.coefs_, *network.intercepts_, *network.norms_):
            require(np.isfinite(array).all(), "weights are not finite")
    if predict("predict"):
        require(kept["predict"].shape[0] == n_rows, "rows of predict")
    names = ["predict"]
    if isinstance(model, MLPClassifier):
        names = [
            name
            for name in ("predict_proba", "predict_log_proba", "decision_function")
            if hasattr(model, name) and predict(name)
        ]
    elif "predict" not in kept:
        return
    for name in names:
        values = kept[name]
        require(values.dtype.kind == "f", f"dtype {values.dtype} of {name}")
        require(values.shape[0] == n_rows, f"rows of {name}")
        bad = values[~np.isfinite(values)]
        require(not bad.size, f"{name} gives {bad[:1]}")
        if values.ndim == 2 and name != "decision_function":
            n_columns = model.n_outputs_
            if isinstance(model, MLPClassifier):
                n_columns = (
                    max(2, n_columns) if not _is_multilabel(model) else n_columns
                )
            require(values.shape[1] == n_columns, f"columns {values.shape} of {name}")
    if "predict_proba" in kept:
        proba = kept["predict_proba"]
        require(proba.min() > 0 and proba.max() < 1, "probability outside (0, 1)")
        if not _is_multilabel(model):
            require(
                np.allclose(proba.sum(axis=1), 1, atol=1e-5), "sum of probabilities"
            )
    if draw.some(0.1):
        name = "predict_proba" if "predict_proba" in kept else "predict"
        if isinstance(model, MLPRegressor) or name == "predict_proba":
            options = {"n_passes": draw.choice([None, 2]), "return_std": True}
            if predict(name, **options):
                for part in kept[name]:
                    require(
                        np.isfinite(part).all(), f"{name} with {options} not finite"
                    )


def _is_multilabel(model):
    return model._target_kind == "multilabel-indicator"
