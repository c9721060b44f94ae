"""What happens inside of a fitted network on some rows, layer by layer.

Values and gradients are those of the NumPy functions of the kinds of layers, whatever
the device that the network was trained on.
"""

from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_consistent_length

from nnfit.estimators import by_hand
from nnfit.estimators.annotations import Rows
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.uncertainty import networks
from nnfit.estimators.validation import check_target
from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.network.outline import Block, outline
from nnfit.network.passes import backward, by_node, forward
from nnfit.training import device


class LayerTrace(NamedTuple):
    """A layer of the chain on some rows.

    Attributes
    ----------
    name : str
        "hidden 1" and so on, or "output".
    activation : Activation or None
    output : ndarray of shape (n, n_out)
        Of shared members, the lines of all.
    slope : ndarray of shape (n, n_out) or None
        Of the activation.
    gradient : float
        Norm of the gradient of the mean loss by the matrix of the layer.
    weight : float
        Norm of the matrix.
    """

    name: str
    activation: Activation | None
    output: np.ndarray
    slope: np.ndarray | None
    gradient: float
    weight: float


def network_in(estimator, user):
    """The fitted network of an estimator, and what transforms rows before it.

    Parameters
    ----------
    estimator : BaseMLP, Pipeline that ends with one, or a search for one
    user : str
        What needs it, for messages.

    Returns
    -------
    network : BaseMLP
    transform : callable

    Raises
    ------
    TypeError
        If it is none of nnfit's.
    NotFittedError
    """
    network, transform = getattr(estimator, "best_estimator_", estimator), _same
    if isinstance(network, Pipeline):
        if len(network) > 1:
            transform = network[:-1].transform
        network = network[-1]
    if not isinstance(network, BaseMLP):
        raise TypeError(
            f"{user} needs a fitted network of nnfit, such as MLPClassifier, or a "
            f"Pipeline that ends with one, got {estimator!r}."
        )
    by_hand.check_fitted(network)
    return network, transform


def _same(X):
    return X


class Sample(NamedTuple):
    """Rows as the network takes them, and their targets.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n, n_features)
    y : ndarray
        Of the user's, checked.
    target : ndarray of shape (n, n_targets)
        As the loss takes them.
    """

    X: np.ndarray
    y: np.ndarray
    target: np.ndarray

    def some(self, rows):
        """Those of some rows."""
        return Sample(*(array[rows] for array in self))


def sample_of(estimator, X: Rows, y, names=("X", "y")):
    """Check rows and targets as those of a prediction and of a training.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    X, y
    names : tuple of str
        What the user calls them.

    Returns
    -------
    Sample
    """
    X, _ = estimator._check_rows(X)
    first = networks(estimator)[0]
    X = filled(first, X, names[0])
    y = check_target(estimator, y, names[1])
    check_consistent_length(X, y)
    y = first._check_target_again(y, names[1])
    return Sample(X, y, first._encode(y, X.dtype.name))


def describe_network(estimator, X=None):
    """The network that a single fitted estimator has, and its weights."""
    if X is None:
        X = np.empty((0, estimator.n_features_in_), estimator._standard("dtype"))
    return estimator._fitted_network(estimator._link, X)


def trace(estimator, sample):
    """Pass rows through a single network and their gradients back.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted, not an ensemble.
    sample : Sample

    Returns
    -------
    list of LayerTrace
    """
    network, weights = describe_network(estimator, sample.X)
    with np.errstate(all="ignore"):
        traces = forward(network, weights, sample.X, activate)
        gradient = _by_raw(estimator, traces[-1].output, sample.target)
        of_weights, _ = backward(network, weights, traces, gradient, activate)
    own, gradients = by_node(network, weights), by_node(network, of_weights)
    return [
        _layer(network, block, traces, own, gradients)
        for block in outline(network)
        if block.is_layer
    ]


def _layer(network, block: Block, traces, own, gradients):
    activated = [n for n in block.nodes if traces[n].slope is not None]
    last = activated[-1] if activated else block.nodes[-1]
    return LayerTrace(
        block.name,
        network.nodes[last].activation,
        traces[last].output,
        traces[last].slope,
        float(np.linalg.norm(gradients[block.product][0])),
        float(np.linalg.norm(own[block.product][0])),
    )


def activate(activation, z):
    """Value and slope of an activation at every element, by the compiled function."""
    if activation in (None, ACTIVATIONS["identity"]):
        return z, np.ones_like(z)
    slope = np.array(z, order="C")
    value = device.load_engine().activate(activation, slope)
    return value, slope


def _by_raw(estimator, raw, target):
    """Gradient of the mean loss by the raw predictions of all lines."""
    loss, parameters = estimator._loss_row()
    lines = len(raw) // len(target)
    gradient, own = np.empty_like(raw), np.empty(raw.shape[1])
    rows, targets = raw.tolist(), np.repeat(target, lines, axis=0).tolist()
    for number, (row, y) in enumerate(zip(rows, targets, strict=True)):
        loss.function(row, y, own, len(row), parameters)
        gradient[number] = own
    return gradient / max(1, len(raw))
