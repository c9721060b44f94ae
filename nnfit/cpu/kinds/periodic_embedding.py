"""Numbers as cosines and sines of learnt frequencies, on the CPU.

What this kind and `nnfit.cpu.kinds.pbld` have in common is here and in
`nnfit.cpu.kernels.waves`. A layer has for each of its columns a panel of angles, as
wide as the frequencies padded to vectors:

    waves           (columns, 2, batch, width)   cosines, then sines
    angle gradient  (columns, batch, width)

so that loops over them are long ones, and products are the tile's: of a column's
cosines (and sines, a second part) with its weights, and back. Products of a column are
kept for no longer than it takes to copy them, in panels of one column.
"""

from nnfit.cpu import fields as at
from nnfit.cpu import kernels
from nnfit.network.kinds.periodic_embedding import COLUMNS, N_FREQUENCIES, SIZE

#: What compiles its functions, and what that takes.
BUILDER, NAMES = kernels.WAVES, ("sines",)

#: Numbers of the layer's row.
Z = at.PRIVATE  # (batch, stride): the products, in the place of slopes or of the output
ACTIVATION = Z + 1  # address of its kernel, 0 for the identity
N_COLUMNS = Z + 2
N_WAVES = Z + 3  # frequencies of a column
ANGLE_WIDTH = Z + 4  # padded to vectors
N_SIZE = Z + 5  # elements of an embedding
SIZE_WIDTH = Z + 6  # padded to vectors
ROWS = Z + 7  # of the buffers
WAVES = Z + 8  # see above, and OF_ANGLE
PRODUCT = Z + 9  # (batch, size width), of one column
OF_WAVES = Z + 10  # (2, batch, angle width): gradient by the waves of one column
OF_ANGLE = Z + 11
TRANSPOSED = Z + 12  # (parts, size, angle width): the weights
IS_SHARED = Z + 13  # 1: all columns have the same weights and intercepts
PARAMETERS = Z + 14  # addresses of padded tensors, in their order
UNITS = PARAMETERS + 4  # of the input, one for each column

#: What a weight, and a number of a vector, takes: see `nnfit.cpu.kinds.dense`.
WEIGHT_COST, VECTOR_COST = (1, 32), (2, 24)


def kernel_name(node):
    """What the builder takes besides target and dtype."""
    return "sines"


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, words = graph.plan, graph.plan.words
    row = graph.new_row(number, UNITS + len(node.options[COLUMNS]))
    kernel = plan.kernel_of(node)
    graph.output(number)
    if plan.is_activated(node):
        plan.buffer(row + Z, plan.n_rows * words[row + at.STRIDE])
        plan.activation(row + ACTIVATION, node)
        plan.same(row + at.SLOPE, row + Z)
        graph.gradient(number, row + Z)
    else:
        plan.same(row + Z, row + at.OUTPUT)
        graph.gradient(number)
    _begin_waves(graph, number, node)
    graph.instruct(kernel, "forward", row)


def _begin_waves(graph, number, node):
    """Sizes and buffers of angles, and where the parameters are."""
    plan, words, row = graph.plan, graph.plan.words, graph.row_of(number)
    columns = node.options[COLUMNS]
    k, size = node.options[N_FREQUENCIES], node.options[SIZE]
    words[row + N_COLUMNS] = n = len(columns)
    words[row + UNITS : row + UNITS + n] = columns
    words[row + N_WAVES], words[row + ANGLE_WIDTH] = k, plan.padded(k)
    words[row + N_SIZE], words[row + SIZE_WIDTH] = size, plan.padded(size)
    words[row + ROWS] = plan.n_rows
    plan.buffer(row + WAVES, n * 2 * plan.n_rows * plan.padded(k))
    plan.buffer(row + PRODUCT, plan.n_rows * plan.padded(size))
    own = graph.network.tensors_of_nodes[number]
    words[row + IS_SHARED] = own[-1].rows < n
    for tensor in range(len(own)):
        if plan.in_place:  # without padding, which the functions rely on
            size_padded = own[tensor].rows * plan.padded(own[tensor].columns)
            plan.buffer(row + PARAMETERS + tensor, size_padded)
        else:
            place = graph.tensor_row(number, tensor) + at.ADDRESS
            plan.same(row + PARAMETERS + tensor, place)
    if plan.in_place:
        graph.instruct(plan.kernel_of(node), "pad_parameters", row)


def way_back(graph, number, node):
    """Gradients by the angles, and by the inputs if anything learns from it."""
    plan, words, row = graph.plan, graph.plan.words, graph.row_of(number)
    kernel, width = plan.kernel_of(node), words[row + ANGLE_WIDTH]
    plan.buffer(row + OF_WAVES, 2 * plan.n_rows * width)
    plan.buffer(row + OF_ANGLE, words[row + N_COLUMNS] * plan.n_rows * width)
    n_parts = _weights_of(graph, number).rows // words[row + N_WAVES]
    plan.buffer(row + TRANSPOSED, n_parts * words[row + N_SIZE] * width)
    graph.instruct(kernel, "find_angle_gradient", row)
    if graph.deliver(number, 0):
        graph.instruct(kernel, "backward", row)


def _weights_of(graph, number):
    return graph.network.tensors_of_nodes[number][-2]


def _columns_of_a_sum(graph, number):
    """Columns that gradients of weights and intercepts are summed over."""
    words, row = graph.plan.words, graph.row_of(number)
    return words[row + N_COLUMNS] if words[row + IS_SHARED] else 1


def add_units(graph, number, node):
    """A line of frequencies, strips of a column's weights, a line of intercepts."""
    kernel = graph.plan.kernel_of(node)
    *lines, weights, intercept = range(len(graph.network.tensors_of_nodes[number]))
    for tensor, name in zip(lines, ("frequencies", "phases"), strict=False):
        _add_lines(graph, number, tensor, kernel.address(f"{name}_gradient"))
    _add_strips(graph, number, weights, kernel)
    gradient, times = (
        kernel.address("intercept_gradient"),
        _columns_of_a_sum(graph, number),
    )
    _add_lines(graph, number, intercept, gradient, times)


def _add_lines(graph, number, tensor, gradient, times=1):
    """Units of a tensor, one for each line, whose sums are over so many columns."""
    own = graph.network.tensors_of_nodes[number][tensor]
    width = graph.plan.padded(own.columns)
    per_row, fixed = VECTOR_COST
    graph.plan.units.begin_group()
    for line in range(own.rows):
        graph.add_unit(
            number, tensor, gradient, start=line * width, size=width,
            place=(line, 0, 1), cost=(per_row * times, fixed),
        )  # fmt: skip


def _add_strips(graph, number, tensor, kernel):
    """Units of weights, for each part of them strips of lines."""
    plan, words, row = graph.plan, graph.plan.words, graph.row_of(number)
    k, width = words[row + N_WAVES], words[row + SIZE_WIDTH]
    per_row, fixed = WEIGHT_COST
    per_row *= _columns_of_a_sum(graph, number)
    gradient, after = kernel.address("weights_gradient"), kernel.address("transpose")
    strip = plan.target.strip(plan.dtype)
    plan.units.begin_group()
    for part in range(_weights_of(graph, number).rows // k):
        for first in range(0, k, strip):
            rows = min(strip, k - first)
            graph.add_unit(
                number, tensor, gradient, after,
                start=(part * k + first) * width, size=rows * width,
                place=(part, first, rows), cost=(per_row, fixed),
            )  # fmt: skip
