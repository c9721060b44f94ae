"""Where kernels find their numbers: two tables for each network.

As on the CPU (`nnfit.cpu.fields`), sizes, depths and hyperparameters are run-time data.
Memory on the device is one array to a kernel: what is called an address here is an
index into it, the number of elements of the type that lies there. Rows of tensors,
layers and groups of units follow the header; a *place* is where such a row begins in
the table. Kinds of layers have numbers of their own behind those of a row.
"""

from itertools import count

from nnfit.engine_settings import N_FACTORS

# ------------------------------------------------ integers: what is trained
_number = count()
FLOATS = next(_number)  # address of the table of floats
N_FEATURES = next(_number)
N_OUTPUTS = next(_number)  # columns of the raw prediction
N_TARGETS = next(_number)  # columns of y
PHASES = next(_number)  # address of int64 (n_phases, PHASE_FIELDS): of a batch
N_PHASES = next(_number)
BARRIER = next(_number)  # address of an int64 that counts arrivals of blocks
RAW = next(_number)  # (batch, raw stride): the raw predictions of a batch
RAW_STRIDE = next(_number)
RAW_GRADIENT = next(_number)  # of the loss by them, in rows of the same distance
RAW_LINES = next(_number)  # of them for each row, one a member
TENSORS = next(_number)  # place of the first one
N_TENSORS = next(_number)
GROUPS = next(_number)  # place of the first group of units
N_GROUPS = next(_number)

# ---------------------------------------------------------------- its data
N_ROWS = next(_number)  # of an epoch
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
SIZE = next(_number)  # number of parameters
PARAMETERS = next(_number)
STATE = next(_number)  # (slots, size)
AVERAGE = next(_number)
GRADIENT = next(_number)  # where a step needs all gradients before it updates
FEATURES = next(_number)  # (2, batch, n_features): this batch, and the next one
BATCH_WEIGHT = next(_number)  # (2, batch): sample weights over the batch's sum
BUFFER_ROWS = next(_number)  # rows of those buffers
ROW_LOSS = next(_number)  # float64 (batch,), for each line of a raw prediction
BATCH_Y = next(_number)  # (batch, n_targets), likewise, where some say what is swapped
PARTNER_GRADIENT = next(_number)  # (batch, n_outputs), likewise, of rows mixed in

# ------------------------------------------------------------- its updates
N_UNITS = next(_number)  # parts of tensors that a block updates at a time
PENALTY = next(_number)  # float64 (2, n_units), by the parity of the step
SQUARES = next(_number)  # float64 (n_units,): of the gradient
RATES = next(_number)  # (n_rate_rows, N_RATES): scalars of the step
N_RATE_ROWS = next(_number)  # of tensors with different rates
RATE_FACTORS = next(_number)  # float64 (n_rate_rows, N_RATE_FACTORS)
TENSOR_FACTORS = next(_number)  # float64 (n_tensors,): of their penalties
MEMORY = next(_number)  # float64 (2, n_rate_rows, N_MEMORY): numbers of the optimizer
HYPER = next(_number)  # float64: its parameters, as they are now
MOMENTUM = next(_number)  # which of them a schedule multiplies, or -1
MATRIX_X, MATRIX_Y, MATRIX_S, MATRIX_D = (next(_number) for _ in range(4))  # of muon

DECAY, AVERAGE_RATE, MATRIX_RATE, MATRIX_MOMENTUM, N_RATES = 8, 9, 10, 11, 12

# ---------------------------------------------------------- what is random
N_DROPOUT = next(_number)  # rates of dropout, the last that of the input
DROPOUT_RATES = next(_number)  # float64 (n_dropout,)
NOISE = next(_number)  # float64 (n_features,): standard deviations, or 0
SWAP_VALUES = next(_number)  # (n_features,): what swapped entries become, or 0
SWAP_MASK = next(_number)  # first of n_features columns of y that say which are swapped
BETA_QUANTILES = next(_number)  # float64 (N_QUANTILES,), of the distribution of shares

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
N_OUT = next(_number)
LINES = next(_number)  # of its output for each row; `batch` below counts lines
OUTPUT = next(_number)  # (batch, stride): the layer's value
STRIDE = next(_number)
SLOPE = next(_number)  # (batch, stride): what its gradient is multiplied by, or 0
GRADIENT_BY_OUTPUT = next(_number)  # (batch, gradient stride), times the slope if any
GRADIENT_STRIDE = next(_number)
OWN_TENSORS = next(_number)  # place of its first tensor
ACTIVATION = next(_number)  # number of its function in the kernel; -1 for none
DROPOUT = next(_number)  # which of DROPOUT_RATES; -1 for none
EDGES = next(_number)  # two edges, then numbers of the layer's kind

# ---------------------------------------- integers: an edge, an input of a layer
_number = count()
INPUT = next(_number)  # (batch, input stride)
INPUT_STRIDE = next(_number)
TURN = next(_number)  # elements between this batch's and the next one's, or 0
N_IN = next(_number)
GOAL = next(_number)  # (batch, goal stride): where the gradient by the input goes, or 0
GOAL_STRIDE = next(_number)
ADDED = next(_number)  # gradient by the same value of later layers, or 0
ADDED_STRIDE = next(_number)
SCALE = next(_number)  # (batch, goal stride): slopes that multiply the sum, or 0
EDGE = next(_number)

PRIVATE = EDGES + 2 * EDGE

# ---------------------------------------------------------- integers: a tensor's row
_number = count()
ADDRESS = next(_number)  # where it begins in the parameters
N_LINES = next(_number)
N_COLUMNS = next(_number)
N_TRAINED = next(_number)  # elements that training changes, the first ones
IN_PANELS = next(_number)  # 1: it is multiplied by as a matrix, max_norm bounds it
PENALISED = next(_number)
MATRIX = next(_number)  # 1: it is updated as a whole
RATE = next(_number)  # row of its rates
NUMBER = next(_number)  # of its factor
BY_LINES = next(_number)  # 1: a step changes only lines that the batch has
TENSOR = next(_number)

# ---------------------------------------------------- integers: a group of units
#: Units of a tensor: number of the function that finds their gradient, places of layer
#: and tensor, number of the first unit and how many there are.
G_FUNCTION, G_ROW, G_TENSOR, G_FIRST, G_UNITS, GROUP = range(6)

# ---------------------------------------------------------------- floats
_number = count()
ALPHA = next(_number)
L1 = next(_number)
CLIP_NORM = next(_number)
CLIP_VALUE = next(_number)
MAX_NORM = next(_number)
WEIGHT_DECAY = next(_number)
FEATURE_SWAP = next(_number)  # probability that an entry is swapped
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
    GATHER, DROP, FIND_ROW_LOSSES, ADD_GRADIENT, POOL, PREPARE, UPDATE, FIND_GRADIENT,
    UPDATE_CLIPPED, LOOK_AHEAD, ORIENT, GRAM, SQUARE, MULTIPLY, UPDATE_MATRIX, BOUND,
    DERIVE, ACCOUNT, COLLECT, AVERAGE_LINES,
    N_STAGES,  # numbers of kinds' operations begin here, see `nnfit.cuda.operations`
) = range(21)  # fmt: skip
#: Arguments of GATHER.
CURRENT, NEXT = range(2)
