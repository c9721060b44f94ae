"""The kernels of training by themselves: microseconds, share of what the GPU reaches.

Where a network trains in one launch, the list of a batch's phases is data, so a phase
is timed by a list that has it several times more. Where each phase has a launch, that
is put into the stream again and again.
"""

import math
import time
from itertools import pairwise

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.engine import Engine, run_together
from nnfit.cuda.operations import kinds_of, operations_of
from nnfit.cuda.phases import Phase
from nnfit.cuda.space import index_of
from nnfit.engine_settings import EngineSettings
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network import Network, Weights

from ..shapes import SHAPES, shapes_for
from .peaks import MEASUREMENTS, SECONDS, Peaks, seconds_of

#: How many times more a phase is run to see what it takes.
MORE = 8
#: Batches of an epoch.
BATCHES = 4
NAMES = {
    at.GATHER: "gather", at.FIND_ROW_LOSSES: "loss", at.UPDATE: "gradient and update",
    at.FIND_GRADIENT: "gradient", at.UPDATE_CLIPPED: "elementwise update",
}  # fmt: skip


def make_engine(sizes, batch, engine=Engine, **changes):
    """An engine, of the GPU or of another class, with random rows and weights.

    Adam, ReLU and softmax, in float32.
    """
    hidden = [ACTIVATIONS["relu"]] * (len(sizes) - 2)
    network = Network.dense(sizes, hidden, LOSSES["softmax"], (0.0,), "float32")
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.standard_normal(shape, dtype=np.float32)

    pairs = list(pairwise(sizes))
    coefs = [normal(a, b) / np.float32(math.sqrt(a)) for a, b in pairs]
    n_rows = BATCHES * batch
    y = random.integers(0, sizes[-1], (n_rows, 1)).astype(np.float32)
    engine = engine(network, OPTIMIZERS["adam"])
    engine.set_weights(Weights(coefs, [normal(b) for _, b in pairs], []))
    engine.set_data(normal(n_rows, sizes[0]), y)
    settings = dict(
        batch_size=batch,
        shuffle=False,
        seed=0,
        alpha=0.0,
        weight_decay=0.0,
        # Phases are repeated with the gradient of one, and nothing shall diverge.
        learning_rate_init=1e-7,
        schedule="constant",
        power_t=0.5,
        hyper=(0.9, 0.999, 1e-8),
        tol=0.0,
        n_iter_no_change=2**40,
        monitor_loss=False,
    )
    engine.configure(EngineSettings(**{**settings, **changes}))
    return engine


def product_of(engine, phase):
    """Name of a product and its layer; None and 0 of another phase."""
    numbers = operations_of(kinds_of(engine.network))
    names = {number: name for (_, name), number in numbers.items()}
    if phase.operation not in names:
        return None, 0
    rows = engine._tables.graph.rows  # the first is that of the features
    return names[phase.operation], rows.index(phase.argument) - 1


def nothing(engine):
    """A phase without an operation: barrier and reading of the list are left."""
    return Phase(at.N_STAGES + len(operations_of(kinds_of(engine.network))))


def cost(engine, phase, sizes, batch):
    """Operations of a phase, and bytes that it reads and writes at least."""
    pairs = list(pairwise(sizes))
    weights = sum(a * b for a, b in pairs)
    product, layer = product_of(engine, phase)
    if product is not None:
        n_in, n_out = pairs[layer]
        # Outputs have slopes; gradients are multiplied by them.
        wide = n_out if product == "forward" else n_in
        moved = batch * (n_in + n_out) + n_in * n_out + batch * wide
        return 2 * batch * n_in * n_out, 4 * moved
    rows = batch * sum(a + b for a, b in pairs)
    if phase.operation == at.UPDATE:  # and the parameters and both moments, twice each
        return 2 * batch * weights, 4 * (rows + 6 * weights)
    if phase.operation == at.FIND_GRADIENT:
        return 2 * batch * weights, 4 * (rows + weights)
    if phase.operation == at.UPDATE_CLIPPED:
        return 0, 4 * 7 * weights
    if phase.operation == at.GATHER:
        return 0, 4 * 2 * batch * sizes[0]
    return 0, 0


