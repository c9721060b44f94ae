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
from nnfit.cuda.kernels.batches import make_batches, make_random
from nnfit.cuda.kernels.functions import make_optimizer
from nnfit.cuda.kernels.layers import make_find_row_losses, make_finish, make_layers
from nnfit.cuda.kernels.muon import make_muon
from nnfit.cuda.kernels.normalization import make_normalization
from nnfit.cuda.kernels.progress import make_progress
from nnfit.cuda.kernels.threads import make_memory, make_threads
from nnfit.cuda.kernels.updates import make_parameters, make_updates
from nnfit.cuda.kernels.whole_update import make_whole_update
from nnfit.cuda.modules import Kernels
from nnfit.functions.normalization import STATISTICS_MOMENTUM
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
    threads = make_threads(cuda, kind.tile.n_threads)
    memory = make_memory(cuda, kind)
    batches = make_batches(cuda, threads, kind)
    optimizer = make_optimizer(cuda, kind.dtype, kind.solver)
    progress = make_progress(cuda, threads, kind, optimizer)
    parameters = make_parameters(cuda, threads, kind)
    updates = make_updates(cuda, threads, kind, optimizer, parameters)
    finishing = make_finish(cuda, threads, kind, make_random(cuda))
    layers = make_layers(cuda, threads, kind, finishing)
    find_row_losses = make_find_row_losses(cuda, threads, kind, batches)
    run_normalization = _make_run_normalization(cuda, threads, kind, finishing)
    run_muon = _make_run_muon(cuda, threads, kind)
    run_whole = _make_run_whole(
        cuda, threads, kind, optimizer, parameters, updates, run_muon
    )
    device, barrier = cuda.jit(device=True), threads.barrier

    @device
    def run_with_weight(m, net, operation, argument, now, block, n_blocks):
        """Run an operation that a batch without weight leaves out."""
        if operation == at.FORWARD:
            layers.forward(m, net, argument, 0, now.size, now, block, n_blocks)
        elif operation == at.FIND_ROW_LOSSES:
            find_row_losses(m, net, now, 0, now.size, block, n_blocks)
        elif operation == at.BACKWARD:
            layers.backward(m, net, argument, now, block, n_blocks)
        elif operation == at.UPDATE:
            updates.update(m, net, now, block, n_blocks)
        else:
            run_normalization(m, net, operation, argument, now, block, n_blocks)
            run_whole(m, net, operation, argument, now, block, n_blocks)

    @device
    def run(m, net, operation, argument, now, block, n_blocks):
        if operation == at.GATHER:
            this = now
            if argument == at.NEXT:
                this = batches.following(m, net, now)
            if this.weight_sum > 0.0:
                batches.gather(m, net, this, 0, this.size, block, n_blocks)
        elif operation == at.DERIVE:
            parity = (now.step + argument) % 2
            updates.derive(m, net, parity, block, n_blocks)
        elif operation == at.PREPARE:
            if block == n_blocks - 1 and threads.number() == threads.n_threads - 1:
                progress.prepare(m, net, now)
        elif operation == at.ACCOUNT:
            if block == n_blocks - 1:
                progress.account(m, net, now)
        elif operation == at.COLLECT:
            if block == n_blocks - 1:
                progress.collect(m, net, now)
        elif now.weight_sum > 0.0:
            run_with_weight(m, net, operation, argument, now, block, n_blocks)

    def train(floats, doubles, longs, ints, networks, n_blocks):
        """Train networks: `networks` is the address of their tables' addresses."""
        m = memory(floats, doubles, longs, ints)
        net = longs[networks + cuda.blockIdx.x // n_blocks]
        block = cuda.blockIdx.x % n_blocks
        count = longs[net + at.BARRIER]
        if progress.goes_on(m, net):
            now = batches.current(m, net)
            batches.gather(m, net, now, 0, now.size, block, n_blocks)
            updates.derive(m, net, now.step % 2, block, n_blocks)
            barrier(longs, count, n_blocks)
        while progress.goes_on(m, net):
            # Progress is written several barriers later, when all blocks have read it.
            now = batches.current(m, net)
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
            now = batches.current(m, net)
            cuda.syncthreads()  # all have read what the operation may write
            run(
                m, net, operation, argument, now, np.int64(cuda.blockIdx.x),
                np.int64(cuda.gridDim.x),
            )  # fmt: skip

    kernels = {"train": (train, 2), "run_operation": (run_operation, 3)}
    return Kernels(kind.dtype, {entry: kernels[entry]})


def _make_nothing(cuda):
    @cuda.jit(device=True)
    def run(m, net, operation, argument, now, block, n_blocks):
        pass

    return run


def _make_run_normalization(cuda, threads, kind, finishing):
    """Build `run` of the operations of layers whose z is kept."""
    if not kind.is_staged:
        return _make_nothing(cuda)
    phases = make_normalization(cuda, threads, kind, finishing)

    @cuda.jit(device=True)
    def momentum_of(m, net, now):
        """Part of the way from the running statistics to those of the batch."""
        longs, size = m.longs, np.float64(now.size)
        if longs[net + at.COLLECTING] != 0:
            known = m.doubles[longs[net + at.FLOATS] + at.COLLECTED]
            return size / (known + size)
        return STATISTICS_MOMENTUM * size / np.float64(longs[net + at.BATCH_SIZE])

    @cuda.jit(device=True)
    def run(m, net, operation, argument, now, block, n_blocks):
        if operation == at.FIND_STATISTICS:
            momentum = momentum_of(m, net, now)
            phases.find_statistics(m, net, argument, momentum, now, block, n_blocks)
        elif operation == at.ACTIVATE:
            phases.activate(m, net, argument, 0, now.size, now, block, n_blocks)
        elif operation == at.FIND_SUMS:
            phases.find_sums(m, net, argument, now, block, n_blocks)
        elif operation == at.BACK_TO_Z:
            phases.back_to_z(m, net, argument, now, block, n_blocks)

    return run


def _make_run_whole(cuda, threads, kind, optimizer, parameters, updates, run_muon):
    """Build `run` of the operations that need the whole gradient."""
    if not kind.updates_whole:
        return _make_nothing(cuda)
    phases = make_whole_update(cuda, threads, kind, optimizer, parameters)

    @cuda.jit(device=True)
    def run(m, net, operation, argument, now, block, n_blocks):
        if operation == at.FIND_GRADIENT:
            updates.find_gradient(m, net, now, block, n_blocks)
        elif operation == at.UPDATE_CLIPPED:
            phases.update_clipped(m, net, now, block, n_blocks)
        elif operation == at.BOUND:
            phases.bound(m, net, now, block, n_blocks)
        else:
            run_muon(m, net, operation, argument, now, block, n_blocks)

    return run


def _make_run_muon(cuda, threads, kind):
    """Build `run` of the operations on whole matrices."""
    if kind.solver is None or not OPTIMIZERS[kind.solver].matrices:
        return _make_nothing(cuda)
    muon = make_muon(cuda, threads, kind)

    @cuda.jit(device=True)
    def run(m, net, operation, argument, now, block, n_blocks):
        if operation == at.LOOK_AHEAD:
            muon.look_ahead(m, net, argument, now, block, n_blocks)
        elif operation == at.ORIENT:
            muon.orient(m, net, argument, now, block, n_blocks)
        elif operation == at.GRAM:
            muon.gram(m, net, argument, now, block, n_blocks)
        elif operation == at.SQUARE:
            muon.square(m, net, argument, now, block, n_blocks)
        elif operation == at.MULTIPLY:
            muon.multiply(m, net, argument, now, block, n_blocks)
        elif operation == at.UPDATE_MATRIX:
            muon.update(m, net, argument, now, block, n_blocks)

    return run
