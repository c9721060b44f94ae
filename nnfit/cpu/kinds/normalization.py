"""What lies between a product and its activation, on the CPU.

``u = scale * normed + intercept``, where ``normed = (z - mean) / sqrt(variance +
epsilon)``, or ``u = z + intercept`` without normalisation. On the way back the gradient
by `u`, in the buffer of slopes, gives that by `z`.

    option   mean and variance        kept for the way back
    None
    layer    of a row over its units  1 / root of each row
    batch    of a unit over the rows  (4, width): mean, 1 / root, and the sums over rows
             of the batch             of the gradient by u and of it times `normed`

Statistics of a batch take all its rows: threads wait before and after, and a unit's are
computed by one thread over the rows in order.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import NORMALIZATION

#: What compiles its functions, and what that takes.
BUILDER, NAMES = NORMALIZATION, ("none", "layer", "batch")
#: Numbers of the layer's row.
SLOPES = at.PRIVATE  # (batch, stride): u, its slope, then the gradient by u
ACTIVATION = SLOPES + 1  # address of its kernel
NORMED = SLOPES + 2  # (batch, stride): z normalised, before the scale
SPREAD = SLOPES + 3  # (batch,) or (N_STATISTICS, width), see above
END = SLOPES + 4

#: Statistics of a batch: mean, 1 / root of the variance, and two sums of gradients.
MEAN, INVERSE, SUM, SUM_NORMED, N_STATISTICS = range(5)
#: What a number of an array takes, in rows of the batch; see `nnfit.cpu.kinds.dense`.
ROWS_OF_A_VECTOR, UPDATE_COST = 4, 20
works_in_parts = True


def kernel_name(node):
    """What the builder takes besides target and dtype."""
    return node.options[0] or "none"


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, kind = graph.plan, node.options[0]
    row, kernel = graph.new_row(number, END), graph.plan.kernel_of(node)
    size = plan.n_rows * plan.words[row + at.STRIDE]
    graph.output(number)
    graph.gradient(number)
    plan.buffer(row + SLOPES, size)
    plan.activation(row + ACTIVATION, node)
    if kind is not None:
        plan.buffer(row + NORMED, size)
        of_units = N_STATISTICS * plan.words[row + at.WIDTH]
        plan.buffer(row + SPREAD, plan.n_rows if kind == "layer" else of_units)
    if kind == "batch" and plan.trains and not node.is_frozen:
        graph.instruct_columns(kernel, "find_statistics", row)
        plan.program.end_statistics()
    elif kind == "batch":
        graph.instruct(kernel, "take_running", row)
    graph.instruct(kernel, "forward", row)


def way_back(graph, number, node):
    """Gradient by u, then by z."""
    row, kernel = graph.row_of(number), graph.plan.kernel_of(node)
    graph.instruct(kernel, "scale_slopes", row)
    if graph.deliver(number, 0):
        is_measured = graph.plan.trains and not node.is_frozen
        if node.options[0] == "batch" and is_measured:
            graph.instruct_columns(kernel, "find_sums", row)
        graph.instruct(kernel, "backward", row)


def add_units(graph, number, node):
    """The intercepts, and the scale."""
    kernel = graph.plan.kernel_of(node)
    cost = ROWS_OF_A_VECTOR, ROWS_OF_A_VECTOR * UPDATE_COST
    names = ("intercept_gradient", "scale_gradient")
    for tensor in range(1 if node.options[0] is None else 2):
        graph.add_vector(number, tensor, kernel.address(names[tensor]), cost)
