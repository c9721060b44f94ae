"""The frozen description of a network that estimators hand to an engine."""

from dataclasses import dataclass
from itertools import pairwise

from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.functions.losses import Loss

ITEM_SIZE = {"float32": 4, "float64": 8}


@dataclass(frozen=True)
class Layer:
    """One dense layer, ``activation(x @ coef + intercept)``.

    Attributes
    ----------
    n_in, n_out : int
        Number of inputs and of units.
    activation : Activation
        Row of the activation registry, or a user's own function wrapped as one.
        The last layer of a network has the identity: its link belongs to the loss.
    """

    n_in: int
    n_out: int
    activation: Activation


@dataclass(frozen=True)
class Network:
    """Layers, loss and compute dtype: all an engine needs to know of a model.

    Attributes
    ----------
    layers : tuple of Layer
        From the input to the output.
    loss : Loss
        Row of the loss registry, or a user's own function wrapped as one.
    loss_parameters : tuple of float
        Values of ``loss.parameters``, in that order.
    dtype : {"float32", "float64"}
        Type of weights, activations and predictions.
    """

    layers: tuple[Layer, ...]
    loss: Loss
    loss_parameters: tuple[float, ...]
    dtype: str

    @property
    def n_features(self):
        """Number of inputs of the first layer."""
        return self.layers[0].n_in

    @property
    def n_outputs(self):
        """Number of units of the last layer."""
        return self.layers[-1].n_out

    @property
    def n_parameters(self):
        """Number of weights and intercepts, a Python int that cannot overflow."""
        return sum((layer.n_in + 1) * layer.n_out for layer in self.layers)

    @classmethod
    def dense(cls, sizes, activations, loss, loss_parameters, dtype):
        """Chain dense layers.

        Parameters
        ----------
        sizes : sequence of int
            Number of features, units of every hidden layer, number of outputs.
        activations : sequence of Activation
            One for each hidden layer.
        loss : Loss
        loss_parameters : tuple of float
        dtype : {"float32", "float64"}

        Returns
        -------
        Network
        """
        layers = tuple(
            Layer(int(n_in), int(n_out), activation)
            for (n_in, n_out), activation in zip(
                pairwise(sizes), (*activations, ACTIVATIONS["identity"]), strict=True
            )
        )
        return cls(layers, loss, tuple(map(float, loss_parameters)), dtype)
