"""Rows through a network that is not trained: each block takes rows of its own.

Blocks do not wait for each other, so there may be any number of them. They read weights
from the second-level cache, which all blocks share.
"""

from nnfit.cuda import fields as at
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.batches import Batch
from nnfit.cuda.kernels.building import make_build, make_operations
from nnfit.cuda.kernels.choice import make_choice
from nnfit.cuda.kernels.functions import make_link
from nnfit.cuda.kernels.losses import make_find_row_losses
from nnfit.cuda.kernels.pointers import offset
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
    build = make_build(cuda, kind)
    make = _make_predict if kind.loss is None else _make_evaluate
    return Kernels(kind.dtype, make(build, _make_pass_rows(build)))


def _make_pass_rows(build):
    """Build what passes a block's rows through all layers; returns their batch."""
    cuda, kind = build.cuda, build.kind
    rows_each, gathers, gather = kind.tile.rows, kind.gathers, build.batches.gather
    run = make_choice(cuda, make_operations(build))

    @build.device
    def batch_at(m, net, n_rows, position):
        longs = m.longs
        begin = cuda.blockIdx.x * rows_each
        end = min(begin + rows_each, n_rows)
        total = m.doubles[longs[net + at.FLOATS] + at.TOTAL_WEIGHT]
        return Batch(
            position, n_rows, begin, end, longs[net + at.STEP],
            longs[net + at.FIRST_EPOCH], n_rows * 0, total, 1.0, n_rows * 0,
        )  # fmt: skip

    @build.device
    def pass_rows(m, net, n_rows, position):
        longs, now = m.longs, batch_at(m, net, n_rows, position)
        if gathers:
            gather(m, net, now, 0, 1)
            cuda.syncthreads()
        phase = longs[net + at.PHASES]
        for _ in range(longs[net + at.N_PHASES]):
            run(
                longs[phase + at.OPERATION],
                m,
                net,
                longs[phase + at.ARGUMENT],
                now,
                0,
                1,
            )
            cuda.syncthreads()
            phase += at.PHASE_FIELDS
        return now

    return pass_rows


def _make_evaluate(build, pass_rows):
    memory = build.memory
    find_row_losses = make_find_row_losses(
        build.cuda, build.threads, build.kind, build.batches
    )

    def evaluate(floats, doubles, longs, ints, net, n_rows, position):
        """Raw predictions of rows, and their losses times their weights."""
        m = memory(floats, doubles, longs, ints)
        now = pass_rows(m, net, n_rows, position)
        find_row_losses(m, net, 0, now, 0, 1)

    return {"evaluate": (evaluate, 3)}


def _make_predict(build, pass_rows):
    memory, threads = build.memory, build.threads
    link = make_link(build.cuda, build.kind.dtype, build.kind.link)
    n_threads, number = threads.n_threads, threads.number

    def predict(floats, doubles, longs, ints, net, n_rows, position):
        """Predictions of rows, in the place of the raw ones."""
        m = memory(floats, doubles, longs, ints)
        now = pass_rows(m, net, n_rows, position)
        n, stride = longs[net + at.N_OUTPUTS], longs[net + at.RAW_STRIDE]
        for r in range(now.begin + number(), now.end, n_threads):
            raw = offset(m.floats, longs[net + at.RAW] + r * stride)
            link(raw, raw, n)

    return {"predict": (predict, 3)}
