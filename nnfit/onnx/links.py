"""Inverse links, and what is made of the members of a network that share its weights.

The counterparts of `LINKS` in nnfit/functions/links.py and of `POOLS` in
nnfit/functions/pools.py, for values (n, n_outputs) and (n, n_members, n_outputs).
"""

import math

from nnfit.onnx.activations import softplus


def log_expit(graph, z):
    """Logarithm of the logistic function."""
    return graph.op("Neg", softplus(graph, graph.op("Neg", z)))


def in_order(graph, values, axis, n):
    """Numbers along an axis in increasing order."""
    if n == 1:
        return values
    found, _ = graph.op("TopK", values, [n], n_outputs=2, axis=axis, largest=0)
    return found


#: ``link(graph, raw, n_outputs)``.
LINKS = {
    "identity": lambda graph, raw, n: raw,
    "logistic": lambda graph, raw, n: graph.op("Sigmoid", raw),
    "softmax": lambda graph, raw, n: graph.op("Softmax", raw, axis=-1),
    "exp": lambda graph, raw, n: graph.op("Exp", raw),
    "sorted": lambda graph, raw, n: in_order(graph, raw, 1, n),
}


def log_of_mean(graph, raw, n_members):
    """``log(mean(exp(raw)))`` over axis 1."""
    total = graph.op("ReduceLogSumExp", raw, [1], keepdims=0)
    return graph.op("Sub", total, math.log(n_members))


def _mean(graph, raw, n_members, n):
    return graph.op("ReduceMean", raw, [1], keepdims=0)


def _softmax(graph, raw, n_members, n):
    return log_of_mean(graph, graph.op("LogSoftmax", raw, axis=2), n_members)


def _logistic(graph, raw, n_members, n):
    other = graph.op("Neg", raw)
    logarithms = (log_expit(graph, z) for z in (raw, other))
    return graph.op("Sub", *(log_of_mean(graph, z, n_members) for z in logarithms))


def _sorted(graph, raw, n_members, n):
    return _mean(graph, in_order(graph, raw, 2, n), n_members, n)


#: ``pool(graph, raw, n_members, n_outputs)``.
POOLS = {
    "identity": _mean,
    "logistic": _logistic,
    "softmax": _softmax,
    "exp": lambda graph, raw, n_members, n: log_of_mean(graph, raw, n_members),
    "sorted": _sorted,
}
