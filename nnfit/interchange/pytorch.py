"""Networks as PyTorch's ``nn.Sequential`` has them, and back; torch is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from nnfit.interchange.plain import arrays_of, check_plain

#: Activations by the names of PyTorch's classes.
ACTIVATIONS = {
    "Identity": "identity",
    "Sigmoid": "logistic",
    "Tanh": "tanh",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "SELU": "selu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Mish": "mish",
    "Softplus": "softplus",
    "Hardswish": "hard_swish",
}
#: What they must be set to: PyTorch's defaults.
SETTINGS = {
    "LeakyReLU": ("negative_slope", 0.01),
    "ELU": ("alpha", 1.0),
    "GELU": ("approximate", "none"),
    "Softplus": ("beta", 1.0),
}
#: Modules that change nothing in predictions.
WITHOUT_EFFECT = ("Dropout", "Identity")
#: Modules behind the last layer, which a classifier's probabilities have by themselves.
SEVERAL, SINGLE = ("Softmax", "LogSoftmax"), ("Sigmoid",)


def to_torch_state_dict(estimator: Any) -> dict[str, npt.NDArray[np.floating]]:
    """Weights of a fitted network by the names that PyTorch has for them.

    They are those of ``nn.Sequential(nn.Linear(...), activation, nn.Linear(...))``:
    "0.weight", "0.bias", "2.weight" and so on. The module gives raw predictions: what a
    classifier's softmax or sigmoid is taken of, the logarithm of predictions of the
    losses "poisson" and "gamma", and quantiles before they are sorted.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted: a single network of dense layers and activations.

    Returns
    -------
    dict of ndarray
        Copies, in the type of the network; in float64 where columns or targets were
        standardised, since the weights then take the place of that.

    Raises
    ------
    TypeError
        If it is something else.
    NotFittedError
        If it is not fitted.
    ValueError
        If the network has more, such as normalisation, which the message names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnfit import MLPClassifier, to_torch_state_dict
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    >>> {name: a.shape for name, a in to_torch_state_dict(classifier).items()}
    {'0.weight': (8, 4), '0.bias': (8,), '2.weight': (3, 8), '2.bias': (3,)}
    """
    from nnfit.estimators.mlp import BaseMLP

    if not isinstance(estimator, BaseMLP):
        raise TypeError(
            "to_torch_state_dict takes an MLP of nnfit, got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    check_plain(estimator, "Sequences of Linear layers")
    is_folded = any(estimator._standard(name) for name in ("features", "targets"))
    dtype = np.float64 if is_folded else estimator.coefs_[0].dtype
    state = {}
    for number, (coef, intercept) in enumerate(zip(*arrays_of(estimator), strict=True)):
        state[f"{2 * number}.weight"] = np.ascontiguousarray(coef.T, dtype)
        state[f"{2 * number}.bias"] = intercept.astype(dtype)
    return state


def from_torch(
    source: Any,
    classes: npt.ArrayLike | None = None,
    *,
    multilabel: bool = False,
    **parameters: Any,
) -> Any:
    """Make an estimator of a network of PyTorch's.

    Parameters
    ----------
    source : torch.nn.Sequential or dict
        Linear layers and activations, or such a module's ``state_dict()``, whose values
        may be arrays of NumPy. Dropout is left out. A module for classes may end with
        Softmax, LogSoftmax or Sigmoid.
    classes : array-like of shape (n_classes,), default=None
        Of a classifier, in the order of the outputs and sorted; two classes have one
        output or two. None for a regressor.
    multilabel : bool, default=False
        Whether a row may have several of the classes.
    **parameters
        Of the estimator, such as `learning_rate_init`; for a dict also `activation`,
        one for all hidden layers or a list.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With copies of the weights, which predicts the same and trains on with
        ``warm_start=True`` or ``partial_fit``; its optimizer begins anew.

    Raises
    ------
    TypeError
        If `source` is something else.
    ValueError
        If there is something else in it, which the message names.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfit import from_torch
    >>> state = {"0.weight": np.array([[1.0, 2.0]]), "0.bias": np.array([0.5])}
    >>> from_torch(state).predict([[1.0, 1.0]])
    array([3.5])
    """
    from nnfit.estimators.classifier import MLPClassifier
    from nnfit.estimators.regressor import MLPRegressor

    ends = None
    if isinstance(source, Mapping):
        coefs, intercepts = _arrays(source)
        if len(coefs) > 1 and "activation" not in parameters:
            raise ValueError(
                "A dict of weights does not tell the activation of the hidden layers. "
                "Pass it to from_torch, such as activation='relu'."
            )
    elif hasattr(source, "state_dict") and hasattr(source, "named_modules"):
        if "activation" in parameters:
            raise ValueError(
                "The module tells its activations, got activation="
                f"{parameters['activation']!r} as well. Leave it out."
            )
        activations, ends = _read_modules(source)
        coefs, intercepts = _arrays(source.state_dict())
        if activations:
            same = activations == activations[:1] * len(activations)
            parameters["activation"] = activations[0] if same else activations
    else:
        raise TypeError(
            "from_torch takes a module of PyTorch's or a dict of its weights, got "
            f"{type(source).__name__}."
        )
    is_single = all(coef.dtype == np.float32 for coef in coefs)
    parameters.setdefault("dtype", "float32" if is_single else "float64")
    parameters["hidden_layer_sizes"] = tuple(coef.shape[1] for coef in coefs[:-1])
    if classes is None:
        _check_end(ends, ())
        return MLPRegressor.from_arrays(coefs, intercepts, **parameters)
    _check_end(ends, SINGLE if multilabel or coefs[-1].shape[1] == 1 else SEVERAL)
    if len(np.atleast_1d(classes)) == coefs[-1].shape[1] == 2 and not multilabel:
        # The softmax of two is the logistic function of their difference.
        coefs[-1] = coefs[-1][:, 1:] - coefs[-1][:, :1]
        intercepts[-1] = intercepts[-1][1:] - intercepts[-1][:1]
    return MLPClassifier.from_arrays(
        coefs, intercepts, classes, multilabel=multilabel, **parameters
    )


def _array(value):
    """An array of NumPy, float32 or float64, of one or of a tensor."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        is_double = str(value.dtype) == "torch.float64"
        value = (value if is_double else value.float()).numpy()
    value = np.asarray(value)
    return np.array(value, np.float64 if value.dtype == np.float64 else np.float32)


