"""What happens inside of a network on some rows, layer by layer.

Values and gradients are those of the NumPy functions of the kinds of layers, whatever
the device that the network is trained on.
"""

from typing import NamedTuple

import numpy as np

from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.network.outline import outline
from nnfit.network.passes import backward, by_node, forward
from nnfit.training import device

#: A slope that is none: a step of training moves the unit a thousandth of the way.
NO_SLOPE = 1e-3


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

    @property
    def size(self):
        """Root mean square of the outputs."""
        return float(np.sqrt(np.mean(np.square(self.output, dtype=np.float64))))

    @property
    def dead(self):
        """Whether each unit gets no gradient from any of the rows, (n_out,)."""
        if self.slope is None:
            return np.zeros(self.output.shape[1], bool)
        return np.abs(self.slope).max(axis=0) <= NO_SLOPE

    @property
    def dead_share(self):
        """Share of such units."""
        return float(self.dead.mean())


class Traced(NamedTuple):
    """A network on some rows.

    Attributes
    ----------
    layers : list of LayerTrace
        One for each layer of the chain, the output last.
    loss : float
        Mean over the rows, without penalty.
    """

    layers: list[LayerTrace]
    loss: float


def trace(network, weights, X, target):
    """Pass rows through a network and their gradients back.

    Parameters
    ----------
    network : nnfit.network.description.Network
    weights : Weights
    X : ndarray or CSR matrix of shape (n, n_features)
        Without missing numbers, unless the network fills them in.
    target : ndarray of shape (n, n_targets)
        As the loss takes them.

    Returns
    -------
    Traced
    """
    with np.errstate(all="ignore"):
        traces = forward(network, weights, X, activate)
        loss, gradient = mean_loss(network, traces[-1].output, target)
        of_weights, _ = backward(network, weights, traces, gradient, activate)
    own, gradients = by_node(network, weights), by_node(network, of_weights)
    layers = [
        _layer(network, block, traces, own, gradients)
        for block in outline(network)
        if block.is_layer
    ]
    return Traced(layers, loss)


def _layer(network, block, traces, own, gradients):
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


def mean_loss(network, raw, target):
    """Mean loss over rows and members, and its gradient by raw predictions.

    Parameters
    ----------
    network : Network
    raw : ndarray of shape (n_lines * n, n_outputs)
    target : ndarray of shape (n, n_targets)

    Returns
    -------
    loss : float
        As trainings report it.
    gradient : ndarray, like `raw`
    """
    function, parameters = network.loss.function, network.loss_parameters
    gradient, own, total = np.empty_like(raw), np.empty(raw.shape[1]), 0.0
    rows = raw.tolist()
    targets = np.repeat(target, len(raw) // len(target), axis=0).tolist()
    for number, (row, y) in enumerate(zip(rows, targets, strict=True)):
        total += function(row, y, own, len(row), parameters)
        gradient[number] = own
    return total * network.loss_scale / len(raw), gradient / len(raw)
