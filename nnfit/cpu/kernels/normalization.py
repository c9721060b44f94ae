"""What lies between a layer's product and its activation, where z is kept.

``u = scale * normed + bias``, where ``normed = (z - mean) / sqrt(variance + epsilon)``,
or ``u = z + bias`` without normalisation. On the way back the gradient by `u`, in the
buffer of slopes, gives that by `z`; in a residual network the part that comes past the
next layer is added.

    kind     mean and variance        kept for the way back
    none
    layer    of a row over its units  1 / root of each row
    batch    of a unit over the rows  (4, width): mean, 1 / root, and the sums over rows
             of the batch             of the gradient by u and of it times `normed`

Those of a batch are computed, weighted, where all rows are known
(`nnfit.cpu.kernels.batch_pass`).
"""

import math

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper, scalar_type, sum_helper
from nnfit.cpu.kernels.pointers import (
    INT64_POINTER,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.functions.normalization import EPSILON

#: ``normalise(table, layer, row, rows)`` and the like
NORMALISE = (INT64_POINTER, INT64_POINTER, nb.int64, nb.int64)
#: ``scale_gradient(layer, batch, gradient)``, by dtype
SCALE_GRADIENT = {
    dtype: (INT64_POINTER, nb.int64, pointer_type(dtype))
    for dtype in ("float32", "float64")
}


def normalization(target, name, dtype):
    """Kernel ``normalise(table, layer, row, rows)``, and the others of such a layer.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    name : {"none", "layer", "batch"}
    dtype : {"float32", "float64"}
    """
    make = {"none": make_none, "layer": make_layer, "batch": make_batch}[name]
    normalise_row, back_row, prepare = make(dtype)
    as_floats = pointer_from_address(dtype)
    zero = scalar_type(dtype)(0.0)

    @helper
    def fill(line, begin, end):
        for j in range(begin, end):
            line[j] = zero

    def normalise(table, layer, row, rows):
        """What is activated, for rows whose z is computed; padding becomes zero."""
        prepare(table, layer)
        stride, n_out = layer[at.STRIDE], layer[at.N_OUT]
        for r in range(row, row + rows):
            u = offset(as_floats(layer[at.SLOPE]), r * stride)
            z = offset(as_floats(layer[at.Z]), r * stride)
            normalise_row(layer, r, z, u, n_out)
            fill(u, n_out, layer[at.WIDTH])

    def back(table, layer, row, rows):
        """Gradient by z of rows whose gradient by u is known."""
        stride, n_out = layer[at.STRIDE], layer[at.N_OUT]
        for r in range(row, row + rows):
            gradient_by_u = offset(as_floats(layer[at.SLOPE]), r * stride)
            by_z = offset(as_floats(layer[at.GRADIENT_BY_Z]), r * stride)
            back_row(table, layer, r, gradient_by_u, by_z, n_out)
            fill(by_z, n_out, layer[at.WIDTH])
            if layer[at.SKIPPED] != 0:
                skipped = offset(
                    as_floats(layer[at.SKIPPED]), r * layer[at.SKIPPED_STRIDE]
                )
                for j in range(n_out):
                    by_z[j] += skipped[j]

    def scale_slopes(table, layer, row, rows):
        """slope *= gradient by the outputs: gradient by u."""
        stride, n_out = layer[at.STRIDE], layer[at.N_OUT]
        for r in range(row, row + rows):
            slope = offset(as_floats(layer[at.SLOPE]), r * stride)
            result = offset(as_floats(layer[at.RESULT]), r * layer[at.RESULT_STRIDE])
            for j in range(n_out):
                slope[j] *= result[j]
            fill(slope, n_out, layer[at.WIDTH])

    def pass_z(table, layer, row, rows):
        """Copy z behind the activation, where a projection reads both."""
        stride, n_out = layer[at.STRIDE], layer[at.N_OUT]
        for r in range(row, row + rows):
            goal = offset(as_floats(layer[at.OUTPUT]), r * stride + n_out)
            z = offset(as_floats(layer[at.Z]), r * stride)
            for j in range(n_out):
                goal[j] = z[j]

    def scale_gradient(layer, batch, gradient):
        """Sum over the batch of the gradient by u times z normalised, (width,)."""
        stride, n_out = layer[at.STRIDE], layer[at.N_OUT]
        fill(gradient, 0, layer[at.WIDTH])
        for r in range(batch):
            gradient_by_u = offset(as_floats(layer[at.SLOPE]), r * stride)
            normed = offset(as_floats(layer[at.NORMED]), r * stride)
            for j in range(n_out):
                gradient[j] += gradient_by_u[j] * normed[j]

    signature = nb.void(*NORMALISE)
    return {
        "normalise": (normalise, signature),
        "back": (back, signature),
        "scale_slopes": (scale_slopes, signature),
        "pass_z": (pass_z, signature),
        "scale_gradient": (scale_gradient, nb.void(*SCALE_GRADIENT[dtype])),
    }


@helper
def _no_preparation(table, layer):
    pass


def make_none(dtype):
    """A residual layer without normalisation."""
    as_floats = pointer_from_address(dtype)

    @helper
    def normalise_row(layer, r, z, u, n):
        bias = as_floats(layer[at.BIAS])
        for j in range(n):
            u[j] = z[j] + bias[j]

    @helper
    def back_row(table, layer, r, gradient_by_u, by_z, n):
        for j in range(n):
            by_z[j] = gradient_by_u[j]

    return normalise_row, back_row, _no_preparation


def make_layer(dtype):
    """Layer normalisation; every sum is over the units of one row."""
    as_floats = pointer_from_address(dtype)
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
    def normalise_row(layer, r, z, u, n):
        normed = offset(as_floats(layer[at.NORMED]), r * layer[at.STRIDE])
        scale, bias = as_floats(layer[at.NORMS]), as_floats(layer[at.BIAS])
        count = scalar(n)
        mean = total(z, n) / count
        variance = squares_about(z, mean, n) / count
        inverse = one / scalar(math.sqrt(variance + epsilon))
        as_floats(layer[at.SPREAD])[r] = inverse
        for j in range(n):
            normed[j] = (z[j] - mean) * inverse
            u[j] = scale[j] * normed[j] + bias[j]

    @helper
    def back_row(table, layer, r, gradient_by_u, by_z, n):
        normed = offset(as_floats(layer[at.NORMED]), r * layer[at.STRIDE])
        scale = as_floats(layer[at.NORMS])
        inverse, count = as_floats(layer[at.SPREAD])[r], scalar(n)
        for j in range(n):
            by_z[j] = gradient_by_u[j] * scale[j]
        mean = total(by_z, n) / count
        slope = product(by_z, normed, n) / count
        for j in range(n):
            by_z[j] = inverse * (by_z[j] - mean - normed[j] * slope)

    return normalise_row, back_row, _no_preparation


def make_batch(dtype):
    """Batch normalisation, by the statistics in the layer's buffer."""
    as_floats = pointer_from_address(dtype)
    scalar = scalar_type(dtype)
    one, epsilon = scalar(1.0), scalar(EPSILON)

    @helper
    def statistic(layer, number):
        return offset(as_floats(layer[at.SPREAD]), number * layer[at.WIDTH])

    @helper
    def take_running(table, layer):
        if table[at.RUNNING_STATISTICS] == 0:
            return
        mean, inverse = statistic(layer, at.MEAN), statistic(layer, at.INVERSE)
        stride = layer[at.NORM_STRIDE]
        running_mean = offset(as_floats(layer[at.NORMS]), stride)
        running_variance = offset(as_floats(layer[at.NORMS]), 2 * stride)
        for j in range(layer[at.N_OUT]):
            mean[j] = running_mean[j]
            inverse[j] = one / scalar(math.sqrt(running_variance[j] + epsilon))

    @helper
    def normalise_row(layer, r, z, u, n):
        normed = offset(as_floats(layer[at.NORMED]), r * layer[at.STRIDE])
        scale, bias = as_floats(layer[at.NORMS]), as_floats(layer[at.BIAS])
        mean, inverse = statistic(layer, at.MEAN), statistic(layer, at.INVERSE)
        for j in range(n):
            normed[j] = (z[j] - mean[j]) * inverse[j]
            u[j] = scale[j] * normed[j] + bias[j]

    @helper
    def back_row(table, layer, r, gradient_by_u, by_z, n):
        normed = offset(as_floats(layer[at.NORMED]), r * layer[at.STRIDE])
        scale, inverse = as_floats(layer[at.NORMS]), statistic(layer, at.INVERSE)
        sums, sums_normed = statistic(layer, at.SUM), statistic(layer, at.SUM_NORMED)
        weight = as_floats(table[at.BATCH_WEIGHT])[r]
        for j in range(n):
            shared = weight * (sums[j] + normed[j] * sums_normed[j])
            by_z[j] = scale[j] * inverse[j] * (gradient_by_u[j] - shared)

    return normalise_row, back_row, take_running
