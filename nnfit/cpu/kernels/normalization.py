"""Functions of `nnfit.cpu.kinds.normalization`, which has the formulas."""

import math

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_activate
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.operations import (
    batch_of,
    edge_of,
    exports,
    make_begin_sum,
    make_deliver,
    make_line,
    make_tensor,
    tensor_of,
)
from nnfit.cpu.kernels.pointers import as_doubles, offset, pointer_from_address
from nnfit.cpu.kinds import normalization as own
from nnfit.functions.normalization import EPSILON, SMALLEST_SPREAD


def build(target, name, dtype):
    """Kernel of what lies between a product and its activation.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    name : {"none", "layer", "batch"}
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `scale_slopes`, `backward`, for batches `find_statistics`,
        `take_running` and `find_sums`, and for units `intercept_gradient` and
        `scale_gradient`.
    """
    make = {"none": make_none, "layer": make_layer, "batch": make_batch}[name]
    normalise_row, back_row = make(dtype)
    line, deliver = make_line(dtype), make_deliver(dtype)
    activate = make_activate(dtype)
    zero = scalar_type(dtype)(0.0)

    def forward(table, row, now, begin, count):
        """u of rows whose z is computed, then output and slope; padding is zero."""
        edge, stride, n_out = edge_of(row, 0), row[at.STRIDE], row[at.N_OUT]
        for r in range(begin, begin + count):
            u = line(row[own.SLOPES], stride, r)
            z = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            normalise_row(table, row, r, z, u, n_out)
            for j in range(n_out, row[at.WIDTH]):
                u[j] = zero
        slopes, output = row[own.SLOPES], row[at.OUTPUT]
        activate(row, row[own.ACTIVATION], slopes, output, begin, count)

    def scale_slopes(table, row, now, begin, count):
        """slope *= gradient by the outputs: gradient by u."""
        n_out = row[at.N_OUT]
        for r in range(begin, begin + count):
            slope = line(row[own.SLOPES], row[at.STRIDE], r)
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            for j in range(n_out):
                slope[j] *= gradient[j]
            for j in range(n_out, row[at.WIDTH]):
                slope[j] = zero

    def backward(table, row, now, begin, count):
        """Gradient by z of rows whose gradient by u is known."""
        edge, n_out = edge_of(row, 0), row[at.N_OUT]
        for r in range(begin, begin + count):
            gradient = line(row[own.SLOPES], row[at.STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            back_row(table, row, r, gradient, goal, n_out)
            deliver(edge, r, n_out)

    of_units = make_unit_gradients(dtype)
    operations = (forward, scale_slopes, backward)
    if name == "batch":
        operations += make_statistics(target, dtype)
    return exports(
        dtype, operations=operations, gradients=of_units[: 1 if name == "none" else 2]
    )


def make_unit_gradients(dtype):
    """Make the gradients of intercepts and of the scale, (width,) each."""
    line, begin_sum = make_line(dtype), make_begin_sum(dtype)

    def intercept_gradient(table, row, unit, batch, goal):
        """Sum over the batch of the gradient by u."""
        begin_sum(table, goal, row[at.WIDTH])
        for r in range(batch):
            gradient = line(row[own.SLOPES], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] += gradient[j]

    def scale_gradient(table, row, unit, batch, goal):
        """Sum over the batch of the gradient by u times z normalised."""
        begin_sum(table, goal, row[at.WIDTH])
        for r in range(batch):
            gradient = line(row[own.SLOPES], row[at.STRIDE], r)
            normed = line(row[own.NORMED], row[at.STRIDE], r)
            for j in range(row[at.N_OUT]):
                goal[j] += gradient[j] * normed[j]

    return intercept_gradient, scale_gradient


def make_running(dtype):
    """Make ``running_of(table, row)``: running means and variances, two pointers."""
    as_floats = pointer_from_address(dtype)

    @helper
    def running_of(table, row):
        norms = tensor_of(table, row, 1)
        means = offset(as_floats(norms[at.ADDRESS]), norms[at.LINE])
        return means, offset(means, norms[at.LINE])

    return running_of


def make_none(dtype):
    """A residual layer without normalisation."""
    tensor = make_tensor(dtype)

    @helper
    def normalise_row(table, row, r, z, u, n):
        intercept = tensor(table, row, 0)
        for j in range(n):
            u[j] = z[j] + intercept[j]

    @helper
    def back_row(table, row, r, gradient_by_u, gradient_by_z, n):
        for j in range(n):
            gradient_by_z[j] = gradient_by_u[j]

    return normalise_row, back_row


def make_layer(dtype):
    """Layer normalisation; every sum is over the units of one row."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    tensor = make_tensor(dtype)
    scalar = scalar_type(dtype)
    zero, one, epsilon = scalar(0.0), scalar(1.0), scalar(EPSILON)

    @sum_helper
    def total(values, n):
        result = zero
        for j in range(n):
            result += values[j]
        return result

    @sum_helper
    def squares_about(values, mean, n):
        result = zero
        for j in range(n):
            result += (values[j] - mean) * (values[j] - mean)
        return result

    @sum_helper
    def product(a, b, n):
        result = zero
        for j in range(n):
            result += a[j] * b[j]
        return result

    @helper
    def normalise_row(table, row, r, z, u, n):
        normed = line(row[own.NORMED], row[at.STRIDE], r)
        scale, intercept = tensor(table, row, 1), tensor(table, row, 0)
        count = scalar(n)
        mean = total(z, n) / count
        variance = squares_about(z, mean, n) / count
        inverse = one / scalar(math.sqrt(variance + epsilon))
        as_floats(row[own.SPREAD])[r] = inverse
        for j in range(n):
            normed[j] = (z[j] - mean) * inverse
            u[j] = scale[j] * normed[j] + intercept[j]

    @helper
    def back_row(table, row, r, gradient_by_u, gradient_by_z, n):
        normed = line(row[own.NORMED], row[at.STRIDE], r)
        scale = tensor(table, row, 1)
        inverse, count = as_floats(row[own.SPREAD])[r], scalar(n)
        for j in range(n):
            gradient_by_z[j] = gradient_by_u[j] * scale[j]
        mean = total(gradient_by_z, n) / count
        slope = product(gradient_by_z, normed, n) / count
        for j in range(n):
            gradient_by_z[j] = inverse * (gradient_by_z[j] - mean - normed[j] * slope)

    return normalise_row, back_row


def make_statistic(dtype):
    """Make ``statistic(row, number)``: a row of the layer's statistics of a batch."""
    as_floats = pointer_from_address(dtype)

    @helper
    def statistic(row, number):
        return offset(as_floats(row[own.SPREAD]), number * row[at.WIDTH])

    return statistic


def make_batch(dtype):
    """Batch normalisation, by the statistics in the layer's buffer."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    tensor = make_tensor(dtype)
    statistic = make_statistic(dtype)

    @helper
    def normalise_row(table, row, r, z, u, n):
        normed = line(row[own.NORMED], row[at.STRIDE], r)
        scale, intercept = tensor(table, row, 1), tensor(table, row, 0)
        mean, inverse = statistic(row, own.MEAN), statistic(row, own.INVERSE)
        for j in range(n):
            normed[j] = (z[j] - mean[j]) * inverse[j]
            u[j] = scale[j] * normed[j] + intercept[j]

    @helper
    def back_row(table, row, r, gradient_by_u, gradient_by_z, n):
        normed = line(row[own.NORMED], row[at.STRIDE], r)
        scale, inverse = tensor(table, row, 1), statistic(row, own.INVERSE)
        sums, sums_normed = statistic(row, own.SUM), statistic(row, own.SUM_NORMED)
        weight = as_floats(table[at.BATCH_WEIGHT])[r]
        for j in range(n):
            shared = weight * (sums[j] + normed[j] * sums_normed[j])
            gradient_by_z[j] = scale[j] * inverse[j] * (gradient_by_u[j] - shared)

    return normalise_row, back_row


def make_statistics(target, dtype):
    """Make ``find_statistics``, ``take_running`` and ``find_sums`` of some units."""
    as_floats, line = pointer_from_address(dtype), make_line(dtype)
    running_of = make_running(dtype)
    statistic = make_statistic(dtype)
    scalar = scalar_type(dtype)
    zero, one, epsilon = scalar(0.0), scalar(1.0), scalar(EPSILON)

    @helper
    def copy_running(table, row, begin, end):
        """The running statistics, which stay as they are."""
        mean, inverse = statistic(row, own.MEAN), statistic(row, own.INVERSE)
        means, variances = running_of(table, row)
        for j in range(begin, end):
            mean[j] = means[j]
            inverse[j] = one / scalar(math.sqrt(variances[j] + epsilon))

    @helper
    def measure(table, row, batch, begin, end):
        """Weighted mean and variance of some units over the batch, rows in order."""
        weights, edge = as_floats(table[at.BATCH_WEIGHT]), edge_of(row, 0)
        mean, variance = statistic(row, own.MEAN), statistic(row, own.INVERSE)
        for j in range(begin, end):
            mean[j] = variance[j] = zero
        for r in range(batch):
            z = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            for j in range(begin, end):
                mean[j] += weights[r] * z[j]
        for r in range(batch):
            z = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            for j in range(begin, end):
                variance[j] += weights[r] * ((z[j] - mean[j]) * (z[j] - mean[j]))

    @helper
    def move_running(table, row, begin, end, spread, momentum):
        """Running statistics towards those of the batch, the variance unbiased."""
        mean, variance = statistic(row, own.MEAN), statistic(row, own.INVERSE)
        means, variances = running_of(table, row)
        part, unbiased = scalar(momentum), scalar(1.0 / spread)
        rest = one - part  # of a part of 1 nothing is left, not even to rounding
        for j in range(begin, end):
            means[j] = rest * means[j] + part * mean[j]
            variances[j] = rest * variances[j] + part * (variance[j] * unbiased)

    def find_statistics(table, row, now, begin, count):
        """Statistics of units begin to begin + count, and the running ones."""
        end, spread = begin + count, as_doubles(now)[at.NOW_SPREAD]
        if spread <= SMALLEST_SPREAD:
            copy_running(table, row, begin, end)
            return
        measure(table, row, batch_of(now), begin, end)
        momentum = as_doubles(now)[at.NOW_MOMENTUM]
        move_running(table, row, begin, end, spread, momentum)
        inverse = statistic(row, own.INVERSE)
        for j in range(begin, end):
            inverse[j] = one / scalar(math.sqrt(inverse[j] + epsilon))

    def take_running(table, row, now, begin, count):
        """The running statistics of all units, for a block of rows."""
        copy_running(table, row, 0, row[at.N_OUT])

    def find_sums(table, row, now, begin, count):
        """Sums over the batch that the gradient takes, zero for constant statistics."""
        end = begin + count
        sums, sums_normed = statistic(row, own.SUM), statistic(row, own.SUM_NORMED)
        for j in range(begin, end):
            sums[j] = sums_normed[j] = zero
        if as_doubles(now)[at.NOW_SPREAD] <= SMALLEST_SPREAD:
            return
        for r in range(batch_of(now)):
            gradient = line(row[own.SLOPES], row[at.STRIDE], r)
            normed = line(row[own.NORMED], row[at.STRIDE], r)
            for j in range(begin, end):
                sums[j] += gradient[j]
                sums_normed[j] += gradient[j] * normed[j]

    return find_statistics, take_running, find_sums
