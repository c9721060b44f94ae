"""The interpreter of a program: segments of instructions, shared out to threads.

What a batch consists of is data that `nnfit.cpu.programs` writes. A thread carries out
all instructions of a segment on a block of its share before it takes the next block, so
that the block stays in its cache.
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.operations import OPERATION, batch_of, weight_sum_of
from nnfit.cpu.kernels.pointers import as_int64, caller, offset
from nnfit.cpu.kernels.threads import make_barrier

Program = namedtuple("Program", "run run_block")


def make_program(target):
    """Build the interpreter for a processor.

    Parameters
    ----------
    target : nnfit.cpu.target.Target

    Returns
    -------
    program : Program
        Helpers for compiled code.
    """
    barrier = make_barrier(target)
    call = caller(nb.void, *OPERATION)

    @helper
    def run_block(table, segment, now, begin, count):
        """All instructions of a segment on a block; of rows, on all their lines."""
        of_rows = segment[at.SHARES] == at.EVENLY and segment[at.EXTENT] == 0
        for step in range(segment[at.BEGIN], segment[at.END], at.INSTRUCTION):
            row = offset(table, table[step + at.ROW])
            lines = row[at.LINES] if of_rows else 1
            place = begin * lines, count * lines
            call(table[step + at.FUNCTION], (table, row, now, *place))

    @helper
    def work_before(unit, batch):
        return unit[at.U_PER_ROW_BEFORE] * batch + unit[at.U_FIXED_BEFORE]

    @helper
    def first_unit(table, cost, batch):
        """First unit whose middle has so much work before it, in their order."""
        units = offset(table, table[at.UNITS])
        low, high = 0, table[at.N_UNITS]
        while low < high:
            middle = (low + high) // 2
            unit = offset(units, middle * at.UNIT)
            begin = work_before(unit, batch)
            end = work_before(offset(unit, at.UNIT), batch)
            if begin + end < 2 * cost:
                low = middle + 1
            else:
                high = middle
        return low

    @helper
    def begin_of(table, segment, batch, thread, n_threads):
        """Where a thread's share begins; that of the one after the last, its end."""
        shares, extent = segment[at.SHARES], segment[at.EXTENT]
        if shares == at.FIRST_THREAD:
            return 0 if thread == 0 else extent
        if shares == at.BY_COST:
            end = offset(table, table[at.UNITS] + table[at.N_UNITS] * at.UNIT)
            total = work_before(end, batch)
            return first_unit(table, total * thread // n_threads, batch)
        if extent == 0:
            extent = batch
        grain = segment[at.GRAIN]
        grains = (extent + grain - 1) // grain
        return min(extent, grains * thread // n_threads * grain)

    @helper
    def run(table, first, last, now, shared, thread, n_threads, passed, counts):
        """Segments first to last; returns how many barriers were passed.

        A batch without weight has only those that always run. Whether waiting at the
        last barrier counts is `counts`, see `nnfit.cpu.kernels.threads`.
        """
        batch, has_weight = batch_of(now), weight_sum_of(now) > 0.0
        for number in range(first, last):
            segment = offset(table, table[at.SEGMENTS] + number * at.SEGMENT)
            if has_weight or segment[at.ALWAYS] != 0:
                begin = begin_of(table, segment, batch, thread, n_threads)
                end = begin_of(table, segment, batch, thread + 1, n_threads)
                block = segment[at.BLOCK]
                while begin < end:
                    count = min(block, end - begin)
                    run_block(table, segment, now, begin, count)
                    begin += count
            if segment[at.WAITS] != 0:
                passed = barrier.wait_for_all(
                    shared, thread, n_threads, passed, counts or number + 1 < last
                )
        return passed

    return Program(run, run_block)


@helper
def record_of(table, thread):
    """Address of what a thread knows of its batch."""
    return table[at.NOW] + 8 * at.NOW_FIELDS * thread


@helper
def set_position(now, position, batch, step):
    """Write down which rows of the epoch's order a batch has."""
    record = as_int64(now)
    record[at.POSITION] = position
    record[at.BATCH] = batch
    record[at.NOW_STEP] = step


@helper
def set_part(now, position, count):
    """Write down which rows of a batch are worked on next."""
    record = as_int64(now)
    record[at.POSITION] = position
    record[at.BATCH] = count
