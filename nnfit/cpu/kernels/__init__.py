"""Kernels of the CPU engine; its modules are the only ones that import numba.

Builders of kernels, as `nnfit.compiling.load` takes them: ``build(target, ..., dtype)``
gives the functions of one kernel. Each is compiled and cached by itself when something
first needs it.
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
#: In place of an optimizer, for a gradient alone.
GRADIENT_SUM = f"{__name__}.elementwise:gradient_sum"
#: Muon's update of one matrix.
MUON = f"{__name__}.muon:muon"
#: These take the name of a row of their registry before the dtype.
OPTIMIZER = f"{__name__}.elementwise:optimizer"
LOSS = f"{__name__}.elementwise:loss"
LINK = f"{__name__}.elementwise:link"
ACTIVATION = f"{__name__}.elementwise:activation"

#: Rough seconds that each takes, the slow ones first.
COSTS = {
    TRAINING: 1.6,
    MUON: 1.3,
    ROWS: 1.0,
    SPARSE: 0.7,
    PREDICTION_OF_FEW: 0.5,
    EVALUATION: 0.4,
    OPTIMIZER: 0.4,
    LOSS: 0.3,
    WEIGHTS: 0.25,
    GRADIENT_SUM: 0.2,
    ACTIVATION: 0.1,
    PREDICTION: 0.1,
    LINK: 0.1,
}
#: Those built for a dtype alone.
OF_DTYPE = tuple(
    builder for builder in COSTS if builder not in {OPTIMIZER, LOSS, LINK, ACTIVATION}
)
