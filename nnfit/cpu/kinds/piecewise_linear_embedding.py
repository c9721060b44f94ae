"""A learnt piecewise linear vector of a number, on the CPU.

A number in bin b adds to a line the weights of the bins before b, and a fraction of
those of b. The sums of weights of all bins up to one are found once for a block of
rows; `nnfit.cpu.kernels.piecewise_linear_embedding` has the functions.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import PIECEWISE_LINEAR_EMBEDDING
from nnfit.cpu.kinds import piecewise_linear_encoding as encoding

#: What compiles its functions.
BUILDER = PIECEWISE_LINEAR_EMBEDDING
#: Numbers of the layer's row, after those of bins.
D = encoding.END_OF_BINS  # length of a column's vector
Z = D + 1  # (batch, stride): before the activation, in its place or in the output's
ACTIVATION = D + 2  # address of its kernel, 0 for the identity
SUMS = D + 3  # (most bins of a column, line of weights); 0 for a thread's scratch
END = D + 4

#: Which of the layer's tensors is which.
BINS, SLOPE, INTERCEPT, WEIGHTS = range(4)
#: Columns of slopes and of intercepts in a unit.
COLUMNS_OF_A_UNIT = 8
#: What an element takes, in rows of the batch; see `nnfit.cpu.kinds.dense`. The
#: gradient of weights adds a row to two bins of their dozens.
COST_OF_WEIGHTS, COST_OF_LINES = (1, 24), (4, 24)
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    _, n_bins, d = node.options
    words = plan.words
    encoding.add_bins(graph, row, node)
    words[row + D] = d
    graph.output(number)
    if plan.is_activated(node):
        plan.buffer(row + Z, plan.n_rows * words[row + at.STRIDE])
        plan.activation(row + ACTIVATION, node)
        # Slopes take the place of z, and the gradient by z that of slopes.
        plan.same(row + at.SLOPE, row + Z)
        graph.gradient(number, row + Z)
    else:
        plan.same(row + Z, row + at.OUTPUT)
        graph.gradient(number)
    size = max(n_bins) * plan.padded(d)
    if plan.trains:
        plan.units.make_room(size)
    else:
        plan.buffer(row + SUMS, size)
    graph.instruct(plan.kernel_of(node), "forward", row)


def add_units(graph, number, node):
    """Slopes and intercepts of some columns each, and weights of one column each."""
    columns, n_bins, d = node.options
    address = graph.plan.kernel_of(node).address
    line = graph.plan.padded(d)
    for tensor, name in ((SLOPE, "slope_gradient"), (INTERCEPT, "intercept_gradient")):
        graph.plan.units.begin_group()
        for first in range(0, len(columns), COLUMNS_OF_A_UNIT):
            n = min(COLUMNS_OF_A_UNIT, len(columns) - first)
            graph.add_unit(
                number, tensor, address(name), start=first * line, size=n * line,
                place=(0, first, n), cost=COST_OF_LINES,
            )  # fmt: skip
    graph.plan.units.begin_group()
    before = 0
    for column, n in enumerate(n_bins):
        graph.add_unit(
            number, WEIGHTS, address("weights_gradient"), start=before * line,
            size=n * line, place=(0, column, 1), cost=COST_OF_WEIGHTS,
        )  # fmt: skip
        before += n
