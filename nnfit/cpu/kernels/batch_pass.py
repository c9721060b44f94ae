"""Phase 1 of a batch where layers are normalised over the batch.

Layer by layer instead of block by block: at each normalised layer all threads wait for
each other, every unit's statistics are computed by one thread over all rows in order,
and all wait again; on the way back likewise. So the numbers do not depend on the number
of threads.
"""

import math

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dense import make_dense
from nnfit.cpu.kernels.engine import PASS_BATCH
from nnfit.cpu.kernels.layers import make_layers
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.pointers import layer_at, offset, pointer_from_address
from nnfit.cpu.kernels.threads import make_barrier
from nnfit.functions.normalization import EPSILON, SMALLEST_SPREAD


def batch_pass(target, dtype):
    """Entry point ``pass_batch`` for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    dense = make_dense(target, dtype)
    layers = make_layers(target, dtype, dense)
    barrier = make_barrier(target)
    as_int64 = pointer_from_address("int64")
    as_floats = pointer_from_address(dtype)
    scalar = scalar_type(dtype)
    zero, one, epsilon = scalar(0.0), scalar(1.0), scalar(EPSILON)
    lanes = target.lanes(dtype)

    @helper
    def statistic(layer, number):
        return offset(as_floats(layer[at.SPREAD]), number * layer[at.WIDTH])

    @helper
    def own_units(layer, thread, n_threads):
        """Units of a thread, whole vectors of them."""
        vectors = layer[at.WIDTH] // lanes
        begin = vectors * thread // n_threads * lanes
        return begin, vectors * (thread + 1) // n_threads * lanes

    @helper
    def take_running(layer, begin, end):
        """The running statistics, which stay as they are."""
        mean, inverse = statistic(layer, at.MEAN), statistic(layer, at.INVERSE)
        running = as_floats(layer[at.NORMS])
        for j in range(begin, end):
            mean[j] = running[layer[at.NORM_STRIDE] + j]
            variance = running[2 * layer[at.NORM_STRIDE] + j]
            inverse[j] = one / scalar(math.sqrt(variance + epsilon))

    @helper
    def measure(table, layer, batch, begin, end):
        """Weighted mean and variance of some units over the batch, rows in order."""
        weights, stride = as_floats(table[at.BATCH_WEIGHT]), layer[at.STRIDE]
        mean, variance = statistic(layer, at.MEAN), statistic(layer, at.INVERSE)
        for j in range(begin, end):
            mean[j] = variance[j] = zero
        for r in range(batch):
            z = offset(as_floats(layer[at.Z]), r * stride)
            for j in range(begin, end):
                mean[j] += weights[r] * z[j]
        for r in range(batch):
            z = offset(as_floats(layer[at.Z]), r * stride)
            for j in range(begin, end):
                variance[j] += weights[r] * ((z[j] - mean[j]) * (z[j] - mean[j]))

    @helper
    def move_running(layer, begin, end, spread, momentum):
        """Running statistics towards those of the batch, the variance unbiased."""
        mean, variance = statistic(layer, at.MEAN), statistic(layer, at.INVERSE)
        running = as_floats(layer[at.NORMS])
        means = offset(running, layer[at.NORM_STRIDE])
        variances = offset(running, 2 * layer[at.NORM_STRIDE])
        part, unbiased = scalar(momentum), scalar(1.0 / spread)
        rest = one - part  # of a part of 1 nothing is left, not even to rounding
        for j in range(begin, end):
            means[j] = rest * means[j] + part * mean[j]
            variances[j] = rest * variances[j] + part * (variance[j] * unbiased)

    @helper
    def find_statistics(table, layer, batch, spread, momentum, thread, n_threads):
        begin, end = own_units(layer, thread, n_threads)
        if spread <= SMALLEST_SPREAD:
            take_running(layer, begin, end)
            return
        measure(table, layer, batch, begin, end)
        move_running(layer, begin, end, spread, momentum)
        inverse = statistic(layer, at.INVERSE)
        for j in range(begin, end):
            inverse[j] = one / scalar(math.sqrt(inverse[j] + epsilon))

    @helper
    def find_sums(layer, batch, spread, thread, n_threads):
        """Sums over the batch that the gradient takes, zero for constant statistics."""
        begin, end = own_units(layer, thread, n_threads)
        sums, sums_normed = statistic(layer, at.SUM), statistic(layer, at.SUM_NORMED)
        for j in range(begin, end):
            sums[j] = sums_normed[j] = zero
        if spread <= SMALLEST_SPREAD:
            return
        stride = layer[at.STRIDE]
        for r in range(batch):
            gradient_by_u = offset(as_floats(layer[at.SLOPE]), r * stride)
            normed = offset(as_floats(layer[at.NORMED]), r * stride)
            for j in range(begin, end):
                sums[j] += gradient_by_u[j]
                sums_normed[j] += gradient_by_u[j] * normed[j]

    def pass_batch(
        table, position, batch, begin, end, weight_sum, spread, momentum, thread,
        n_threads, passed,
    ):  # fmt: skip
        """Rows begin to end of the batch at `position`, and the statistics of all."""
        shared = as_int64(table[at.SHARED])
        rows, n_layers = end - begin, table[at.N_LAYERS]
        layers.gather(table, position, begin, rows)
        layers.gather_targets(table, position, begin, rows, weight_sum)
        for index in range(n_layers):
            layer = layer_at(table, index)
            layers.product(table, index, position, begin, rows)
            if layer[at.NORMALISE] != 0:
                passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
                find_statistics(
                    table, layer, batch, spread, momentum, thread, n_threads
                )
                passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
            layers.finish(table, index, position, begin, rows)
        if table[at.COLLECTING] != 0:
            return passed
        layers.find_row_losses(table, position, begin, rows)
        for index in range(n_layers - 1, 0, -1):
            before = layer_at(table, index - 1)
            dense.backward(layer_at(table, index), before, begin, rows)
            layers.scale_slopes(table, before, begin, rows)
            passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
            find_sums(before, batch, spread, thread, n_threads)
            passed = barrier.wait_for_all(shared, thread, n_threads, passed, True)
            layers.back(table, before, begin, rows)
        for index in range(n_layers):
            dense.pack_rows(layer_at(table, index), batch, begin, rows)
        return passed

    return {"pass_batch": (pass_batch, nb.int64(*PASS_BATCH))}
