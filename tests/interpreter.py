"""The interpreter of programs by itself, for tests of operations without a training."""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.pointers import INT64_POINTER
from nnfit.cpu.kernels.program import make_program

BUILDER = f"{__name__}:interpreter"


def interpreter(target, dtype):
    """Kernel with ``run(table, now, shared, thread, n_threads) -> passed``.

    All segments of a table, once; returns how many barriers were passed.
    """
    program = make_program(target)

    def run(table, now, shared, thread, n_threads):
        last = table[at.N_SEGMENTS]
        return program.run(table, 0, last, now, shared, thread, n_threads, 0, True)

    arguments = INT64_POINTER, nb.int64, INT64_POINTER, nb.int64, nb.int64
    return {"run": (run, nb.int64(*arguments))}
