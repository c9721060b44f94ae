"""Columns about a middle and in units of a spread, on a GPU."""

import math

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.selection import (
    COLUMNS,
    END_OF_COLUMNS,
    N_COLUMNS,
    make_spread,
)
from nnfit.cuda.kinds.selection import add_columns
from nnfit.network.kinds.scaling import LARGEST

OPERATIONS = ("forward", "backward")
GRADIENTS = ()


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, END_OF_COLUMNS)
    add_columns(graph, row, node)
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def add_units(graph, number, node):
    """None: training leaves the scaling alone."""


def make(build, traits):
    """Device functions `forward` and `backward`."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    groups, lanes = threads.groups, threads.lanes
    one, largest = build.scalar(1.0), build.scalar(LARGEST)
    scalar = build.scalar

    @build.device
    def scaled(m, net, row, r, number, now):
        """A number of row r, scaled without a cut."""
        longs, edge = m.longs, row + at.EDGES
        found, n = tensor_of(m, net, row, 0) + number, longs[row + N_COLUMNS]
        x = input_of(m, edge, now) + longs[net + longs[row + COLUMNS] + number]
        x = m.floats[x + r * longs[edge + at.INPUT_STRIDE]]
        z = m.floats[found + n] * (x - m.floats[found])
        z = -largest if z < -largest else z
        return largest if z > largest else z

    @build.device
    def inverse_root(m, net, row, z, number):
        cut = tensor_of(m, net, row, 0) + 2 * m.longs[row + N_COLUMNS] + number
        part = m.floats[cut] * z
        return one / scalar(math.sqrt(one + part * part))

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = z / sqrt(1 + (cut z)^2)."""
        longs, row = m.longs, net + place
        output, stride = longs[row + at.OUTPUT], longs[row + at.STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                z = scaled(m, net, row, r, j, now)
                value = z * inverse_root(m, net, row, z, j)
                m.floats[output + r * stride + j] = value

    @build.device
    def term(m, net, row, r, number, now):
        longs = m.longs
        z = scaled(m, net, row, r, number, now)
        root = inverse_root(m, net, row, z, number)
        scale = tensor_of(m, net, row, 0) + longs[row + N_COLUMNS] + number
        gradient = longs[row + at.GRADIENT_BY_OUTPUT] + number
        gradient = m.floats[gradient + r * longs[row + at.GRADIENT_STRIDE]]
        return gradient * m.floats[scale] * (root * root * root)

    if not build.kind.trains:
        return {"forward": forward}
    return {"forward": forward, "backward": make_spread(build, term)}


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
