"""Functions of `nnfit.cuda.kinds.periodic_embedding` and `nnfit.cuda.kinds.pbld`.

Of k frequencies a column, of whose cosines and perhaps sines (parts) there are weights:

    waves     (batch, columns, 2, k)      cosines and sines
    of_angle  (batch, columns, parts, k)  gradient by the angles, one addend a part
"""

import math
from collections import namedtuple

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.columns import make_vector_gradient
from nnfit.cuda.kernels.functions import make_scalar
from nnfit.cuda.kernels.products import make_product
from nnfit.functions import maths

#: Numbers of the layer's row.
N_COLUMNS = at.PRIVATE
N_WAVES = N_COLUMNS + 1  # frequencies of a column
N_SIZE = N_COLUMNS + 2  # elements of an embedding
IS_SHARED = N_COLUMNS + 3  # 1: all columns have the same weights and intercepts
WAVES = N_COLUMNS + 4
OF_ANGLE = N_COLUMNS + 5
UNITS = N_COLUMNS + 6  # of the input, one for each column

#: What the epilogues of products take: how to finish a unit, intercepts of a column and
#: its first unit; waves and gradients by angles of a column, distances of their rows.
Forward = namedtuple("Forward", "finish intercept first")
Back = namedtuple("Back", "waves stride goal goal_stride k")
#: Update of the weights, elements of a line, and first one of a column.
Weights = namedtuple("Weights", "own size first")
#: What the sums over a batch take.
Sizes = namedtuple(
    "Sizes",
    "row k size n is_shared input input_stride waves of_angle gradient gradient_stride",
)


def make(build, has_phases):
    """Build the operations of a kind.

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build
    has_phases : bool
        Whether there are phases, weights of cosines alone, and numbers beside their
        embeddings.

    Returns
    -------
    functions : dict
    """
    functions = {
        "find_waves": make_find_waves(build, has_phases),
        "forward": make_forward(build, has_phases),
    }
    if build.kind.trains:
        functions["back_to_angles"] = make_back_to_angles(build, has_phases)
        functions["backward"] = make_backward(build, has_phases)
    return functions


def make_find_waves(build, has_phases):
    """Build ``find_waves``: of all columns; a group of threads takes a row."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    open_finish, finish = build.finishing
    groups, lanes, turn = threads.groups, threads.lanes, build.scalar(0.5 / math.pi)
    sin, cos = (
        make_scalar(build.cuda, function, build.kind.dtype)
        for function in (maths.sin_of_turns, maths.cos_of_turns)
    )

    @build.device
    def find_waves(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        edge, k, n = row + at.EDGES, longs[row + N_WAVES], longs[row + N_COLUMNS]
        frequencies, phases = tensor_of(m, net, row, 0), tensor_of(m, net, row, 1)
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        c = open_finish(m, net, row, longs[row + at.SLOPE], now)
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            goal = longs[row + WAVES] + r * n * 2 * k
            for j in range(threads.lane(), n * k, lanes):
                column = j // k
                number = m.floats[x + r * x_stride + longs[row + UNITS + column]]
                angle = m.floats[frequencies + j] * number  # in turns
                if has_phases:
                    angle += turn * m.floats[phases + j]
                at_wave = goal + column * k + j
                m.floats[at_wave] = cos(angle)
                m.floats[at_wave + k] = sin(angle)
            if has_phases:
                size = longs[row + N_SIZE]
                for column in range(threads.lane(), n, lanes):
                    number = m.floats[x + r * x_stride + longs[row + UNITS + column]]
                    finish(m, c, r, column * (size + 1) + size, number)

    return find_waves


def make_forward(build, has_phases):
    """Build ``forward``: of each column a product with its weights, by tiles."""
    open_finish, finish = build.finishing
    tensor_of, (count, corner) = build.tensor_of, build.tiles
    weights_at, n_parts, beside = _numbers(has_phases)

    @build.device
    def store(m, c, r, j, value):
        finish(m, c.finish, r, c.first + j, value + m.floats[c.intercept + j])
        return 0.0

    product = make_product(build, (True, False), store)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        k, size, n = longs[row + N_WAVES], longs[row + N_SIZE], longs[row + N_COLUMNS]
        weights = tensor_of(m, net, row, weights_at)
        intercept = tensor_of(m, net, row, weights_at + 1)
        own = open_finish(m, net, row, longs[row + at.SLOPE], now)
        n_tiles = count(now.end - now.begin, size)
        number = block
        while number < n * n_tiles:
            column = number // n_tiles
            r, j = corner(number % n_tiles, size)
            own_weights = 0 if longs[row + IS_SHARED] != 0 else column
            c = Forward(own, intercept + own_weights * size, column * (size + beside))
            product(
                m, longs[row + WAVES] + column * 2 * k, n * 2 * k,
                weights + own_weights * n_parts * k * size, size,
                now.end, size, n_parts * k, now.begin + r, j, c,
            )  # fmt: skip
            number += n_blocks

    return forward


def _numbers(has_phases):
    """Number of the weights' tensor, parts of a column, units beside its embedding."""
    return (2, 1, 1) if has_phases else (1, 2, 0)


