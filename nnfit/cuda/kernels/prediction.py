"""Rows through a network that is not trained: each block takes rows of its own.

Blocks do not wait for each other, so there may be any number of them. They read weights
from the second-level cache, which all blocks share.
"""

from nnfit.cuda import fields as at
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.batches import Batch, make_batches, make_random
from nnfit.cuda.kernels.functions import make_link
from nnfit.cuda.kernels.layers import make_find_row_losses, make_finish, make_layers
from nnfit.cuda.kernels.normalization import make_normalization
from nnfit.cuda.kernels.pointers import offset
from nnfit.cuda.kernels.threads import make_memory, make_threads
from nnfit.cuda.modules import Kernels


def prediction(cuda, text, *functions):
    """Kernel `predict` or, for a kind with a loss, `evaluate`.

    Parameters
    ----------
    cuda : module
        `numba.cuda`, or what stands for it.
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
    finishing = make_finish(cuda, threads, kind, make_random(cuda))
    layers = make_layers(cuda, threads, kind, finishing)
    activate = _make_activate(cuda, threads, kind, finishing)
    device, rows_each, gathers = cuda.jit(device=True), kind.tile.rows, kind.gathers

    @device
    def batch_at(m, net, n_rows, position):
        longs = m.longs
        total = m.doubles[longs[net + at.FLOATS] + at.TOTAL_WEIGHT]
        return Batch(
            position, n_rows, longs[net + at.STEP], longs[net + at.FIRST_EPOCH],
            n_rows * 0, total, 1.0, n_rows * 0,
        )  # fmt: skip

    @device
    def pass_rows(m, net, now, begin, end):
        """Rows begin to end through all layers."""
        if gathers:
            batches.gather(m, net, now, begin, end, 0, 1)
            cuda.syncthreads()
        for index in range(m.longs[net + at.N_LAYERS]):
            layers.forward(m, net, index, begin, end, now, 0, 1)
            cuda.syncthreads()
            activate(m, net, index, begin, end, now)
            cuda.syncthreads()

    if kind.loss is not None:
        find_row_losses = make_find_row_losses(cuda, threads, kind, batches)

        def evaluate(floats, doubles, longs, ints, net, n_rows, position):
            """Raw predictions of rows, and their losses times their weights."""
            m = memory(floats, doubles, longs, ints)
            begin = cuda.blockIdx.x * rows_each
            end = min(begin + rows_each, n_rows)
            now = batch_at(m, net, n_rows, position)
            pass_rows(m, net, now, begin, end)
            find_row_losses(m, net, now, begin, end, 0, 1)

        return Kernels(kind.dtype, {"evaluate": (evaluate, 3)})

    link, n_threads, number = (
        make_link(cuda, kind.dtype, kind.link),
        threads.n_threads,
        threads.number,
    )

    def predict(floats, doubles, longs, ints, net, n_rows, position):
        """Predictions of rows, in the place of the last layer's output."""
        m = memory(floats, doubles, longs, ints)
        begin = cuda.blockIdx.x * rows_each
        end = min(begin + rows_each, n_rows)
        pass_rows(m, net, batch_at(m, net, n_rows, position), begin, end)
        n = longs[net + at.N_OUTPUTS]
        last = net + at.HEADER + (longs[net + at.N_LAYERS] - 1) * at.LAYER
        for r in range(begin + number(), end, n_threads):
            place = longs[last + at.OUTPUT] + r * n
            link(offset(m.floats, place), offset(m.floats, place), n)

    return Kernels(kind.dtype, {"predict": (predict, 3)})


def _make_activate(cuda, threads, kind, finishing):
    """Build what finishes layers whose z is kept, and leaves others alone."""
    if not kind.is_staged:

        @cuda.jit(device=True)
        def activate(m, net, index, begin, end, now):
            pass

        return activate
    phase = make_normalization(cuda, threads, kind, finishing).activate

    @cuda.jit(device=True)
    def activate(m, net, index, begin, end, now):
        layer = net + at.HEADER + index * at.LAYER
        if m.longs[layer + at.STAGED] != 0:
            phase(m, net, index, begin, end, now, 0, 1)

    return activate
