"""A row as it is, and a copy with other values in some columns, on a GPU."""

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.batches import make_random
from nnfit.functions.random import MASK

OPERATIONS = ("forward", "backward")
GRADIENTS = ()
#: Numbers of the layer's row.
SHARE = at.PRIVATE  # random bits below it are replaced, of 32 bits; 0 for none
PURPOSE = SHARE + 1


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, PURPOSE + 1)
    plan.words[row + SHARE] = int(node.options[0] * 2**32) if plan.masks else 0
    plan.words[row + PURPOSE] = MASK + number
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """Gradient by the rows, if anything learns from it."""
    if graph.deliver(number, 0):
        graph.phase(node, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """It has no tensors."""


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a line."""
    threads, input_of, trains = build.threads, build.input_of, build.kind.trains
    open_goal, deliver = build.delivering
    groups, lanes = threads.groups, threads.lanes
    is_swapped = _make_is_swapped(build)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (2 batch, n_out) = rows, and rows with some entries of others."""
        longs, row = m.longs, net + place
        edge, n, size = row + at.EDGES, longs[row + at.N_OUT], now.size // 2
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            output = longs[row + at.OUTPUT] + r * longs[row + at.STRIDE]
            for j in range(threads.lane(), n, lanes):
                source = r // 2
                if trains and r % 2 == 1 and is_swapped(m, net, row, now, source, j):
                    source = (source + 1 + j % (size - 1)) % size
                m.floats[output + j] = m.floats[x + source * x_stride + j]

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch, n_out), gradients of what there is of a row."""
        longs, row = m.longs, net + place
        c, n, size = open_goal(m, row + at.EDGES), longs[row + at.N_OUT], now.size // 2
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride = longs[row + at.GRADIENT_STRIDE]
        first = block * groups + threads.group()
        for r in range(first, size, n_blocks * groups):
            for j in range(threads.lane(), n, lanes):
                total = m.floats[gradient + 2 * r * stride + j]
                if not is_swapped(m, net, row, now, r, j):
                    total += m.floats[gradient + (2 * r + 1) * stride + j]
                if size > 1:
                    taker = (r + size - 1 - j % (size - 1)) % size
                    if is_swapped(m, net, row, now, taker, j):
                        total += m.floats[gradient + (2 * taker + 1) * stride + j]
                deliver(m, c, r, j, total)

    return {"forward": forward, "backward": backward}


def _make_is_swapped(build):
    """Build ``is_swapped(m, net, row, now, r, j)``: whether an entry is another's."""
    random = make_random(build.cuda)
    stream, stream_of, bits = random.stream, random.stream_of, random.bits
    low_word, high_word = random.low_word, random.high_word

    @build.device
    def is_swapped(m, net, row, now, r, j):
        longs = m.longs
        share = longs[row + SHARE]
        if share == 0 or now.size <= 2 or longs[net + at.COLLECTING] != 0:
            return False
        seed, purpose = longs[net + at.SEED], longs[row + PURPOSE]
        start = np.int64(stream_of(seed, now.step, purpose))
        key = stream(start, now.position + 2 * r + 1)
        return np.int64(bits(low_word(key), high_word(key), j)) < share

    return is_swapped


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
