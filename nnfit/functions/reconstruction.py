"""The loss of `nnfit.functions.losses` by which rows are put together again."""

from nnfit.functions.maths import exp, log, sigmoid, softplus


def cross_entropy(raw, grad, begin, end, target, weight):
    # `softmax` of the outputs from `begin` to `end` with a class counted from there.
    largest = raw[begin]
    for j in range(begin + 1, end):
        largest = raw[j] if raw[j] > largest else largest
    total = 0.0
    for j in range(begin, end):
        grad[j] = exp(raw[j] - largest)
        total += grad[j]
    scale = weight / total
    for j in range(begin, end):
        grad[j] = grad[j] * scale
    grad[begin + target] -= weight
    return weight * (log(total) - (raw[begin + target] - largest))


def reconstruction(raw, y, grad, n, params):
    # Columns one after the other, each with two parameters, its width and its weight.
    # Width 1: one output, squared error. 2 or more: an output for each category, and y
    # is its number. 0: one output, log-loss, and y is 0 or 1. Nothing is lost on what
    # is missing: a NaN, or a negative number of a category. -1: one output, the
    # logarithm of a variance, by which a normal distribution is far from a standard one
    # (Kingma and Welling 2014, appendix B; the square of its mean is a width of 1).
    total = 0.0
    column = 0
    j = 0
    while j < n:
        width = int(params[2 * column])
        weight = params[2 * column + 1]
        target = y[column]
        end = j + (width if width > 1 else 1)
        if target != target or (width > 1 and target < 0.0):
            for k in range(j, end):
                grad[k] = 0.0
        elif width > 1:
            total += cross_entropy(raw, grad, j, end, int(target), weight)
        elif width == 1:
            r = raw[j] - target
            grad[j] = weight * r
            total += 0.5 * weight * r * r
        elif width < 0:
            variance = exp(raw[j])
            grad[j] = 0.5 * weight * (variance - 1.0)
            total += 0.5 * weight * (variance - 1.0 - raw[j])
        else:
            z = raw[j]
            wrong = 1.0 - target if z > 0.0 else target
            grad[j] = weight * (sigmoid(z) - target)
            total += weight * (softplus(-abs(z)) + abs(z) * wrong)
        column += 1
        j = end
    return total
