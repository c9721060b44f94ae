"""A network as ONNX operators: node by node, then one raw prediction for a row."""

import numpy as np

from nnfit.network.kinds import KINDS, kind_of
from nnfit.network.passes import by_node
from nnfit.onnx.links import POOLS


def raw_predictions(graph, network, weights, x):
    """Raw predictions of a network.

    The module of a kind has ``convert(graph, node, inputs, arrays)``, the name of the
    output; values are as in the NumPy functions of the kinds, (n * lines, n_out).

    Parameters
    ----------
    graph : Graph
    network : nnfit.network.Network
    weights : nnfit.network.Weights
    x : str
        Features, of the network's type.

    Returns
    -------
    str
        (n, n_outputs), of the network's type.

    Raises
    ------
    ValueError
        If something cannot be converted.
    """
    values = [x]
    with graph.computing_in(network.dtype):
        for node, arrays in zip(network.nodes, by_node(network, weights), strict=True):
            inputs = [values[value] for value in node.inputs]
            arrays = [np.asarray(array, network.dtype) for array in arrays]
            if KINDS[node.kind].onnx is None:
                raise ValueError(
                    f"Layers of the kind {node.kind!r} cannot be converted to ONNX."
                )
            module = kind_of(node, "onnx")
            values.append(module.convert(graph, node, inputs, arrays))
        n_members, n = network.lines[-1], network.n_outputs
        if n_members == 1:
            return values[-1]
        lines = graph.reshaped(values[-1], -1, n_members, n)
        return POOLS[network.loss.link](graph, lines, n_members, n)
