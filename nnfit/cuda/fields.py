"""Where kernels find their numbers: two tables for each network.

As on the CPU (`nnfit.cpu.fields`), sizes, depths and hyperparameters are run-time data.
Memory on the device is one array to a kernel: what is called an address here is an
index into it, the number of elements of the type that lies there. Rows of the layers
follow the header, and the phases of a batch follow them.
"""

from itertools import count

from nnfit.engine_settings import N_FACTORS

# ------------------------------------------------ integers: what is trained
_number = count()
FLOATS = next(_number)  # address of the table of floats
N_LAYERS = next(_number)
N_OUTPUTS = next(_number)  # columns of the raw prediction
N_TARGETS = next(_number)  # columns of y
PHASES = next(_number)  # address of int64 (n_phases, PHASE_FIELDS): of a batch
N_PHASES = next(_number)
BARRIER = next(_number)  # address of an int64 that counts arrivals of blocks

# ---------------------------------------------------------------- its data
N_ROWS = next(_number)
X = next(_number)  # dense values, or those of a CSR matrix
INDPTR = next(_number)  # int64, or 0 for a dense X
INDICES = next(_number)  # int32
Y = next(_number)
SAMPLE_WEIGHT = next(_number)  # float64, or 0: they divide the loss
LOSS_WEIGHT = next(_number)  # the same, or those that multiply it
ORDER = next(_number)  # int32 (epochs, n_rows): rows in their order, or 0 for 0, 1, ...
ORDER_STRIDE = next(_number)  # between epochs; 0 if all have the same order
FIRST_EPOCH = next(_number)  # number of the epoch that ORDER begins with

# ------------------------------------------------------------- its buffers
SIZE = next(_number)  # parameters: all weights, all biases, all norms
PARAMETERS = next(_number)
STATE = next(_number)  # (slots, size)
AVERAGE = next(_number)
GRADIENT = next(_number)  # where a step needs all gradients before it updates
INPUT = next(_number)  # (2, batch, n_features): this batch, and the next one
BATCH_WEIGHT = next(_number)  # (2, batch): sample weights over the batch's sum
BUFFER_ROWS = next(_number)  # rows of those buffers
ROW_LOSS = next(_number)  # float64 (batch,)
PARTNER_GRADIENT = next(_number)  # (batch, n_outputs), of the rows that are mixed in

# ------------------------------------------------------------- its updates
N_UNITS = next(_number)  # tiles of weights, and chunks of layers' vectors
PENALTY = next(_number)  # float64 (2, n_units), by the parity of the step
SQUARES = next(_number)  # float64 (n_units,): of the gradient
RATES = next(_number)  # (n_rate_rows, N_RATES): scalars of the step
N_RATE_ROWS = next(_number)  # 1, or one for each layer
LAYER_RATES = next(_number)  # float64 (n_rate_rows,): factors of the learning rate
MEMORY = next(_number)  # float64 (2, n_rate_rows, N_MEMORY): numbers of the optimizer
HYPER = next(_number)  # float64: its parameters, as they are now
MOMENTUM = next(_number)  # which of them a schedule multiplies, or -1
MATRIX_X, MATRIX_Y, MATRIX_S, MATRIX_D = (next(_number) for _ in range(4))  # of muon

N_MEMORY = 4
DECAY, AVERAGE_RATE, MATRIX_RATE, MATRIX_MOMENTUM, N_RATES = 8, 9, 10, 11, 12

# ---------------------------------------------------------- what is random
DROPOUT_RATES = next(_number)  # float64 (n_layers,): of the hidden layers, of the input
BETA_QUANTILES = next(_number)  # float64 (N_QUANTILES,), of the distribution of mixup

# ------------------------------------------------------------- its settings
LOSS_PARAMETERS = next(_number)
BATCH_SIZE = next(_number)
SEED = next(_number)
SCHEDULE = next(_number)
MONITOR = next(_number)  # 1: the kernel itself looks at the training loss
N_ITER_NO_CHANGE = next(_number)
MAX_EPOCHS = next(_number)
MAX_BATCHES = next(_number)  # of one call
WHOLE = next(_number)  # 1: batches are parts of one sum (L-BFGS)
COLLECTING = next(_number)  # 1: passes for the running statistics alone
BATCH_NUMBERS = next(_number)  # float64 (batches + 1, N_BATCH_NUMBERS), or 0

