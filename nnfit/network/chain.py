"""A chain of dense layers, what may stand before it, and the nodes of both."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.network.kinds import Factors, Node, kind_of


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


class Body(NamedTuple):
    """What a chain learns beside matrices and intercepts, and how fast; as RealMLP's.

    A step moves a weight by the same part of its size whatever the width of its layer:
    layers are ``x W / sqrt(n_in) + b`` with weights W of size 1, kept as the quotient.
    Everything but intercepts decays, as in RealMLP's own code by the square of its
    factor; a matrix as W does.

    Attributes
    ----------
    scale, share : float or None
        Factor of the learning rate of the learnt factor of each input of the first
        layer, and of the learnt share of each unit in its activation; None for neither.
    intercept : float
        Of the intercepts.
    has_pairs : bool
        Whether an output is the difference of the two that a softmax of two classes
        has: it starts as such and moves as fast as both together.
    """

    scale: float | None = None
    share: float | None = None
    intercept: float = 1.0
    has_pairs: bool = False


def all_decay(factor):
    """Factors of what decays although its kind does not say so, see `Body`."""
    return Factors(factor, factor, penalty=0.0, is_penalised=True)


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


def nodes_of(layers, before=(), body=None):
    """Nodes of a chain of `Layer`, a tuple; the first of them are those before it."""
    if body is not None:
        return _nodes_with_body(layers, before, body)
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


def _nodes_with_body(layers, before, body):
    nodes = list(before)
    if body.scale is not None:
        scale = Node("scale", (len(nodes),), factors=(all_decay(body.scale),))
        nodes.append(scale)
    for layer, node in zip(layers, nodes_of(layers), strict=True):
        is_last = layer is layers[-1]
        rate = 2.0 if is_last and body.has_pairs else 1.0
        of_matrix = rate / math.sqrt(layer.n_in)
        factors = Factors(of_matrix, 1.0 / of_matrix), Factors(rate * body.intercept)
        dense = replace(node, inputs=(len(nodes),), factors=factors)
        if is_last or body.share is None:
            nodes.append(dense)
            continue
        nodes.append(replace(dense, activation=None, dropout=None))
        share = dict(layer=node.layer, factors=(all_decay(body.share),))
        share.update(activation=node.activation, dropout=node.dropout)
        nodes.append(Node("parametric_activation", (len(nodes),), **share))
    return tuple(nodes)
