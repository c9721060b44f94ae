"""Factors of the inputs for each member: a row becomes lines."""

from nnfit.network.kinds.members import begins


def convert(graph, node, inputs, arrays):
    """Lines (n * n_members, n_out), those of a row one after the other."""
    n_members, n_out = arrays[0].shape
    x = graph.reshaped(inputs[0], -1, 1 if begins(node) else n_members, n_out)
    return graph.reshaped(graph.op("Mul", x, arrays[0]), -1, n_out)
