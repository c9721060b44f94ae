"""Some of the input's columns, on a GPU."""

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.selection import (
    COLUMNS,
    END_OF_COLUMNS,
    N_COLUMNS,
    make_spread,
)

OPERATIONS = ("forward", "backward")
GRADIENTS = ()


def traits(node):
    """None."""
    return ()


def add_columns(graph, row, node):
    """Write a layer's columns into the table, and for each input which they are."""
    words, columns = graph.plan.words, node.options[0]
    n_in, words[row + N_COLUMNS] = words[row + at.EDGES + at.N_IN], len(columns)
    counts = np.bincount(columns, minlength=n_in)
    starts, order = np.cumsum([0, *counts]), np.argsort(columns, kind="stable")
    add_numbers(graph, row + COLUMNS, [*columns, *starts, *order])


def add_numbers(graph, index, numbers):
    """Write integers into the table; number `index` becomes their place."""
    words = graph.plan.words
    place = words[index] = graph.plan.reserve(len(numbers))
    words[place : place + len(numbers)] = [int(number) for number in numbers]


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, END_OF_COLUMNS)
    add_columns(graph, row, node)
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def add_units(graph, number, node):
    """It has no tensors."""


def make(build, traits):
    """Device functions `forward` and `backward`."""
    threads, input_of = build.threads, build.input_of
    groups, lanes = threads.groups, threads.lanes

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = input[:, columns]."""
        longs, row = m.longs, net + place
        edge, columns = row + at.EDGES, net + longs[row + COLUMNS]
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        output, stride = longs[row + at.OUTPUT], longs[row + at.STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                value = m.floats[x + r * x_stride + longs[columns + j]]
                m.floats[output + r * stride + j] = value

    @build.device
    def term(m, net, row, r, number, now):
        by_output = m.longs[row + at.GRADIENT_BY_OUTPUT]
        return m.floats[by_output + r * m.longs[row + at.GRADIENT_STRIDE] + number]

    if not build.kind.trains:
        return {"forward": forward}
    return {"forward": forward, "backward": make_spread(build, term)}


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
