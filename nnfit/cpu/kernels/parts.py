"""Sums of the way back over parts of a batch, for tensors with a line for each member.

What only the way back reads is summed up there, while it is in the cache: gradients of
units would read it once more from memory. A part is some rows, the same ones for any
number of threads, and belongs to one of them. Of a large batch, so many rows are worked
on at a time (`nnfit.cpu.training_plans`) that these parts are whole.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.operations import make_begin_sum, make_line
from nnfit.cpu.kernels.pointers import offset


def make_sum_line(dtype):
    """Make ``sum_line(row, tensor, part, member)``: a member's sums over a part."""
    line = make_line(dtype)

    @helper
    def sum_line(row, tensor, part, member):
        return line(row[at.SUMS + tensor], row[at.WIDTH], part * row[at.LINES] + member)

    return sum_line


def make_add(dtype):
    """Make ``add(row, i, member, a)``: add n_out numbers to the second tensor's sums.

    They are of row i of the batch; the first row of a part begins them.
    """
    sum_line = make_sum_line(dtype)

    @helper
    def add(row, i, member, a):
        goal = sum_line(row, 1, i // row[at.PART], member)
        if i % row[at.PART] == 0:
            for j in range(row[at.N_OUT]):
                goal[j] = a[j]
        else:
            for j in range(row[at.N_OUT]):
                goal[j] += a[j]

    return add


def make_add_product(dtype):
    """Make ``add_product(row, i, member, a, b)``: ``a * b`` for the first tensor."""
    sum_line = make_sum_line(dtype)

    @helper
    def add_product(row, i, member, a, b):
        goal = sum_line(row, 0, i // row[at.PART], member)
        if i % row[at.PART] == 0:
            for j in range(row[at.N_OUT]):
                goal[j] = a[j] * b[j]
        else:
            for j in range(row[at.N_OUT]):
                goal[j] += a[j] * b[j]

    return add_product


def make_sum_of_parts(dtype):
    """Make ``sum_of_parts``, the gradient of some members' lines of a tensor."""
    sum_line, begin_sum = make_sum_line(dtype), make_begin_sum(dtype)

    def sum_of_parts(table, row, unit, batch, goal):
        """goal (members, width) = sum over the parts of the batch, in their order."""
        n_out, of_part = row[at.N_OUT], row[at.PART] * row[at.LINES]
        begin_sum(table, goal, unit[at.U_SIZE])
        for part in range((batch + of_part - 1) // of_part):
            for i in range(unit[at.U_ROWS]):
                of_member = offset(goal, i * row[at.WIDTH])
                sums = sum_line(row, unit[at.U_COLUMN], part, unit[at.U_FIRST] + i)
                for j in range(n_out):
                    of_member[j] += sums[j]

    return sum_of_parts
