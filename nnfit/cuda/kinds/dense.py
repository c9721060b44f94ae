"""Dense layers on a GPU: ``activation(x W + b)``, or ``x W + start``.

Three products of tiles, whose epilogues do all the rest:

    forward    (batch, n_in) (n_in, n_out)      start or intercept, activation, dropout
    backward   (batch, n_out) (n_out, n_in)     delivers the gradient by the input
    gradient   (n_in, batch) (batch, n_out)     stores or updates; sums of columns are
                                                the gradient of the intercept
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.products import make_product
from nnfit.network.kinds.dense import has_intercept

OPERATIONS = ("forward", "backward")
GRADIENTS = ("weights",)
#: Units are dropped where their outputs are finished.
DROPS = True
#: Number of the layer's row.
HAS_INTERCEPT = at.PRIVATE

Forward = namedtuple("Forward", "finish bias start start_stride")
#: Update of the weights, elements of their rows, place of the intercept's tensor.
Weights = namedtuple("Weights", "own n_out intercept weight_sum")


def traits(node):
    """Whether there is an intercept, and whether something starts the sum."""
    words = ("intercept" if has_intercept(node) else "bare",)
    return (*words, "start") if len(node.inputs) == 2 else words


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, HAS_INTERCEPT + 1)
    words = plan.words
    words[row + HAS_INTERCEPT] = has_intercept(node)
    graph.output(number)
    if plan.trains and graph.is_activated(node):
        # The gradient takes the place of slopes: both are read in the same epilogue.
        plan.buffer(row + at.SLOPE, plan.n_rows * words[row + at.STRIDE])
        graph.gradient(number, row + at.SLOPE)
    else:
        graph.gradient(number)
    n_in = words[row + at.EDGES + at.N_IN]
    graph.phase(node, "forward", row, graph.of_tiles(words[row + at.N_OUT], n_in))


def way_back(graph, number, node):
    """Gradient by the inputs."""
    row, words = graph.row_of(number), graph.plan.words
    if graph.deliver(number, 0, in_tiles=True):
        n_in = words[row + at.EDGES + at.N_IN]
        work = graph.of_tiles(n_in, words[row + at.N_OUT])
        graph.phase(node, "backward", row, work)
    if len(node.inputs) == 2:
        graph.pass_on(number, 1)


def add_units(graph, number, node):
    """Tiles of W; the intercept belongs to those of the first rows."""
    graph.add_tiles(number, 0, "weights")


def make(build, traits):
    """Device functions `forward` and `backward`."""
    if not build.kind.trains:
        return {"forward": _make_forward(build, traits)}
    return {
        "forward": _make_forward(build, traits),
        "backward": _make_backward(build),
    }


def _make_forward(build, traits):
    has_bias, is_bare, starts = (w in traits for w in ("intercept", "bare", "start"))
    open_finish, finish = build.finishing
    input_of, tensor_of = build.input_of, build.tensor_of
    count, corner = build.tiles

    @build.device
    def store(m, c, r, j, value):
        if starts and c.start != 0:
            value += m.floats[c.start + r * c.start_stride + j]
        if has_bias and (not is_bare or c.bias >= 0):
            value += m.floats[c.bias + j]
        finish(m, c.finish, r, j, value)
        return 0.0

    product = make_product(build, (True, False), store)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """activation(x W + start or intercept), or without activation."""
        longs, row = m.longs, net + place
        edge, weights = row + at.EDGES, tensor_of(m, net, row, 0)
        n_in, n_out = longs[edge + at.N_IN], longs[row + at.N_OUT]
        second, start, bias = edge + at.EDGE, np.int64(0), np.int64(-1)
        if starts and longs[second + at.INPUT] != 0:
            start = input_of(m, second, now)
        if has_bias and (not is_bare or longs[row + HAS_INTERCEPT] != 0):
            bias = tensor_of(m, net, row, 1)
        own = open_finish(m, net, row, longs[row + at.SLOPE], now)
        c = Forward(own, bias, start, longs[second + at.INPUT_STRIDE])
        x, stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        n_tiles = count(now.end - now.begin, n_out)
        number = block
        while number < n_tiles:  # a range would divide to count its turns
            r, j = corner(number, n_out)
            product(
                m, x, stride, weights, n_out, now.end, n_out, n_in, now.begin + r, j, c
            )
            number += n_blocks

    return forward


def _make_backward(build):
    open_goal, deliver = build.delivering
    tensor_of = build.tensor_of
    count, corner = build.tiles
    product = make_product(build, (True, True), deliver)

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Gradient by the input: gradient by z times the transposed W."""
        longs, row = m.longs, net + place
        edge, weights = row + at.EDGES, tensor_of(m, net, row, 0)
        n_in, n_out = longs[edge + at.N_IN], longs[row + at.N_OUT]
        by_z, stride = (
            longs[row + at.GRADIENT_BY_OUTPUT],
            longs[row + at.GRADIENT_STRIDE],
        )
        c = open_goal(m, edge)
        n_tiles = count(now.size, n_in)
        number = block
        while number < n_tiles:
            r, j = corner(number, n_in)
            product(m, by_z, stride, weights, n_out, now.size, n_in, n_out, r, j, c)
            number += n_blocks

    return backward