class Timer:
    """Times of the phases of an engine's batch.

    Parameters
    ----------
    engine : nnfit.cuda.engine.Engine
    """

    def __init__(self, engine):
        self.engine, self.phases = engine, list(engine._tables.phases)
        # The last phase of a batch is the batch's end.
        self._n_batches = 1
        if engine.launches:
            engine._begin(2**40, engine._tables.max_batches)
            engine._launch_phases(engine._tables.address, self.phases[:-1])
            return
        while (taken := self._once(self.phases)) < SECONDS:
            most = engine._tables.max_batches
            more = self._n_batches * (2 if taken > SECONDS / 8 else 8)
            if self._n_batches == most:
                break
            self._n_batches = min(more, most)
        self._base = self._best(self.phases)

    def _once(self, phases):
        """Seconds of a launch of several batches, with these phases."""
        engine, table = self.engine, self.engine._tables
        fields = np.array(
            [tuple(phase)[: at.PHASE_FIELDS] for phase in phases], np.int64
        )
        self._list = engine.stream.upload(fields.ravel())
        table.ints[at.PHASES] = index_of(self._list)
        table.ints[at.N_PHASES] = len(phases)
        engine._begin(2**40, self._n_batches)
        engine.stream.synchronize()
        started = time.perf_counter()
        run_together([engine])
        seconds = time.perf_counter() - started
        engine.finish()
        if table.ints[at.BATCHES] != self._n_batches:
            raise RuntimeError(f"The training stopped after {table.ints[at.BATCHES]}.")
        return seconds

    def _best(self, phases):
        return min(self._once(phases) for _ in range(MEASUREMENTS))

    def seconds(self, phase):
        """Of one phase, with the barrier after it where there is one."""
        if self.engine.launches:

            def enqueue(count):
                self.engine._launch_phases(self.engine._tables.address, [phase] * count)

            return seconds_of(self.engine.stream, enqueue)
        place = self.phases.index(phase) if phase in self.phases else 0
        longer = [*self.phases[:place], *[phase] * MORE, *self.phases[place:]]
        return (self._best(longer) - self._base) / (MORE * self._n_batches)

    def seconds_of_batch(self):
        """Of all phases."""
        if not self.engine.launches:
            return self._base / self._n_batches

        def enqueue(count):
            address = self.engine._tables.address
            for _ in range(count):
                self.engine._launch_phases(address, self.phases[:-1])

        return seconds_of(self.engine.stream, enqueue)


def table_of(name, sizes, batch, peak, bandwidth):
    """Rows of the table of one network."""
    rows = []

    def add(operation, seconds, operations=0, moved=0):
        row = {"network": name, "operation": operation, "microseconds": 1e6 * seconds}
        row |= {"how": how, "tile": tile}
        if operations:
            row["share_of_peak"] = operations / seconds / 1e9 / peak
        if moved:
            row["share_of_bandwidth"] = moved / seconds / 1e9 / bandwidth
        rows.append(row)

    for changes in ({}, {"clip_norm": 1.0}):
        engine = make_engine(sizes, batch, **changes)
        timer, phases = Timer(engine), engine._tables.phases
        tile = f"{engine._tile.rows} x {engine._tile.columns}"
        how = "a launch a phase" if engine.launches else f"{engine._n_blocks} blocks"
        if changes:
            phases = [phase for phase in phases if phase.operation == at.UPDATE_CLIPPED]
        else:
            total = sum(cost(engine, phase, sizes, batch)[0] for phase in phases)
            add("batch", timer.seconds_of_batch(), total)
            name_of_nothing = "launch" if engine.launches else "barrier"
            add(name_of_nothing, timer.seconds(nothing(engine)))
            if not engine.launches:
                alone = nothing(engine)._replace(waits=False)
                add("phase", timer.seconds(alone))
        for phase in phases:
            label, layer = product_of(engine, phase)
            if label is not None:
                label += " {} -> {}".format(*list(pairwise(sizes))[layer])
            label = label or NAMES.get(phase.operation)
            if label is not None:
                spent = cost(engine, phase, sizes, batch)
                add(label, timer.seconds(phase), *spent)
        engine.close()
    return rows


def kernel_table(quick=False):
    """Peaks, and rows for every operation of the networks, or of one."""
    measured = Peaks()
    peak, bandwidths = measured.float32_gflops(), measured.bandwidths()
    rows = []
    for name in ["digits"] if quick else shapes_for("cuda"):
        sizes, batch = SHAPES[name].sizes, SHAPES[name].batch_size
        rows += table_of(name, sizes, batch, peak, max(bandwidths.values()))
    return {"peak_gflops": peak, "bandwidths": bandwidths, "rows": rows}
