"""Kernels of the CPU engine; its modules are the only ones that import numba.

Builders of kernels, as `nnfit.cpu.compiling.load` takes them: ``build(target, ...,
dtype)`` gives the functions of one kernel. Each is compiled and cached by itself when
something first needs it.
"""

#: Forward pass, losses and backward pass of blocks of rows; the others call it.
ROWS = f"{__name__}.engine:rows"
#: The loop over batches with the update of the weights.
TRAINING = f"{__name__}.engine:training"
PREDICTION = f"{__name__}.prediction:prediction"
PREDICTION_OF_FEW = f"{__name__}.prediction:prediction_of_few"
EVALUATION = f"{__name__}.prediction:evaluation"
#: Between an estimator's weights and the engine's.
WEIGHTS = f"{__name__}.row_major:weights"
#: The first layer on entries of a sparse matrix.
SPARSE = f"{__name__}.sparse:build"
#: In place of the pass over rows, where layers are normalised over the batch.
BATCH_PASS = f"{__name__}.batch_pass:batch_pass"
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
#: These take the name of a row of their registry, or of a kind, before the dtype.
NORMALIZATION = f"{__name__}.normalization:normalization"
#: The kinds of the last.
NORMALIZATIONS = ("none", "layer", "batch")
OPTIMIZER = f"{__name__}.elementwise:optimizer"
LOSS = f"{__name__}.elementwise:loss"
LINK = f"{__name__}.elementwise:link"
ACTIVATION = f"{__name__}.elementwise:activation"

#: Rough seconds that each takes, the slow ones first.
COSTS = {
    TRAINING: 1.6,
    BATCH_PASS: 1.5,
    WHOLE_UPDATE: 1.2,
    MUON: 1.3,
    ROWS: 1.0,
    SPARSE: 0.7,
    PREDICTION_OF_FEW: 0.5,
    EVALUATION: 0.4,
    OPTIMIZER: 0.4,
    LOSS: 0.3,
    AUGMENTATION: 0.3,
    NORMALIZATION: 0.25,
    WEIGHTS: 0.25,
    GRADIENT_SUM: 0.2,
    PENALTY: 0.15,
    DROPOUT: 0.15,
    AVERAGE: 0.1,
    ACTIVATION: 0.1,
    PREDICTION: 0.1,
    LINK: 0.1,
}
#: Those built for a dtype alone.
OF_DTYPE = tuple(
    builder
    for builder in COSTS
    if builder not in {OPTIMIZER, LOSS, LINK, ACTIVATION, NORMALIZATION}
)
