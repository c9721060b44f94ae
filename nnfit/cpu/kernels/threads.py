"""The barrier between the phases of a batch.

Every thread runs the same program; a barrier is a counter that all add to and
wait for, spinning shortly and then giving the processor away.
"""

from llvmlite import ir
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.memory import atomic_add, atomic_load

#: A barrier costs some 0.2 microseconds when all threads run; a thread that
#: waits much longer waits for one that does not, and should let it.
SPINS = 2000


def make_barrier(target):
    """Build ``wait_for_all(arrived, n_threads, passed)`` for a processor.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
        Its triple names the operating system, which has its own way to give the
        processor away.

    Returns
    -------
    wait_for_all : helper
        Waits until every thread is here and returns how many barriers this one
        has passed; `arrived` is a counter that is zero before the threads start.
    """
    name = "SwitchToThread" if "windows" in target.triple else "sched_yield"

    @intrinsic
    def give_way(typingctx):
        def codegen(context, builder, signature, arguments):
            module = builder.module
            if name not in module.globals:
                ir.Function(module, ir.FunctionType(ir.IntType(32), []), name)
            builder.call(module.globals[name], [])
            return context.get_dummy_value()

        return nb.void(), codegen

    @helper
    def wait_for_all(arrived, n_threads, passed):
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

    return wait_for_all
