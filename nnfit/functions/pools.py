"""Raw predictions of members as one: of what the link makes of them, the mean.

``pool(raw, stride, out, k, n)`` reads n raw predictions of each of k members, `stride`
elements apart, and writes n raw predictions of which the inverse link is the mean of
the members'. `raw` may be changed. The rules for scalar code are those of
:mod:`nnfit.functions.losses`. Members that agree give what they agree on.
"""

from collections.abc import Callable

from nnfit.functions.maths import exp, log, softplus


def mean_pool(raw, stride, out, k, n):
    """Means, taken from the first member so that equal numbers stay what they are."""
    for j in range(n):
        first = raw[j]
        total = first - first
        count = 0.0
        for m in range(k):
            total += raw[m * stride + j] - first
            count += 1.0
        out[j] = first + total / count


def log_of_mean(raw, stride, out, k, n):
    """``log(mean(exp(raw)))``, relative to the largest."""
    for j in range(n):
        largest = raw[j]
        for m in range(1, k):
            value = raw[m * stride + j]
            largest = value if value > largest else largest
        total = 0.0
        count = 0.0
        for m in range(k):
            total += exp(raw[m * stride + j] - largest)
            count += 1.0
        out[j] = largest + log(total / count)


def softmax_pool(raw, stride, out, k, n):
    """Logarithms of mean probabilities."""
    for m in range(k):
        largest = raw[m * stride]
        for j in range(1, n):
            value = raw[m * stride + j]
            largest = value if value > largest else largest
        total = 0.0
        for j in range(n):
            total += exp(raw[m * stride + j] - largest)
        shift = largest + log(total)
        for j in range(n):
            raw[m * stride + j] -= shift
    log_of_mean(raw, stride, out, k, n)


def logistic_pool(raw, stride, out, k, n):
    """``log(mean(p)) - log(mean(1 - p))``, each from its logarithms."""
    for j in range(n):
        least = softplus(-raw[j])  # of the costs -log(p)
        other_least = softplus(raw[j])  # and -log(1 - p)
        for m in range(1, k):
            cost = softplus(-raw[m * stride + j])
            other = softplus(raw[m * stride + j])
            least = cost if cost < least else least
            other_least = other if other < other_least else other_least
        total = 0.0
        other_total = 0.0
        for m in range(k):
            total += exp(least - softplus(-raw[m * stride + j]))
            other_total += exp(other_least - softplus(raw[m * stride + j]))
        out[j] = (other_least - least) + log(total / other_total)


def sorted_pool(raw, stride, out, k, n):
    """Means of each member's quantiles in order."""
    for m in range(k):
        for j in range(1, n):
            value = raw[m * stride + j]
            i = j
            while i > 0 and raw[m * stride + i - 1] > value:
                raw[m * stride + i] = raw[m * stride + i - 1]
                i -= 1
            raw[m * stride + i] = value
    mean_pool(raw, stride, out, k, n)


#: By link, see `nnfit.functions.links.LINKS`.
POOLS: dict[str, Callable] = {
    "identity": mean_pool,
    "logistic": logistic_pool,
    "softmax": softmax_pool,
    "exp": log_of_mean,
    "sorted": sorted_pool,
}
