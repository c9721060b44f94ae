"""Inverse links, from raw predictions to predictions: scalar code and registry.

``link(raw, out, n)`` writes the n predictions of a row to `out`, which may be `raw`
itself. The rules for scalar code are those of :mod:`nnfit.functions.activations`.
"""

from collections.abc import Callable

from nnfit.functions.maths import exp, sigmoid

#: Inverse links whose predictions are probabilities of classes.
PROBABILITY_LINKS = ("logistic", "softmax")


def identity_link(raw, out, n):
    for j in range(n):
        out[j] = raw[j]


def logistic_link(raw, out, n):
    for j in range(n):
        out[j] = sigmoid(raw[j])


def softmax_link(raw, out, n):
    largest = raw[0]
    for j in range(1, n):
        largest = raw[j] if raw[j] > largest else largest
    for j in range(n):
        out[j] = exp(raw[j] - largest)
    total = 0.0
    for j in range(n):
        total += out[j]
    scale = 1.0 / total
    for j in range(n):
        out[j] = out[j] * scale


def exp_link(raw, out, n):
    for j in range(n):
        out[j] = exp(raw[j])


def sorted_link(raw, out, n):
    # Insertion sort: quantiles of increasing levels must not cross, and n is small.
    for j in range(n):
        value = raw[j]
        i = j
        while i > 0 and out[i - 1] > value:
            out[i] = out[i - 1]
            i -= 1
        out[i] = value


LINKS: dict[str, Callable] = {
    "identity": identity_link,
    "logistic": logistic_link,
    "softmax": softmax_link,
    "exp": exp_link,
    "sorted": sorted_link,
}
