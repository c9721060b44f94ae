"""A last layer of each member's own."""


def convert(graph, node, inputs, arrays):
    """A product for each member."""
    n_members, n_in = node.options[0], arrays[0].shape[1]
    matrices = arrays[0].reshape(n_members, node.n_out, n_in).swapaxes(1, 2)
    x = graph.reshaped(inputs[0], -1, n_members, n_in)
    return graph.reshaped(graph.batched(x, matrices, arrays[1]), -1, node.n_out)