def make_gradients(build, traits, store):
    """Device function `weights`: gradients of W and of the intercept."""
    has_bias, is_bare = "intercept" in traits, "bare" in traits
    open_update, threads, input_of = build.open_update, build.threads, build.input_of
    _, corner = build.tiles

    @build.device
    def store_weight(m, c, r, j, g):
        return store(m, c.own, c.own.place + r * c.n_out + j, g)

    @build.device
    def store_intercept(m, c, j, g):
        update = open_update(m, c.own.net, c.intercept, c.weight_sum)
        return store(m, update, update.place + j, g)

    bare_tile = make_product(build, (False, False), store_weight)
    tile = make_product(build, (False, False), store_weight, store_intercept)

    @build.device
    def weights(m, net, group, now, parts, block, n_blocks):
        """Input, transposed, times the gradient by z."""
        longs = m.longs
        row, tensor = net + longs[group + at.G_ROW], net + longs[group + at.G_TENSOR]
        edge = row + at.EDGES
        n_in, n_out = longs[edge + at.N_IN], longs[row + at.N_OUT]
        update = open_update(m, net, tensor, now.weight_sum)
        c = Weights(update, n_out, tensor + at.TENSOR, now.weight_sum)
        x, stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        by_z, z_stride = (
            longs[row + at.GRADIENT_BY_OUTPUT],
            longs[row + at.GRADIENT_STRIDE],
        )
        first, n_tiles = longs[group + at.G_FIRST], longs[group + at.G_UNITS]
        number = (block - first) % n_blocks
        while number < n_tiles:
            r, j = corner(number, n_out)
            if has_bias and (not is_bare or longs[row + HAS_INTERCEPT] != 0):
                part = tile(
                    m, x, stride, by_z, z_stride, n_in, n_out, now.size, r, j, c
                )
            else:
                part = bare_tile(
                    m, x, stride, by_z, z_stride, n_in, n_out, now.size, r, j, c
                )
            part = threads.sum_of_block(m, part)
            if threads.number() == 0:
                m.doubles[parts + first + number] = part
            number += n_blocks

    return {"weights": weights}


def make_sizes(build, traits, size):
    """Device function `weights`: penalties of W.

    The order of elements is that of an update's epilogue: the loss must not depend on
    where a call begins.
    """
    open_update, threads, tile = build.open_update, build.threads, build.kind.tile
    rows_each, columns_each = tile.thread_rows, tile.thread_columns
    n_each, across_tile = rows_each * columns_each, tile.columns // columns_each
    _, corner = build.tiles

    @build.device
    def weights(m, net, group, now, parts, block, n_blocks):
        longs = m.longs
        tensor = net + longs[group + at.G_TENSOR]
        c = open_update(m, net, tensor, 1.0)
        n_in, n_out = longs[tensor + at.N_LINES], longs[tensor + at.N_COLUMNS]
        values = longs[net + at.PARAMETERS] + c.place
        first = longs[group + at.G_FIRST]
        begin = (block - first) % n_blocks
        for number in range(begin, longs[group + at.G_UNITS], n_blocks):
            row, column = corner(number, n_out)
            total = 0.0
            for q in range(n_each):
                r = row + threads.number() // across_tile * rows_each
                j = column + threads.number() % across_tile * columns_each
                r, j = r + q // columns_each, j + q % columns_each
                if r < n_in and j < n_out:
                    total += size(c, m.floats[values + r * n_out + j])
            total = threads.sum_of_block(m, total)
            if threads.number() == 0:
                m.doubles[parts + first + number] = total

    return {"weights": weights}