def make_back_to_angles(build, has_phases):
    """Build ``back_to_angles``: of each column a product with its weights, by tiles."""
    tensor_of, (count, corner) = build.tensor_of, build.tiles
    weights_at, n_parts, beside = _numbers(has_phases)

    @build.device
    def store(m, c, r, j, value):
        """-sin * gradient by a cosine, or cos * gradient by a sine."""
        waves = c.waves + r * c.stride
        if j < c.k:
            value = -m.floats[waves + c.k + j] * value
        else:
            value = m.floats[waves + j - c.k] * value
        m.floats[c.goal + r * c.goal_stride + j] = value
        return 0.0

    product = make_product(build, (True, True), store)

    @build.device
    def back_to_angles(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        k, size, n = longs[row + N_WAVES], longs[row + N_SIZE], longs[row + N_COLUMNS]
        weights, n_waves = tensor_of(m, net, row, weights_at), n_parts * k
        by_z = longs[row + at.GRADIENT_BY_OUTPUT]
        n_tiles = count(now.size, n_waves)
        number = block
        while number < n * n_tiles:
            column = number // n_tiles
            r, j = corner(number % n_tiles, n_waves)
            own_weights = 0 if longs[row + IS_SHARED] != 0 else column
            c = Back(
                longs[row + WAVES] + column * 2 * k, n * 2 * k,
                longs[row + OF_ANGLE] + column * n_waves, n * n_waves, k,
            )  # fmt: skip
            product(
                m, by_z + column * (size + beside), longs[row + at.GRADIENT_STRIDE],
                weights + own_weights * n_waves * size, size,
                now.size, n_waves, size, r, j, c,
            )  # fmt: skip
            number += n_blocks

    return back_to_angles


def make_backward(build, has_phases):
    """Build ``backward``: gradient by the inputs; a group of threads takes a row."""
    threads, tensor_of, scalar = build.threads, build.tensor_of, build.scalar
    open_goal, deliver = build.delivering
    groups, lanes = threads.groups, threads.lanes
    zero, two_pi = scalar(0.0), scalar(2.0 * math.pi)
    _, n_parts, beside = _numbers(has_phases)

    @build.device
    def of_number(m, row, frequencies, r, column):
        """Gradient by a column's number in a row."""
        longs = m.longs
        k, n = longs[row + N_WAVES], longs[row + N_COLUMNS]
        of_angle = longs[row + OF_ANGLE] + (r * n + column) * n_parts * k
        total = zero
        for j in range(n_parts * k):
            factor = m.floats[frequencies + column * k + j % k]
            total += factor * m.floats[of_angle + j]
        total *= two_pi
        if has_phases:
            size = longs[row + N_SIZE]
            whole = longs[row + at.GRADIENT_BY_OUTPUT]
            whole += r * longs[row + at.GRADIENT_STRIDE]
            total += m.floats[whole + column * (size + beside) + size]
        return total

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        longs, row = m.longs, net + place
        edge, n = row + at.EDGES, longs[row + N_COLUMNS]
        c, frequencies = open_goal(m, edge), tensor_of(m, net, row, 0)
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), longs[edge + at.N_IN], lanes):
                value = zero
                for column in range(n):
                    if longs[row + UNITS + column] == j:
                        value += of_number(m, row, frequencies, r, column)
                deliver(m, c, r, j, value)

    return backward


