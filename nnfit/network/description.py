"""The frozen description of a network that estimators hand to an engine."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.functions.losses import Loss

ITEM_SIZE = {"float32": 4, "float64": 8}


class Weights(NamedTuple):
    """The arrays of a network, as estimators keep them.

    Attributes
    ----------
    coefs : list of ndarray of shape (n_in, n_out)
    intercepts : list of ndarray of shape (n_out,)
    norms : list of ndarray
        One for each normalised layer: its scale, (1, n_out), and for batch
        normalisation also the running mean and variance, (3, n_out).
    """

    coefs: list
    intercepts: list
    norms: list = ()


@dataclass(frozen=True)
class Layer:
    """A dense layer, and what happens between its product and its activation.

    A plain layer is ``activation(x @ coef + intercept)``. In a normalised or residual
    one ``z = x @ coef + skip`` is kept, and the layer is ``activation(u)`` with
    ``u = scale * (z - mean) / sqrt(variance + EPSILON) + intercept``, or
    ``u = z + intercept`` without normalisation (pre-activation: He et al. 2016,
    arXiv:1603.05027).

    Attributes
    ----------
    n_in, n_out : int
        Number of inputs and of units.
    activation : Activation
        Row of the activation registry, or a user's own function wrapped as one.
        The last layer of a network has the identity: its link belongs to the loss.
    normalization : {"batch", "layer"}, default=None
        Over what mean and variance are taken: the rows of a batch (Ioffe and Szegedy
        2015, arXiv:1502.03167) or the units of a row (Ba et al. 2016,
        arXiv:1607.06450).
    skip : {"none", "identity", "projection"}, default=None
        None for a layer outside of a residual network. What is added to `z`: nothing,
        in the first layer; the `z` of the layer before; or, where that has another
        number of units, a linear function of it: then the input of this layer is the
        output of the layer before followed by its `z`, so that `n_in` is twice its
        number of units.
    """

    n_in: int
    n_out: int
    activation: Activation
    normalization: str | None = None
    skip: str | None = None

    @property
    def is_staged(self):
        """Whether `z` is kept, and the intercept added after it."""
        return self.normalization is not None or self.skip is not None

    @property
    def n_norms(self):
        """Rows of the layer's array in `Weights.norms`."""
        return {None: 0, "layer": 1, "batch": 3}[self.normalization]


def check_arrays(layers, weights):
    """See that arrays are those of the layers of a network.

    Parameters
    ----------
    layers : sequence of object
        With `n_in`, `n_out` and `n_norms`.
    weights : Weights

    Raises
    ------
    ValueError
        If there are more arrays, or fewer, or one has another shape.
    """
    coefs, intercepts, norms = weights
    normalised = [layer for layer in layers if layer.n_norms]
    _check_number("coefs_", coefs, layers)
    _check_number("intercepts_", intercepts, layers)
    _check_number("norms_", norms, normalised, "normalised ")
    for layer, coef, intercept in zip(layers, coefs, intercepts, strict=True):
        expected = (layer.n_in, layer.n_out)
        if coef.shape != expected or intercept.shape != expected[1:]:
            raise ValueError(
                f"A layer of {layer.n_in} inputs and {layer.n_out} units needs weights "
                f"of shape {expected} and intercepts of {expected[1:]}, got "
                f"{coef.shape} and {intercept.shape}."
            )
    for layer, norm in zip(normalised, norms, strict=True):
        expected = (layer.n_norms, layer.n_out)
        if norm.shape != expected:
            raise ValueError(
                f"A normalised layer of {layer.n_out} units needs norms of shape "
                f"{expected}, got {norm.shape}."
            )


def _check_number(name, arrays, layers, kind=""):
    if len(arrays) != len(layers):
        raise ValueError(
            f"{name} must hold an array for each of {len(layers)} {kind}layers, got "
            f"{len(arrays)}."
        )


def check_state(state, moments, memory):
    """See that what an optimizer has gathered belongs to a network.

    Parameters
    ----------
    state : dict of ndarray
        From `Engine.get_state`.
    moments, memory : tuple of int
        Shapes of the arrays. The second number of `memory` may differ, where layers
        have got learning rates of their own or had them.

    Raises
    ------
    ValueError
        If the arrays have other shapes.
    """
    shapes = np.shape(state["moments"]), np.shape(state["memory"])
    free = len(memory) == len(shapes[1]) and shapes[1][1] > 0
    if shapes[0] != moments or not free or shapes[1][::2] != memory[::2]:
        raise ValueError(
            f"The state of the optimizer must have arrays of the shapes {moments} and "
            f"{memory} for this network, got {shapes[0]} and {shapes[1]}. If coefs_ "
            "have been set to arrays of another size, make an estimator of them with "
            "from_arrays: its optimizer begins anew."
        )


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
        """Number of trained parameters, a Python int that cannot overflow."""
        return sum(
            (layer.n_in + 1 + (layer.n_norms > 0)) * layer.n_out
            for layer in self.layers
        )

    @property
    def loss_scale(self):
        """Factor from the loss summed over outputs to the loss that is reported."""
        return 1.0 / self.n_outputs if self.loss.average_outputs else 1.0

    @property
    def normalization(self):
        """That of the hidden layers."""
        return self.layers[0].normalization

    def memory_error(self, needed, available, memory, *cures):
        """Make the error that tells of memory that there is not.

        Parameters
        ----------
        needed, available : int
            Bytes.
        memory : str
            Which memory it is.
        *cures : str
            What to do besides smaller layers, batches and numbers.

        Returns
        -------
        MemoryError
        """
        sizes = [self.n_features, *(layer.n_out for layer in self.layers)]
        *first, last = (
            *("smaller hidden_layer_sizes", "a smaller batch_size"),
            *("dtype='float32'",) * (self.dtype == "float64"),
            *cures,
        )
        # As a decimal number: a float ends at 1e308, units of two layers multiply.
        return MemoryError(
            f"Training a network with layers of {sizes} units in {self.dtype} "
            f"({self.n_parameters} parameters) needs {Decimal(needed) / 2**30:.3g} "
            f"GiB, got {available / 2**30:.3g} GiB of {memory}. Use "
            f"{', '.join(first)} or {last}."
        )

    @classmethod
    def dense(
        cls,
        sizes,
        activations,
        loss,
        loss_parameters,
        dtype,
        normalization=None,
        residual=False,
    ):
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
        normalization : {"batch", "layer"}, default=None
            Of the hidden layers.
        residual : bool, default=False
            Whether hidden layers from the second on add their input to their output.

        Returns
        -------
        Network
        """
        *hidden, last = [(int(n_in), int(n_out)) for n_in, n_out in pairwise(sizes)]
        layers = []
        for (n_in, n_out), activation in zip(hidden, activations, strict=True):
            skip = None
            if residual:
                skip = "none"
                if layers:
                    skip = "identity" if n_in == n_out else "projection"
            n_in = 2 * n_in if skip == "projection" else n_in
            layers.append(Layer(n_in, n_out, activation, normalization, skip))
        layers.append(Layer(*last, ACTIVATIONS["identity"]))
        return cls(tuple(layers), loss, tuple(map(float, loss_parameters)), dtype)
