"""Parts of a network: up to one of its layers, and layers that are not trained."""

from dataclasses import replace
from functools import lru_cache

from nnfit.network.description import Network
from nnfit.network.fitted import LOSS_OF_LINK
from nnfit.network.kinds import Node


# The same one for the same network: engines look up their plans by it.
@lru_cache(maxsize=16)
def up_to_layer(network, layer):
    """The network whose outputs are the units of a layer.

    Parameters
    ----------
    network : Network
        Of a chain of layers, see `Network.dense`.
    layer : int
        Number of the layer, from 0.

    Returns
    -------
    part : Network
        With the identity as its link. Lines of members are averaged.
    tensors : tuple of int
        For each tensor of the part its place among those of the network.
    """
    last = max(
        number
        for number, own in enumerate(network.tensors_of_nodes)
        if any(tensor.layer == layer for tensor in own)
    )
    kept = _before(network.nodes, last)
    values = {0: 0} | {number + 1: place + 1 for place, number in enumerate(kept)}
    nodes = [
        replace(node, inputs=tuple(values[value] for value in node.inputs))
        for node in (network.nodes[number] for number in kept)
    ]
    if nodes[-1].activation is not None:  # the last node of a network has none
        columns = tuple(range(network.widths[last + 1]))
        nodes.append(Node("selection", (len(nodes),), options=(columns,)))
    part = Network(
        network.n_features, tuple(nodes), LOSS_OF_LINK["identity"], (), network.dtype
    )
    return part, _places(network, part, kept)


def _before(nodes, last):
    """Numbers of a node and of those that it needs, in increasing order."""
    needed, left = set(), [last]
    while left:
        number = left.pop()
        if number not in needed:
            needed.add(number)
            left += [value - 1 for value in nodes[number].inputs if value]
    return sorted(needed)


def _places(network, part, kept):
    """Where the tensors of some nodes are among those of all."""
    counts = [len(own) for own in network.tensors_of_nodes]
    numbers = [
        sum(counts[:number]) + own for number in kept for own in range(counts[number])
    ]
    place_of = {number: place for place, number in enumerate(network.tensor_order)}
    return tuple(place_of[numbers[own]] for own in part.tensor_order)


def weights_of_part(part, tensors, weights):
    """Those of a part of a network.

    Parameters
    ----------
    part, tensors
        See `up_to_layer`.
    weights : nnfit.network.Weights
        Of the network.

    Returns
    -------
    nnfit.network.Weights
    """
    arrays = [array for arrays in weights for array in arrays]
    return part.weights_of([arrays[place] for place in tensors])


def with_frozen(network, layers, n_before):
    """The same network, some of whose layers no training changes.

    Parameters
    ----------
    network : Network
        Of a chain of layers.
    layers : collection of int
        Their numbers, from 0.
    n_before : int
        Nodes before the chain, which belong to the first layer.

    Returns
    -------
    Network
    """
    nodes = tuple(
        replace(node, is_frozen=(0 if number < n_before else node.layer) in layers)
        for number, node in enumerate(network.nodes)
    )
    return replace(network, nodes=nodes)
