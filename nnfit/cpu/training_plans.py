"""Plans of training: what a network needs on the way back and for its updates."""

from functools import lru_cache

import numpy as np

from nnfit.cache.keys import fingerprint_of_builder
from nnfit.cpu import compiling, kernels, matrices
from nnfit.cpu import fields as at
from nnfit.cpu.graph import kernel_of_kind
from nnfit.cpu.plans import Plan, begin_forward, is_large, row_grain
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.network.kinds import kind_of
from nnfit.network.rates import rate_rows, rates_of_tensors

#: Lines a thread of the largest batch that is worked on as a whole, and those of the
#: parts of larger ones: activations of 256 units stay in the second-level cache. On
#: one thread, Emerald Rapids, 4096 rows through two layers of 256: 242 ms an epoch as
#: a whole, in parts of 64 to 192 rows 168, of 256 176, of 512 185; a batch of 256 takes
#: as long in two parts. On a processor with 512 kB, 512 rows of 8 members with 128
#: units: as a whole 0.21 s, in parts of 64 to 192 lines 0.14, of 256 0.15; 256 rows of
#: 32 members with 512 units, of which 8 rows are the fewest: as a whole 1.09 s, in
#: parts of 256 to 1024 lines 0.65 (in parts of 64 and 128, with sums of fewer rows, the
#: same). Several threads wait for each other after each part: in parts of 256 lines a
#: thread, 8 members took 15 % longer than as a whole on two that others disturbed, of
#: 512 as long.
WHOLE_LINES, PART_LINES, SHARED_PART_LINES = 256, 128, 512
#: Numbers of all values, a thread, of the largest batch that is worked on as a whole:
#: 1 MB in single precision, and as much again on the way back. RealMLP's batch of 256
#: rows has 0.5 (50 columns) to 0.65 million (100): on one thread beside others' work,
#: with 512 kB of cache, 9.4 and 10.1 ms as a whole, in turns with 7.5 and 7.6 in parts.
WHOLE_NUMBERS = 1 << 18
#: The least that the last part of a batch has of a part's rows, where it can.
SMALL_REST = 0.125


@lru_cache(maxsize=64)
def load_training(network, solver):
    """Load the kernels of a training on rows, some of them compiled side by side.

    Once for all trainings of such a network: to look whether all are there takes 13 of
    the 32 microseconds of a new engine.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
    """
    wanted = [(kernels.TRAINING,), (kernels.BATCH,), (kernels.WEIGHTS,)]
    of_kinds = dict.fromkeys(kernel_of_kind(node) for node in network.nodes)
    wanted += [
        kernel for kernel in of_kinds if fingerprint_of_builder(kernel[0]) == b""
    ]
    wanted.append(
        (kernels.GRADIENT_SUM,) if solver is None else (kernels.OPTIMIZER, solver.name)
    )
    if LOSSES.get(network.loss.name) is network.loss:  # not one of the user's
        wanted.append((kernels.LOSS, network.loss.name))
    rows = {node.activation for node in network.nodes}
    wanted += [
        (kernels.ACTIVATION, name)
        for name, row in ACTIVATIONS.items()
        if row in rows and name != "identity"
    ]
    if solver is not None and solver.matrices:
        wanted += [(kernels.WHOLE_UPDATE,), (kernels.PENALTY,), (kernels.MUON,)]
    compiling.load_all([(*kernel, network.dtype) for kernel in wanted])


def works_in_parts(network, features):
    """Whether no row needs another, and the gradients of parts can be added up.

    Not for large networks, of which each part would read and write all gradients in
    memory.
    """
    return (
        not (features.mixes or features.swaps or is_large(network))
        and not (network.has_statistics or network.changes_by_lines)
        and all(
            getattr(kind_of(node, "cpu"), "works_in_parts", False)
            for node in network.nodes
        )
    )


