"""A chain of dense layers, what may stand before it, and the nodes of both."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.network.kinds import Node, kind_of


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


class Inputs(NamedTuple):
    """What stands before a chain of dense layers.

    Attributes
    ----------
    n_features : int
    nodes : tuple of Node
        The output of the last one is what the chain reads; the features if there are
        none.
    """

    n_features: int
    nodes: tuple[Node, ...] = ()

    @property
    def widths(self):
        """Units of the features and of the outputs of the nodes, a list."""
        widths = [self.n_features]
        for node in self.nodes:
            of_inputs = [widths[value] for value in node.inputs]
            widths.append(int(kind_of(node).width(node, of_inputs)))
        return widths


def layers_of(sizes, activations, normalization=None, residual=False):
    """Layers of a chain, a tuple; see `nnfit.network.Network.dense`."""
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
    return tuple(layers)


def nodes_of(layers, before=()):
    """Nodes of a chain of `Layer`, a tuple; the first of them are those before it."""
    nodes = list(before)
    output, z = len(nodes), None  # values
    for index, layer in enumerate(layers):
        of_layer = dict(layer=index)
        if index < len(layers) - 1:
            of_layer.update(activation=layer.activation, dropout=index)
        is_hidden = 0 < index < len(layers) - 1
        if not layer.is_staged:
            nodes.append(
                Node(
                    "dense",
                    (output,),
                    layer.n_out,
                    options=(True,),
                    is_hidden=is_hidden,
                    **of_layer,
                )
            )
            output = len(nodes)
            continue
        inputs = (output,)
        if layer.skip == "projection":
            nodes.append(Node("concatenation", (output, z)))
            inputs = (len(nodes),)
        elif layer.skip == "identity":
            inputs = (output, z)
        nodes.append(
            Node(
                "dense",
                inputs,
                layer.n_out,
                options=(False,),
                layer=index,
                is_hidden=is_hidden,
            )
        )
        z = len(nodes)
        options = (layer.normalization,)
        nodes.append(Node("normalization", (z,), options=options, **of_layer))
        output = len(nodes)
    return tuple(nodes)
