"""Plans of training: what a network needs on the way back and for its updates."""

import ctypes
from functools import lru_cache

from nnfit.cpu import compiling, kernels
from nnfit.cpu import fields as at
from nnfit.cpu.layout import muon_work
from nnfit.cpu.plans import Plan
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES

#: Inputs and units of a layer from which the weight gradient reads copies made for
#: it: each is read once a panel or tile, so that with fewer the copying costs more
#: (5 % of an epoch with 64 and 100) than it saves (17 % of that product with 784
#: and 512).
PACK_FROM = 128

POINTER, INT64, DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
#: Result and arguments of the pass over a whole batch.
PASS_BATCH = (INT64, POINTER, *4 * [INT64], *3 * [DOUBLE], *3 * [INT64])


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
    wanted = [(kernels.TRAINING,), (kernels.ROWS,), (kernels.WEIGHTS,)]
    wanted.append(
        (kernels.GRADIENT_SUM,) if solver is None else (kernels.OPTIMIZER, solver.name)
    )
    if LOSSES.get(network.loss.name) is network.loss:  # not one of the user's
        wanted.append((kernels.LOSS, network.loss.name))
    rows = {layer.activation for layer in network.layers}
    wanted += [
        (kernels.ACTIVATION, name)
        for name, row in ACTIVATIONS.items()
        if row in rows and name != "identity"
    ]
    if network.layers[0].is_staged:
        wanted.append((kernels.NORMALIZATION, network.normalization or "none"))
    if network.normalization == "batch":
        wanted.append((kernels.BATCH_PASS,))
    if solver is not None and solver.matrices:
        wanted += [(kernels.WHOLE_UPDATE,), (kernels.PENALTY,), (kernels.MUON,)]
    compiling.load_all([(*kernel, network.dtype) for kernel in wanted])


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
        Whether the first layer works on the entries of a sparse matrix.
    features : nnfit.engine_settings.Features
    """
    plan = Plan(network, target, batch, kernels.TRAINING)
    if not on_entries:
        plan.read_rows()
    plan.add_loss(n_targets)
    _add_features(plan, target, n_targets, features)
    _add_solver(plan, solver)
    _add_way_back(plan, target, on_entries)
    _add_work_space(plan, target, n_threads, features.has_rates)
    if features.updates_whole:
        _add_whole_update(plan, solver, target)
    return plan


def _add_features(plan, target, n_targets, features):
    """Kernels that training as asked for needs, compiled side by side."""
    dtype, last = plan.network.dtype, plan.layout.layers[-1]
    needed = {
        kernels.AUGMENTATION: features.augments,
        kernels.PENALTY: features.penalises,
        kernels.WHOLE_UPDATE: features.updates_whole,
        kernels.DROPOUT: features.drops,
        kernels.AVERAGE: features.averages,
    }
    compiling.load_all([(name, dtype) for name, wanted in needed.items() if wanted])
    if features.augments:
        kernel = compiling.load(kernels.AUGMENTATION, dtype)
        plan.function(at.AUGMENT_KERNEL, kernel, "augment")
    if features.mixes:
        plan.function(at.MIXED_LOSS_KERNEL, kernel, "mixed_loss")
        plan.buffer(at.PARTNER_Y, plan.n_rows * n_targets)
        plan.buffer(at.PARTNER_WEIGHT, plan.n_rows)
        plan.buffer(at.OWN_WEIGHT, plan.n_rows)
        plan.buffer(at.PARTNER_GRADIENT, plan.n_rows * last.stride)
        plan.buffer(at.PARTNER_LOSS, plan.n_rows, "float64")
    if features.penalises:
        kernel = compiling.load(kernels.PENALTY, dtype)
        plan.function(at.PENALISE_KERNEL, kernel, "penalise")
        plan.function(at.CLIP_KERNEL, kernel, "clip")
        plan.function(at.SIZE_KERNEL, kernel, "size")
    if features.averages:
        kernel = compiling.load(kernels.AVERAGE, dtype)
        plan.function(at.AVERAGE_KERNEL, kernel, "average")
    if features.drops:
        # What is dropped has no slope either, which an identity does not store.
        plan.activate_all()


def _add_solver(plan, solver):
    dtype = plan.network.dtype
    if solver is None:
        kernel = compiling.load(kernels.GRADIENT_SUM, dtype)
    else:
        kernel = compiling.load(kernels.OPTIMIZER, solver.name, dtype)
    plan.function(at.UPDATE_KERNEL, kernel, "update")
    plan.function(at.PREPARE_KERNEL, kernel, "prepare")


def _add_way_back(plan, target, on_entries):
    """Gradients by outputs and by z, from the last layer to the first."""
    layout, ints, batch = plan.layout, plan.ints, plan.n_rows
    network = plan.network
    if network.normalization == "batch":
        kernel = compiling.load(kernels.BATCH_PASS, network.dtype, target=target)
        plan.function(at.PASS_BATCH, kernel, "pass_batch")
        plan.pass_batch = kernel.function("pass_batch", *PASS_BATCH)
    lanes, slot = target.lanes(network.dtype), target.tile_slot(network.dtype)
    after = None
    layers = zip(layout.rows, layout.layers, network.layers, strict=True)
    for index, (row, layer, description) in reversed(list(enumerate(layers))):
        ints[row + at.RESULT_WIDTH] = layer.width
        if after is not None:
            height = -(-layout.layers[index + 1].n_in // lanes) * lanes
            ints[row + at.RESULT_WIDTH] = height
        if description.is_staged:
            _add_kept(plan, row, layer, after, network.layers[index + 1].skip)
        else:
            plan.same(row + at.GRADIENT_BY_Z, row + at.SLOPE)
            plan.same(row + at.RESULT, row + at.SLOPE)
            ints[row + at.RESULT_STRIDE] = layer.stride
        packed = layer.n_in >= PACK_FROM and layer.n_out >= PACK_FROM
        if packed and not (index == 0 and on_entries):
            tiles = -(-layer.n_in // target.tile_rows)
            plan.buffer(row + at.INPUT_TILES, tiles * batch * slot)
            plan.buffer(row + at.GRADIENT_PANELS, layer.width * batch)
        if index > 0:
            height = -(-layer.n_in // lanes) * lanes
            plan.buffer(row + at.TRANSPOSED, height * layer.n_out)
        after = row


def _add_kept(plan, row, layer, after, skip_after):
    """The gradients of a normalised or residual layer."""
    ints, batch = plan.ints, plan.n_rows
    stride = ints[row + at.RESULT_STRIDE] = ints[row + at.RESULT_WIDTH]
    plan.buffer(row + at.RESULT, batch * stride)
    plan.buffer(row + at.GRADIENT_BY_Z, batch * layer.stride)
    if skip_after == "identity":
        plan.same(row + at.SKIPPED, after + at.GRADIENT_BY_Z)
        ints[row + at.SKIPPED_STRIDE] = ints[after + at.STRIDE]
    if skip_after == "projection":
        plan.same(row + at.SKIPPED, row + at.RESULT, layer.n_out)
        ints[row + at.SKIPPED_STRIDE] = stride


def _add_work_space(plan, target, n_threads, has_rates):
    ints, layout = plan.ints, plan.layout
    dtype = plan.network.dtype
    widest = max(layer.width for layer in layout.layers)
    stride = max(target.strip(dtype) * target.panel(dtype), widest)
    ints[at.SCRATCH_STRIDE] = stride = -(-stride // 16) * 16
    plan.buffer(at.SCRATCH, n_threads * stride)
    plan.buffer(at.PENALTY, 2 * layout.n_units, "float64")
    ints[at.N_RATE_ROWS] = len(layout.layers) if has_rates else 1
    plan.buffer(at.RATES, 2 * ints[at.N_RATE_ROWS] * at.N_RATES)
    plan.constants(at.ONE, (1.0,))


def _add_whole_update(plan, solver, target):
    """All gradients at once, and the work space of whole matrices."""
    layout, dtype = plan.layout, plan.network.dtype
    kernel = compiling.load(kernels.WHOLE_UPDATE, dtype, target=target)
    plan.function(at.UPDATE_WHOLE, kernel, "update_whole")
    plan.buffer(at.GRADIENT, layout.size)
    plan.buffer(at.GRADIENT_SQUARES, layout.n_units, "float64")
    if not solver.matrices:
        return
    kernel = compiling.load(kernels.MUON, dtype, target=target)
    plan.function(at.MATRIX_KERNEL, kernel, "muon")
    hidden = list(zip(layout.rows, layout.layers, strict=True))[1:-1]
    for row, _ in hidden:
        plan.ints[row + at.MATRIX] = 1
    sizes = [muon_work(target, dtype, layer.n_in, layer.n_out) for _, layer in hidden]
    plan.buffer(at.MATRIX_WORK, max(sizes, default=0))