def make_weights_gradient(build, store, has_phases):
    """Build the gradient of each column's own weights: products of tiles.

    Parameters
    ----------
    build, store, has_phases
        See `make_gradients`.
    """
    open_update, threads, (count, corner) = (
        build.open_update,
        build.threads,
        build.tiles,
    )
    _, n_parts, beside = _numbers(has_phases)

    @build.device
    def store_weight(m, c, r, j, g):
        return store(m, c.own, c.own.place + c.first + r * c.size + j, g)

    product = make_product(build, (False, False), store_weight)

    @build.device
    def weights(m, net, group, now, parts, block, n_blocks):
        """Waves, transposed, times the gradient by a column's embedding."""
        longs = m.longs
        row, tensor = net + longs[group + at.G_ROW], net + longs[group + at.G_TENSOR]
        k, size, n = longs[row + N_WAVES], longs[row + N_SIZE], longs[row + N_COLUMNS]
        update, n_waves = open_update(m, net, tensor, now.weight_sum), n_parts * k
        by_z, stride = (
            longs[row + at.GRADIENT_BY_OUTPUT],
            longs[row + at.GRADIENT_STRIDE],
        )
        n_tiles, first = count(n_waves, size), longs[group + at.G_FIRST]
        number = (block - first) % n_blocks
        while number < longs[group + at.G_UNITS]:
            column = number // n_tiles
            r, j = corner(number % n_tiles, size)
            part = product(
                m, longs[row + WAVES] + column * 2 * k, n * 2 * k,
                by_z + column * (size + beside), stride, n_waves, size, now.size, r, j,
                Weights(update, size, column * n_waves * size),
            )  # fmt: skip
            part = threads.sum_of_block(m, part)
            if threads.number() == 0:
                m.doubles[parts + first + number] = part
            number += n_blocks

    return weights


def make_gradients(build, traits, store, has_phases):
    """Build the gradients of all tensors: sums over the batch, of each element.

    Those of weights are products if each column has its own.

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build
    traits : tuple of str
        ``"own"``, ``"shared"`` or both.
    store : callable
        See `nnfit.cuda.kinds`.
    has_phases : bool
        See `make`.

    Returns
    -------
    functions : dict
    """
    input_of, scalar = build.input_of, build.scalar
    zero, two_pi = scalar(0.0), scalar(2.0 * math.pi)
    _, n_parts, beside = _numbers(has_phases)

    @build.device
    def open_sizes(m, net, row, tensor, now):
        longs, edge = m.longs, row + at.EDGES
        return Sizes(
            row, longs[row + N_WAVES], longs[row + N_SIZE], longs[row + N_COLUMNS],
            longs[row + IS_SHARED], input_of(m, edge, now),
            longs[edge + at.INPUT_STRIDE], longs[row + WAVES], longs[row + OF_ANGLE],
            longs[row + at.GRADIENT_BY_OUTPUT], longs[row + at.GRADIENT_STRIDE],
        )  # fmt: skip

    @build.device
    def of_phase(m, c, r, j):
        of_angle = c.of_angle + (r * c.n + j // c.k) * n_parts * c.k + j % c.k
        total = zero
        for part in range(n_parts):
            total += m.floats[of_angle + part * c.k]
        return total

    @build.device
    def of_frequency(m, c, r, j):
        x = c.input + r * c.input_stride + m.longs[c.row + UNITS + j // c.k]
        return two_pi * m.floats[x] * of_phase(m, c, r, j)

    @build.device
    def of_shared_weight(m, c, r, j):
        waves = c.waves + r * c.n * 2 * c.k + j // c.size
        gradient = c.gradient + r * c.gradient_stride + j % c.size
        total = zero
        for column in range(c.n):
            factor = m.floats[gradient + column * (c.size + beside)]
            total += factor * m.floats[waves + column * 2 * c.k]
        return total

    @build.device
    def of_intercept(m, c, r, j):
        column = j // c.size
        begin, end = (0, c.n) if c.is_shared != 0 else (column, column + 1)
        gradient = c.gradient + r * c.gradient_stride + j % c.size
        total = zero
        for column in range(begin, end):
            total += m.floats[gradient + column * (c.size + beside)]
        return total

    terms = {"frequencies": of_frequency, "intercept": of_intercept}
    if has_phases:
        terms["phases"] = of_phase
    if "shared" in traits:
        terms["shared_weights"] = of_shared_weight
    found = {
        name: make_vector_gradient(build, store, open_sizes, term)
        for name, term in terms.items()
    }
    if "own" in traits:
        found["weights"] = make_weights_gradient(build, store, has_phases)
    return found
