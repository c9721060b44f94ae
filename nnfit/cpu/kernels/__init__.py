"""Kernels of the CPU engine; its modules are the only ones that import numba.

Builders of kernels, as `nnfit.cpu.compiling.load` takes them: ``build(target, ...,
dtype)`` gives the functions of one kernel. Each is compiled and cached by itself when
something first needs it.
"""

#: What every batch begins and ends with: rows and targets gathered, losses.
BATCH = f"{__name__}.rows:batch"
#: The loop over batches with the update of the weights.
TRAINING = f"{__name__}.engine:training"
PREDICTION = f"{__name__}.prediction:prediction"
EVALUATION = f"{__name__}.prediction:evaluation"
#: Between an estimator's weights and the engine's.
WEIGHTS = f"{__name__}.row_major:weights"
#: Dense layers on entries of a sparse matrix.
SPARSE = f"{__name__}.sparse:build"
#: Dense layers with the weights where estimators keep them.
IN_PLACE = f"{__name__}.row_major:in_place"
#: In place of the fused update, where a step needs all gradients first.
WHOLE_UPDATE = f"{__name__}.whole_update:whole_update"
#: Penalties and bounds of gradients that the optimizers do not have themselves.
PENALTY = f"{__name__}.elementwise:penalty"
AVERAGE = f"{__name__}.elementwise:average"
DROPOUT = f"{__name__}.dropout:dropout"
AUGMENTATION = f"{__name__}.augmentation:augmentation"
#: In place of an optimizer, for a gradient alone.
GRADIENT_SUM = f"{__name__}.elementwise:gradient_sum"
#: Muon's update of one matrix.
MUON = f"{__name__}.muon:muon"
#: Orders of rows for an engine of another device; takes nothing.
ORDERS = f"{__name__}.orders:orders"
#: Kinds of layers whose code is here; `NORMALIZATION` takes a name before the dtype.
DENSE = f"{__name__}.dense:build"
PIECEWISE_LINEAR_ENCODING = f"{__name__}.piecewise_linear_encoding:build"
PIECEWISE_LINEAR_EMBEDDING = f"{__name__}.piecewise_linear_embedding:build"
NORMALIZATION = f"{__name__}.normalization:build"
WAVES = f"{__name__}.waves:build"
CATEGORY_EMBEDDING = f"{__name__}.category_embedding:build"
#: These take the name of a row of their registry before the dtype.
OPTIMIZER = f"{__name__}.elementwise:optimizer"
LOSS = f"{__name__}.elementwise:loss"
LINK = f"{__name__}.elementwise:link"
#: Raw predictions of members as one, by link.
POOL = f"{__name__}.pooling:pool"
ACTIVATION = f"{__name__}.elementwise:activation"

#: Rough seconds that each takes, the slow ones first.
COSTS = {
    TRAINING: 2.0,
    PIECEWISE_LINEAR_EMBEDDING: 1.6,
    MUON: 1.4,
    DENSE: 1.2,
    NORMALIZATION: 0.9,
    WAVES: 0.9,
    AUGMENTATION: 0.8,
    SPARSE: 0.6,
    WHOLE_UPDATE: 0.6,
    IN_PLACE: 0.6,
    EVALUATION: 0.4,
    BATCH: 0.4,
    OPTIMIZER: 0.3,
    LOSS: 0.3,
    WEIGHTS: 0.3,
    GRADIENT_SUM: 0.2,
    PENALTY: 0.15,
    DROPOUT: 0.15,
    PREDICTION: 0.15,
    AVERAGE: 0.1,
    ACTIVATION: 0.1,
    LINK: 0.1,
    POOL: 0.1,
}
#: That of a kind of layer that is not in the table.
COST_OF_A_KIND = 0.5
#: Those built for a dtype alone, besides kinds of layers.
OF_DTYPE = tuple(
    builder
    for builder in COSTS
    if builder not in {OPTIMIZER, LOSS, LINK, POOL, ACTIVATION}
    and builder not in {DENSE, PIECEWISE_LINEAR_EMBEDDING, NORMALIZATION, WAVES}
)