def _arrays(state):
    """Weights (n_in, n_out) and intercepts of Linear layers in their order."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for key, value in state.items():
        layer, _, name = key.rpartition(".")
        array = _array(value)
        if array.ndim != {"weight": 2, "bias": 1}.get(name):
            raise ValueError(
                "from_torch takes weights of Linear layers alone, got "
                f"{key!r} of shape {array.shape}."
            )
        layers.setdefault(layer, {})[name] = array
    coefs, intercepts = [], []
    for layer, own in layers.items():
        if "weight" not in own:
            raise ValueError(f"The layer {layer!r} has a bias but no weight.")
        coef = own["weight"].T
        if coefs and coefs[-1].shape[1] != coef.shape[0]:
            raise ValueError(
                f"The layer {layer!r} takes {coef.shape[0]} numbers, and the one "
                f"before it gives {coefs[-1].shape[1]}. Layers must be in their order."
            )
        intercept = own.get("bias", np.zeros(coef.shape[1], coef.dtype))
        if len(intercept) != coef.shape[1]:
            raise ValueError(
                f"The layer {layer!r} has {coef.shape[1]} units, got a bias of shape "
                f"{intercept.shape}."
            )
        coefs.append(coef)
        intercepts.append(intercept)
    if not coefs:
        raise ValueError("from_torch takes at least one Linear layer, got none.")
    return coefs, intercepts


def _read_modules(module):
    """Activations of hidden layers, and what stands behind the last, or None."""
    between, n_linear = [], 0
    # One activation may stand at several places.
    for _, each in module.named_modules(remove_duplicate=False):
        name = type(each).__name__
        if name == "Linear":
            n_linear += 1
            between.append([])
        elif name == "Sequential" or name in WITHOUT_EFFECT:
            continue
        elif n_linear == 0 or (name not in ACTIVATIONS and name not in SEVERAL):
            raise ValueError(
                "from_torch takes a Sequential of Linear layers with activations "
                f"behind them, got {each}. Of other modules whose weights are those of "
                "such a network it takes the state_dict()."
            )
        else:
            between[-1].append(each)
    for found in between:
        if len(found) > 1:
            raise ValueError(
                "from_torch takes one activation behind a layer, got "
                f"{' and '.join(map(str, found))}."
            )
    *hidden, last = between or [[]]
    ends = type(last[0]).__name__ if last else None
    return [_activation(found[0]) if found else "identity" for found in hidden], ends


def _activation(module):
    """Name of the activation that a module is."""
    name = type(module).__name__
    setting, default = SETTINGS.get(name, (None, None))
    if name not in ACTIVATIONS or (setting and getattr(module, setting) != default):
        needed = f" with {setting}={default!r}" if setting else ""
        raise ValueError(
            f"Hidden layers have no {module}; from_torch takes "
            f"{name + needed if needed else ', '.join(ACTIVATIONS)}."
        )
    return ACTIVATIONS[name]


def _check_end(found, allowed):
    """Refuse what stands behind the last layer, unless probabilities have it."""
    if found is not None and found not in allowed:
        expected = " or ".join(allowed) or "nothing"
        raise ValueError(
            f"Behind the last layer from_torch takes {expected} here, got {found}. "
            "Leave it out, and pass classes for a classifier."
        )