# ------------------------------------------------------------- its progress
EPOCH = next(_number)
STEP = next(_number)  # optimizer steps
SAMPLES = next(_number)  # rows seen in finished epochs
CURSOR = next(_number)  # rows of this epoch already seen
NO_IMPROVEMENT = next(_number)
STOPPED = next(_number)
BATCHES = next(_number)  # done in this call
FINISHED = next(_number)  # epochs finished in this call
LOSS_CURVE = next(_number)  # float64, an entry a finished epoch
RATE_CURVE = next(_number)
BATCH_CURVE = next(_number)  # float64, the loss of each batch of this call, or 0

#: Columns behind the factors of `nnfit.engine_settings`: the sum of the batch's
#: sample weights, and 1 - the sum of their squared parts.
WEIGHT_SUM, WEIGHT_SPREAD, N_BATCH_NUMBERS = (N_FACTORS + i for i in range(3))

HEADER = next(_number)

# ---------------------------------------------------- integers: a layer's row
_number = count()
N_IN = next(_number)
N_OUT = next(_number)
WEIGHTS = next(_number)  # where its weights begin in the parameters
BIAS = next(_number)
NORMS = next(_number)  # (n_norms, n_out): scale, running mean and variance
N_NORMS = next(_number)  # 0, 1 or 3
ACTIVATION = next(_number)  # number of its function in the kernel; -1 for none
INPUTS = next(_number)  # address of the previous layer's OUTPUT, or of INPUT
INPUT_STRIDE = next(_number)
OUTPUT = next(_number)  # (batch, output stride); z follows, where a projection reads it
OUTPUT_STRIDE = next(_number)
SLOPE = next(_number)  # (batch, n_out): of the activation
U = SLOPE  # the same buffer before: what is activated, without its bias
GRADIENT_BY_U = SLOPE  # the same buffer after: the gradient by what is activated
GRADIENT_BY_Z = next(_number)  # (batch, n_out)
TILES = next(_number)  # of its weights
FIRST_UNIT = next(_number)  # the units of the layers before
MATRIX = next(_number)  # 1: the optimizer takes its weights as a whole
# of a normalised or residual layer, whose z is kept:
STAGED = next(_number)
Z = next(_number)  # (batch, n_out)
NORMED = next(_number)  # (batch, n_out): z normalised, before the scale
SPREAD = next(_number)  # (batch,) or (N_STATISTICS, n_out)
START = next(_number)  # (batch, n_out), what z starts from; 0 for zeros
RESULT = next(_number)  # (batch, result stride): gradient by the outputs
RESULT_STRIDE = next(_number)
SKIPPED = next(_number)  # gradient by z that comes past the next layer, or 0
SKIPPED_STRIDE = next(_number)
LAYER = next(_number)

#: Rows of SPREAD in batch normalisation: mean, 1 / root of the variance, and sums over
#: the batch of the gradient by what is activated, and of that times NORMED.
MEAN, INVERSE, SUM, SUM_NORMED, N_STATISTICS = range(5)

# ---------------------------------------------------------------- floats
_number = count()
ALPHA = next(_number)
L1 = next(_number)
CLIP_NORM = next(_number)
CLIP_VALUE = next(_number)
MAX_NORM = next(_number)
WEIGHT_DECAY = next(_number)
NOISE = next(_number)
LEARNING_RATE_INIT = next(_number)
LEARNING_RATE_DECAY = next(_number)
POWER_T = next(_number)
TOL = next(_number)
LOSS_SCALE = next(_number)
MOMENTUM_GIVEN = next(_number)
TOTAL_WEIGHT = next(_number)  # of all batches together, with WHOLE
COLLECTED = next(_number)  # rows whose batch statistics have been collected
LEARNING_RATE = next(_number)
RATE_NOW = next(_number)  # times its factor
BEST_LOSS = next(_number)
EPOCH_LOSS = next(_number)
N_FLOATS = next(_number)

# --------------------------------------------------------- phases of a batch
#: Operation, its argument, and whether all blocks wait for each other after it.
OPERATION, ARGUMENT, WAITS, PHASE_FIELDS = range(4)
(
    GATHER, FORWARD, FIND_STATISTICS, ACTIVATE, FIND_ROW_LOSSES, BACKWARD, FIND_SUMS,
    BACK_TO_Z, PREPARE, UPDATE, FIND_GRADIENT, UPDATE_CLIPPED, LOOK_AHEAD, ORIENT,
    GRAM, SQUARE, MULTIPLY, UPDATE_MATRIX, BOUND, DERIVE, ACCOUNT, COLLECT,
    N_OPERATIONS,
) = range(23)  # fmt: skip
#: Arguments of GATHER.
CURRENT, NEXT = range(2)
