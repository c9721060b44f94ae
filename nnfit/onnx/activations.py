"""Activations as ONNX operators, by the names of the registry."""

from nnfit.functions.activations import (
    ACTIVATIONS,
    SELU_SCALE,
    SELU_SCALE_ALPHA,
    SQRT_HALF,
)


def softplus(graph, z):
    """``log(1 + e^z)``, which does not overflow."""
    tail = graph.op("Exp", graph.op("Neg", graph.op("Abs", z)))
    tail = graph.op("Log", graph.op("Add", tail, 1.0))
    return graph.op("Add", graph.op("Relu", z), tail)


def _exponential(graph, z, scale, alpha):
    """``scale z`` above 0, ``alpha (e^z - 1)`` below it."""
    below = graph.op("Sub", graph.op("Exp", graph.op("Min", z, 0.0)), 1.0)
    below = graph.op("Mul", below, alpha)
    return graph.op("Add", graph.op("Mul", graph.op("Relu", z), scale), below)


def leaky_relu(graph, z):
    return graph.op("Max", z, graph.op("Mul", z, 0.01))


def elu(graph, z):
    return _exponential(graph, z, 1.0, 1.0)


def selu(graph, z):
    return _exponential(graph, z, SELU_SCALE, SELU_SCALE_ALPHA)


def gelu(graph, z):
    # onnxruntime has the error function in float32 alone.
    x = graph.op("Mul", z, SQRT_HALF)
    if graph.dtype == "float64":
        x = graph.cast(x, "float32")
    x = graph.op("Erf", x)
    if graph.dtype == "float64":
        x = graph.cast(x, "float64")
    half = graph.op("Mul", z, 0.5)
    return graph.op("Add", half, graph.op("Mul", half, x))


def silu(graph, z):
    return graph.op("Mul", z, graph.op("Sigmoid", z))


def mish(graph, z):
    return graph.op("Mul", z, graph.op("Tanh", softplus(graph, z)))


def hard_swish(graph, z):
    factor = graph.op("Clip", graph.op("Add", z, 3.0), 0.0, 6.0)
    return graph.op("Mul", z, graph.op("Mul", factor, 1.0 / 6.0))


#: Functions of a graph and the name of the weighted inputs.
CONVERTED = {
    "identity": lambda graph, z: z,
    "logistic": lambda graph, z: graph.op("Sigmoid", z),
    "tanh": lambda graph, z: graph.op("Tanh", z),
    "relu": lambda graph, z: graph.op("Relu", z),
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "mish": mish,
    "softplus": softplus,
    "hard_swish": hard_swish,
}


def activated(graph, activation, z):
    """What an activation makes of a value.

    Parameters
    ----------
    graph : Graph
    activation : Activation or None
    z : str

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is a function of the user's own.
    """
    if activation is None:
        return z
    if ACTIVATIONS.get(activation.name) is not activation:
        raise ValueError(
            f"The activation {activation.name!r} is a Python function, which cannot be "
            f"converted to ONNX. Fit with one of {sorted(CONVERTED)}."
        )
    return CONVERTED[activation.name](graph, z)
