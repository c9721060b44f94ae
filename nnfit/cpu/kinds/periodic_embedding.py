"""Numbers as cosines and sines of learnt frequencies, on the CPU.

What this kind and `nnfit.cpu.kinds.pbld` have in common is here and in
`nnfit.cpu.kernels.waves`. Of some rows of a column there are cosines, sines and
gradients, each (rows, width) with the frequencies padded to vectors. Products are the
tile's: of cosines (and sines, a second part) with the column's weights, and back.
Gradients of a column's parameters are found together, at the end of the way back, and
copied by the units.
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
WORK = Z + 7  # of `nnfit.cpu.kernels.wave_parts.make_work`; 0 for a thread's scratch
SUMS = Z + 8  # of `nnfit.cpu.kernels.wave_gradients.make_sums_of`, for each column
TRANSPOSED = Z + 9  # (parts, size, angle width): the weights
IS_SHARED = Z + 10  # 1: all columns have the same weights and intercepts
PARAMETERS = Z + 11  # addresses of padded tensors, in their order
UNITS = PARAMETERS + 4  # of the input, one for each column

#: Rows of a column that are worked on together, whole panels on every processor: what
#: there is of 16 frequencies takes 19 kB, two thirds of the first-level cache.
WORK_ROWS = 64
#: What a parameter takes, see `nnfit.cpu.kinds.dense`: its gradient is copied.
UNIT_COST = (0, 32)
works_in_parts = True


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
    work = WORK_ROWS * (3 + plan.padded(size) + 4 * plan.padded(k))
    if plan.trains:
        plan.units.make_room(work)
    else:
        plan.buffer(row + WORK, work)
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
    """Gradients by the inputs if anything learns from it, then of the parameters."""
    plan, words, row = graph.plan, graph.plan.words, graph.row_of(number)
    kernel, n = plan.kernel_of(node), words[row + N_COLUMNS]
    width, size = words[row + ANGLE_WIDTH], words[row + N_SIZE]
    of_weights = _weights_of(graph, number).rows // words[row + N_WAVES] * size * width
    plan.buffer(row + TRANSPOSED, of_weights)
    if graph.deliver(number, 0):
        graph.instruct(kernel, "backward", row)
    if plan.trains and graph.trains_at(number):
        of_column = of_weights // (1 if words[row + IS_SHARED] else n)
        n_lines = len(graph.network.tensors_of_nodes[number]) - 2
        length = n_lines * width + of_column + words[row + SIZE_WIDTH]
        plan.buffer(row + SUMS, n * length)
        plan.program.share_last(kernel.address("sum_columns"), row, n)


def _weights_of(graph, number):
    return graph.network.tensors_of_nodes[number][-2]


def add_units(graph, number, node):
    """A line of frequencies, strips of a column's weights, a line of intercepts."""
    kernel = graph.plan.kernel_of(node)
    *lines, weights, intercept = range(len(graph.network.tensors_of_nodes[number]))
    for tensor, name in zip(lines, ("frequencies", "phases"), strict=False):
        _add_lines(graph, number, tensor, kernel.address(f"{name}_gradient"))
    _add_strips(graph, number, weights, kernel)
    _add_lines(graph, number, intercept, kernel.address("intercept_gradient"))


def _add_lines(graph, number, tensor, gradient):
    """Units of a tensor, one for each line."""
    own = graph.network.tensors_of_nodes[number][tensor]
    width = graph.plan.padded(own.columns)
    graph.plan.units.begin_group()
    for line in range(own.rows):
        graph.add_unit(
            number, tensor, gradient, start=line * width, size=width,
            place=(line, 0, 1), cost=UNIT_COST,
        )  # fmt: skip


def _add_strips(graph, number, tensor, kernel):
    """Units of weights, for each part of them strips of lines."""
    plan, words, row = graph.plan, graph.plan.words, graph.row_of(number)
    k, width = words[row + N_WAVES], words[row + SIZE_WIDTH]
    gradient, after = kernel.address("weights_gradient"), kernel.address("transpose")
    strip = plan.target.strip(plan.dtype)
    plan.units.begin_group()
    for part in range(_weights_of(graph, number).rows // k):
        for first in range(0, k, strip):
            rows = min(strip, k - first)
            graph.add_unit(
                number, tensor, gradient, after,
                start=(part * k + first) * width, size=rows * width,
                place=(part, first, rows), cost=UNIT_COST,
            )  # fmt: skip
