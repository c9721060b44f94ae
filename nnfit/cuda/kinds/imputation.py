"""Columns with a number in the place of what is missing, on a GPU."""

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.selection import (
    COLUMNS,
    END_OF_COLUMNS,
    N_COLUMNS,
    make_spread,
)
from nnfit.cuda.kinds.selection import add_columns, add_numbers

OPERATIONS = ("forward", "backward")
GRADIENTS = ()

#: Number of the layer's row, after those of its columns: place of the numbers of the
#: columns that have an indicator.
INDICATED = END_OF_COLUMNS
END = INDICATED + 1


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    row = graph.new_row(number, END)
    add_columns(graph, row, node)
    add_numbers(graph, row + INDICATED, node.options[1])
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def add_units(graph, number, node):
    """None: training leaves the fills alone."""


def make(build, traits):
    """Device functions `forward` and `backward`."""
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    groups, lanes = threads.groups, threads.lanes
    zero, one = build.scalar(0.0), build.scalar(1.0)

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """output (batch, n_out) = filled columns, then indicators."""
        longs, row = m.longs, net + place
        edge, fills = row + at.EDGES, tensor_of(m, net, row, 0)
        columns, n = net + longs[row + COLUMNS], longs[row + N_COLUMNS]
        indicated = net + longs[row + INDICATED] - n
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        output, stride = longs[row + at.OUTPUT], longs[row + at.STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[row + at.N_OUT], lanes):
                column = longs[(columns if j < n else indicated) + j]
                value = m.floats[x + r * x_stride + column]
                is_missing = value != value
                if j >= n:
                    value = one if is_missing else zero
                elif is_missing:
                    value = m.floats[fills + j]
                m.floats[output + r * stride + j] = value

    @build.device
    def term(m, net, row, r, number, now):
        longs, edge = m.longs, row + at.EDGES
        x = input_of(m, edge, now) + longs[net + longs[row + COLUMNS] + number]
        x = m.floats[x + r * longs[edge + at.INPUT_STRIDE]]
        gradient = longs[row + at.GRADIENT_BY_OUTPUT] + number
        gradient = m.floats[gradient + r * longs[row + at.GRADIENT_STRIDE]]
        return gradient if x == x else zero

    if not build.kind.trains:
        return {"forward": forward}
    return {"forward": forward, "backward": make_spread(build, term)}


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