def part_rows(network, batch, grain, n_threads):
    """How many rows a thread has of a part of a batch that may be done in parts.

    Each part reads and writes the gradients of all weights, so a batch of few lines has
    parts only if there are more numbers than weights.

    Parameters
    ----------
    network : nnfit.network.description.Network
    batch : int
    grain : int
        Rows of which a thread gets multiples.
    n_threads : int
    """
    n_lines, n_numbers = network.most_lines, batch * sum(network.widths)
    most_numbers = max(WHOLE_NUMBERS * n_threads, network.n_products)
    if batch * n_lines <= WHOLE_LINES * n_threads and n_numbers <= most_numbers:
        return batch
    lines = PART_LINES if n_threads == 1 else SHARED_PART_LINES
    rows = max(lines // (n_lines * grain), 1) * grain
    rest = batch % (rows * n_threads)
    # Of 256 rows in parts of 126, four are no part of their own.
    return rows + grain if 0 < rest < SMALL_REST * rows else rows


@lru_cache(maxsize=64)
def training_plan(
    network, solver, target, batch, n_targets, n_threads, on_entries, features
):
    """Plan of training on batches of so many rows.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
        None for gradients only.
    target : nnfit.cpu.target.Target
    batch, n_targets, n_threads : int
    on_entries : bool
        Whether the features are the entries of a sparse matrix.
    features : nnfit.engine_settings.Features
    """
    of_thread = batch
    if solver is not None and not on_entries and works_in_parts(network, features):
        grain = row_grain(network, target)
        of_thread = part_rows(network, batch, grain, n_threads)
    rows = min(of_thread * n_threads, batch)
    plan = Plan(
        network, target, rows, kernels.TRAINING, on_entries=on_entries, trains=True,
        drops=features.drops, masks=solver is not None,
    )  # fmt: skip
    plan.words[at.PART_ROWS] = of_thread
    if of_thread < batch or features.updates_whole:
        plan.buffer(at.GRADIENT, plan.layout.size)
    plan.buffer(at.NOW, n_threads * at.NOW_FIELDS, np.int64)
    _load_features(plan, features)
    plan.add_loss(n_targets)
    of_batch = plan.kernel(kernels.BATCH)
    name = "gather_targets_of_lines" if plan.has_own_rows else "gather_targets"
    plan.program.rows(of_batch.address(name), plan.graph.rows[0])
    begin_forward(plan, features.changes)
    _add_losses(plan, of_batch, n_targets, features)
    plan.graph.way_back()
    plan.program.end_rows()
    _add_work_space(plan, n_threads)
    _set_rates(plan, features.has_rates)
    _add_solver(plan, solver)
    account = plan.main_kernel.address("account")
    plan.program.share(account, 0, 1, shares=at.FIRST_THREAD, waits=False, always=True)
    if features.updates_whole:
        _add_whole_update(plan, solver)
    else:
        update = plan.main_kernel.address("update_units")
        plan.program.share(update, 0, shares=at.BY_COST)
    return plan.finish()


def _load_features(plan, features):
    """Kernels that training as asked for needs, compiled side by side."""
    needed = {
        kernels.AUGMENTATION: features.augments,
        kernels.PENALTY: features.penalises,
        kernels.WHOLE_UPDATE: features.updates_whole,
        kernels.DROPOUT: features.drops,
        kernels.AVERAGE: features.averages,
    }
    wanted = [(name, plan.dtype) for name, is_needed in needed.items() if is_needed]
    compiling.load_all(wanted)
    if features.penalises:
        kernel = plan.kernel(kernels.PENALTY)
        plan.function(at.PENALISE_KERNEL, kernel, "penalise")
        plan.function(at.CLIP_KERNEL, kernel, "clip")
        plan.function(at.SIZE_KERNEL, kernel, "size")
    if features.averages:
        plan.function(at.AVERAGE_KERNEL, plan.kernel(kernels.AVERAGE), "average")


def _add_losses(plan, of_batch, n_targets, features):
    """Losses of rows, or those of mixed ones."""
    function = of_batch.address("row_losses")
    if features.mixes:
        function = plan.kernel(kernels.AUGMENTATION).address("mixed_losses")
        n_lines = plan.n_rows * plan.words[at.RAW_LINES]
        plan.buffer(at.PARTNER_Y, n_lines * n_targets)
        plan.buffer(at.PARTNER_WEIGHT, n_lines)
        plan.buffer(at.OWN_WEIGHT, n_lines)
        plan.buffer(at.PARTNER_GRADIENT, n_lines * plan.words[at.RAW_STRIDE])
        plan.buffer(at.PARTNER_LOSS, n_lines, "float64")
    plan.program.rows(function, plan.graph.rows[-1])


def _add_solver(plan, solver):
    if solver is None:
        kernel = plan.kernel(kernels.GRADIENT_SUM)
    else:
        kernel = plan.kernel(kernels.OPTIMIZER, solver.name)
    plan.function(at.UPDATE_KERNEL, kernel, "update")
    plan.function(at.PREPARE_KERNEL, kernel, "prepare")


def _set_rates(plan, has_rates):
    rows, words = rate_rows(plan.network, has_rates), plan.words
    keys = rates_of_tensors(plan.network, has_rates)
    for row, key in zip(plan.layout.rows, keys, strict=True):
        words[row + at.RATE] = rows.index(key)
    words[at.N_RATE_ROWS] = len(rows)
    plan.buffer(at.RATES, 2 * len(rows) * at.N_RATES)
    penalties = [tensor.penalty for tensor in plan.network.tensors]
    plan.constants(at.TENSOR_FACTORS, penalties, "float64")


def _add_work_space(plan, n_threads):
    words, units = plan.words, plan.units
    words[at.SCRATCH_STRIDE] = stride = -(-units.largest // 16) * 16
    plan.buffer(at.SCRATCH, n_threads * stride)
    plan.buffer(at.PENALTY, 2 * len(units), "float64")
    plan.constants(at.ONE, (1.0,))


def _add_whole_update(plan, solver):
    """All gradients at once, then the steps."""
    kernel, program = plan.kernel(kernels.WHOLE_UPDATE), plan.program
    plan.buffer(at.GRADIENT_SQUARES, len(plan.units), "float64")
    program.share(kernel.address("find_units"), 0, shares=at.BY_COST)
    program.end_part()
    program.share(kernel.address("update_units"), 0, shares=at.BY_COST)
    if solver.matrices:
        for row, tensor in zip(plan.layout.rows, plan.network.tensors, strict=True):
            if tensor.is_matrix:
                plan.words[row + at.MATRIX] = 1
                matrices.add_steps(plan, int(row))
    finish = kernel.address("finish_groups")
    program.share(finish, 0, plan.units.n_groups)
