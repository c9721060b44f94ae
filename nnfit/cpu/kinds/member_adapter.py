"""What a member has of its own behind a shared product: ``f(s * z + b)``, on the CPU.

Lines are those of `nnfit.cpu.kinds.members`.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kinds.members import add_lines, part_sums

#: Numbers of the layer's row.
U = at.AFTER_SUMS  # (lines, stride): s * z + b, in the place of slopes or of the output
ACTIVATION = U + 1  # address of its kernel, 0 for the identity
END = U + 2

#: Lines that are finished together: twice 16 kB of 512 units in single precision.
AT_ONCE = 8

#: Whether its way back is done with the input before it writes the gradient there.
frees_input = True
works_in_parts = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
    part_sums(graph, row, 2)
    graph.output(number)
    if plan.is_activated(node):
        plan.buffer(row + U, plan.n_rows * plan.words[row + at.STRIDE])
        plan.activation(row + ACTIVATION, node)
        # Slopes take the place of u, and the gradient by u that of slopes.
        plan.same(row + at.SLOPE, row + U)
        graph.gradient(number, row + U)
    else:
        plan.same(row + U, row + at.OUTPUT)
        graph.gradient(number)
    graph.instruct(plan.kernel_of(node), "forward", row)


def way_back(graph, number, node):
    """Sums for factors and intercepts, and the gradient by the inputs."""
    graph.deliver(number, 0)
    kernel = graph.plan.kernel_of(node)
    graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """Factors and intercepts."""
    gradient = graph.plan.kernel_of(node).address("sum_of_parts")
    for tensor in range(2):
        add_lines(graph, number, gradient, tensor)


def build(target, dtype):
    """Kernel of what members have of their own behind a product.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, and for the units `sum_of_parts`.
    """
    from nnfit.cpu.kernels.dense import make_activate
    from nnfit.cpu.kernels.lowering import helper, scalar_type
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_line,
        make_tensor_line,
    )
    from nnfit.cpu.kernels.parts import make_add, make_add_product, make_sum_of_parts

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line, activate = make_tensor_line(dtype), make_activate(dtype)
    add, add_product = make_add(dtype), make_add_product(dtype)
    zero = scalar_type(dtype)(0.0)

    @helper
    def adapt(table, row, r):
        """u = scale * z + intercept of a line; padding is that of 0."""
        edge, n_out, member = edge_of(row, 0), row[at.N_OUT], r % row[at.LINES]
        scale = tensor_line(table, row, 0, member)
        intercept = tensor_line(table, row, 1, member)
        z = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
        u = line(row[U], row[at.STRIDE], r)
        for j in range(n_out):
            u[j] = scale[j] * z[j] + intercept[j]
        for j in range(n_out, row[at.WIDTH]):
            u[j] = zero

    def forward(table, row, now, begin, count):
        """u, then output and slope, of a few lines at once."""
        for first in range(begin, begin + count, AT_ONCE):
            n = min(AT_ONCE, begin + count - first)
            for r in range(first, first + n):
                adapt(table, row, r)
            activate(row, row[ACTIVATION], row[U], row[at.OUTPUT], first, n)

    def backward(table, row, now, begin, count):
        """Sums of the gradient by u, * z and alone, and goal = scale * gradient."""
        edge, n_members, n_out = edge_of(row, 0), row[at.LINES], row[at.N_OUT]
        for member in range(n_members):
            scale = tensor_line(table, row, 0, member)
            for i in range(begin // n_members, (begin + count) // n_members):
                r = i * n_members + member
                z = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
                gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
                add_product(row, i, member, gradient, z)
                add(row, i, member, gradient)
                if edge[at.GOAL] != 0:
                    goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
                    for j in range(n_out):
                        goal[j] = scale[j] * gradient[j]
                    deliver(edge, r, n_out)

    return exports(
        dtype,
        operations=(forward, backward),
        gradients=(make_sum_of_parts(dtype),),
    )
