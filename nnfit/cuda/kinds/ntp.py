"""The input over the root of its width, on a GPU."""

import math

import numpy as np

from nnfit.cuda import fields as at

OPERATIONS = ("forward", "backward")
GRADIENTS = ()


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, at.PRIVATE)
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        graph.phase(node, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """It has no tensors."""


def make(build, traits):
    """Device functions `forward` and `backward`; a group of threads takes a row."""
    threads, input_of, scalar = build.threads, build.input_of, build.scalar
    open_goal, deliver = build.delivering
    groups, lanes = threads.groups, threads.lanes

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = input / sqrt(n_out)."""
        longs, row = m.longs, net + place
        edge, n = row + at.EDGES, longs[row + at.N_OUT]
        factor = scalar(1.0 / math.sqrt(np.float64(n)))
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        output, stride = longs[row + at.OUTPUT], longs[row + at.STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), n, lanes):
                value = factor * m.floats[x + r * x_stride + j]
                m.floats[output + r * stride + j] = value

    @build.device
    def backward(m, net, place, now, block, n_blocks):
        """Delivers (batch, n_out) = gradient / sqrt(n_out)."""
        longs, row = m.longs, net + place
        c, n = open_goal(m, row + at.EDGES), longs[row + at.N_OUT]
        factor = scalar(1.0 / math.sqrt(np.float64(n)))
        gradient = longs[row + at.GRADIENT_BY_OUTPUT]
        stride = longs[row + at.GRADIENT_STRIDE]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), n, lanes):
                deliver(m, c, r, j, factor * m.floats[gradient + r * stride + j])

    return {"forward": forward, "backward": backward}


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
