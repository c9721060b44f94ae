"""A draw from a normal distribution, on a GPU."""

import math

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.batches import make_random
from nnfit.cuda.kernels.functions import make_scalar
from nnfit.functions.random import MASK, inverse_normal

OPERATIONS = ("forward", "backward")
GRADIENTS = ()
#: Numbers of the layer's row.
DISTANCES = at.PRIVATE  # (batch, stride): draws minus means
DRAWS = DISTANCES + 1  # 1 if there is noise
PURPOSE = DISTANCES + 2
END = DISTANCES + 3


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    plan.words[row + DRAWS] = int(plan.masks)
    plan.words[row + PURPOSE] = MASK + number
    if plan.trains:
        plan.buffer(row + DISTANCES, plan.n_rows * plan.words[row + at.STRIDE])
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """That by the means is its own; the other, if anything learns from it."""
    graph.pass_on(number, 0)
    if graph.deliver(number, 1):
        graph.phase(node, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """It has no tensors."""


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a row."""
    threads, input_of, scalar = build.threads, build.input_of, build.scalar
    groups, lanes, trains = threads.groups, threads.lanes, build.kind.trains
    zero, half = scalar(0.0), scalar(0.5)
    noise_of, (open_goal, deliver) = _make_noise_of(build), build.delivering

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = mean + exp(log_variance / 2) * noise."""
        longs, row = m.longs, net + place
        edge, stride = row + at.EDGES, longs[row + at.STRIDE]
        other = edge + at.EDGE
        mean, mean_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        spread, spread_stride = input_of(m, other, now), longs[other + at.INPUT_STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                distance = zero
                if trains:
                    if longs[row + DRAWS] != 0 and longs[net + at.COLLECTING] == 0:
                        log_variance = m.floats[spread + r * spread_stride + j]
                        deviation = math.exp(0.5 * np.float64(log_variance))
                        distance = scalar(deviation * noise_of(m, net, row, now, r, j))
                    m.floats[longs[row + DISTANCES] + r * stride + j] = distance
                value = m.floats[mean + r * mean_stride + j] + distance
                m.floats[longs[row + at.OUTPUT] + r * stride + j] = value

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch, n_out) = gradient * distance / 2."""
        longs, row = m.longs, net + place
        c, gradient = (
            open_goal(m, row + at.EDGES + at.EDGE),
            longs[row + at.GRADIENT_BY_OUTPUT],
        )
        stride, own = longs[row + at.GRADIENT_STRIDE], longs[row + at.STRIDE]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                value = zero
                if trains:
                    distance = m.floats[longs[row + DISTANCES] + r * own + j]
                    value = half * m.floats[gradient + r * stride + j] * distance
                deliver(m, c, r, j, value)

    return {"forward": forward, "backward": backward}


def _make_noise_of(build):
    """Build ``noise_of(m, net, row, now, r, j)``, a standard normal number."""
    random = make_random(build.cuda)
    stream, stream_of, bits = random.stream, random.stream_of, random.bits
    low_word, high_word = random.low_word, random.high_word
    quantile = make_scalar(build.cuda, inverse_normal, "float64")

    @build.device
    def noise_of(m, net, row, now, r, j):
        seed, purpose = m.longs[net + at.SEED], m.longs[row + PURPOSE]
        start = np.int64(stream_of(seed, now.step, purpose))
        key = stream(start, now.position + r)
        drawn = bits(low_word(key), high_word(key), j)
        return quantile((np.float64(drawn) + 0.5) / 4294967296.0)

    return noise_of


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
