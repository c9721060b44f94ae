"""The inputs beside one another, on a GPU: a stride into one buffer.

The first input is computed where it belongs, if it is the output of a layer; the others
are copied behind it. Their gradients are parts of the gradient.
"""

from nnfit.cuda import fields as at

OPERATIONS = ("copy",)
GRADIENTS = ()

#: The first input is computed in the place of the output, if nothing else is.
begins_with_input = True


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The value's row, and a copy of each input that lies elsewhere."""
    plan, row = graph.plan, graph.new_row(number, at.PRIVATE)
    is_there = graph.is_first_part(node.inputs[0], number)
    if is_there:
        plan.same(row + at.OUTPUT, graph.rows[node.inputs[0]] + at.OUTPUT)
    else:
        graph.output(number)
    graph.gradient(number)
    begin, last = 0, len(node.inputs) - 1
    for place, value in enumerate(node.inputs):
        if place > 0 or not is_there:
            part = graph.new_part(value)
            plan.same(part + at.OUTPUT, row + at.OUTPUT, begin)
            plan.words[part + at.STRIDE] = plan.words[row + at.STRIDE]
            graph.phase(node, "copy", part, waits=place == last)
        begin += graph.network.widths[value]


def way_back(graph, number, node):
    """Each input's gradient is a part of the value's."""
    graph.pass_parts(number)


def add_units(graph, number, node):
    """It has no tensors."""


def make(build, traits):
    """Device function `copy`."""
    groups, lanes, input_of = build.threads.groups, build.threads.lanes, build.input_of
    threads = build.threads

    @build.device
    def copy(m, net, place, now, block, n_blocks):
        """output[:, :n_in] = input."""
        longs, row = m.longs, net + place
        edge = row + at.EDGES
        source, goal = input_of(m, edge, now), longs[row + at.OUTPUT]
        source_stride, stride = longs[edge + at.INPUT_STRIDE], longs[row + at.STRIDE]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            for j in range(threads.lane(), longs[edge + at.N_IN], lanes):
                m.floats[goal + r * stride + j] = m.floats[
                    source + r * source_stride + j
                ]

    return {"copy": copy}


def make_gradients(build, traits, store):
    """None."""
    return {}


def make_sizes(build, traits, size):
    """None."""
    return {}
