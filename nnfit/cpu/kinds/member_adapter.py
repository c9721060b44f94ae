"""What a member has of its own behind a shared product: ``f(s * z + b)``, on the CPU.

Lines are those of `nnfit.cpu.kinds.members`.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kinds.members import add_lines

#: Numbers of the layer's row.
U = at.PRIVATE  # (lines, stride): s * z + b, in the place of slopes or of the output
ACTIVATION = U + 1  # address of its kernel, 0 for the identity
END = U + 2


def takes_entries(node):
    """Whether the layer can read the entries of a sparse matrix."""
    return False


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, row = graph.plan, graph.new_row(number, END)
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
    """Gradient by the inputs, if anything learns from it."""
    if graph.deliver(number, 0):
        kernel = graph.plan.kernel_of(node)
        graph.instruct(kernel, "backward", graph.row_of(number))


def add_units(graph, number, node):
    """Factors and intercepts."""
    kernel = graph.plan.kernel_of(node)
    names = "scale_gradient", "intercept_gradient"
    add_lines(graph, number, [kernel.address(name) for name in names])


def build(target, dtype):
    """Kernel of what members have of their own behind a product.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, and for the units `scale_gradient` and
        `intercept_gradient`.
    """
    from nnfit.cpu.kernels.dense import make_activate
    from nnfit.cpu.kernels.lowering import scalar_type
    from nnfit.cpu.kernels.operations import (
        edge_of,
        exports,
        make_deliver,
        make_line,
        make_tensor_line,
    )
    from nnfit.cpu.kernels.pointers import offset
    from nnfit.cpu.kinds.members import make_line_sums

    line, deliver = make_line(dtype), make_deliver(dtype)
    tensor_line, activate = make_tensor_line(dtype), make_activate(dtype)
    zero = scalar_type(dtype)(0.0)

    def forward(table, row, now, begin, count):
        """u = scale * z + intercept, then output and slope; padding is that of 0."""
        edge, n_out = edge_of(row, 0), row[at.N_OUT]
        for r in range(begin, begin + count):
            member = r % row[at.LINES]
            scale = tensor_line(table, row, 0, member)
            intercept = tensor_line(table, row, 1, member)
            z = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
            u = line(row[U], row[at.STRIDE], r)
            for j in range(n_out):
                u[j] = scale[j] * z[j] + intercept[j]
            for j in range(n_out, row[at.WIDTH]):
                u[j] = zero
        activate(row, row[ACTIVATION], row[U], row[at.OUTPUT], begin, count)

    def backward(table, row, now, begin, count):
        """goal = scale * gradient by u."""
        edge, n_out = edge_of(row, 0), row[at.N_OUT]
        for r in range(begin, begin + count):
            scale = tensor_line(table, row, 0, r % row[at.LINES])
            gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
            goal = line(edge[at.GOAL], edge[at.GOAL_STRIDE], r)
            for j in range(n_out):
                goal[j] = scale[j] * gradient[j]
            deliver(edge, r, n_out)

    def scale_gradient(table, row, unit, batch, goal):
        """goal (members, width) = sum over the rows of gradient by u times z."""
        edge = edge_of(row, 0)
        for j in range(unit[at.U_SIZE]):
            goal[j] = zero
        for begin in range(unit[at.U_FIRST], batch, row[at.LINES]):
            for i in range(unit[at.U_ROWS]):
                r, of_member = begin + i, offset(goal, i * row[at.WIDTH])
                z = line(edge[at.INPUT], edge[at.INPUT_STRIDE], r)
                gradient = line(row[at.GRADIENT_BY_OUTPUT], row[at.GRADIENT_STRIDE], r)
                for j in range(row[at.N_OUT]):
                    of_member[j] += gradient[j] * z[j]

    intercept_gradient = make_line_sums(dtype)

    return exports(
        dtype,
        operations=(forward, backward),
        gradients=(scale_gradient, intercept_gradient),
    )
