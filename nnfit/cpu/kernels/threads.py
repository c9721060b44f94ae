"""The barrier between the phases of a batch.

Every thread runs the same program; a barrier is a counter that all add to and
wait for, spinning shortly and then giving the processor away.
"""

import sys

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.memory import atomic_add, atomic_load

#: A barrier costs some 0.2 microseconds when all threads run; a thread that
#: waits much longer waits for one that does not, and should let it.
SPINS = 2000

_YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"


@intrinsic
def give_way(typingctx):
    """Let the system run another thread."""

    def codegen(context, builder, signature, arguments):
        module = builder.module
        if _YIELD not in module.globals:
            ir.Function(module, ir.FunctionType(ir.IntType(32), []), _YIELD)
        builder.call(module.globals[_YIELD], [])
        return context.get_dummy_value()

    return nb.void(), codegen


@helper
def wait_for_all(arrived, n_threads, passed):
    """Wait until every thread is here; returns the number of barriers passed.

    Parameters
    ----------
    arrived : int64 pointer
        Counter shared by the threads, zero before they start.
    n_threads : int
    passed : int
        Barriers that this thread has passed before.
    """
    passed += 1
    if n_threads == 1:
        return passed
    goal = passed * n_threads
    if atomic_add(arrived, 1) + 1 < goal:
        spins = 0
        while atomic_load(arrived) < goal:
            spins += 1
            if spins > SPINS:
                give_way()
    return passed
