"""Raw predictions of a row's members as one, in predictions and evaluations."""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import specialise
from nnfit.cpu.kernels.operations import edge_of, exports, make_line
from nnfit.cpu.kernels.vector_maths import IMPLEMENTATIONS
from nnfit.functions.pools import POOLS

#: Number of the row: how many members there are.
N_MEMBERS = at.PRIVATE


def pool(target, name, dtype):
    """Kernel ``pool``: output (count, n_out) of input (count * n_members, n_out).

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    name : str
        Key of `nnfit.functions.pools.POOLS`.
    dtype : {"float32", "float64"}
    """
    pool_row = specialise(POOLS[name], dtype, IMPLEMENTATIONS[dtype])
    line = make_line(dtype)

    def pool(table, row, now, begin, count):
        edge, n_members, n_out = edge_of(row, 0), row[N_MEMBERS], row[at.N_OUT]
        stride = edge[at.INPUT_STRIDE]
        for r in range(begin, begin + count):
            members = line(edge[at.INPUT], stride, r * n_members)
            output = line(row[at.OUTPUT], row[at.STRIDE], r)
            pool_row(members, stride, output, n_members, n_out)

    return exports(dtype, operations=(pool,))
