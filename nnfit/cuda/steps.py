"""What a batch consists of: operations, and after which of them all blocks wait.

`nnfit.cuda.kernels.training` runs the list in one launch, or an operation in each.
"""

from typing import NamedTuple

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.products import Tile
from nnfit.functions.muon import ITERATIONS


class Step(NamedTuple):
    """An operation, its argument, and whether all blocks wait for each other after."""

    operation: int
    argument: int = 0
    waits: bool = True


def steps_of_batch(network, solver, features, bounds):
    """Steps of training on a batch, which is gathered already, and of the next one's.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
    features : nnfit.engine_settings.Features
    bounds : bool
        Whether columns of weights are bounded or averaged after a whole update.

    Returns
    -------
    list of Step
    """
    steps = [*forward_steps(network), Step(at.PREPARE, waits=False), Step(at.LOSE)]
    for index in range(len(network.layers) - 1, 0, -1):
        steps.append(Step(at.BACKWARD, index))
        before = network.layers[index - 1]
        if before.normalization == "batch":
            steps.append(Step(at.FIND_SUMS, index - 1))
        if before.is_staged:
            steps.append(Step(at.NORMALISE_BACK, index - 1))
    last = at.UPDATE
    if features.updates_whole:
        steps += _whole_update(network, solver)
        steps += [Step(at.BOUND)] * bounds
        last = at.DERIVE
    # The three change different things: a block goes from one to the next.
    steps += [Step(at.ACCOUNT, waits=False), Step(at.GATHER, at.NEXT, waits=False)]
    return [*steps, Step(last, 1)]


def forward_steps(network):
    """Steps of the way forward."""
    steps = []
    for index, layer in enumerate(network.layers):
        steps.append(Step(at.FORWARD, index))
        if layer.normalization == "batch":
            steps.append(Step(at.FIND_STATISTICS, index))
        if layer.is_staged:
            steps.append(Step(at.NORMALISE, index))
    return steps


def _whole_update(network, solver):
    steps = [Step(at.FIND_GRADIENT), Step(at.UPDATE_CLIPPED)]
    for index in range(len(network.layers)):
        if is_matrix(network, solver, index):
            steps += [Step(at.LOOK_AHEAD, index), Step(at.ORIENT, index)]
            for turn in range(ITERATIONS):
                argument = index * ITERATIONS + turn
                steps += [
                    Step(operation, argument)
                    for operation in (at.GRAM, at.SQUARE, at.MULTIPLY)
                ]
            steps.append(Step(at.UPDATE_MATRIX, index))
    return steps


def is_matrix(network, solver, index):
    """Whether a layer's weights are updated as a whole matrix."""
    is_hidden = 0 < index < len(network.layers) - 1
    return solver is not None and solver.matrices and is_hidden


def collecting_steps(network):
    """Steps of a batch whose statistics are collected."""
    return [Step(at.GATHER, at.CURRENT), *forward_steps(network), Step(at.COLLECT)]


def in_launches(steps):
    """The same steps where each has a launch: in an order that needs no other.

    A launch reads progress, so what writes it comes last; and the batch is gathered at
    its own begin.
    """
    later = [step for step in steps if step.operation == at.ACCOUNT]
    kept = [step for step in steps if step.operation not in (at.ACCOUNT, at.GATHER)]
    return [Step(at.GATHER, at.CURRENT), *kept, *later]


class Work(NamedTuple):
    """Blocks that a step can use, and the length of what one of them does.

    Attributes
    ----------
    blocks : int
    depth : int
        Of the sum of a tile; 0 for what is no product.
    """

    blocks: int
    depth: int = 0


def work_of(step, network, batch, tile: Tile, lanes):
    """How much a step is.

    Parameters
    ----------
    step : Step
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
    if step.operation in (at.ACCOUNT, at.PREPARE, at.COLLECT):
        return Work(1)
    if step.operation == at.LOSE:
        return Work(-(-batch // tile.n_threads))
    if step.operation in (at.GATHER, at.NORMALISE, at.NORMALISE_BACK):
        return by_rows
    if step.operation in (at.FIND_STATISTICS, at.FIND_SUMS):
        return Work(-(-layers[step.argument].n_out // lanes))
    if step.operation == at.FORWARD:
        layer = layers[step.argument]
        return Work(tile.count(batch, layer.n_out), layer.n_in)
    if step.operation == at.BACKWARD:
        layer = layers[step.argument]
        return Work(tile.count(batch, layer.n_in), layer.n_out)
    if step.operation in (at.GRAM, at.SQUARE, at.MULTIPLY):
        layer = layers[step.argument // ITERATIONS]
        rows, n = max(layer.n_in, layer.n_out), min(layer.n_in, layer.n_out)
        depth = rows if step.operation == at.GRAM else n
        height = rows if step.operation == at.MULTIPLY else n
        return Work(tile.count(height, n), depth)
    depth = batch if step.operation in (at.UPDATE, at.FIND_GRADIENT) else 0
    return Work(sum(tile.count(layer.n_in, layer.n_out) for layer in layers), depth)
