"""The barrier between the phases of a batch, and when one thread is better.

Every thread runs the same program. A barrier is a counter: each thread adds to it and
waits for the others, first in a loop, then giving the processor away. Beside other
work a thread may wait for one that has no processor: with more threads than processors
an epoch of 'small' took 50 times as long as on one thread. So each thread measures how
long it waits. If waiting takes more time than the threads save, one of them asks all
but thread 0 to leave. Results do not depend on the number of threads.
"""

from collections import namedtuple

from llvmlite import ir
from numba.core import cgutils
from numba.core import types as nb
from numba.extending import intrinsic

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.pointers import atomic_add, atomic_load, atomic_store, offset

#: Turns of waiting before a thread gives its processor away. A barrier costs some 0.2
#: microseconds when all threads run; after much longer, one of them has no processor.
SPINS = 2000

Barrier = namedtuple("Barrier", "begin_watch wait_for_all number_now watch")


def make_barrier(target):
    """Build what keeps threads in step, for a processor.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
        Its triple names the operating system, which has its own clock and its own
        way to give the processor away.

    Returns
    -------
    barrier : Barrier
        Helpers for compiled code. They share the block of int64 at `at.SHARED`:
        a cache line for all, then one for each thread.
    """
    give_way = make_give_way(target)
    clock = make_clock(target)

    @helper
    def own_line(shared, thread):
        return offset(shared, (thread + 1) * at.SHARED_LINE)

    @helper
    def begin_watch(shared, thread):
        """Begin to count how long a thread waits."""
        line = own_line(shared, thread)
        line[at.WAITED] = line[at.FROM] = 0
        line[at.SINCE] = clock()

    @helper
    def wait_for_all(shared, thread, n_threads, passed, counts):
        """Wait until every thread is here; return how many barriers were passed.

        With `counts` the wait is one for other threads. Without, it is for work that
        thread 0 does for all, and `watch` leaves it out.
        """
        passed += 1
        if n_threads == 1:
            return passed
        arrived, aborted = offset(shared, at.ARRIVED), offset(shared, at.ABORTED)
        goal = passed * n_threads
        if atomic_add(arrived, 1) + 1 < goal:
            started, spins = clock(), 0
            while atomic_load(arrived) < goal and atomic_load(aborted) == 0:
                spins += 1
                if spins > SPINS:
                    give_way()
            if counts:
                own_line(shared, thread)[at.WAITED] += clock() - started
        return passed

    @helper
    def number_now(shared, n_threads, batch):
        """Number of threads for a batch; the same on every thread.

        A request to leave was written at least one whole batch ago, so all threads
        have seen it.
        """
        alone_from = atomic_load(offset(shared, at.ALONE_FROM))
        return n_threads if alone_from == 0 or batch < alone_from else 1

    @helper
    def watch(shared, thread, n_threads, batch, patience):
        """After a batch: ask all threads but thread 0 to leave if threads do not pay.

        If n threads wait a share w of their time, they do the work of n (1 - w) threads
        that never wait; that should be 1.3 at least. The decision needs `patience`, in
        ticks of the clock, and the time of four batches of waiting. Otherwise one
        interruption could end the threads of a large network.
        """
        line = own_line(shared, thread)
        waited = line[at.WAITED]
        if n_threads == 1 or waited < patience:
            return
        now = clock()
        elapsed, batches = now - line[at.SINCE], batch + 1 - line[at.FROM]
        alone_from = offset(shared, at.ALONE_FROM)
        useless = 10 * n_threads * (elapsed - waited) < 13 * elapsed
        if useless and waited * batches > 4 * elapsed:
            # Two threads that ask in the same batch write the same number.
            if atomic_load(alone_from) == 0:
                atomic_store(alone_from, batch + 2)
        elif elapsed > 5 * patience and batches > 16:
            line[at.WAITED] = 0
            line[at.SINCE] = now
            line[at.FROM] = batch + 1

    return Barrier(begin_watch, wait_for_all, number_now, watch)


def make_give_way(target):
    """Make ``give_way()``: let another thread have this processor."""
    name = "SwitchToThread" if "windows" in target.triple else "sched_yield"

    @intrinsic
    def give_way(typingctx):
        def codegen(context, builder, signature, arguments):
            builder.call(_declare(builder, name, []), [])
            return context.get_dummy_value()

        return nb.void(), codegen

    return give_way


def make_clock(target):
    """Make ``clock()``, an int64 that counts as ``time.perf_counter`` does.

    Nanoseconds, on Windows ticks of the performance counter.
    """
    windows = "windows" in target.triple
    monotonic = 6 if "apple" in target.triple or "darwin" in target.triple else 1
    word = ir.IntType(64)

    @intrinsic
    def clock(typingctx):
        def codegen(context, builder, signature, arguments):
            time = cgutils.alloca_once(builder, ir.ArrayType(word, 2))
            first = builder.bitcast(time, word.as_pointer())
            if windows:
                function = _declare(
                    builder, "QueryPerformanceCounter", [word.as_pointer()]
                )
                builder.call(function, [first])
                return builder.load(first)
            function = _declare(
                builder, "clock_gettime", [ir.IntType(32), word.as_pointer()]
            )
            builder.call(function, [ir.IntType(32)(monotonic), first])
            seconds = builder.load(first)
            nanoseconds = builder.load(builder.gep(first, [word(1)]))
            return builder.add(builder.mul(seconds, word(10**9)), nanoseconds)

        return nb.int64(), codegen

    return clock


def _declare(builder, name, arguments):
    """A function of the C library, or of the system, that returns an int."""
    module = builder.module
    if name not in module.globals:
        ir.Function(module, ir.FunctionType(ir.IntType(32), arguments), name)
    return module.globals[name]
