"""Training: the phases of a batch one after the other, on one or several blocks.

What a batch consists of is data: a list of phases, see `nnfit.cuda.phases`. It is
run in two ways.

`train`
    Many batches of one or many networks in one launch. Each network has a number of
    blocks of its own, which wait for each other after a phase.
`run_operation`
    One phase of one network, on as many blocks as there are tiles. This is for layers
    so large that a launch for each phase costs nothing.
"""

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.building import (
    changes_by_lines,
    make_build,
    make_gradients,
    make_operations,
    make_sizes,
    make_steps,
)
from nnfit.cuda.kernels.choice import make_choice
from nnfit.cuda.kernels.functions import make_optimizer
from nnfit.cuda.kernels.losses import make_find_row_losses
from nnfit.cuda.kernels.muon import make_muon
from nnfit.cuda.kernels.progress import make_progress
from nnfit.cuda.kernels.updates import make_average_lines, make_updates
from nnfit.cuda.kernels.whole_update import make_whole_update
from nnfit.cuda.modules import Kernels
from nnfit.functions.optimizers import OPTIMIZERS


def training(cuda, entry, text, *functions):
    """Kernel `train` or `run_operation`.

    Parameters
    ----------
    cuda : module
        `numba.cuda`, or what stands for it.
    entry : {"train", "run_operation"}
    text, functions
        What `Kind.encoded` returns.

    Returns
    -------
    kernels : nnfit.cuda.modules.Kernels
    """
    kind = Kind.decode(text, functions)
    build = make_build(cuda, kind)
    optimizer = make_optimizer(cuda, kind.dtype, kind.solver)
    progress = make_progress(cuda, build.threads, kind, optimizer)
    updates = make_updates(build, optimizer, make_gradients, make_sizes)
    gather, derive = _make_gather(build), updates.derive
    always = {
        at.GATHER: gather,
        at.PREPARE: progress.prepare,
        at.DERIVE: derive,
        at.ACCOUNT: progress.account,
        at.COLLECT: progress.collect,
    }
    run_always = make_choice(cuda, always)
    run_with_weight = make_choice(cuda, _with_weight(build, optimizer, updates))
    memory, barrier, current = (
        build.memory,
        build.threads.barrier,
        build.batches.current,
    )

    @build.device
    def run(m, net, operation, argument, now, block, n_blocks):
        """Run an operation; a batch without weight leaves most of them out."""
        run_always(operation, m, net, argument, now, block, n_blocks)
        if now.weight_sum > 0.0:
            run_with_weight(operation, m, net, argument, now, block, n_blocks)

    def train(floats, doubles, longs, ints, networks, n_blocks):
        """Train networks: `networks` is the address of their tables' addresses."""
        m = memory(floats, doubles, longs, ints)
        net = longs[networks + cuda.blockIdx.x // n_blocks]
        block = cuda.blockIdx.x % n_blocks
        count = longs[net + at.BARRIER]
        if progress.goes_on(m, net):
            now = current(m, net)
            gather(m, net, np.int64(at.CURRENT), now, block, n_blocks)
            derive(m, net, np.int64(0), now, block, n_blocks)
            barrier(longs, count, n_blocks)
        while progress.goes_on(m, net):
            # Progress is written several barriers later, when all blocks have read it.
            now = current(m, net)
            phase = longs[net + at.PHASES]
            for _ in range(longs[net + at.N_PHASES]):
                operation, argument = (
                    longs[phase + at.OPERATION],
                    longs[phase + at.ARGUMENT],
                )
                run(m, net, operation, argument, now, block, n_blocks)
                if longs[phase + at.WAITS] != 0:
                    barrier(longs, count, n_blocks)
                phase += at.PHASE_FIELDS

    def run_operation(floats, doubles, longs, ints, net, operation, argument):
        """One operation of the batch that progress has come to."""
        m = memory(floats, doubles, longs, ints)
        if progress.goes_on(m, net):
            now = current(m, net)
            cuda.syncthreads()  # all have read what the operation may write
            run(
                m, net, operation, argument, now, np.int64(cuda.blockIdx.x),
                np.int64(cuda.gridDim.x),
            )  # fmt: skip

    kernels = {"train": (train, 2), "run_operation": (run_operation, 3)}
    return Kernels(kind.dtype, {entry: kernels[entry]})


def _make_gather(build):
    """Build the phase that copies the rows of this batch, or of the next one."""
    batches = build.batches

    @build.device
    def gather(m, net, argument, now, block, n_blocks):
        this = now
        if argument == at.NEXT:
            this = batches.following(m, net, now)
        if this.weight_sum > 0.0:
            batches.gather(m, net, this, block, n_blocks)

    return gather


def _with_weight(build, optimizer, updates):
    """Operations that a batch without weight leaves out, by number."""
    cuda, threads, kind = build.cuda, build.threads, build.kind
    find_row_losses = make_find_row_losses(cuda, threads, kind, build.batches)
    found = {at.FIND_ROW_LOSSES: find_row_losses, **make_operations(build)}
    if kind.averages and changes_by_lines(kind):
        found[at.AVERAGE_LINES] = make_average_lines(build)
    if not kind.updates_whole:
        return {**found, at.UPDATE: updates.update}
    whole = make_whole_update(build, optimizer, make_steps)
    found |= {
        at.FIND_GRADIENT: updates.find_gradient,
        at.UPDATE_CLIPPED: whole.update_clipped,
        at.BOUND: whole.bound,
    }
    if kind.solver is not None and OPTIMIZERS[kind.solver].matrices:
        muon = make_muon(build)
        found |= {
            at.LOOK_AHEAD: muon.look_ahead,
            at.ORIENT: muon.orient,
            at.GRAM: muon.gram,
            at.SQUARE: muon.square,
            at.MULTIPLY: muon.multiply,
            at.UPDATE_MATRIX: muon.update,
        }
    return found
