"""A network that begins behind the layers whose outputs move by jumps."""

from dataclasses import dataclass, replace

import numpy as np

from nnfit.network import Network, Weights
from nnfit.network.kinds import Batch, Node, kind_of


@dataclass(frozen=True)
class Cut:
    """The network that is left, and what it begins with.

    Attributes
    ----------
    network : Network
        Whose features are those of the whole one, then the outputs of the layers that
        are cut off.
    weights : Weights
    sources : ndarray of int of shape (network.n_features,)
        For each of its features the feature of the whole one that it belongs to.
    n_columns : int
        Features of the whole one.
    layers : tuple of (Node, list of ndarray)
        What is cut off, with its arrays.
    """

    network: Network
    weights: Weights
    sources: np.ndarray
    n_columns: int
    layers: tuple

    def represent(self, X):
        """Features of the network that is left, from rows of the whole one's."""
        own = [
            kind_of(node).forward(node, [X], arrays, Batch(None, None))[0]
            for node, arrays in self.layers
        ]
        # What is missing, or a code, is read by layers that are cut off alone.
        return np.hstack([np.where(np.isnan(X), 0, X), *own]).astype(X.dtype)

    def by_columns(self, parts):
        """Sums over what belongs to a column, (n, n_columns)."""
        own, further = parts[:, : self.n_columns], parts[:, self.n_columns :]
        belongs = np.eye(self.n_columns)[self.sources[self.n_columns :]]
        return own + further @ belongs


def cut(network, weights):
    """Cut off the layers that read features and whose outputs move by jumps.

    Parameters
    ----------
    network : Network
    weights : Weights

    Returns
    -------
    Cut or None
        None if there is no such layer.
    """
    columns = np.arange(network.n_features)
    # A layer of its own for what the others read, so that all of them stay as they are.
    others = [node for node in network.nodes if not _jumps(node)]
    shift = int(any(0 in node.inputs for node in others))
    nodes = [_columns(columns)] * shift
    sources, layers, arrays = [columns], [], []
    for node, own in zip(network.nodes, by_node(network, weights), strict=True):
        if _jumps(node):
            begin = sum(map(len, sources))
            sources.append(kind_of(node).sources(node, [columns]))
            layers.append((node, own))
            nodes.append(_columns(range(begin, begin + len(sources[-1]))))
        else:
            inputs = tuple(value + shift for value in node.inputs)
            nodes.append(replace(node, inputs=inputs))
            arrays += own
    if not layers:
        return None
    sources = np.concatenate(sources)
    left = Network(
        len(sources), tuple(nodes), network.loss, network.loss_parameters, network.dtype
    )
    ordered = [arrays[number] for number in left.tensor_order]
    return Cut(left, left.weights_of(ordered), sources, len(columns), tuple(layers))


def by_node(network, weights):
    """For each node of a network a list of its arrays."""
    arrays = [np.asarray(array) for arrays in weights for array in arrays]
    counted = dict(zip(network.tensor_order, arrays, strict=True))
    remaining = iter(counted[number] for number in sorted(counted))
    return [[next(remaining) for _ in own] for own in network.tensors_of_nodes]


def _jumps(node):
    return node.inputs == (0,) and getattr(kind_of(node), "has_no_slope", False)


def _columns(numbers):
    return Node("selection", (0,), options=(tuple(map(int, numbers)),))
