"""Where a number lies among bins."""

from nnfit.onnx.pieces import Bins


def convert(graph, node, inputs, arrays):
    """Encodings times a factor, perhaps with the numbers themselves."""
    columns, n_bins, scale, keeps_input = node.options
    bins, factors = Bins(graph.dtype), []
    for column, n, edges in zip(columns, n_bins, arrays[0], strict=True):
        if keeps_input:
            bins.add_number(column)
            factors.append(1.0)
        bins.add_bins(column, edges[: n + 1])
        factors += [float(scale)] * n
    encoded = bins.encoded(graph, inputs[0])
    if scale == 1.0:
        return encoded
    return graph.op("Mul", encoded, arrays[0].dtype.type(factors))
