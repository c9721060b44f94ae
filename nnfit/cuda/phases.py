"""The phases of a batch: operations, and after which of them all blocks wait.

`nnfit.cuda.kernels.training` runs the list in one launch, or a phase in each. Those of
layers are written by their kinds (`nnfit.cuda.kinds`).
"""

from typing import NamedTuple

from nnfit.cuda import fields as at
from nnfit.functions.muon import ITERATIONS


class Work(NamedTuple):
    """Blocks that a phase can use, and the length of what one of them does.

    Attributes
    ----------
    blocks : int
    depth : int
        Of the sum of a tile; 0 for what is no product.
    """

    blocks: int
    depth: int = 0


class Phase(NamedTuple):
    """An operation, its argument, whether all blocks wait after it, and its work."""

    operation: int
    argument: int = 0
    waits: bool = True
    work: Work = Work(1)


def phases_of_batch(table, solver, features, bounds):
    """Phases of training on a batch whose rows are gathered already.

    One of them gathers the rows of the next batch.

    Parameters
    ----------
    table : nnfit.cuda.tables.Table
    solver : nnfit.functions.optimizers.Optimizer or None
    features : nnfit.engine_settings.Features
    bounds : bool
        Whether columns of weights are bounded or averaged after a whole update.

    Returns
    -------
    list of Phase
    """
    batch, graph, update = table.n_rows, table.graph, Work(table.graph.n_tiles)
    summing = update._replace(depth=batch * table.network.most_lines)
    losses = Work(-(-batch * table.network.lines[-1] // table.tile.n_threads))
    phases = [*graph.forward, Phase(at.PREPARE, waits=False)]
    phases += [Phase(at.FIND_ROW_LOSSES, work=losses), *graph.back]
    last = Phase(at.UPDATE, 1, work=summing)
    if features.updates_whole:
        phases.append(Phase(at.FIND_GRADIENT, work=summing))
        phases.append(Phase(at.UPDATE_CLIPPED, work=update))
        if solver.matrices:
            phases += _matrix_updates(table, update)
        phases += [Phase(at.BOUND, work=update)] * bounds
        last = Phase(at.DERIVE, 1, work=update)
    # The three change different things: a block goes from one to the next.
    gather = Phase(at.GATHER, at.NEXT, False, table.by_rows)
    phases += [Phase(at.ACCOUNT, waits=False), gather, last]
    if features.averages and table.network.changes_by_lines:
        phases.append(Phase(at.AVERAGE_LINES, work=update))
    return phases


def _matrix_updates(table, update):
    phases, tile = [], table.tile
    for place, tensor in table.matrices:
        rows, n = max(tensor.shape), min(tensor.shape)
        turn = (
            (at.GRAM, Work(tile.count(n, n), rows)),
            (at.SQUARE, Work(tile.count(n, n), n)),
            (at.MULTIPLY, Work(tile.count(rows, n), n)),
        )
        phases.append(Phase(at.LOOK_AHEAD, place, work=update))
        phases.append(Phase(at.ORIENT, place, work=update))
        phases += [
            Phase(operation, place * ITERATIONS + number, work=work)
            for number in range(ITERATIONS)
            for operation, work in turn
        ]
        phases.append(Phase(at.UPDATE_MATRIX, place, work=update))
    return phases


def collecting_phases(table):
    """Phases of a batch whose statistics are collected."""
    gather = Phase(at.GATHER, at.CURRENT, work=table.by_rows)
    return [gather, *table.graph.forward, Phase(at.COLLECT)]


def in_launches(phases, table):
    """The same phases for a launch each, in an order in which no launch needs more.

    A launch reads the progress, so the phase that writes it comes last. A batch is
    gathered at its own begin.
    """
    later = [phase for phase in phases if phase.operation == at.ACCOUNT]
    kept = [phase for phase in phases if phase.operation not in (at.ACCOUNT, at.GATHER)]
    return [Phase(at.GATHER, at.CURRENT, work=table.by_rows), *kept, *later]
