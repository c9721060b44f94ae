"""The inputs beside one another, on the CPU: a stride into one buffer.

The first input is computed where it belongs, if it is the output of a layer; the others
are copied behind it. Their gradients are parts of the gradient.
"""

from nnfit.cpu import fields as at

#: The first input is computed in the place of the output, if nothing else is.
begins_with_input = True
#: A batch may be done in parts: no row needs another, and nothing learns.
works_in_parts = True


def lay_out(graph, number, node):
    """The value's row, and a copy of each input that lies elsewhere."""
    plan, row = graph.plan, graph.new_row(number, at.PRIVATE)
    is_there = graph.is_first_part(node.inputs[0], number)
    if is_there:
        plan.same(row + at.OUTPUT, graph.rows[node.inputs[0]] + at.OUTPUT)
    else:
        graph.output(number)
    graph.gradient(number)
    begin = 0
    for place, value in enumerate(node.inputs):
        if place > 0 or not is_there:
            part = graph.new_part(value)
            plan.same(part + at.OUTPUT, row + at.OUTPUT, begin)
            plan.words[part + at.STRIDE] = plan.words[row + at.STRIDE]
            graph.instruct(plan.kernel_of(node), "copy", part)
        begin += graph.network.widths[value]


def way_back(graph, number, node):
    """Each input's gradient is a part of the value's."""
    graph.pass_parts(number)


def add_units(graph, number, node):
    """It has no tensors."""


def build(target, dtype):
    """Kernel: `copy` of rows of an input to their place.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    """
    from nnfit.cpu.kernels.operations import edge_of, exports, make_line

    line = make_line(dtype)

    def copy(table, row, now, begin, count):
        """output[:, :n_in] = input."""
        edge = edge_of(row, 0)
        for r in range(begin, begin + count):
            source = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            goal = line(row[at.OUTPUT], row[at.STRIDE], r)
            for j in range(edge[at.N_IN]):
                goal[j] = source[j]

    return exports(dtype, operations=(copy,))
