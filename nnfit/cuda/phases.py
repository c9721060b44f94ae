"""The phases of a batch: operations, and after which of them all blocks wait.

`nnfit.cuda.kernels.training` runs the list in one launch, or a phase in each.
"""

from typing import NamedTuple

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.products import Tile
from nnfit.functions.muon import ITERATIONS


class Phase(NamedTuple):
    """An operation, its argument, and whether all blocks wait for each other after."""

    operation: int
    argument: int = 0
    waits: bool = True


def phases_of_batch(network, solver, features, bounds):
    """Phases of training on a batch whose rows are gathered already.

    One of them gathers the rows of the next batch.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
    features : nnfit.engine_settings.Features
    bounds : bool
        Whether columns of weights are bounded or averaged after a whole update.

    Returns
    -------
    list of Phase
    """
    phases = forward_phases(network)
    phases += [Phase(at.PREPARE, waits=False), Phase(at.FIND_ROW_LOSSES)]
    for index in range(len(network.layers) - 1, 0, -1):
        phases.append(Phase(at.BACKWARD, index))
        before = network.layers[index - 1]
        if before.normalization == "batch":
            phases.append(Phase(at.FIND_SUMS, index - 1))
        if before.is_staged:
            phases.append(Phase(at.BACK_TO_Z, index - 1))
    last = at.UPDATE
    if features.updates_whole:
        phases += _whole_update(network, solver)
        phases += [Phase(at.BOUND)] * bounds
        last = at.DERIVE
    # The three change different things: a block goes from one to the next.
    phases += [Phase(at.ACCOUNT, waits=False), Phase(at.GATHER, at.NEXT, waits=False)]
    return [*phases, Phase(last, 1)]


def forward_phases(network):
    """Phases of the way forward."""
    phases = []
    for index, layer in enumerate(network.layers):
        phases.append(Phase(at.FORWARD, index))
        if layer.normalization == "batch":
            phases.append(Phase(at.FIND_STATISTICS, index))
        if layer.is_staged:
            phases.append(Phase(at.ACTIVATE, index))
    return phases


def _whole_update(network, solver):
    phases = [Phase(at.FIND_GRADIENT), Phase(at.UPDATE_CLIPPED)]
    for index in range(len(network.layers)):
        if is_matrix(network, solver, index):
            phases += [Phase(at.LOOK_AHEAD, index), Phase(at.ORIENT, index)]
            for turn in range(ITERATIONS):
                argument = index * ITERATIONS + turn
                phases += [
                    Phase(operation, argument)
                    for operation in (at.GRAM, at.SQUARE, at.MULTIPLY)
                ]
            phases.append(Phase(at.UPDATE_MATRIX, index))
    return phases


def is_matrix(network, solver, index):
    """Whether a layer's weights are updated as a whole matrix."""
    is_hidden = 0 < index < len(network.layers) - 1
    return solver is not None and solver.matrices and is_hidden


def collecting_phases(network):
    """Phases of a batch whose statistics are collected."""
    return [Phase(at.GATHER, at.CURRENT), *forward_phases(network), Phase(at.COLLECT)]


def in_launches(phases):
    """The same phases for a launch each, in an order in which no launch needs more.

    A launch reads the progress, so the phase that writes it comes last. A batch is
    gathered at its own begin.
    """
    later = [phase for phase in phases if phase.operation == at.ACCOUNT]
    kept = [phase for phase in phases if phase.operation not in (at.ACCOUNT, at.GATHER)]
    return [Phase(at.GATHER, at.CURRENT), *kept, *later]


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


def work_of(phase, network, batch, tile: Tile, lanes):
    """How much a phase is.

    Parameters
    ----------
    phase : Phase
    network : nnfit.network.description.Network
    batch : int
    tile : Tile
    lanes : int
        Threads of a group, see `nnfit.cuda.kernels.threads`.

    Returns
    -------
    Work
    """
    layers, groups = network.layers, tile.n_threads // lanes
    by_rows = Work(-(-batch // groups))
    if phase.operation in (at.ACCOUNT, at.PREPARE, at.COLLECT):
        return Work(1)
    if phase.operation == at.FIND_ROW_LOSSES:
        return Work(-(-batch // tile.n_threads))
    if phase.operation in (at.GATHER, at.ACTIVATE, at.BACK_TO_Z):
        return by_rows
    if phase.operation in (at.FIND_STATISTICS, at.FIND_SUMS):
        return Work(-(-layers[phase.argument].n_out // lanes))
    if phase.operation == at.FORWARD:
        layer = layers[phase.argument]
        return Work(tile.count(batch, layer.n_out), layer.n_in)
    if phase.operation == at.BACKWARD:
        layer = layers[phase.argument]
        return Work(tile.count(batch, layer.n_in), layer.n_out)
    if phase.operation in (at.GRAM, at.SQUARE, at.MULTIPLY):
        layer = layers[phase.argument // ITERATIONS]
        rows, n = max(layer.n_in, layer.n_out), min(layer.n_in, layer.n_out)
        depth = rows if phase.operation == at.GRAM else n
        height = rows if phase.operation == at.MULTIPLY else n
        return Work(tile.count(height, n), depth)
    depth = batch if phase.operation in (at.UPDATE, at.FIND_GRADIENT) else 0
    return Work(sum(tile.count(layer.n_in, layer.n_out) for layer in layers), depth)
